"""Which auxiliary classifiers a method has around its student."""

from __future__ import annotations

import torch
from torch import nn

from sensorkd.distillation.methods import Method
from sensorkd.models.layered import LayeredStudent

__all__ = ["with_auxiliaries_of"]


def with_auxiliaries_of(method: Method, layered: LayeredStudent, *, seed: int) -> LayeredStudent:
    """The very same student with those auxiliaries that the method trains, and no other.

    Those that learn the class alone are smaller than the ones given: they are made anew from the seed.
    """
    if not method.layered:
        return layered.without_auxiliaries()
    if not method.pretext and layered.transforms > 1:
        torch.manual_seed(seed + 1)
        layered = layered.with_families(dict.fromkeys(layered.families, 1))
    if method.auxiliaries == "both":
        return layered
    fewer = layered.without_auxiliaries()
    if method.auxiliaries == "modality":
        fewer.modality_auxiliaries = layered.modality_auxiliaries
    else:
        fewer.fused_auxiliaries = layered.fused_auxiliaries
    assert isinstance(fewer.fused_auxiliaries, nn.ModuleDict)
    return fewer
