"""Methods: named sets of weights on the terms of the loss. None has a loop of its own."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sensorkd.errors import ConfigError, nearest

__all__ = ["METHODS", "Method", "method_named"]

EarlierSelfName = Literal["none", "snapshot", "ema"]
AUXILIARY_TERMS = ("sad", "cross", "deep", "feat", "out")


@dataclass(frozen=True)
class Method:
    """Weights of the terms; 0 switches one off. The label term has weight 1.

    sad: joint labels on every auxiliary. cross: a fused stage teaches its modalities. deep: the deepest
    fused auxiliary teaches the shallower ones. feat: L2 between their projections. out: the deepest
    auxiliary teaches the classifier that ships.
    views: views of a window in a step, the identity and `views - 1` others drawn at random.
    alpha: how far targets are softened by the earlier self at the end; it rises linearly in steps from
    0 after `warmup`, a share of the steps.
    """

    name: str
    sad: float = 0.0
    cross: float = 0.0
    deep: float = 0.0
    feat: float = 0.0
    out: float = 0.0
    views: int = 1
    temperature: float = 2.0
    earlier: EarlierSelfName = "none"
    alpha: float = 0.0
    warmup: float = 0.3

    def __post_init__(self) -> None:
        weights = {name: float(getattr(self, name)) for name in AUXILIARY_TERMS}
        if not all(0 <= weight < math.inf for weight in weights.values()):
            raise ConfigError(
                "a loss weight is negative or not finite",
                inside="method",
                found=weights,
                expected="0, which switches a term off, or more",
            )
        if (self.alpha > 0) != (self.earlier != "none"):
            raise ConfigError(
                "softened targets need both an earlier self and an alpha above 0",
                inside="method",
                found=f"earlier: {self.earlier}, alpha: {self.alpha}",
                expected="both, or neither",
            )
        good = 0 <= self.alpha < 1 and 0 <= self.warmup < 1 and 0 < self.temperature < math.inf
        if not good or self.views < 1:
            raise ConfigError(
                "a method's number is out of range",
                inside="method",
                found=self,
                expected="0 <= alpha < 1, 0 <= warmup < 1, temperature > 0, views >= 1",
            )
        if self.views > 1 and not self.layered:
            raise ConfigError(
                "views beyond the identity serve the auxiliaries only",
                inside="method",
                found=f"views: {self.views} with every auxiliary term at 0",
                expected="views: 1, or sad above 0",
            )

    @property
    def layered(self) -> bool:
        """Whether the auxiliaries take part."""
        return any(getattr(self, name) > 0 for name in AUXILIARY_TERMS)

    def weights(self) -> dict[str, float]:
        """Term -> weight of the terms that are on."""
        on = {name: float(getattr(self, name)) for name in AUXILIARY_TERMS if getattr(self, name) > 0}
        return {"label": 1.0, **on}

    def alpha_at(self, step: int, steps: int) -> float:
        """alpha in a step: 0 during the warm-up, then linear to `alpha` (PS-KD, counted in steps)."""
        progress = step / max(1, steps)
        return self.alpha * max(0.0, (progress - self.warmup) / (1.0 - self.warmup))


METHODS = {
    "ce": Method("ce"),
    "sad": Method("sad", sad=1.0, views=2),
    "lsskd": Method(
        "lsskd",
        sad=1.0,
        cross=0.5,
        deep=0.5,
        feat=0.005,
        out=1.0,
        views=2,
        earlier="snapshot",
        alpha=0.3,
        warmup=0.3,
    ),
}


def method_named(name: str, changes: Mapping[str, Any] | None = None) -> Method:
    """A method by name, with some of its numbers changed (for ablations).

    Raises:
        ConfigError: no such method, or no such number.
    """
    if name not in METHODS:
        raise ConfigError(
            f"no method {name!r}",
            inside="method.name",
            expected=f"one of {sorted(METHODS)}",
            mend=nearest(name, METHODS) or None,
        )
    known = {item.name for item in dataclasses.fields(Method)} - {"name"}
    for key in changes or {}:
        if key not in known:
            raise ConfigError(
                f"a method has no {key!r}",
                inside=f"method.{key}",
                expected=sorted(known),
                mend=nearest(key, known) or None,
            )
    return dataclasses.replace(METHODS[name], **(changes or {}))
