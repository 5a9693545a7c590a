"""A patch as a file: small, signed, and read with suspicion."""

from __future__ import annotations

import dataclasses
import hmac
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorkd.edge.classifier import Correction, Prototypes
from sensorkd.edge.patch import KEY_VARIABLE, LIMIT, Patch, parse_patch, read_key, read_patch
from sensorkd.errors import BundleError

KEY = b"0123456789abcdef-operator"


def patch(classes=("calm", "rough", "läuft"), size=4, places=2):
    rng = np.random.default_rng(0)
    known = Prototypes(
        rng.normal(size=(places, size)).astype(np.float16).astype(np.float32),
        *(np.arange(1, places + 1) for _ in range(3)),
    )
    weight, bias = rng.normal(size=(len(classes), size)), rng.normal(size=len(classes))
    correction = Correction(classes, weight.astype(np.float32), bias.astype(np.float32), known)
    return Patch(7, "ab" * 32, "", correction)


CONTENT = patch().to_bytes(KEY)


def signed(header=None, *, numbers=None, length=None, **changes):
    """Another header or other numbers under a signature that holds."""
    end = 12 + int.from_bytes(CONTENT[8:12], "little")
    told = {**json.loads(CONTENT[12:end]), **changes}
    text = json.dumps(told).encode() if header is None else header
    rest = CONTENT[end:-32] if numbers is None else numbers
    size = len(text) if length is None else length
    body = CONTENT[:8] + size.to_bytes(4, "little") + text + rest
    return body + hmac.digest(KEY, body, "sha256")


@pytest.mark.parametrize("previous", ["", "cd" * 32])
def test_a_patch_survives_its_file(previous):
    made = dataclasses.replace(patch(), previous=previous)
    found = parse_patch(made.to_bytes(KEY), KEY)
    assert (found.counter, found.base, found.previous) == (7, "ab" * 32, previous)
    assert found.correction.classes == made.correction.classes
    for name in ("weight", "bias"):
        assert np.array_equal(getattr(found.correction, name), getattr(made.correction, name))
    for name in ("mean", "label", "subset", "windows"):
        one, other = (getattr(item.correction.prototypes, name) for item in (found, made))
        assert np.array_equal(one, other), name


@given(st.integers(0, 8 * len(CONTENT) - 1))
def test_fault_49_a_flipped_bit_anywhere_is_refused(bit):
    changed = bytearray(CONTENT)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BundleError, match=r"not signed with this key|not a patch"):
        parse_patch(bytes(changed), KEY)


@given(st.integers(0, len(CONTENT) - 1))
def test_a_patch_that_was_cut_off_is_refused(length):
    for key in (KEY, None):
        with pytest.raises(BundleError, match=r"not signed with this key|not a patch|cannot be read"):
            parse_patch(CONTENT[:length], key)


@given(st.binary(max_size=300))
def test_bytes_of_any_kind_are_refused_and_nothing_worse(content):
    for start in (b"", b"SKDPATCH", CONTENT[:12]):
        with pytest.raises(BundleError):
            parse_patch(start + content, None)


def test_another_key_is_refused():
    with pytest.raises(BundleError, match="not signed with this key"):
        parse_patch(CONTENT, b"another key of some length")


@pytest.mark.parametrize(
    "content",
    [
        signed(header=b"[" * 5000 + b"]" * 5000),
        signed(header=b"[]"),
        signed(header=b"\xff\xfe"),
        signed(length=1 << 31),
        signed(numbers=b""),
        signed(numbers=bytes(2000)),
        signed(schema="patch-2.0"),
        signed(surprise=1),
        signed(counter=0),
        signed(counter=-1),
        signed(counter=1.5),
        signed(counter=True),
        signed(counter=1 << 70),
        signed(embedding=1 << 60),
        signed(embedding=0),
        signed(base="../../etc"),
        signed(base=7),
        signed(previous="zz" * 32),
        signed(previous=["ab" * 32]),
        signed(classes=[]),
        signed(classes=["a", "b", 3]),
        signed(classes=["a", "b", "c\x00"]),
        signed(classes=["a", "b", "c" * 201]),
        signed(label=[1]),
        signed(label=[1, 1 << 70]),
        signed(label=None),
        signed(windows=[1, float("nan")]),
    ],
)
def test_a_patch_whose_signature_holds_but_not_its_content_is_refused(content):
    with pytest.raises(BundleError, match="cannot be read"):
        parse_patch(content, KEY)


def test_no_patch_is_made_or_read_beyond_64_kb(tmp_path):
    with pytest.raises(BundleError, match="would be too large") as caught:
        patch(tuple(f"c{number}" for number in range(300)), size=64).to_bytes(KEY)
    assert "at most 65536" in str(caught.value)
    (tmp_path / "large.patch").write_bytes(b"SKDPATCH" + bytes(10 << 20))
    content = read_patch(tmp_path / "large.patch")
    assert len(content) == LIMIT + 1
    with pytest.raises(BundleError, match="not a patch"):
        parse_patch(content, None)


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(BundleError, match=r"none\.patch"):
        read_patch(tmp_path / "none.patch")


def test_a_key_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    (tmp_path / "update.key").write_bytes(KEY + b"\n")
    assert read_key(tmp_path / "update.key") == KEY
    monkeypatch.setenv(KEY_VARIABLE, KEY.decode())
    assert read_key(None) == KEY


@pytest.mark.parametrize(("content", "told"), [(b"short\n", "5 bytes"), (b"x" * 5000, "over 4096")])
def test_a_key_that_protects_nothing_is_refused(tmp_path, content, told):
    (tmp_path / "update.key").write_bytes(content)
    with pytest.raises(BundleError, match="another length") as caught:
        read_key(tmp_path / "update.key")
    assert told in str(caught.value)
    assert content[:5].decode() not in str(caught.value)


def test_a_missing_key_is_told_with_how_to_make_one(tmp_path, monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    for path in (None, tmp_path / "none"):
        with pytest.raises(BundleError, match="no key") as caught:
            read_key(path)
        assert "openssl rand" in str(caught.value)
