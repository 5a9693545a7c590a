"""Runs a bundle: native samples in, verdicts out.

Axes: W windows, K inputs, N classes, E embedding.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from sensorkd.edge.bundle import EdgeBundle
from sensorkd.errors import BundleError, GateError, nearest

__all__ = ["EdgePredictor", "Predictions", "Verification"]

MARGIN = 1e-4


@dataclass(frozen=True)
class Predictions:
    """probabilities: (W, N), their sum is 1. embedding: (W, E). presence: (W, K) as it was used."""

    logits: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    embedding: NDArray[np.float32]
    presence: NDArray[np.float32]
    classes: tuple[str, ...]
    inputs: tuple[str, ...]

    @property
    def verdicts(self) -> list[str]:
        """The likeliest class of each window."""
        return [self.classes[index] for index in self.probabilities.argmax(axis=1)]

    @property
    def missing(self) -> list[str]:
        """What was absent from each window, `a+b`, or nothing."""
        return ["+".join(np.array(self.inputs)[row == 0]) for row in self.presence]

    def rows(self) -> list[dict[str, Any]]:
        """One row a window: verdict, its probability, what was missing, every class's probability."""
        return [
            {
                "verdict": verdict,
                "probability": round(float(row.max()), 6),
                "missing": missing,
                **{
                    f"p.{name}": round(float(value), 6) for name, value in zip(self.classes, row, strict=True)
                },
            }
            for verdict, missing, row in zip(self.verdicts, self.missing, self.probabilities, strict=True)
        ]


@dataclass(frozen=True)
class Verification:
    """How the golden batch came out here."""

    windows: int
    largest_difference: float
    tolerance: float
    p50_ms: float
    p99_ms: float

    def told(self) -> str:
        """One line for people."""
        return (
            f"verified: {self.windows} golden windows, logits within {self.largest_difference:.2g} "
            f"(tolerance {self.tolerance:.2g}); one window p50 {self.p50_ms:.2f} ms, p99 {self.p99_ms:.2f} ms"
        )


