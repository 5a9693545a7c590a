"""Probabilities are brought to given class shares."""

from __future__ import annotations

import torch

from sensorkd.distillation.class_balance import balanced


def skewed(windows=300, classes=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(windows, classes, generator=generator) + torch.tensor([2.0, 0.0, 0.0, -1.0])
    return logits.softmax(dim=1)


def test_all_windows_together_show_the_class_shares():
    shares = torch.tensor([0.1, 0.2, 0.3, 0.4])
    got = balanced(skewed(), shares, iterations=200)
    assert torch.allclose(got.mean(dim=0), shares, atol=1e-4)
    assert torch.allclose(got.sum(dim=1), torch.ones(300), atol=1e-5)


def test_it_is_the_iteration_of_sinkhorn_and_knopp_done_by_loops():
    told, shares = skewed(5, 3 + 1).tolist(), [0.25, 0.25, 0.25, 0.25]
    for _ in range(20):
        for name in range(4):
            total = sum(row[name] for row in told)
            for row in told:
                row[name] *= shares[name] * 5 / total
        told = [[value / sum(row) for value in row] for row in told]
    assert torch.allclose(balanced(skewed(5), torch.tensor(shares)), torch.tensor(told), atol=1e-6)


def test_odds_between_windows_stay():
    """Classes and windows are scaled as wholes: what is likelier for one window than for another stays so."""
    before = skewed()
    after = balanced(before, torch.full((4,), 0.25))

    def odds(p):
        return (p[0, 0] * p[1, 1]) / (p[0, 1] * p[1, 0])

    assert torch.allclose(odds(after), odds(before), rtol=1e-3)


def test_a_class_that_nobody_believes_in_breaks_nothing():
    certain = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert torch.equal(balanced(certain, torch.tensor([0.5, 0.5])), certain)
