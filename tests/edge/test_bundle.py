from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from sensorkd.edge import BundleDescription, EdgeBundle
from sensorkd.edge.bundle import load_arrays
from sensorkd.errors import BundleError


def test_a_bundle_opens_with_its_description(bundle_folder):
    bundle = EdgeBundle.open(str(bundle_folder))
    assert bundle.description.classes == ("calm", "rough", "hot")
    assert bundle.description.inputs["heat"].shape == (4, 1)
    assert bundle.model == (bundle_folder / "model.onnx").read_bytes()
    assert bundle.golden()["input.shake"].shape == (5, 4, 2)


def test_a_description_survives_json(bundle_folder):
    description = EdgeBundle.open(bundle_folder).description
    assert BundleDescription.from_json(json.loads(json.dumps(description.to_json()))) == description


@pytest.mark.parametrize("name", ["model.onnx", "golden.npz"])
def test_a_changed_file_is_refused(bundle_folder, name):
    content = bytearray((bundle_folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle_folder / name).write_bytes(content)
    with pytest.raises(BundleError, match="not the one that was exported") as caught:
        EdgeBundle.open(bundle_folder)
    assert name in str(caught.value)
    assert "SHA-256" in str(caught.value)


@pytest.mark.parametrize("name", ["model.onnx", "golden.npz"])
def test_a_missing_file_is_refused(bundle_folder, name):
    (bundle_folder / name).unlink()
    with pytest.raises(BundleError, match=f"{name}: a file of the bundle is missing"):
        EdgeBundle.open(bundle_folder)


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "sub/file", "..", ""])
def test_a_file_outside_the_folder_is_never_opened(bundle_folder, redescribe, name):
    (bundle_folder.parent / "secret").write_text("not for you")
    files = json.loads((bundle_folder / "bundle.json").read_text())["files"]
    redescribe(files={**files, name: "0" * 64})
    with pytest.raises(BundleError) as caught:
        EdgeBundle.open(bundle_folder)
    assert "must lie in its folder" in str(caught.value) or "missing" in str(caught.value)
    assert "SHA-256" not in str(caught.value)


def test_a_link_is_refused_even_to_the_right_bytes(bundle_folder, tmp_path):
    shutil.move(bundle_folder / "model.onnx", tmp_path / "elsewhere.onnx")
    (bundle_folder / "model.onnx").symlink_to(tmp_path / "elsewhere.onnx")
    with pytest.raises(BundleError, match="must lie in its folder"):
        EdgeBundle.open(bundle_folder)


def test_what_this_version_cannot_do_is_refused(redescribe, bundle_folder):
    redescribe(requires=["int4"])
    with pytest.raises(BundleError, match="asks for more") as caught:
        EdgeBundle.open(bundle_folder)
    assert "['int4']" in str(caught.value)
    assert "newer sensorkd" in str(caught.value)


def test_a_description_must_vouch_for_the_model(redescribe, bundle_folder):
    redescribe(files={})
    with pytest.raises(BundleError, match="does not vouch"):
        EdgeBundle.open(bundle_folder)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"schema": "bundle-9.0"}, "bundle-9.0"),
        ({"surprise": 1}, "surprise"),
        ({"classes": ["one"]}, "two different names"),
        ({"classes": ["a", "a"]}, "two different names"),
        ({"classes": [1, 2]}, "two different names"),
        ({"inputs": {}}, "at least one input"),
        ({"inputs": []}, "items"),
        ({"files": ["model.onnx", "golden.npz"]}, "map names to SHA-256"),
        ({"files": {"model.onnx": 1, "golden.npz": 2}}, "map names to SHA-256"),
        ({"tolerance": "much"}, "above 0"),
        ({"tolerance": 0.0}, "above 0"),
        ({"tolerance": float("nan")}, "above 0"),
    ],
)
def test_a_description_that_makes_no_sense_is_refused(redescribe, bundle_folder, changes, told):
    redescribe(**changes)
    with pytest.raises(BundleError, match="description cannot be read") as caught:
        EdgeBundle.open(bundle_folder)
    assert told in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "bundle-1.0"}', "\ud800", "null"])
def test_text_that_is_no_description_is_refused(bundle_folder, text):
    (bundle_folder / "bundle.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(BundleError, match="description cannot be read"):
        EdgeBundle.open(bundle_folder)


def test_what_is_no_bundle_is_told(tmp_path, bundle_folder):
    (tmp_path / "file").write_text("")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd/bundle.json").mkdir()
    for path in (tmp_path / "nowhere", tmp_path / "file", tmp_path / "odd"):
        with pytest.raises(BundleError, match="not a bundle"):
            EdgeBundle.open(path)


def test_a_golden_batch_must_hold_what_it_should(rewrite_golden, bundle_folder):
    rewrite_golden(logits=None)
    with pytest.raises(BundleError, match="golden batch") as caught:
        EdgeBundle.open(bundle_folder).golden()
    assert "'logits'" in str(caught.value)


def test_arrays_are_never_unpickled(tmp_path):
    np.savez(tmp_path / "pickled.npz", x=np.array([{"a": 1}], dtype=object))
    np.save(tmp_path / "one.npy", np.zeros(3))
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "empty.npz").write_bytes(b"")
    np.savez_compressed(tmp_path / "whole.npz", x=np.arange(10_000))
    content = bytearray((tmp_path / "whole.npz").read_bytes())
    (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
    for place in range(60, 400, 7):
        content[place] ^= 0xFF
    (tmp_path / "broken.npz").write_bytes(content)
    for name in ("pickled.npz", "one.npy", "text.npz", "empty.npz", "cut.npz", "broken.npz", "none.npz"):
        with pytest.raises(BundleError, match=r"not an \.npz of arrays") as caught:
            load_arrays(tmp_path / name, mend="write it again")
        assert "write it again" in str(caught.value)
