from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sensorkd.errors import ArchiveError
from sensorkd.recordings import guard
from sensorkd.recordings.open_files import open_guarded


def test_a_file_is_opened_once_and_kept(write_archive: Any, heat: Any) -> None:
    path = write_archive({"t": heat()})
    assert open_guarded(path) is open_guarded(path)


def test_a_file_that_was_replaced_is_opened_anew(write_archive: Any, heat: Any) -> None:
    path = write_archive({"t": heat()})
    old = open_guarded(path)
    path.unlink()
    write_archive({"t": heat()})
    assert open_guarded(path) is not old


def test_a_child_after_a_fork_opens_its_own(
    write_archive: Any, heat: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_archive({"t": heat()})
    parents = open_guarded(path)
    monkeypatch.setattr(os, "getpid", lambda: -1)  # what a child sees is another number
    assert open_guarded(path) is not parents


def test_another_policy_judges_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("data", (3,), h5py.vlen_dtype("u1"))[0] = [1, 2]
    with pytest.raises(ArchiveError, match="variable length"):
        open_guarded(path).dataset("/data")
    monkeypatch.setenv("SENSORKD_ALLOW", "vlen")
    assert open_guarded(path).dataset("/data").shape == (3,)


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="no such file"):
        open_guarded(tmp_path / "gone.h5")


def test_few_nodes_stay_open_however_many_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "KEPT_GROUPS", 5)
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for number in range(100):
            file[f"g{number}/data"] = np.full(10, number)
    file = open_guarded(path)
    for number in [*range(100), *range(100)]:
        assert file.dataset(f"/g{number}/data")[0] == number
    kept = h5py.h5f.get_obj_count(file.root.file.id, h5py.h5f.OBJ_DATASET | h5py.h5f.OBJ_GROUP)
    assert kept <= guard.KEPT_DATASETS + 5 + 3