class EdgePredictor:
    """A bundle's model in onnxruntime, on one thread unless told otherwise.

    Example: `EdgePredictor(EdgeBundle.open("bundle")).predict({"acceleration": samples})`
    """

    def __init__(self, bundle: EdgeBundle, *, threads: int = 1) -> None:
        self.bundle = bundle
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                bundle.model, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises classes of its own, without a common ancestor
            raise BundleError("the model cannot be loaded", file=bundle.folder, found=error) from error
        expected = {*bundle.description.inputs, "presence", "logits", "embedding"}
        found = {item.name for item in (*self._session.get_inputs(), *self._session.get_outputs())}
        if found != expected:
            raise BundleError(
                "the model's inputs and outputs are not those of the description",
                file=bundle.folder,
                found=sorted(found),
                expected=sorted(expected),
            )
        classes = {item.name: item.shape for item in self._session.get_outputs()}["logits"][-1]
        if classes != len(bundle.description.classes):
            raise BundleError(
                "the model does not tell the description's classes apart",
                file=bundle.folder,
                found=f"{classes} logits",
                expected=f"{len(bundle.description.classes)}, one a class",
            )

    def predict(
        self, inputs: Mapping[str, NDArray[Any]], presence: NDArray[np.floating[Any]] | None = None
    ) -> Predictions:
        """Judge windows.

        Args:
            inputs: name -> (W, steps, *sample_shape) in the bundle's dtype. One that is left out is absent.
            presence: (W, K) of 0 and 1; what is given as absent stays absent. The samples decide too: an
                input with too few finite samples in range is absent.

        Raises:
            BundleError: an unknown input, or another shape or dtype than the bundle's.
        """
        arrays, here = self._checked(inputs, presence)
        logits, embedding = self._session.run(["logits", "embedding"], {**arrays, "presence": here})
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        description = self.bundle.description
        return Predictions(
            logits=logits,
            probabilities=shifted / shifted.sum(axis=1, keepdims=True),
            embedding=embedding,
            presence=here,
            classes=description.classes,
            inputs=tuple(description.inputs),
        )

    def _checked(
        self, inputs: Mapping[str, NDArray[Any]], presence: NDArray[np.floating[Any]] | None
    ) -> tuple[dict[str, NDArray[Any]], NDArray[np.float32]]:
        encodings = self.bundle.description.inputs
        for name in inputs:
            if name not in encodings:
                raise BundleError(
                    f"the bundle has no input {name!r}",
                    found=list(inputs),
                    expected=list(encodings),
                    mend=nearest(name, encodings) or None,
                )
        here = _given(inputs, presence, len(encodings))
        arrays: dict[str, NDArray[Any]] = {}
        for column, (name, encoding) in enumerate(encodings.items()):
            if name not in inputs:
                arrays[name] = np.zeros((len(here), *encoding.shape), encoding.dtype)
                here[:, column] = 0
                continue
            values = np.asarray(inputs[name])
            if values.shape[1:] != encoding.shape or values.dtype != np.dtype(encoding.dtype):
                raise BundleError(
                    f"input {name!r} is not what the model expects",
                    found=f"{values.dtype} (W, {', '.join(map(str, values.shape[1:]))})",
                    expected=f"{encoding.dtype} (W, {', '.join(map(str, encoding.shape))})",
                    mend="`sensorkd windows` writes them as they should be",
                )
            for row in np.flatnonzero(here[:, column]):
                here[row, column] = encoding.is_present(1.0, encoding.assess(values[row]).usable)
            arrays[name] = values
        return arrays, here

    def verify(self, *, repeats: int = 50) -> Verification:
        """Repeat the golden batch on this device, and time single windows.

        Raises:
            GateError: the logits differ by more than the bundle's tolerance, or a verdict differs.
        """
        golden = self.bundle.golden()
        inputs = {
            name[len("input.") :]: values for name, values in golden.items() if name.startswith("input.")
        }
        found = self.predict(inputs, golden["presence"])
        if found.logits.shape != golden["logits"].shape:
            raise BundleError(
                "the golden logits are of other windows or classes",
                file=self.bundle.folder,
                found=golden["logits"].shape,
                expected=found.logits.shape,
            )
        worst = float(np.abs(found.logits - golden["logits"]).max())
        tolerance = self.bundle.description.tolerance
        top = np.sort(golden["logits"], axis=1)
        clear = top[:, -1] - top[:, -2] > MARGIN
        same = found.logits.argmax(axis=1) == golden["logits"].argmax(axis=1)
        if not worst <= tolerance or not same[clear].all():
            raise GateError(
                "the model does not say here what it said when it was exported",
                file=self.bundle.folder,
                found=f"logits differ by up to {worst:.3g}, {int((~same[clear]).sum())} verdicts differ",
                expected=f"at most {tolerance:.3g}, and the same verdicts",
                mend="update onnxruntime on this device, or report its version and processor",
            )
        times = []
        one = {name: values[:1] for name, values in inputs.items()}
        for _ in range(repeats):
            started = time.perf_counter()
            self.predict(one, golden["presence"][:1])
            times.append((time.perf_counter() - started) * 1e3)
        return Verification(
            windows=len(found.logits),
            largest_difference=worst,
            tolerance=tolerance,
            p50_ms=float(np.percentile(times, 50)),
            p99_ms=float(np.percentile(times, 99)),
        )


def _given(
    inputs: Mapping[str, NDArray[Any]], presence: NDArray[np.floating[Any]] | None, count: int
) -> NDArray[np.float32]:
    """Presence (W, K) as the caller gives it; all present when it is not given."""
    counts = {len(values) for values in inputs.values()}
    if len(counts) != 1:
        raise BundleError("inputs hold different numbers of windows, or there are none", found=sorted(counts))
    shape = (counts.pop(), count)
    if presence is None:
        return np.ones(shape, np.float32)
    if presence.shape != shape:
        raise BundleError("presence has another shape", found=presence.shape, expected=shape)
    return np.asarray(presence != 0, np.float32)
