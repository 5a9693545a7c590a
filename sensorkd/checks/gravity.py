"""The check of an accelerometer's scale by the one acceleration that is the same everywhere."""

from __future__ import annotations

import math
from collections.abc import Iterator

from sensorkd.checks.finding import Check, Finding, Place
from sensorkd.checks.samples import StreamSamples
from sensorkd.recordings import Recording

__all__ = ["CHECKS", "check_gravity"]

GRAVITY = Check(
    id="gravity",
    importance="hint",
    title="an accelerometer that hardly moves does not measure gravity",
    reason="Three axes that hold still see 9.81 m/s2 between them. Another number means a wrong scale or "
    "unit, which other recordings then do not share.",
    cure="check unit and scale: g that are called m/s2 give 1, counts without a scale some thousands",
    reads_samples=True,
)
CHECKS = (GRAVITY,)

STANDARD, TOLERANCE = 9.80665, 0.15
# What is constant must outweigh what moves, or mounting and motion explain it. Sensors coupled for
# alternating signals have no constant part but a small error.
STILL, SMALLEST = 3.0, 0.5


def check_gravity(recording: Recording, name: str, read: StreamSamples) -> Iterator[Finding]:
    """Findings for a stream of accelerations with three axes in m/s2."""
    stream, axes = recording.streams[name], read.tally.channels
    if not read.known or stream.modality != "acceleration" or len(axes) != 3:
        return
    constant = math.hypot(*(axis.mean for axis in axes))
    moving = math.hypot(*(axis.deviation for axis in axes))
    if not (constant > SMALLEST and constant > STILL * moving):
        return
    if abs(constant / STANDARD - 1.0) > TOLERANCE:
        yield GRAVITY.at(
            Place.of(recording, name),
            found=f"{constant:.4g} m/s2 on the mean, {moving:.2g} m/s2 of motion",
            expected=f"about {STANDARD:.3g} m/s2",
            value=constant,
            unit="m/s2",
            size=abs(math.log(constant / STANDARD)),
        )
