"""The baseline for signals that learns no features: MiniRocket and a ridge classifier.

Source: Dempster, Schmidt, Webb, KDD 2021. Axes: W windows, T samples, C channels, D features, N classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd.encoding import InputEncoding
from sensorkd.errors import ConfigError
from sensorkd.evaluation.ridge import CalibratedRidge
from sensorkd.evaluation.rocket_kernels import RocketKernels
from sensorkd.evaluation.rocket_signals import ChannelScale, sampled_alike, side_by_side

__all__ = ["MiniRocketRidge"]


class MiniRocketRidge:
    """MiniRocket features of some inputs, of signals only, and a ridge classifier on them.

    Inputs that are sampled alike (as many steps of the same rate and span) are channels of one series, as
    published; `features` are shared evenly among such series. An absent input is 0, which is its mean, and a
    column of its own says that it is absent; one that no labelled window has stays absent. As published the
    kernels add up to 0, so that a level shows only where the window ends, unlike in the features of `Trees`.

    Example: `MiniRocketRidge(encodings, only=["acceleration"], classes=3).fit(inputs, presence, labels)`

    Raises:
        ConfigError: `only` names an input that is no signal, or none; or no input is a signal.
    """

    def __init__(
        self,
        encodings: Mapping[str, InputEncoding],
        *,
        classes: int,
        only: Sequence[str] | None = None,
        seed: int = 0,
        features: int = 10_000,
    ) -> None:
        names = _signals_of(encodings, only)
        self.encodings = {name: encodings[name] for name in names}
        self._columns = {name: list(encodings).index(name) for name in names}
        self._features = features
        self._seed = seed
        self._series: dict[tuple[str, ...], _Series] = {}
        self._ridge = CalibratedRidge(classes=classes)

    def fit(
        self,
        inputs: Mapping[str, NDArray[Any]],
        presence: NDArray[np.float32],
        labels: NDArray[np.int64],
        weights: NDArray[np.float64] | None = None,
    ) -> MiniRocketRidge:
        """Learn from labelled windows: inputs name -> (W, T, C), presence (W, K), labels (W,), -1 unknown.

        weights: (W,) what the labels count for; default all alike.

        Raises:
            ValueError: no window has a label.
        """
        known = np.flatnonzero(labels >= 0)
        if not len(known):
            raise ValueError("no labelled window to learn from")
        groups, columns = sampled_alike(self.encodings), []
        self._series = {}
        for number, names in enumerate(groups):
            present = self._present(names, presence[known])
            if not present.any():
                continue  # nothing can be learned of it, and nothing is read of it later
            series, found = _Series.fit(
                [self.encodings[name] for name in names],
                [inputs[name][known] for name in names],
                present,
                features=self._features // len(groups),
                seed=int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0]),
            )
            self._series[tuple(names)] = series
            columns.append(found)
        self._ridge.fit(
            _beside(columns, len(known)), labels[known], None if weights is None else weights[known]
        )
        return self

    def logits(
        self, inputs: Mapping[str, NDArray[Any]], presence: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """(W, N) log probabilities, as sure as training was right about windows left out: see `ridge`."""
        columns = [
            series.features([inputs[name] for name in names], self._present(names, presence))
            for names, series in self._series.items()
        ]
        return self._ridge.logits(_beside(columns, len(presence)))

    def _present(self, names: Sequence[str], presence: NDArray[np.float32]) -> NDArray[np.bool_]:
        return np.asarray(presence[:, [self._columns[name] for name in names]] > 0)


@dataclass(frozen=True)
class _Series:
    """Inputs that are sampled alike. met: (inputs,) whether a window that it was fitted to has each.

    centre, spread: (D,) that its features are standardised by.
    """

    scales: tuple[ChannelScale, ...]
    met: NDArray[np.bool_]
    kernels: RocketKernels
    centre: NDArray[np.float32]
    spread: NDArray[np.float32]

    @classmethod
    def fit(
        cls,
        encodings: Sequence[InputEncoding],
        windows: Sequence[NDArray[Any]],
        present: NDArray[np.bool_],
        *,
        features: int,
        seed: int,
    ) -> tuple[_Series, NDArray[np.float32]]:
        """The series, and its features of the windows (W, T, C) and `present` that it was fitted to."""
        scales = tuple(
            ChannelScale.fit(values[here], encoding)
            for values, here, encoding in zip(windows, present.T, encodings, strict=True)
        )
        some = present.any(axis=1)
        signals = side_by_side(scales, [values[some] for values in windows], present[some])
        kernels = RocketKernels.fit(signals, features=features, seed=seed)
        found = kernels.features(signals)
        spread = found.std(axis=0)
        spread = np.where(spread > 0, spread, 1).astype(np.float32)
        series = cls(scales, np.atleast_1d(present.any(axis=0)), kernels, found.mean(axis=0), spread)
        return series, series._standardised(found, present)

    def features(self, windows: Sequence[NDArray[Any]], present: NDArray[np.bool_]) -> NDArray[np.float32]:
        """(W, D + inputs): standardised, then 0 for every input that is present and -1 for the others."""
        # Of an input that was never met, neither the kernels nor the ridge know anything.
        present = present & self.met
        some = present.any(axis=1)
        signals = side_by_side(self.scales, [values[some] for values in windows], present[some])
        return self._standardised(self.kernels.features(signals), present)

    def _standardised(self, found: NDArray[np.float32], present: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Features of the windows with any of the inputs, put in their places; 0 where there is none."""
        placed = np.zeros((len(present), found.shape[1] + present.shape[1]), np.float32)
        placed[present.any(axis=1), : found.shape[1]] = (found - self.centre) / self.spread
        placed[:, found.shape[1] :] = present - np.float32(1)
        return placed


def _signals_of(encodings: Mapping[str, InputEncoding], only: Sequence[str] | None) -> list[str]:
    signals = [name for name, encoding in encodings.items() if len(encoding.sample_shape) == 1]
    wrong = [name for name in only or () if name not in signals]
    if wrong or not signals or (only is not None and not only):
        raise ConfigError(
            "MiniRocket takes signals, and no frames",
            found=wrong or (list(only) if only is not None else list(encodings)),
            expected=f"some of {signals}" if signals else "at least one input of signals",
            mend="leave the others out, or take `trees` for them",
        )
    return [name for name in signals if only is None or name in only]


def _beside(columns: Sequence[NDArray[np.float32]], count: int) -> NDArray[np.float32]:
    """(W, D) of all series; one column of zeros where there is none."""
    return np.concatenate(columns, axis=1) if columns else np.zeros((count, 1), np.float32)
