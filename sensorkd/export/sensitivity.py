"""Which layers of a model bear int8: those that hurt stay in float, the worst first, until it passes."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from sensorkd.errors import GateError
from sensorkd.export.int8_gate import Int8Gate, Judgement
from sensorkd.export.quantize import Layer, Quantizer

__all__ = ["write_int8"]


def write_int8(
    quantizer: Quantizer, gate: Int8Gate, layers: Sequence[Layer], target: Path
) -> tuple[list[Layer], Judgement]:
    """Write a model in int8 that passes the gate; with the layers that were left in float.

    All layers are tried at once. Only if that does not pass is each judged by itself, by how far it
    alone moves the probabilities.

    Raises:
        GateError: no layer can be in int8, or none could.
    """
    if not layers:
        raise GateError(
            "no layer of this model can be in int8",
            expected="convolutions or linear layers with weights of their own",
            mend="export without --int8",
        )
    left_out: list[Layer] = []
    judgement = _written(quantizer, gate, layers, target)
    ranked: list[Layer] = []
    while not judgement.passed:
        ranked = ranked or by_harm(quantizer, gate, layers)
        # One, two, four ...: a model that bears little is not tried a hundred times.
        left_out = ranked[: max(1, 2 * len(left_out))]
        kept = [layer for layer in layers if layer not in left_out]
        if not kept:
            target.unlink(missing_ok=True)
            raise GateError(
                "the model does not keep its verdicts in int8",
                found=judgement.told(),
                expected="losses within the limits, with some layers in int8 at least",
                mend="export without --int8; nothing was written",
            )
        judgement = _written(quantizer, gate, kept, target)
    return left_out, judgement


def by_harm(quantizer: Quantizer, gate: Int8Gate, layers: Sequence[Layer]) -> list[Layer]:
    """Layers by the divergence that each causes alone, the largest first."""
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / "trial.onnx"
        harm = {layer: _written(quantizer, gate, [layer], trial).divergence for layer in layers}
    return sorted(layers, key=lambda layer: harm[layer], reverse=True)


def _written(quantizer: Quantizer, gate: Int8Gate, layers: Sequence[Layer], target: Path) -> Judgement:
    quantizer.write(target, layers)
    return gate.judge(target)
