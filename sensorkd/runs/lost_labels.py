"""Labels that were drawn of windows which turn out to have no usable input."""

from __future__ import annotations

from sensorkd.errors import WindowError
from sensorkd.runs.config import RunConfig
from sensorkd.runs.planned import Planned
from sensorkd.windows.arrays import Reading
from sensorkd.windows.labels import counted

__all__ = ["check_labels", "labels_lost"]


def check_labels(planned: Planned, reading: Reading) -> None:
    """Every class is learned from some window.

    Raises:
        WindowError: of a class no labelled window can be used.
    """
    drawn, left = len(planned.rows("train")), planned.count_by_class(reading.rows)
    if not all(left.values()):
        raise WindowError(
            "a class has no labelled window of which any input can be used",
            found=f"of {drawn} labelled training windows {len(reading.rows)} can be used: {counted(left)}",
            expected="at least one of each class",
            mend="ask for more labels, or correct `inputs`: spans, valid_range, min_coverage, required",
        )


def labels_lost(planned: Planned, reading: Reading, config: RunConfig) -> str | None:
    """Labels are drawn before samples are read; what turns out unusable is not drawn again."""
    drawn, left = len(planned.rows("train")), len(reading.rows)
    asked = config.labels_per_class, config.labels_share, config.labels_groups
    if left == drawn or asked == (None, None, None):
        return None
    told = counted(planned.count_by_class(reading.rows))
    return f"{drawn} labels were drawn, and {left} of the windows can be used: {told}"
