"""What goes wrong with models and bundles, 42 to 49: each is refused, and nothing else happens."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest

from sensorkd.edge import EdgeBundle, EdgePredictor
from sensorkd.edge.bundle import sha256_of
from sensorkd.edge.classifier import Correction, Prototypes
from sensorkd.edge.versions import Versions
from sensorkd.errors import BundleError, GateError, RunError
from sensorkd.export.calibration import check_ranges
from sensorkd.training.checkpoint import load_tensors

FILES = ("model.onnx", "golden.npz", "statistics.npz")
KEY = b"0123456789abcdef-operator"


@pytest.fixture
def bundle(press_bundle: Path, tmp_path: Path) -> Path:
    shutil.copytree(press_bundle, tmp_path / "bundle")
    return tmp_path / "bundle"


def vouch(bundle: Path) -> None:
    """As if its files were meant to be as they are."""
    tree = json.loads((bundle / "bundle.json").read_text("utf-8"))
    tree["files"] = {name: sha256_of(bundle / name) for name in tree["files"]}
    (bundle / "bundle.json").write_text(json.dumps(tree), "utf-8")


class Exploit:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("name", ["golden.npz", "statistics.npz"])
def test_fault_42_a_pickle_is_never_run(bundle: Path, tmp_path: Path, name: str) -> None:
    with np.load(bundle / name) as arrays:
        held = {key: arrays[key] for key in arrays.files}
    first = next(iter(held))
    np.savez(bundle / name, **{**held, first: np.array([Exploit(tmp_path / "ran")], dtype=object)})
    vouch(bundle)
    with pytest.raises(BundleError, match=r"not an \.npz of arrays"):
        EdgePredictor(EdgeBundle.open(bundle)).verify(repeats=1)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", FILES)
def test_fault_43_a_flipped_bit_is_found(bundle: Path, name: str) -> None:
    content = bytearray((bundle / name).read_bytes())
    for place in np.random.default_rng(0).integers(0, len(content), 20).tolist():
        content[place] ^= 4
        (bundle / name).write_bytes(content)
        with pytest.raises(BundleError, match="not the one that was exported") as caught:
            EdgeBundle.open(bundle)
        assert name in str(caught.value)
        content[place] ^= 4
    (bundle / name).write_bytes(content)
    EdgeBundle.open(bundle)


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/hostname", "link.bin"])
def test_fault_44_external_data_is_never_followed(bundle: Path, tmp_path: Path, location: str) -> None:
    (tmp_path / "weights.bin").write_bytes(bytes(4096))
    (bundle / "link.bin").symlink_to(tmp_path / "weights.bin")
    model = onnx.load(bundle / "model.onnx")
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    (bundle / "model.onnx").write_bytes(model.SerializeToString())
    vouch(bundle)
    with pytest.raises(BundleError, match="keeps weights in other files"):
        EdgePredictor(EdgeBundle.open(bundle))


@pytest.mark.parametrize("kind", ["zip", "tar", "bomb"])
def test_fault_45_an_archive_is_no_bundle(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "in"
    place.mkdir()
    path = place / "bundle"
    if kind == "tar":
        with tarfile.open(path, "w") as tar:
            told = tarfile.TarInfo("../escaped")
            told.size = 4
            tar.addfile(told, io.BytesIO(b"data"))
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("bundle.json" if kind == "bomb" else "../escaped", bytes(10_000_000))
    with pytest.raises(BundleError, match="not a bundle"):
        EdgeBundle.open(path)
    assert [item.name for item in tmp_path.rglob("*")] == ["in", "bundle"]


def test_fault_46_a_safetensors_header_of_2_to_the_60_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "averaged.safetensors"
    path.write_bytes(struct.pack("<Q", 1 << 60) + b"{}" + bytes(100))
    with pytest.raises(RunError, match=r"averaged\.safetensors"):
        load_tensors(path)


def test_fault_47_other_shapes_and_classes_are_printed(bundle: Path) -> None:
    predictor = EdgePredictor(EdgeBundle.open(bundle))
    with pytest.raises(BundleError) as caught:
        predictor.predict({"shake": np.zeros((1, 7, 2), np.int16)})
    assert "(W, 7, 2)" in str(caught.value)
    assert "(W, 64, 2)" in str(caught.value)
    tree = json.loads((bundle / "bundle.json").read_text("utf-8"))
    (bundle / "bundle.json").write_text(json.dumps({**tree, "alarm": None, "classes": ["a", "b"]}), "utf-8")
    with pytest.raises(BundleError) as caught:
        EdgePredictor(EdgeBundle.open(bundle))
    assert "3 logits" in str(caught.value)
    assert "2, one a class" in str(caught.value)


@pytest.mark.parametrize("values", [np.zeros((0, 4)), np.full((3, 4), np.nan)])
def test_fault_48_windows_that_give_no_ranges_are_refused(values: np.ndarray) -> None:
    with pytest.raises(GateError, match="cannot give an int8 model its ranges"):
        check_ranges({"shake": values}, len(values))


@pytest.mark.parametrize(("value", "told"), [(np.nan, "NaN"), (1e9, "too far")])
def test_fault_49_a_bad_or_replayed_update_leaves_the_last_good_one(
    bundle: Path, value: float, told: str
) -> None:
    versions = Versions(EdgeBundle.open(bundle))
    description = versions.bundle.description
    count, size = len(description.classes), description.embedding

    def patch(bias: float) -> bytes:
        row = np.full(count, bias, np.float32)
        weight = np.zeros((count, size), np.float32)
        correction = Correction(description.classes, weight, row, Prototypes.none(size))
        return versions.patch_of(correction, KEY)

    good = patch(0.5)
    state = versions.install(good, KEY)
    with pytest.raises(BundleError, match=told):
        versions.install(patch(value), KEY)
    with pytest.raises(BundleError, match="installed before"):
        versions.install(good, KEY)
    assert versions.state() == state
    learned = EdgePredictor(EdgeBundle.open(bundle)).learned
    assert learned is not None
    assert learned.bias.tolist() == [0.5] * count
