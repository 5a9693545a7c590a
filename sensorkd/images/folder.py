"""Image files in a folder of folders: one a class (ImageNet), or as Tiny ImageNet is published."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from sensorkd.errors import ArchiveError, nearest

__all__ = ["Listing", "class_folders", "images_of_tiny_val", "images_of_tree"]

SUFFIXES = (".png", ".jpg", ".jpeg")

# Paths and class numbers, in the order of both.
Listing = tuple[list[Path], list[int]]


def class_folders(split: Path) -> tuple[str, ...]:
    """Names of the classes: the folders of a split, in order of their names.

    Raises:
        ArchiveError: the split is missing, or there is no folder in it.
    """
    root = split.parent.resolve()
    names = tuple(entry.name for entry in _entries(split, root) if entry.is_dir())
    if not names:
        raise ArchiveError(
            "there is no class", file=split, found="no folder", expected="one folder of images a class"
        )
    return names


def images_of_tree(split: Path, names: Sequence[str]) -> Listing:
    """Images below `split/NAME/`, at any depth, of the named classes.

    Raises:
        ArchiveError: a link leads out of the data set, a class is unknown, or there is no image.
    """
    root = split.parent.resolve()
    paths: list[Path] = []
    labels: list[int] = []
    for name in class_folders(split):
        if name not in names:
            raise ArchiveError(
                "a class that was not trained on",
                file=split / name,
                found=name,
                expected=f"one of {len(names)} classes",
                mend=nearest(name, names) or None,
            )
        found = list(_images(split / name, root))
        paths += found
        labels += [names.index(name)] * len(found)
    return _not_empty(split, paths, labels)


def images_of_tiny_val(folder: Path, names: Sequence[str]) -> Listing:
    """Images of `val/images`, with the classes that `val/val_annotations.txt` names.

    Raises:
        ArchiveError: that table is missing or wrong, or an image lies elsewhere or is missing.
    """
    table, images = folder / "val" / "val_annotations.txt", folder / "val" / "images"
    numbers = {name: number for number, name in enumerate(names)}
    try:
        lines = table.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ArchiveError("the labels cannot be read", file=table, found=error) from error
    known = set(_images(images, folder.resolve()))
    paths: list[Path] = []
    labels: list[int] = []
    for number, line in enumerate(lines, start=1):
        columns = line.split("\t")
        if len(columns) < 2 or columns[1] not in numbers or images / columns[0] not in known:
            raise ArchiveError(
                "a line of the labels does not fit",
                file=table,
                inside=f"line {number}",
                found=line[:80],
                expected="an image of val/images, a tab, and a class of train/",
            )
        paths.append(images / columns[0])
        labels.append(numbers[columns[1]])
    return _not_empty(folder / "val", paths, labels)


def _not_empty(place: Path, paths: list[Path], labels: list[int]) -> Listing:
    if not paths:
        raise ArchiveError("there is no image", file=place, found="none", expected=" or ".join(SUFFIXES))
    return paths, labels


def _images(folder: Path, root: Path) -> Iterator[Path]:
    """Image files at any depth, in order of their names; links are followed within `root` only."""
    for entry in _entries(folder, root):
        if entry.is_dir(follow_symlinks=False):
            yield from _images(Path(entry.path), root)
        elif entry.name.lower().endswith(SUFFIXES):
            yield Path(entry.path)


def _entries(folder: Path, root: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise ArchiveError(
            "the folder of images cannot be read",
            file=folder,
            found=error,
            expected="train/ and val/ with one folder a class",
        ) from error
    for entry in entries:
        if entry.is_symlink() and not Path(entry.path).resolve().is_relative_to(root):
            raise ArchiveError(
                "a link leads out of the data set and is not followed",
                file=entry.path,
                found=f"a link to {Path(entry.path).resolve()}",
                expected=f"files below {root}",
                mend="copy what it points at, or name the folder in which all of it lies",
            )
    return entries
