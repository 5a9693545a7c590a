"""What a bundle knows of its training windows: where their embeddings lie, and a few of them.

Axes: E embedding, N classes, K inputs, Q sensor subsets, G kept windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd.edge.bundle import STATISTICS, EdgeBundle, load_arrays
from sensorkd.errors import BundleError

__all__ = ["Kept", "Statistics"]

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Kept:
    """Some windows of the training groups, and of the dev groups if they have labels.

    embedding: (G, E). labels: (G,) class numbers. judged: (G,) whether a window is one that an update is
    judged by, rather than one that it is reminded of.
    """

    embedding: Floats
    labels: NDArray[np.int64]
    judged: NDArray[np.bool_]


@dataclass(frozen=True)
class Statistics:
    """Of the embedding, for each subset of the sensors; the first is that with all of them.

    subsets: (Q, K) of 0 and 1. means: (Q, N, E) of the classes. counts: (N,) windows behind them.
    covariance: (Q, E, E) within the classes, pooled and shrunk. weight (N, E), bias (N,): the trained
    classifier, whose logits are embedding @ weight.T + bias.
    """

    subsets: Floats
    means: Floats
    counts: NDArray[np.int64]
    covariance: Floats
    weight: Floats
    bias: Floats
    kept: Kept

    def logits(self, embedding: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """(W, E) -> (W, N) of the trained classifier."""
        logits: NDArray[np.float64] = embedding.astype(np.float64) @ self.weight.T + self.bias
        return logits

    def save(self, path: Path) -> None:
        """Write `statistics.npz`."""
        with path.open("wb") as handle:
            np.savez_compressed(
                handle,
                **{name: getattr(self, name) for name in _ARRAYS},
                **{f"kept.{name}": getattr(self.kept, name) for name in _KEPT},
            )

    @classmethod
    def of(cls, bundle: EdgeBundle) -> Statistics | None:
        """Those of a bundle; None where it was exported without.

        Raises:
            BundleError: they are not of this bundle, or not all of them are numbers.
        """
        description = bundle.description
        if STATISTICS not in description.files:
            return None
        path = bundle.folder / STATISTICS
        arrays = load_arrays(path, mend="export the bundle again")
        classes, size, sensors = len(description.classes), description.embedding, len(description.inputs)
        subsets = len(arrays.get("subsets", ()))
        kept = len(arrays.get("kept.labels", ()))
        shapes = {
            "subsets": (subsets, sensors),
            "means": (subsets, classes, size),
            "counts": (classes,),
            "covariance": (subsets, size, size),
            "weight": (classes, size),
            "bias": (classes,),
            "kept.embedding": (kept, size),
            "kept.labels": (kept,),
            "kept.judged": (kept,),
        }
        found = {name: values.shape for name, values in arrays.items()}
        if found != shapes or not subsets or not _sound(arrays, classes):
            raise BundleError(
                "the statistics of the embedding are not of this bundle",
                file=path,
                found="values that are no number, or no class" if found == shapes else found,
                expected=f"{shapes}, all of them numbers",
                mend="export the bundle again",
            )
        return cls(
            **{name: arrays[name] for name in _ARRAYS},
            kept=Kept(**{name: arrays[f"kept.{name}"] for name in _KEPT}),
        )


_ARRAYS = ("subsets", "means", "counts", "covariance", "weight", "bias")
_KEPT = ("embedding", "labels", "judged")
_KINDS = {"counts": "i", "kept.labels": "i", "kept.judged": "b"}


def _sound(arrays: dict[str, NDArray[Any]], classes: int) -> bool:
    labels = arrays["kept.labels"]
    return (
        all(values.dtype.kind == _KINDS.get(name, "f") for name, values in arrays.items())
        and all(bool(np.isfinite(values).all()) for values in arrays.values())
        and bool(((labels >= 0) & (labels < classes)).all())
    )
