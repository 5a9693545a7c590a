"""What was said of windows at their last visit: kept, found again, not too old, and back after a cut."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sensorkd.distillation.last_visit import LastVisit
from sensorkd.distillation.pretext import transform_all
from sensorkd.distillation.sight import Sight
from sensorkd.errors import RunError

PRESENCE = torch.tensor([[1, 1, 1], [1, 0, 1], [1, 1, 1], [1, 1, 0], [0, 1, 0], [1, 0, 0]]).float()


def sight(prepared, families, views, windows, *, hidden=()):
    presence = PRESENCE.repeat(len(views), 1)
    seen = presence.clone()
    for row, column in hidden:
        seen[row, column] = 0
    return Sight(transform_all(prepared, families, views), presence, seen, views, torch.tensor(windows))


@pytest.fixture
def visits(layered, tmp_path):
    return LastVisit(layered, tmp_path, windows=20, max_age=5)


def heads(output):
    named = {"final": output.trunk.logits} | {f"fused/{s}": head for s, head in enumerate(output.fused)}
    return named | {f"{m}/{s}": head for m, some in output.modality.items() for s, head in enumerate(some)}


def test_a_visit_is_recalled_for_the_same_windows_and_transforms(layered, prepared, families, visits):
    first = sight(prepared, families, [0, 3], [4, 9, 2, 17, 0, 11])
    said = first.shown_to(layered)
    visits.visit(first, said, step=3)
    got = visits.recall(first, step=8)
    assert got.trust.tolist() == [1.0] * 12
    for name, head in heads(said).items():
        assert torch.allclose(heads(got.output)[name], head, atol=2e-3), name
    other = visits.recall(sight(prepared, families, [0, 2], [4, 9, 2, 17, 0, 11]), step=8)
    assert other.trust.tolist() == [1.0] * 6 + [0.0] * 6
    strangers = visits.recall(sight(prepared, families, [0, 3], [5, 9, 2, 17, 0, 11]), step=8)
    assert strangers.trust.tolist() == [0, 1, 1, 1, 1, 1] * 2


def test_a_visit_too_long_ago_is_forgotten(layered, prepared, families, visits):
    seen = sight(prepared, families, [0, 1], [0, 1, 2, 3, 4, 5])
    visits.visit(seen, seen.shown_to(layered), step=2)
    assert visits.recall(seen, step=7).trust.all()
    assert not visits.recall(seen, step=8).trust.any()


def test_nothing_is_kept_of_a_visit_with_a_sensor_hidden(layered, prepared, families, visits):
    seen = sight(prepared, families, [0, 1], [0, 1, 2, 3, 4, 5], hidden=[(2, 0), (9, 1)])
    visits.visit(seen, seen.shown_to(layered), step=0)
    trust = visits.recall(seen, step=1).trust.tolist()
    assert [row for row, trusted in enumerate(trust) if not trusted] == [2, 9]


def test_a_student_without_auxiliaries_keeps_its_verdict_alone(layered, prepared, families, tmp_path):
    bare = layered.without_auxiliaries()
    visits = LastVisit(bare, tmp_path, windows=6, max_age=5)
    seen = sight(prepared, families, [0], [0, 1, 2, 3, 4, 5])
    visits.visit(seen, seen.shown_to(bare), step=0)
    assert list(heads(visits.recall(seen, step=1).output)) == ["final"]
    assert np.load(tmp_path / "last_visit.npy", mmap_mode="r").shape == (6, 1, 3)


def test_what_was_sealed_comes_back(layered, make_layered, prepared, families, tmp_path):
    visits = LastVisit(layered, tmp_path, windows=6, max_age=50)
    seen = sight(prepared, families, [0, 1], [0, 1, 2, 3, 4, 5])
    visits.visit(seen, seen.shown_to(layered), step=0)
    visits.seal(1)
    state = {name: value.clone() for name, value in visits.state().items()}
    expected = heads(visits.recall(seen, step=1).output)
    visits.visit(seen, seen.shown_to(make_layered(seed=5)), step=1)
    resumed = LastVisit(layered, tmp_path, windows=6, max_age=50)
    resumed.load_state(state)
    resumed.unseal(1)
    got = resumed.recall(seen, step=1)
    assert got.trust.all()
    assert all(torch.equal(heads(got.output)[name], value) for name, value in expected.items())


def test_a_run_killed_before_its_checkpoint_still_finds_the_copy_of_the_one_before(visits, tmp_path):
    for epoch in range(4):
        visits.seal(epoch)
    assert sorted(path.name for path in tmp_path.glob("last_visit-*")) == [
        "last_visit-2.npy",
        "last_visit-3.npy",
    ]
    visits.unseal(2)


def test_a_copy_that_is_gone_or_another_is_told(visits, layered, tmp_path):
    with pytest.raises(RunError, match="last visit cannot be read"):
        visits.unseal(7)
    visits.seal(0)
    more = LastVisit(layered, tmp_path, windows=21, max_age=5)
    with pytest.raises(RunError, match="expected float16 of"):
        more.unseal(0)
