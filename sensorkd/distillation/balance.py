"""Weights of the terms that are learned in the run (Kendall, Gal, Cipolla, CVPR 2018)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

__all__ = ["TermBalance"]


class TermBalance(nn.Module):
    """sum_t exp(-s_t) w_t L_t + s_t / 2, with s_t the log-variance of a term, 0 at first.

    So a run begins with the weights w_t that its method names; a term that stays high is weighted down.
    Terms of windows without a label keep their weights: what is zero while nothing is certain would grow
    without end.
    """

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__()
        self.log_variances = nn.ParameterDict({name: nn.Parameter(torch.zeros(())) for name in names})

    def forward(self, terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
        """The loss of unweighted terms."""
        parts = []
        for name, weight in weights.items():
            part = weight * terms[name]
            if name in self.log_variances:
                s = self.log_variances[name]
                part = torch.exp(-s) * part + s / 2
            parts.append(part)
        return torch.stack(parts).sum()

    def weights(self) -> dict[str, float]:
        """exp(-s_t) by term: what the weight of the method is multiplied by."""
        return {name: float(torch.exp(-s.detach())) for name, s in self.log_variances.items()}
