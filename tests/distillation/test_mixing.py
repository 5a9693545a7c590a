from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorkd.distillation import losses
from sensorkd.distillation.mixing import Mixture, draw_mixture
from sensorkd.distillation.targets import Targets

LABELS = torch.tensor([0, 1, 2, -1, 1])
PRESENCE = torch.tensor([[1, 1], [1, 0], [0, 1], [1, 1], [1, 1]]).float()


def drawn(seed=0, beta=0.4):
    return draw_mixture(Targets(LABELS), PRESENCE, beta, torch.Generator().manual_seed(seed))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_what_is_mixed_has_a_sensor_and_a_label_on_both_sides(seed):
    mixture = drawn(seed)
    assert 0 <= mixture.share <= 1
    presence = mixture.presence(PRESENCE)
    targets = mixture.targets(Targets(LABELS), 3)
    for row, partner in enumerate(mixture.partner.tolist()):
        common = (PRESENCE[row] * PRESENCE[partner]).tolist()
        fits = any(common) and LABELS[row] >= 0 and LABELS[partner] >= 0
        assert bool(mixture.mixed[row]) == fits
        assert presence[row].tolist() == (common if fits else PRESENCE[row].tolist())
        assert presence[row].any()
        expected = torch.zeros(3)
        if fits:
            expected[LABELS[row]] += mixture.share
            expected[LABELS[partner]] += 1 - mixture.share
        elif LABELS[row] >= 0:
            expected[LABELS[row]] = 1
        assert torch.allclose(targets.shares[row], expected)


def test_floats_of_both_windows_are_mixed_modality_by_modality():
    mixture = drawn(3)
    x = torch.randn(5, 2, 7)
    mixed = mixture.blend(x)
    for row, partner in enumerate(mixture.partner.tolist()):
        expected = x[row]
        if mixture.mixed[row]:
            expected = mixture.share * x[row] + (1 - mixture.share) * x[partner]
        assert torch.allclose(mixed[row], expected)


def test_all_of_one_window_is_that_window():
    """lambda = 1 is plain cross-entropy."""
    everything = torch.ones(5, dtype=torch.bool)
    mixture = Mixture(torch.tensor([4, 3, 2, 1, 0]), 1.0, everything)
    x, labels = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    targets = mixture.targets(Targets(labels), 3)
    assert torch.equal(mixture.blend(x), x)
    assert torch.equal(mixture.presence(torch.ones(5, 2)), torch.ones(5, 2))
    plain = losses.label_supervision(x, labels, None, 0.0)
    mixed = losses.label_supervision(x, targets.labels, None, 0.0, shares=targets.shares)
    assert float(mixed) == pytest.approx(float(plain), rel=1e-6)


def test_the_loss_is_lambda_of_the_one_label_and_the_rest_of_the_other():
    labels, x = torch.tensor([0, 2]), torch.randn(2, 3)
    mixture = Mixture(torch.tensor([1, 0]), 0.3, torch.tensor([True, True]))
    targets = mixture.targets(Targets(labels), 3)
    got = losses.label_supervision(x, labels, None, 0.0, shares=targets.shares)
    one, other = (losses.label_supervision(x, some, None, 0.0) for some in (labels, labels.flip(0)))
    assert float(got) == pytest.approx(0.3 * float(one) + 0.7 * float(other), rel=1e-5)


def test_chance_comes_from_the_generator_alone():
    torch.manual_seed(1)
    first = drawn(5)
    torch.manual_seed(2)
    second = drawn(5)
    assert first.share == second.share and torch.equal(first.partner, second.partner)
    assert drawn(6).share != first.share


def test_small_parameters_mix_little():
    shares = [drawn(seed, beta=0.1).share for seed in range(200)]
    assert sum(min(share, 1 - share) < 0.1 for share in shares) > 120
