"""A student, its encodings and its windows for some of a run's sensors."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from sensorkd.encoding import InputEncoding
from sensorkd.errors import ConfigError, nearest
from sensorkd.models.student import Student
from sensorkd.runs.run import Run
from sensorkd.windows.read import WindowArrays

__all__ = ["student_for", "windows_of"]


def student_for(run: Run, sensors: Sequence[str] | None = None) -> tuple[Student, dict[str, InputEncoding]]:
    """The run's trained student, and the encodings of its inputs; of some sensors, the smaller one for them.

    What it says is what the whole one says with the others absent.

    Raises:
        ConfigError: the run has no such sensor, or its windows end with the bursts of one that is left out.
    """
    student = run.student()
    if sensors is None:
        return student, dict(run.encodings)
    unknown = [name for name in sensors if name not in run.encodings]
    if unknown or not sensors:
        raise ConfigError(
            "the run has no such sensor" if unknown else "no sensor is named",
            inside="sensors",
            found="+".join(sensors),
            expected=f"some of {list(run.encodings)}, joined by +",
            mend=(nearest(unknown[0], run.encodings) if unknown else "") or None,
        )
    ends = run.config.windows.segment_of
    if ends is not None and ends not in sensors:
        raise ConfigError(
            f"windows end with the bursts of {ends!r}, which would be left out",
            inside="sensors",
            found="+".join(sensors),
            expected=f"{ends} among them",
            mend="name it too, or train with windows of another kind",
        )
    small = student.only(sensors)
    return small.eval(), {name: run.encodings[name] for name in small.modalities}


def windows_of(arrays: WindowArrays, sensors: Sequence[str]) -> WindowArrays:
    """The same windows with these inputs alone, in this order."""
    columns = [list(arrays.inputs).index(name) for name in sensors]
    return dataclasses.replace(
        arrays,
        inputs={name: arrays.inputs[name] for name in sensors},
        presence=arrays.presence[:, columns],
        coverage=arrays.coverage[:, columns],
        faults=arrays.faults[:, columns],
    )
