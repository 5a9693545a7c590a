"""In which order windows come, natural and balanced."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorkd.training.order import EpochBatches
from sensorkd.training.sampling import balanced_pass


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def batches_of(windows, size, count, chance, balance=None):
    sizes = size, size
    with EpochBatches(windows, None, sizes=sizes, count=count, generator=chance, balance=balance) as draws:
        return [draw.labelled for draw in draws]


def rows_of(batches):
    return [batch["t_ref"].tolist() for batch in batches]


def numbered(windows):
    """The same windows, each told apart by its reference time."""
    windows._columns["t_ref"] = np.arange(len(windows))
    return windows


def rows_before_there_was_a_choice(windows, batch_size, count, chance):
    """Line by line as the loop drew its rows when it knew no other order."""
    size = min(batch_size, windows)
    rows: list[int] = []
    while len(rows) < count * size:
        order = torch.randperm(windows, generator=chance).tolist()
        rows += order[: len(order) // size * size]
    return [rows[start : start + size] for start in range(0, count * size, size)]


@pytest.mark.parametrize(("count", "size", "batches"), [(20, 6, 7), (5, 32, 3), (48, 16, 4), (33, 8, 1)])
def test_natural_order_is_what_it_always_was(make_windows, count, size, batches):
    mine, theirs = generator(3), generator(3)
    got = rows_of(batches_of(numbered(make_windows(count)), size, batches, mine))
    assert got == rows_before_there_was_a_choice(count, size, batches, theirs)
    # Whatever is drawn next in the epoch is drawn alike, too.
    assert torch.equal(torch.rand(3, generator=mine), torch.rand(3, generator=theirs))


labels_of_windows = st.lists(st.integers(-1, 4), min_size=1, max_size=80).filter(lambda some: max(some) >= 0)


@settings(max_examples=80, deadline=None)
@given(labels_of_windows, st.integers(0, 10**6))
def test_a_balanced_pass_shares_its_labelled_places_out_equally(some, seed):
    labels = np.array(some)
    rows = np.array(balanced_pass(labels, generator(seed)))
    assert len(rows) == len(labels)
    times = np.bincount(rows, minlength=len(labels))
    assert (times[labels < 0] == 1).all()
    places = [int(times[labels == label].sum()) for label in np.unique(labels[labels >= 0])]
    assert max(places) - min(places) <= 1
    for label in np.unique(labels[labels >= 0]):
        assert np.ptp(times[labels == label]) <= 1


def test_a_balanced_pass_can_be_drawn_again_and_the_next_is_another():
    labels = np.repeat([0, 1, -1], [20, 4, 6])
    assert balanced_pass(labels, generator(5)) == balanced_pass(labels, generator(5))
    chance = generator(5)
    assert balanced_pass(labels, chance) != balanced_pass(labels, chance)


def test_over_many_passes_every_window_of_a_common_class_is_seen():
    labels, chance = np.repeat([0, 1], [30, 3]), generator()
    times = sum(np.bincount(balanced_pass(labels, chance), minlength=33) for _ in range(400))
    expected = np.where(labels == 0, 16.5 / 30, 16.5 / 3) * 400
    assert np.allclose(times, expected, rtol=0.2)


def test_places_that_do_not_divide_go_to_no_class_in_particular():
    labels, chance = np.array([0, 0, 1, 2]), generator()
    drawn = sum(np.bincount(labels[balanced_pass(labels, chance)], minlength=3) for _ in range(1500))
    assert np.allclose(drawn / drawn.sum(), 1 / 3, atol=0.02)


def test_in_balanced_batches_a_rare_class_is_seen_as_often_as_the_others(make_windows):
    labels = np.repeat([0, 1, 2, -1], [60, 33, 3, 24])
    batches = batches_of(make_windows(labels=labels), 16, 140, generator(), labels)
    seen = torch.cat([batch["label"] for batch in batches])
    shares = [float((seen == label).float().mean()) for label in (0, 1, 2, -1)]
    assert shares == pytest.approx([0.8 / 3, 0.8 / 3, 0.8 / 3, 0.2], abs=0.015)
    natural = torch.cat([b["label"] for b in batches_of(make_windows(labels=labels), 16, 140, generator())])
    assert float((natural == 2).float().mean()) == pytest.approx(3 / 120, abs=0.01)


def test_balanced_batches_of_few_windows_have_their_size(make_windows):
    labels = np.array([0, 0, 0, 0, 1])
    batches = batches_of(make_windows(labels=labels), 32, 3, generator(), labels)
    assert [len(batch["label"]) for batch in batches] == [5, 5, 5]
    assert {int((batch["label"] == 1).sum()) for batch in batches} <= {2, 3}
