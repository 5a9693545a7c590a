"""The straight line through the stamps of a sensor's blocks: when it began, and how fast it truly was."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sensorkd import timeline

__all__ = ["SLACK", "StampLine", "default_tolerance"]

# s: how late a busy host may stamp a block.
SLACK = 0.02
# What a sensor may be off its nominal rate before stamps have said so: standard deviation.
DRIFT = 1e-3
# ns; a line closer to all stamps than that is theirs: they are rounded.
FINEST = 1_000
KEPT = 256


def default_tolerance(rate: float) -> float:
    """By how many seconds a stamp may be off its sample, of a stream of `rate` Hz."""
    return max(0.5 / rate, SLACK)


class StampLine:
    """Sample i of a run was taken at t0 + i / rate. rate: Hz, nominal; tolerance: s, of a stamp.

    Least squares with the nominal rate as prior knowledge: few stamps that jitter do not change it, a
    crystal that is off shows within seconds, and stamps that keep the nominal rate give exactly that.

    Args:
        recent: only the latest few hundred stamps count; else as many of all, evenly.
    """

    def __init__(self, rate: float, tolerance: float, *, recent: bool = False) -> None:
        self._nominal, self._tolerance = rate, tolerance
        self._recent = recent
        # Seconds from the first sample on, by the nominal rate, and what the stamp is off that. The one
        # behind those that are kept is being tried.
        self._stamps = np.zeros((2, 2 * KEPT + 1))
        self.begin(0)

    def begin(self, t0: int) -> None:
        """Begin anew with a first sample at t0, ns."""
        self.t0 = self._begun = t0
        self.rate = self._nominal
        self._stamps[:, 0] = 0.0
        self._kept = self._stride = self._passed = 1

    def time(self, index: int) -> int:
        """When sample `index` was taken, ns."""
        return int(timeline.sample_times(self.t0, self.rate, index))

    def add(self, index: int, stamp: int) -> float:
        """Fit to one more stamp, in ns, of sample `index`; by how many seconds a stamp is off then, at most.

        The line is left as it was where that is more than twice the tolerance.
        """
        nominal = int(timeline.sample_times(self._begun, self._nominal, index))
        self._stamps[:, self._kept] = index / self._nominal, (stamp - nominal) / timeline.SECOND
        x, off = self._stamps[:, : self._kept + 1]
        t0, rate = self._begun, self._nominal
        worst = float(np.abs(off).max())
        if worst * timeline.SECOND > FINEST:
            lead, slope = self._fit(x, off)
            worst = float(np.abs(off - lead - slope * x).max())
            t0, rate = t0 + round(lead * timeline.SECOND), rate / (1.0 + slope)
        if worst <= 2 * self._tolerance:
            self.t0, self.rate = t0, rate
            self._keep()
        return worst

    def _fit(self, x: NDArray[np.float64], off: NDArray[np.float64]) -> tuple[float, float]:
        inner = x - x.mean()
        square, product = float(inner @ inner), float(inner @ off)
        slope = product / square if square else 0.0
        rest = off - off.mean() - slope * inner
        # As if one more stamp had been seen, a quarter of the tolerance off: two stamps alone show no jitter.
        noise = (float(rest @ rest) + (self._tolerance / 4) ** 2) / (len(x) - 1)
        slope = product / (square + noise / DRIFT**2)
        return float(off.mean() - slope * x.mean()), slope

    def _keep(self) -> None:
        self._passed += 1
        if not self._recent and self._passed % self._stride:
            return
        self._kept += 1
        if self._kept <= 2 * KEPT:
            return
        rest = self._stamps[:, -KEPT:] if self._recent else self._stamps[:, ::2]
        self._kept = rest.shape[1]
        self._stamps[:, : self._kept] = rest.copy()
        self._stride *= 1 if self._recent else 2
