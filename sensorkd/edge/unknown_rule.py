"""From how far off a window counts as unknown, as `bundle.json` tells it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["UNKNOWN_RATE", "UnknownRule"]

# Share of windows like those of the dev groups that may be called unknown, unless told otherwise.
UNKNOWN_RATE = 0.01


@dataclass(frozen=True)
class UnknownRule:
    """Thresholds, one for each subset of the sensors in the order of `statistics.npz`, the first with all.

    rate: share of windows that may be called unknown although they are like those that thresholds were taken
    from. windows: how many these were, by subset, without any of which the threshold is None and no window is
    unknown; groups: of which they are, dev groups on which nothing was trained. subsets: names, `a+b`.
    """

    rate: float
    thresholds: tuple[float | None, ...]
    subsets: tuple[str, ...]
    windows: tuple[int, ...]
    groups: tuple[str, ...]

    def __post_init__(self) -> None:
        numbers = [self.rate, *(item for item in self.thresholds if item is not None)]
        if not all(isinstance(item, float) and math.isfinite(item) and item > 0 for item in numbers):
            raise ValueError("`unknown` must hold a rate and thresholds above 0")
        if not self.rate < 1 or not len(self.thresholds) == len(self.subsets) == len(self.windows) > 0:
            raise ValueError("`unknown` needs a rate below 1, and a threshold for each subset of the sensors")

    def told(self) -> str:
        """One line for people."""
        return (
            f"windows unlike all that was trained on are called unknown, at a false-alarm rate of "
            f"{self.rate:.2%} among windows like the {max(self.windows)} of {', '.join(self.groups)}"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> UnknownRule:
        """The inverse of `to_json`.

        Raises:
            KeyError, TypeError, ValueError: a field is missing, unknown or out of range.
        """
        lists = ("thresholds", "subsets", "windows", "groups")
        return cls(**{**tree, **{name: tuple(tree[name]) for name in lists}})
