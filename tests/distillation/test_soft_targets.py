from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from sensorkd.distillation.methods import Method
from sensorkd.distillation.sight import Sight
from sensorkd.distillation.soft_targets import Ema, Snapshot, earlier_self

EVERYTHING = torch.ones(6, 3)


def seen(prepared):
    return Sight(prepared, EVERYTHING, EVERYTHING)


def change(layered, step):
    """As an optimiser would: all weights become something that depends on the step."""
    generator = torch.Generator().manual_seed(step)
    with torch.no_grad():
        for parameter in layered.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))


def weights(network):
    return {name: value.clone() for name, value in network.named_parameters()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_a_snapshot_holds_the_weights_of_the_last_full_epoch(layered):
    snapshot = Snapshot(layered, every=3)
    history = [weights(layered)]
    for step in range(1, 8):
        change(layered, step)
        history.append(weights(layered))
        snapshot.observe(layered, step)
        assert same(weights(snapshot.network), history[step // 3 * 3])


def test_a_snapshot_is_not_trusted_before_its_first_copy(layered, prepared):
    """Until then it is the network that nobody has taught anything."""
    snapshot = Snapshot(layered, every=3)
    for step in range(5):
        trust = snapshot.recall(seen(prepared), step=step).trust
        assert trust is None if step >= 3 else torch.equal(trust, torch.zeros(6))


def test_a_moving_average_has_its_closed_form(layered):
    """w_t = d_t w_(t-1) + (1 - d_t) x_t with d_t = min(decay, t / (t + 9))."""
    ema = Ema(layered, decay=0.5)
    expected = weights(layered)
    for step in range(1, 15):
        change(layered, step)
        ema.observe(layered, step)
        decay = min(0.5, step / (step + 9))
        now = weights(layered)
        expected = {name: decay * expected[name] + (1 - decay) * now[name] for name in expected}
    kept = weights(ema.network)
    assert all(torch.allclose(kept[name], expected[name], atol=1e-5) for name in expected)


def test_a_moving_average_of_constant_weights_is_these_weights(layered):
    ema = Ema(layered, decay=0.995)
    change(layered, 1)
    for step in range(1, 60):
        ema.observe(layered, step)
    assert all(
        torch.allclose(mine, theirs, atol=1e-4)
        for mine, theirs in zip(ema.network.parameters(), layered.parameters(), strict=True)
    )


@pytest.mark.parametrize("kind", ["snapshot", "ema"])
def test_recalling_needs_no_gradient_and_leaves_the_learner_alone(make_layered, prepared, kind):
    layered = make_layered(dropout=0.5).train()
    past = earlier_self(Method("soft", sad=1, earlier=kind, alpha=0.3), layered, every=2)
    before = copy.deepcopy(layered.state_dict())
    output = past.recall(seen(prepared), step=0).output
    outputs = [output.trunk.logits, *output.fused, *(q for heads in output.modality.values() for q in heads)]
    assert not any(value.requires_grad for value in outputs)
    assert not any(parameter.requires_grad for parameter in past.network.parameters())
    assert all(torch.equal(before[name], value) for name, value in layered.state_dict().items())


def test_recalling_is_without_dropout_of_any_kind_but_normalises_by_the_batch(make_layered, prepared):
    layered = make_layered(dropout=0.5)
    encoder = layered.student.encoder("shake")
    encoder.stages["stage1"].append(nn.Dropout1d(0.5))
    snapshot = Snapshot(layered.train(), every=1)
    first, second = (snapshot.recall(seen(prepared)).output for _ in range(2))
    assert torch.equal(first.trunk.logits, second.trunk.logits)
    with torch.no_grad():
        for name, buffer in snapshot.network.named_buffers():
            if name.endswith("running_mean"):
                buffer.add_(1000.0)
    assert torch.equal(snapshot.recall(seen(prepared)).output.trunk.logits, first.trunk.logits)


def test_recalling_says_what_the_network_itself_said(make_layered, prepared):
    layered = make_layered().train()
    snapshot = Snapshot(layered, every=1)
    with torch.no_grad():
        own = layered(prepared, EVERYTHING, EVERYTHING)
    past = snapshot.recall(seen(prepared)).output
    assert torch.equal(past.trunk.logits, own.trunk.logits)
    assert all(torch.equal(a, b) for a, b in zip(past.fused, own.fused, strict=True))


def test_a_method_without_softening_keeps_no_earlier_self(layered):
    assert earlier_self(Method("ce"), layered, every=5) is None


def test_a_moving_average_has_the_decay_of_its_method(layered):
    past = earlier_self(Method("soft", earlier="ema", alpha=0.3, decay=0.5), layered, every=5)
    assert past.decay == 0.5
