"""Small data sets of images in every format, and what is wrong with some."""

from __future__ import annotations

import io
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

# Small tensors: a second thread only waits.
torch.set_num_threads(1)


def pixels(label: int, number: int, side: int = 32) -> NDArray[np.uint8]:
    """An image whose colour is its class, with noise."""
    generator = np.random.default_rng([label, number])
    return np.clip(60 * label + generator.integers(0, 50, (side, side, 3)), 0, 255).astype(np.uint8)


def encode(image: NDArray[np.uint8], form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, form)
    return buffer.getvalue()


def write_hdf5(
    path: Path,
    *,
    train: int = 12,
    test: int = 6,
    classes: int = 3,
    side: int = 32,
    third: bytes | None = None,
) -> Path:
    """{train,test}/encoded and /label; `third`: bytes that stand in the place of train/encoded[2]."""
    with h5py.File(path, "w") as file:
        names = [f"class{number}" for number in range(classes)]
        file.create_dataset("class_names", data=names, dtype=h5py.string_dtype())
        for name, count in (("train", train), ("test", test)):
            labels = np.arange(count) % classes
            kind = h5py.vlen_dtype(np.uint8)
            encoded = file.create_dataset(f"{name}/encoded", (count,), dtype=kind)
            for row, label in enumerate(labels):
                content = encode(pixels(int(label), row + 1000 * (name == "test"), side))
                if third is not None and name == "train" and row == 2:
                    content = third
                encoded[row] = np.frombuffer(content, np.uint8)
            file.create_dataset(f"{name}/label", data=labels.astype(np.int16))
    return path


@pytest.fixture
def hdf5(tmp_path: Path) -> Path:
    return write_hdf5(tmp_path / "images.h5")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """train/ and val/ with one folder a class; sizes differ."""
    root = tmp_path / "tree"
    for split in ("train", "val"):
        for label, name in enumerate(("cat", "dog")):
            (root / split / name).mkdir(parents=True)
            for number, side in enumerate((40, 48, 64)):
                image = pixels(label, number, side)[: side - 4]
                (root / split / name / f"{number}.JPEG").write_bytes(encode(image, "JPEG"))
    return root


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Tiny ImageNet as it is published."""
    root = tmp_path / "tiny"
    (root / "val" / "images").mkdir(parents=True)
    lines = []
    for label, name in enumerate(("n01", "n02")):
        folder = root / "train" / name / "images"
        folder.mkdir(parents=True)
        (folder.parent / f"{name}_boxes.txt").write_text("")
        for number in range(2):
            (folder / f"{name}_{number}.JPEG").write_bytes(encode(pixels(label, number, 64), "JPEG"))
        (root / "val" / "images" / f"val_{label}.JPEG").write_bytes(encode(pixels(label, 9, 64), "JPEG"))
        lines.append(f"val_{label}.JPEG\t{name}\t0\t0\t62\t62\n")
    (root / "val" / "val_annotations.txt").write_text("".join(reversed(lines)))
    return root


@pytest.fixture
def cifar(tmp_path: Path) -> Path:
    """cifar-100-binary with few rows."""
    root = tmp_path / "cifar-100-binary"
    root.mkdir()
    for name, count in (("train", 8), ("test", 4)):
        rows = []
        for row in range(count):
            image = pixels(row % 4, row).transpose(2, 0, 1)
            rows.append(np.concatenate([np.array([0, row % 4], np.uint8), image.ravel()]))
        (root / f"{name}.bin").write_bytes(np.stack(rows).tobytes())
    return root
