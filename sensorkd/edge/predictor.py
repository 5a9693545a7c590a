"""Runs a bundle: native samples in, verdicts out.

Axes: W windows, K inputs, N classes, E embedding.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd.alarms import AlarmRule, window_scores
from sensorkd.edge.bundle import EdgeBundle
from sensorkd.edge.novelty import novelty_of
from sensorkd.edge.precision import Precision
from sensorkd.edge.runtime import Runtime, open_session
from sensorkd.edge.statistics import Statistics
from sensorkd.edge.stream import StreamPredictor
from sensorkd.edge.verification import REPEATS, Verification, verify
from sensorkd.edge.versions import Versions
from sensorkd.errors import BundleError, nearest

__all__ = ["EdgePredictor", "Predictions"]


@dataclass(frozen=True)
class Predictions:
    """probabilities: (W, N), their sum is 1. embedding: (W, E). presence: (W, K) as it was used. unknown:
    (W,) whether a window is unlike all that the model knows, so that its verdict means little.
    """

    logits: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    embedding: NDArray[np.float32]
    presence: NDArray[np.float32]
    unknown: NDArray[np.bool_]
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

    def scores(self, rule: AlarmRule) -> NDArray[np.float64]:
        """How far from normal the windows are: (W,), NaN where no input was there."""
        return window_scores(rule, self.logits, self.presence, self.classes)

    def rows(self) -> list[dict[str, Any]]:
        """One row a window: verdict, its probability, what was missing, whether it is unknown, every class's
        probability.
        """
        return [
            {
                "verdict": verdict,
                "probability": round(float(row.max()), 6),
                "missing": missing,
                "unknown": unknown,
                **{
                    f"p.{name}": round(float(value), 6) for name, value in zip(self.classes, row, strict=True)
                },
            }
            for verdict, missing, unknown, row in zip(
                self.verdicts, self.missing, self.unknown.tolist(), self.probabilities, strict=True
            )
        ]


class EdgePredictor:
    """A bundle's model in a runtime, on one thread unless told otherwise.

    What is judged unusable, absent or unknown is the same in every precision and runtime: it is decided
    before the model runs, or by the part of it that stays in float.

    Example: `EdgePredictor(EdgeBundle.open("bundle")).predict({"acceleration": samples})`

    Raises:
        BundleError: the model cannot be loaded, or is not the described one.
        MissingExtraError: the runtime is not installed.
    """

    def __init__(
        self,
        bundle: EdgeBundle,
        *,
        precision: Precision = "fp32",
        runtime: Runtime = "onnxruntime",
        threads: int = 1,
    ) -> None:
        self.bundle, self.precision, self.runtime = bundle, precision, runtime
        self._names = tuple(bundle.description.inputs)
        self._shapes = {name: encoding.shape for name, encoding in bundle.description.inputs.items()}
        self._dtypes = {name: np.dtype(item.dtype) for name, item in bundle.description.inputs.items()}
        self._session = open_session(
            bundle.model_in(precision), runtime=runtime, threads=threads, file=bundle.folder
        )
        expected = {*bundle.description.inputs, "presence", "logits", "embedding"}
        found = self._session.names
        if found != expected:
            raise BundleError(
                "the model's inputs and outputs are not those of the description",
                file=bundle.folder,
                found=sorted(found),
                expected=sorted(expected),
            )
        if self._session.classes != len(bundle.description.classes):
            raise BundleError(
                "the model does not tell the description's classes apart",
                file=bundle.folder,
                found=f"{self._session.classes} logits",
                expected=f"{len(bundle.description.classes)}, one a class",
            )
        self.statistics = Statistics.of(bundle)
        self.learned = Versions(bundle).current(self.statistics)
        self._novelty = novelty_of(self.statistics, bundle.description.unknown, self.learned)

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
        arrays["presence"] = here
        logits, embedding = self._session.run(arrays)
        classes = self.bundle.description.classes
        if self.learned is not None:
            logits, classes = self.learned(logits, embedding), self.learned.classes
        return Predictions(
            logits=logits,
            probabilities=_softmax(logits),
            embedding=embedding,
            presence=here,
            unknown=np.zeros(len(here), bool)
            if self._novelty is None
            else self._novelty.unknown(embedding, here),
            classes=classes,
            inputs=self._names,
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
            if values.shape[1:] != self._shapes[name] or values.dtype != self._dtypes[name]:
                raise BundleError(
                    f"input {name!r} is not what the model expects",
                    found=f"{values.dtype} (W, {', '.join(map(str, values.shape[1:]))})",
                    expected=f"{encoding.dtype} (W, {', '.join(map(str, encoding.shape))})",
                    mend="`sensorkd windows` writes them as they should be",
                )
            for row, given in enumerate(here[:, column].tolist()):
                if given:
                    here[row, column] = encoding.is_present(1.0, encoding.assess(values[row]).usable)
            arrays[name] = values
        return arrays, here

    def stream(
        self,
        *,
        rates: Mapping[str, float] | None = None,
        lateness: Mapping[str, float] | None = None,
        on_problem: Callable[[BundleError], None] | None = None,
    ) -> StreamPredictor:
        """To push chunks of samples as sensors send them; see StreamPredictor."""
        return StreamPredictor(self, rates=rates, lateness=lateness, on_problem=on_problem)

    def verify(self, *, repeats: int = REPEATS) -> Verification:
        """Repeat the golden batch on this device, and time single windows: see `verification`.

        Raises:
            GateError: the logits differ by more than the bundle's tolerance, or a verdict differs.
        """
        return verify(self.as_trained(), repeats=repeats)

    def as_trained(self) -> EdgePredictor:
        """The same without what an update has taught it."""
        trained = copy.copy(self)
        trained.learned = None
        trained._novelty = novelty_of(self.statistics, self.bundle.description.unknown, None)
        return trained


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """(W, N) -> (W, N); in place, since next to a small model every array that is made anew shows."""
    shares = logits - np.maximum.reduce(logits, axis=1, keepdims=True)
    np.exp(shares, out=shares)
    shares /= np.add.reduce(shares, axis=1, keepdims=True)
    return shares


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
