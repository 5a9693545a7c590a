"""The state files of a run: the newest, and the one before, for when the newest turns out damaged."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from sensorkd.errors import RunError
from sensorkd.training.checkpoint import load_tensors
from sensorkd.training.log import TrainingLog

__all__ = ["BEFORE", "STATE", "keep_before", "sound_state"]

STATE, BEFORE = "last.safetensors", "before_last.safetensors"


def keep_before(folder: Path) -> None:
    """Before a newer state is written: keep the one that is there. It keeps its own name all the while."""
    state, before, part = folder / STATE, folder / BEFORE, folder / f".{BEFORE}.part"
    if not state.exists():
        return
    part.unlink(missing_ok=True)
    try:
        os.link(state, part)
    except OSError:  # a file system without hard links
        shutil.copyfile(state, part)
    part.replace(before)


def sound_state(folder: Path, log: TrainingLog, on_note: Callable[[str], None] | None = None) -> bool:
    """Whether a run has a state to go on from; the log is taken back to it.

    A damaged state gives way to the one before it, which costs an epoch. False where the run was cut off
    before its first one, by a teacher or by labels held out.

    Args:
        on_note: told of a damaged state.

    Raises:
        RunError: no state is whole, or there is none though steps were taken: to begin anew is not for us
            to decide.
    """
    state, before = folder / STATE, folder / BEFORE
    if not state.exists() and not before.exists():
        if any("step" in record for record in log.records()):
            raise RunError(
                "the state of this run is gone",
                file=state,
                found=f"a log of steps that were taken: {log.path.name}",
                mend="put it back, or train again into a new folder",
            )
        return False
    try:
        about = load_tensors(state)[1]
    except RunError as damage:
        try:
            about = load_tensors(before)[1]
        except RunError:
            damage.mend = f"put it or {BEFORE} back from a copy, or train again into a new folder"
            raise damage from None
        part = folder / f".{STATE}.part"
        shutil.copyfile(before, part)
        part.replace(state)
        if on_note is not None:
            on_note(f"{state} is damaged ({damage.found}): going on from the one before it, of an epoch less")
    log.back_to(int(about["epoch"]))
    return True
