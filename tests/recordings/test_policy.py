from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from sensorkd.errors import ConfigError
from sensorkd.processes import in_children
from sensorkd.recordings.guard import GuardedFile
from sensorkd.recordings.policy import GuardPolicy


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("", GuardPolicy()),
        (" vlen , ", GuardPolicy(vlen=True)),
        ("blosc, 32004,ZSTD", GuardPolicy(filters=frozenset({32001, 32004, 32015}))),
        ("chunk=1GiB,ratio=20000", GuardPolicy(chunk_bytes=2**30, ratio=20_000)),
        ("chunk=64 MiB", GuardPolicy(chunk_bytes=2**26)),
        ("chunk=1000", GuardPolicy(chunk_bytes=1000)),
    ],
)
def test_the_environment_says_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, text: str, policy: GuardPolicy
) -> None:
    monkeypatch.setitem(sys.modules, "hdf5plugin", ModuleType("hdf5plugin"))
    sys.modules["hdf5plugin"].__spec__ = __spec__  # as if it were installed
    monkeypatch.setenv("SENSORKD_ALLOW", text)
    assert GuardPolicy.of_environment() == policy


def test_without_the_variable_nothing_more_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SENSORKD_ALLOW", raising=False)
    policy = GuardPolicy.of_environment()
    assert policy == GuardPolicy() and policy.chunk_bytes == 2**28
    assert policy.allows(1) and policy.allows(32000) and not policy.allows(32008)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("blosk", "did you mean 'blosc'"),
        ("all", "a filter's id"),
        ("chunk=huge", "did you mean 'chunk=1GiB'"),
    ],
)
def test_what_is_not_known_is_told_with_what_is(
    monkeypatch: pytest.MonkeyPatch, text: str, told: str
) -> None:
    monkeypatch.setenv("SENSORKD_ALLOW", f"vlen,{text}")
    with pytest.raises(ConfigError, match="SENSORKD_ALLOW") as caught:
        GuardPolicy.of_environment()
    assert told in str(caught.value) and caught.value.found == text


def chunk_limit(path: Path) -> int:
    with GuardedFile(path) as file:
        return file.policy.chunk_bytes


def test_children_judge_as_their_parent_does(monkeypatch: pytest.MonkeyPatch, record: Any, heat: Any) -> None:
    path = record({"temperature": heat(samples=np.ones((20, 1), np.float32))}).path
    assert dict(in_children(chunk_limit, [path])) == {0: 2**28}  # starts the server from which children fork
    monkeypatch.setenv("SENSORKD_ALLOW", "chunk=1GiB")
    assert dict(in_children(chunk_limit, [path])) == {0: 2**30}
