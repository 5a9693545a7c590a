"""The groups that a benchmark holds out in turn, and the refusal of splits that leak."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sensorkd.errors import SplitError, nearest
from sensorkd.evaluation.benchmark_entries import TurnsConfig
from sensorkd.recordings import Recording
from sensorkd.runs.config import RunConfig
from sensorkd.windows.splits import fold_of_groups

__all__ = ["check_unseen", "folds_of", "group_of", "groups_within", "labelled_groups"]

Fold = tuple[str, ...]


def folds_of(recordings: Sequence[Recording], config: RunConfig, turns: TurnsConfig) -> list[Fold]:
    """The groups of each fold; each is judged once by a model that saw none of it.

    Only groups with a label of the target are held out; the others are trained on, where a method can.

    Raises:
        SplitError: no such group, one that would be judged twice, nothing left to train on, or a group of the
            run's own split that would stand on both sides.
    """
    by = turns.by or config.split.by
    every = sorted({group_of(recording, by) for recording in recordings})
    labelled = labelled_groups(recordings, config, by)
    if isinstance(turns.folds, tuple):
        folds = [tuple(fold) for fold in turns.folds]
    elif turns.folds == "leave_one_out":
        folds = [(name,) for name in turns.groups or labelled]
    else:
        names = turns.groups or labelled
        folds = [fold_of_groups(names, folds=turns.folds, fold=number) for number in range(turns.folds)]
    _check_names(folds, every)
    if by != config.split.by:
        _check_run_groups(recordings, folds, by, config.split.by)
    return folds


def labelled_groups(recordings: Sequence[Recording], config: RunConfig, by: str) -> Fold:
    """Those with a label of the target."""
    return tuple(sorted({group_of(item, by) for item in recordings if config.target in item.tracks}))


def groups_within(recordings: Sequence[Recording], by: str, run_by: str) -> dict[str, frozenset[str]]:
    """Group -> groups by another identity that its recordings are of."""
    found: dict[str, set[str]] = {}
    for recording in recordings:
        found.setdefault(group_of(recording, by), set()).add(group_of(recording, run_by))
    return {name: frozenset(parts) for name, parts in found.items()}


def check_unseen(trained: Iterable[str], judged: Iterable[str], *, file: object = None) -> None:
    """Refuse to judge a model on groups that it was trained on.

    Raises:
        SplitError: one group stands on both sides.
    """
    both = sorted(set(trained) & set(judged))
    if both:
        raise SplitError(
            "one group stands on both sides",
            file=file,
            found=f"{both} trained on, and judged",
            expected="every window judged by a model that saw nothing of its group",
            mend="correct `split`",
        )


def _check_names(folds: Sequence[Fold], every: Sequence[str]) -> None:
    named = [name for fold in folds for name in fold]
    for name in named:
        if name not in every:
            raise SplitError(
                f"no group {name!r}",
                inside="split",
                found=list(every),
                mend=nearest(name, every) or "correct `split` of the benchmark",
            )
    twice = sorted({name for name in named if named.count(name) > 1})
    if twice:
        raise SplitError(
            "a group would be judged twice",
            inside="split",
            found=twice,
            expected="every group in one fold at most",
            mend="correct `split` of the benchmark",
        )
    if not folds or any(not fold or set(fold) >= set(every) for fold in folds):
        raise SplitError(
            "a fold is empty, or leaves no group to train on",
            inside="split",
            found=f"{len(folds)} folds of {len(every)} groups",
            mend="correct `split` of the benchmark",
        )


def _check_run_groups(recordings: Sequence[Recording], folds: Sequence[Fold], by: str, run_by: str) -> None:
    """The run says what must not stand on two sides; a finer split of the benchmark may put it there."""
    for fold in folds:
        held = {group_of(recording, run_by) for recording in recordings if group_of(recording, by) in fold}
        kept = {
            group_of(recording, run_by) for recording in recordings if group_of(recording, by) not in fold
        }
        if held & kept:
            raise SplitError(
                "one group stands on both sides",
                inside="split.by",
                found=f"{run_by} {sorted(held & kept)[:3]} in test and in training of fold {list(fold)[:3]}",
                expected=f"every {run_by} on one side only, as `split.by` of the run says",
                mend=f"split by {run_by}, or correct `split.by` of the run",
            )


def group_of(recording: Recording, by: str) -> str:
    """The group of a recording: an identity of it, or `recording` for its id.

    Raises:
        SplitError: it does not have that identity.
    """
    if by == "recording":
        return recording.id
    if by not in recording.identity:
        known = sorted(recording.identity)
        raise SplitError(
            f"a recording has no identity {by!r}",
            file=recording.path,
            inside=recording.group,
            found=f"{known}, and 'recording' for every recording on its own",
            mend=f"{nearest(by, known)}correct `split.by`, or add the identity to the layout",
        )
    return recording.identity[by]
