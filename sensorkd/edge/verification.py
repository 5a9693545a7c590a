"""Does the bundle say on this device what it said when it was exported, how fast, and in how much memory?

Axes: W windows, K inputs, N classes.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sensorkd.errors import BundleError, GateError

if TYPE_CHECKING:
    from sensorkd.edge.predictor import EdgePredictor

__all__ = ["REPEATS", "Verification", "resident_memory", "verify"]

REPEATS, WARM = 50, 5


@dataclass(frozen=True)
class Verification:
    """How the golden batch came out here.

    Latencies: ms of one window with all sensors, judged from its samples on. resident_mb: memory of this
    process with the model in it and windows judged, in MB of a million bytes; None where the system does not
    tell.
    """

    windows: int
    largest_difference: float
    tolerance: float
    p50_ms: float
    p99_ms: float
    precision: str = "fp32"
    runtime: str = "onnxruntime"
    resident_mb: float | None = None

    def told(self) -> str:
        """One line for people."""
        memory = "" if self.resident_mb is None else f", {self.resident_mb:.0f} MB resident"
        return (
            f"verified: {self.windows} golden windows in {self.precision} by {self.runtime}, logits within "
            f"{self.largest_difference:.2g} (tolerance {self.tolerance:.2g}); one window p50 "
            f"{self.p50_ms:.2f} ms, p99 {self.p99_ms:.2f} ms{memory}"
        )


def verify(predictor: EdgePredictor, *, repeats: int = REPEATS) -> Verification:
    """Repeat the golden batch, and time single windows.

    A verdict whose two largest golden logits differ by no more than the tolerance is not clear, and may
    differ.

    Raises:
        GateError: the logits differ by more than the bundle's tolerance, or a clear verdict differs.
    """
    bundle, precision = predictor.bundle, predictor.precision
    golden = bundle.golden()
    inputs = {name[len("input.") :]: values for name, values in golden.items() if name.startswith("input.")}
    expected = golden["logits" if precision == "fp32" else f"logits.{precision}"]
    shape = (len(golden["presence"]), len(bundle.description.classes))
    if expected.shape != shape:
        raise BundleError(
            "the golden logits are of other windows or classes",
            file=bundle.folder,
            found=expected.shape,
            expected=shape,
        )
    found = _one_by_one(predictor, inputs, golden["presence"])
    tolerance = bundle.tolerance_of(precision)
    worst = float(np.abs(found - expected).max())
    changed = changed_verdicts(expected, found, tolerance)
    if not worst <= tolerance or changed:
        raise GateError(
            "the model does not say here what it said when it was exported",
            file=bundle.folder,
            found=f"logits differ by up to {worst:.3g}, {changed} verdicts differ",
            expected=f"at most {tolerance:.3g}, and the same verdicts",
            mend=f"update {predictor.runtime} on this device, or report its version and processor",
        )
    one = {name: values[:1] for name, values in inputs.items()}
    times = _times(predictor, one, golden["presence"][:1], repeats)
    return Verification(
        windows=len(expected),
        largest_difference=worst,
        tolerance=tolerance,
        p50_ms=float(np.percentile(times, 50)),
        p99_ms=float(np.percentile(times, 99)),
        precision=precision,
        runtime=predictor.runtime,
        resident_mb=resident_memory(),
    )


def _one_by_one(
    predictor: EdgePredictor, inputs: Mapping[str, NDArray[Any]], presence: NDArray[Any]
) -> NDArray[np.float32]:
    """Logits (W, N) of windows judged singly, as a device does: a batch would need many times the memory."""
    rows = [slice(row, row + 1) for row in range(len(presence))]
    found = [predictor.predict({k: v[row] for k, v in inputs.items()}, presence[row]) for row in rows]
    return np.concatenate([item.logits for item in found])


def changed_verdicts(
    expected: NDArray[np.floating[Any]], found: NDArray[np.floating[Any]], margin: float
) -> int:
    """How many clear verdicts of logits (W, N) differ: those whose top two are more than `margin` apart."""
    ranked = np.sort(expected, axis=1)
    clear = ranked[:, -1] - ranked[:, -2] > margin
    return int(((found.argmax(axis=1) != expected.argmax(axis=1)) & clear).sum())


def resident_memory() -> float | None:
    """MB of memory that this process holds now; its peak where only that is known; None on other systems."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (OSError, ValueError, IndexError):
        pass
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3


def _times(
    predictor: EdgePredictor, one: dict[str, NDArray[Any]], presence: NDArray[Any], repeats: int
) -> list[float]:
    """Milliseconds of single windows; the first few, which warm up, are left out."""
    times = []
    for number in range(WARM + repeats):
        started = time.perf_counter()
        predictor.predict(one, presence)
        if number >= WARM:
            times.append((time.perf_counter() - started) * 1e3)
    return times
