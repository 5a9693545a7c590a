"""Splits by what must generalise - subject, machine, line - never at random over overlapping windows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensorkd.errors import SplitError, nearest
from sensorkd.recordings import Recording
from sensorkd.windows.labels import UNLABELLED
from sensorkd.windows.plan import WindowPlan

__all__ = [
    "Split",
    "few_labels",
    "fold_of_groups",
    "groups_of",
    "labels_of_groups",
    "leave_one_group_out",
    "share_of_labels",
    "split_by_group",
]


@dataclass(frozen=True)
class Split:
    """Names of the groups on each side."""

    train: tuple[str, ...]
    dev: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self) -> None:
        sides = {"train": self.train, "dev": self.dev, "test": self.test}
        for first, second in (("train", "dev"), ("train", "test"), ("dev", "test")):
            both = sorted(set(sides[first]) & set(sides[second]))
            if both:
                raise SplitError(
                    "one group stands on both sides",
                    found=f"{both} in {first} and in {second}",
                    expected="every group on one side only",
                    mend="a model is judged on groups it never saw; correct `split`",
                )
        if not self.train:
            raise SplitError("no group is left to train on", found=sides, mend="correct `split`")

    def rows(self, groups: Sequence[str], side: str) -> NDArray[np.int64]:
        """Indices of the windows whose group is on a side: `train`, `dev` or `test`."""
        names = set({"train": self.train, "dev": self.dev, "test": self.test}[side])
        # Not as an array of text: a million long names would be hundreds of megabytes.
        return np.flatnonzero(np.fromiter((name in names for name in groups), np.bool_, len(groups)))


def groups_of(recordings: Sequence[Recording], plan: WindowPlan, by: str) -> list[str]:
    """The group of each window: an identity of its recording, or `recording` for its id.

    Raises:
        SplitError: a recording does not have that identity.
    """
    names: list[str] = []
    for recording in recordings:
        if by != "recording" and by not in recording.identity:
            known = sorted(recording.identity)
            raise SplitError(
                f"a recording has no identity {by!r}",
                file=recording.path,
                inside=recording.group,
                found=f"{known}, and 'recording' for every recording on its own",
                mend=f"{nearest(by, known)}correct `split.by`, or add the identity to the layout",
            )
        names.append(recording.id if by == "recording" else recording.identity[by])
    return [names[index] for index in plan.recording]


def split_by_group(groups: Sequence[str], *, dev: Sequence[str], test: Sequence[str]) -> Split:
    """Named groups for dev and test, all others for training.

    Raises:
        SplitError: a name is no group, or stands on both sides.
    """
    known = sorted(set(groups))
    for side, names in (("dev", dev), ("test", test)):
        for name in names:
            if name not in known:
                raise SplitError(
                    f"no group {name!r}",
                    inside=f"split.{side}",
                    found=known,
                    mend=nearest(name, known) or "correct `split`",
                )
    held_out = {*dev, *test}
    return Split(tuple(name for name in known if name not in held_out), tuple(dev), tuple(test))


def fold_of_groups(groups: Sequence[str], *, folds: int, fold: int) -> tuple[str, ...]:
    """The groups of one of `folds` parts, the same for the same groups on every computer.

    Raises:
        SplitError: there are fewer groups than folds.
    """
    names = np.array(sorted(set(groups)))
    if len(names) < folds:
        raise SplitError(
            "there are fewer groups than folds",
            inside="split.folds",
            found=f"{len(names)} groups",
            expected=f"at least {folds}",
            mend="lower `split.folds`",
        )
    order = np.random.default_rng(0).permutation(len(names))
    return tuple(names[np.sort(order[fold::folds])].tolist())


def leave_one_group_out(groups: Sequence[str]) -> Iterator[Split]:
    """One split a group, that group in test and all others in training."""
    for name in sorted(set(groups)):
        yield split_by_group(groups, dev=(), test=(name,))


def few_labels(
    labels: NDArray[np.int64],
    groups: Sequence[str],
    *,
    per_class: int,
    seed: int,
    classes: Sequence[str] | None = None,
) -> NDArray[np.int64]:
    """Rows of the windows whose labels are kept: `per_class` of each class, round-robin over groups.

    Groups take turns, in an order drawn for each class, so that few labels still come from as many
    machines as can be. With the same seed, what a smaller number or share keeps is kept by a larger one.

    Args:
        classes: their names, for the error.

    Raises:
        SplitError: a class has fewer labelled windows.
    """
    counts = _labelled(labels)
    for label, count in counts.items():
        if count < per_class:
            raise SplitError(
                f"class {label if classes is None else repr(classes[label])} has too few labelled windows",
                found=f"{count} in the training groups",
                expected=f"at least {per_class}",
                mend="lower `labels_per_class`",
            )
    return _in_turns(labels, groups, dict.fromkeys(counts, per_class), seed)


def share_of_labels(
    labels: NDArray[np.int64], groups: Sequence[str], *, share: float, seed: int
) -> NDArray[np.int64]:
    """Rows of the windows whose labels are kept: this share, in (0, 1], of each class, and at least one.

    To the nearest whole number, halves up; otherwise as `few_labels`.
    """
    counts = {label: max(1, math.floor(share * count + 0.5)) for label, count in _labelled(labels).items()}
    return _in_turns(labels, groups, counts, seed)


def labels_of_groups(
    labels: NDArray[np.int64], groups: Sequence[str], *, count: int, seed: int
) -> NDArray[np.int64]:
    """Rows of the windows whose labels are kept: all of `count` groups, as where few machines were labelled.

    Groups are drawn among those with a label. With the same seed, a smaller number is part of a larger one.

    Raises:
        SplitError: fewer groups have a label, or a class has none in those that were drawn.
    """
    labelled = np.flatnonzero(labels != UNLABELLED)
    names = np.array(groups, dtype=np.str_)
    known = sorted(set(names[labelled].tolist()))
    if len(known) < count:
        raise SplitError(
            "fewer training groups have a label",
            inside="labels_groups",
            found=known,
            expected=f"at least {count}",
            mend="lower `labels_groups`",
        )
    drawn = [known[place] for place in np.random.default_rng(seed).permutation(len(known))[:count]]
    rows = labelled[np.isin(names[labelled], drawn)]
    missing = sorted(set(labels[labelled].tolist()) - set(labels[rows].tolist()))
    if missing:
        raise SplitError(
            f"class {missing[0]} has no labelled window in the groups that were drawn",
            inside="labels_groups",
            found=sorted(drawn),
            mend="raise `labels_groups`, or take another `seed`",
        )
    return rows


def _labelled(labels: NDArray[np.int64]) -> dict[int, int]:
    """How many windows of each class are labelled, in the order of the classes."""
    classes, counts = np.unique(labels[labels != UNLABELLED], return_counts=True)
    return dict(zip(classes.tolist(), counts.tolist(), strict=True))


def _in_turns(
    labels: NDArray[np.int64], groups: Sequence[str], counts: Mapping[int, int], seed: int
) -> NDArray[np.int64]:
    """So many rows of each class. What is drawn does not depend on how many: more only takes on further."""
    generator = np.random.default_rng(seed)
    names = np.array(groups, dtype=np.str_)
    chosen: list[int] = []
    for label, count in counts.items():
        of_class = np.flatnonzero(labels == label)
        order = generator.permutation(sorted(set(names[of_class])))
        queues = {name: list(generator.permutation(of_class[names[of_class] == name])) for name in order}
        taken = 0
        while taken < count:
            for queue in queues.values():
                if queue and taken < count:
                    chosen.append(int(queue.pop()))
                    taken += 1
    return np.array(sorted(chosen), dtype=np.int64)
