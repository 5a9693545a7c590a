from __future__ import annotations

import pytest
import torch

from sensorkd.models.auxiliary import MapAuxiliary


def test_views_go_through_one_by_one(layered, inputs):
    layered.train()
    prepared = layered.student.prepare(inputs)
    flipped = {name: -x for name, x in prepared.items()}
    presence = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]]).float()
    both = {name: torch.cat([prepared[name], flipped[name]]) for name in prepared}
    state = {key: value.clone() for key, value in layered.state_dict().items()}
    torch.manual_seed(0)
    joined = layered.by_view(both, presence.repeat(2, 1), presence.repeat(2, 1), views=2)
    layered.load_state_dict(state)
    torch.manual_seed(0)
    one, two = (layered(part, presence, presence) for part in (prepared, flipped))
    assert torch.allclose(joined.trunk.logits, torch.cat([one.trunk.logits, two.trunk.logits]), atol=1e-5)
    assert joined.trunk.rows["shake"].tolist() == [0, 1, 3, 4, 5, 6, 8, 9]
    assert joined.trunk.rows["camera"] is None
    for name, heads in joined.modality.items():
        for stage, head in enumerate(heads):
            assert torch.allclose(
                head, torch.cat([one.modality[name][stage], two.modality[name][stage]]), atol=1e-5
            )
    for stage, head in enumerate(joined.fused):
        assert torch.allclose(head, torch.cat([one.fused[stage], two.fused[stage]]), atol=1e-5)
        projections = torch.cat([one.projections[stage], two.projections[stage]])
        assert torch.allclose(joined.projections[stage], projections, atol=1e-5)


def test_one_view_is_a_plain_batch(layered, inputs):
    layered.eval()
    prepared, presence = layered.student.prepare(inputs), torch.ones(5, 3)
    assert torch.equal(
        layered.by_view(prepared, presence, presence, views=1).trunk.logits,
        layered(prepared, presence).trunk.logits,
    )


def test_a_modality_that_no_window_has_gives_no_heads(layered, inputs):
    layered.train()
    prepared = layered.student.prepare(inputs)
    both = {name: torch.cat([x, x]) for name, x in prepared.items()}
    presence = torch.tensor([1.0, 1.0, 0.0]).repeat(10, 1)
    output = layered.by_view(both, presence, presence, views=2)
    assert output.modality["camera"] == [] and output.trunk.rows["camera"].tolist() == []
    assert torch.isfinite(output.trunk.logits).all()


@pytest.mark.parametrize("steps", [1, 2, 4, 8])
def test_a_slow_sensor_that_a_single_window_has_stops_nothing(steps):
    """Its maps come to one value a channel, which has no statistics of its own."""
    auxiliary = MapAuxiliary((6, 8, 8), rank=1, labels=12).train()
    before = {name: value.clone() for name, value in auxiliary.named_buffers()}
    assert auxiliary(torch.randn(1, 6, steps)).shape == (1, 12)
    assert all(torch.equal(value, before[name]) for name, value in auxiliary.named_buffers())
    assert all(module.training for module in auxiliary.modules())
