"""Plain images as the loop takes them: the batch dict with `image` (B, H, W, 3) uint8."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sensorkd.errors import ArchiveError, ConfigError
from sensorkd.images.cifar_binary import SIDE, cifar_names, open_cifar
from sensorkd.images.encoded import FileImages, Hdf5Images, open_encoded
from sensorkd.images.folder import class_folders, images_of_tiny_val, images_of_tree
from sensorkd.models.plain import IMAGE
from sensorkd.recordings.opening import damage_told
from sensorkd.training.batches import ArrayDataset, LazySamples

__all__ = ["ImageFormat", "ImageSet", "labelled_rows", "open_images"]

ImageFormat = Literal["hdf5", "cifar100_binary", "folder", "tiny_imagenet"]
Split = Literal["train", "test"]
LabelledImages = tuple[LazySamples, NDArray[np.int64], tuple[str, ...]]


@dataclass(frozen=True)
class ImageSet:
    """train, test: datasets that yield the batch dict. hidden: the training images without their labels.

    classes: their names, by number.
    """

    train: ArrayDataset
    hidden: ArrayDataset
    test: ArrayDataset
    classes: tuple[str, ...]


def open_images(path: Path, form: ImageFormat, *, side: int, fit: bool = False, threads: int = 1) -> ImageSet:
    """A data set with its official split; images are decoded when a batch asks for them.

    Args:
        form: `hdf5` with {train,test}/encoded (PNG or JPEG bytes) and {train,test}/label; `cifar100_binary`,
            the folder of train.bin and test.bin; `folder`, train/ and val/ with one folder a class;
            `tiny_imagenet`, as it is published.
        side: pixels of both sides. fit: shorter side to `side`, then the middle of it.

    Raises:
        ArchiveError: something is missing, damaged, or leads out of the data set.
    """
    if form not in get_args(ImageFormat):
        raise ConfigError("no such format", found=form, expected=f"one of {get_args(ImageFormat)}")
    if form == "cifar100_binary" and side != SIDE:
        raise ConfigError(
            "images of CIFAR-100 have 32 pixels a side", inside="side", found=side, expected=SIDE
        )
    sets = [_read(path, form, split, side=side, fit=fit, threads=threads) for split in get_args(Split)]
    (train, train_labels, classes), (test, test_labels, _) = sets
    if int(test_labels.max(initial=0)) >= len(classes):
        raise ArchiveError(
            "test images have a class that no training image has",
            file=path,
            inside="test",
            found=f"class number {int(test_labels.max())}",
            expected=f"0 to {len(classes) - 1}",
            mend="name all classes in `class_names`, or leave these images out",
        )
    return ImageSet(
        train=_as_dataset(train, train_labels, first=0),
        hidden=_as_dataset(train, np.full_like(train_labels, -1), first=0),
        test=_as_dataset(test, test_labels, first=len(train)),
        classes=classes,
    )


def _as_dataset(images: LazySamples, labels: NDArray[np.int64], *, first: int) -> ArrayDataset:
    numbers = np.arange(first, first + len(labels), dtype=np.uint64)
    return ArrayDataset({IMAGE: images}, np.ones((len(labels), 1), np.float32), labels, window_id=numbers)


def _read(
    path: Path, form: ImageFormat, split: Split, *, side: int, fit: bool, threads: int
) -> LabelledImages:
    if form == "hdf5":
        return _of_hdf5(path, split, side=side, fit=fit, threads=threads)
    if form == "cifar100_binary":
        images, labels = open_cifar(path / f"{split}.bin")
        return images, labels, cifar_names(path)
    names = class_folders(path / "train")
    if split == "test" and form == "tiny_imagenet":
        paths, numbers = images_of_tiny_val(path, names)
    else:
        paths, numbers = images_of_tree(path / ("train" if split == "train" else "val"), names)
    files = FileImages(paths, side=side, fit=fit, threads=threads)
    return files, np.asarray(numbers, np.int64), names


def _of_hdf5(path: Path, split: Split, *, side: int, fit: bool, threads: int) -> LabelledImages:
    encoded, inside = f"{split}/encoded", f"{split}/label"
    with open_encoded(path) as file:
        count = len(file.dataset(encoded))
        with damage_told(path, inside):
            labels = np.asarray(file.dataset(inside)[:])
        names: tuple[str, ...] = ()
        if file.exists("class_names"):
            with damage_told(path, "class_names"):
                names = tuple(str(name) for name in file.dataset("class_names").asstr()[:])
    classes = len(names) or int(labels.max(initial=0)) + 1
    good = labels.dtype.kind in "iu" and labels.shape == (count,) and count > 0
    if not good or not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ArchiveError(
            "the labels do not fit the images",
            file=path,
            inside=inside,
            found=f"{labels.dtype} of shape {labels.shape}",
            expected=f"whole numbers of shape ({count},), from 0 to {classes - 1}",
        )
    images = Hdf5Images(path, encoded, count, side=side, fit=fit, threads=threads)
    return images, labels.astype(np.int64), names or tuple(str(number) for number in range(classes))


def labelled_rows(labels: NDArray[np.int64], *, share: float, seed: int) -> NDArray[np.int64]:
    """Rows of the images whose labels are used: the same share of every class, at least one.

    A larger share of the same seed holds the smaller one, so that budgets compare.

    >>> labelled_rows(np.array([0, 0, 0, 0, 1, 1, 1, 1]), share=0.5, seed=0).size
    4
    """
    generator = np.random.default_rng([seed, 100])
    kept = []
    for label in np.unique(labels[labels >= 0]):
        rows = generator.permutation(np.flatnonzero(labels == label))
        kept.append(rows[: max(1, round(share * len(rows)))])
    return np.sort(np.concatenate(kept))
