from __future__ import annotations

import math

import pytest
import torch

from sensorkd.distillation.balance import TermBalance


def test_a_run_begins_with_the_weights_of_its_method():
    balance = TermBalance(["label", "sad"])
    terms = {"label": torch.tensor(2.0), "sad": torch.tensor(3.0), "pseudo": torch.tensor(5.0)}
    weights = {"label": 1.0, "sad": 0.5, "pseudo": 2.0}
    assert float(balance(terms, weights).detach()) == 2.0 + 1.5 + 10.0
    assert balance.weights() == {"label": 1.0, "sad": 1.0}


def test_the_loss_is_that_of_kendall():
    balance = TermBalance(["label", "sad"])
    with torch.no_grad():
        balance.log_variances["label"].fill_(0.4)
        balance.log_variances["sad"].fill_(-1.0)
    got = balance({"label": torch.tensor(2.0), "sad": torch.tensor(3.0)}, {"label": 1.0, "sad": 0.5})
    assert float(got.detach()) == pytest.approx(math.exp(-0.4) * 2 + 0.2 + math.exp(1.0) * 1.5 - 0.5)


def test_log_variances_settle_where_a_term_weighs_one_half():
    """d/ds (exp(-s) w L + s / 2) = 0 at exp(-s) = 1 / (2 w L)."""
    balance = TermBalance(["label"])
    optimiser = torch.optim.SGD(balance.parameters(), lr=0.5)
    for _ in range(300):
        optimiser.zero_grad()
        balance({"label": torch.tensor(4.0)}, {"label": 0.5}).backward()
        optimiser.step()
    assert balance.weights()["label"] == pytest.approx(1 / 4, rel=1e-3)
