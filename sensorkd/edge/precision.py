"""The two forms a bundle's model may come in, and what the smaller one was found to cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["PRECISIONS", "Figures", "Int8Model", "Precision"]

Precision = Literal["fp32", "int8"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")


@dataclass(frozen=True)
class Figures:
    """What a model is judged by: share of right verdicts, NLL in nats, ECE with 15 bins."""

    accuracy: float
    nll: float
    ece: float


@dataclass(frozen=True)
class Int8Model:
    """`model.int8.onnx` as the gate of export found it.

    tolerance: largest difference between its golden logits and the device's; processors round differently.
    layers: how many compute in integers; float_layers: the names of those that were left as they were.
    calibrated: windows that gave the ranges; judged: windows, times the sensor subsets they were seen
    under, that the figures are of. side: the groups both are of, `dev` or `train`. divergence: mean KL
    divergence of its probabilities from those in float, in nats.
    """

    tolerance: float
    layers: int
    float_layers: tuple[str, ...]
    calibrated: int
    judged: int
    side: str
    fp32: Figures
    int8: Figures
    divergence: float

    def __post_init__(self) -> None:
        if not (isinstance(self.tolerance, float) and self.tolerance > 0):
            raise ValueError("`int8.tolerance` must be a number above 0")

    def told(self) -> str:
        """One line for people."""
        left = ", ".join(self.float_layers) or "none"
        pairs = ", ".join(
            f"{name} {getattr(self.fp32, key):.4f} -> {getattr(self.int8, key):.4f}"
            for name, key in (("accuracy", "accuracy"), ("NLL", "nll"), ("ECE", "ece"))
        )
        return (
            f"{self.layers} layers in int8, left in float: {left}; {pairs} on {self.judged} windows of "
            f"{self.side} groups under every sensor subset"
        )

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> Int8Model:
        """The inverse of `dataclasses.asdict`.

        Raises:
            KeyError, TypeError, ValueError: a field is missing, unknown or out of range.
        """
        fields = dict(tree)
        fields |= {name: Figures(**fields[name]) for name in PRECISIONS}
        fields["float_layers"] = tuple(fields["float_layers"])
        return cls(**fields)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self)
