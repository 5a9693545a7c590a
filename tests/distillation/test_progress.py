"""What is told of auxiliaries in training: accuracies as loops find them, and transforms not told apart."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from sensorkd.distillation.pretext import transform_all
from sensorkd.distillation.progress import auxiliary_progress, cannot_learn, mean_progress
from sensorkd.models.layered import LayeredOutput
from sensorkd.models.student import TrunkOutput

LABELS = torch.tensor([0, 2, -1, 1])
PRESENCE = torch.tensor([[1, 1, 1], [0, 1, 1], [1, 1, 1], [0, 1, 0]]).float()


def one_auxiliary(logits, rows=None):
    """Of `heat` alone, at one stage, with a fused one that says the same."""
    trunk = TrunkOutput({}, {"heat": rows}, [], logits, logits)
    return LayeredOutput(trunk, {"heat": [logits]}, [logits], [])


def says(*answers, size=4, classes=2):
    """Logits of an auxiliary that is sure of (class, transform), row by row."""
    logits = torch.zeros(len(answers), classes * size)
    for row, (label, transform) in enumerate(answers):
        logits[row, label * size + transform] = 9
    return logits


def shares(values):
    values = list(values)
    return sum(values) / len(values)


def slow_accuracies(logits, labels, transforms, right_index):
    """One row, one label after the other. right_index: row -> the indices that count as right."""
    size = len(right_index[0][1])
    rows = logits.double().softmax(dim=1).reshape(len(logits), -1, size).tolist()
    joint, classes, named = [], [], []
    for row, label, (right, _) in zip(rows, labels, right_index, strict=True):
        marginal = [sum(part[t] for part in row) for t in range(size)]
        named.append(marginal.index(max(marginal)) in right)
        if label >= 0:
            best = max(itertools.product(range(len(row)), range(size)), key=lambda at: row[at[0]][at[1]])
            joint.append(best[0] == label and best[1] in right)
            of_class = [sum(part) for part in row]
            classes.append(of_class.index(max(of_class)) == label)
    found = {"joint": shares(joint), "class": shares(classes), "transform": shares(named)}
    found["chance"] = max(shares(t in right for right, _ in right_index) for t in range(size))
    for one, other in itertools.combinations(sorted(set(transforms)), 2):
        sides = []
        for own, wrong in ((one, other), (other, one)):
            kept = [r for r, t in enumerate(transforms) if t == own and wrong not in right_index[r][0]]
            sums = [[sum(part[t] for part in rows[r]) for t in (one, other)] for r in kept]
            sides.append([math.log(a / b) for a, b in sums])
        if all(sides):
            found[f"{one}|{other}"] = shares(
                0.5 if a == pytest.approx(b) else float(a > b) for a, b in itertools.product(*sides)
            )
    return found


@pytest.mark.parametrize("views", [[0, 1], [0, 3, 2], [0, 1, 2, 3], [0]])
def test_accuracies_are_those_of_loops(layered, prepared, families, views):
    inputs = {name: x[:4] for name, x in prepared.items()}
    presence = PRESENCE.repeat(len(views), 1)
    with torch.no_grad():
        output = layered.by_view(transform_all(inputs, families, views), presence, presence, views=len(views))
    found = auxiliary_progress(output, LABELS, views, layered.families)
    assert set(found) == {f"{name}/stage{stage}" for name in (*layered.families, "fused") for stage in (1, 2)}
    labels, indices = LABELS.tolist() * len(views), [view for view in views for _ in range(4)]
    seen = presence.tolist()
    for column, (name, size) in enumerate(layered.families.items()):
        kept = [row for row in range(len(labels)) if seen[row][column]]
        right = [({indices[row] % size}, range(size)) for row in kept]
        for stage, head in enumerate(output.modality[name], start=1):
            slow = slow_accuracies(head, [labels[r] for r in kept], [indices[r] % size for r in kept], right)
            assert found[f"{name}/stage{stage}"] == pytest.approx(slow)
    sizes = list(layered.families.values())
    right = [
        (
            {
                i
                for i in range(4)
                if all(i % size == j % size for size, here in zip(sizes, seen[row], strict=True) if here)
            },
            range(4),
        )
        for row, j in enumerate(indices)
    ]
    for stage, head in enumerate(output.fused, start=1):
        assert found[f"fused/stage{stage}"] == pytest.approx(slow_accuracies(head, labels, indices, right))


def test_who_always_says_identity_is_at_chance_whatever_is_drawn():
    """Half of the rows of two views are the identity: naming it always is no merit."""
    logits = says(*[(0, 0)] * 8)
    heat = auxiliary_progress(one_auxiliary(logits), torch.zeros(4).long(), [0, 2], {"heat": 4})[
        "heat/stage1"
    ]
    assert heat == {"joint": 0.5, "class": 1.0, "transform": 0.5, "chance": 0.5, "0|2": 0.5}


def test_who_tells_two_transforms_apart_but_calls_both_identity_is_given_credit():
    """The identity is drawn more often than any other, so it is the likelier verdict when in doubt."""
    logits = torch.tensor([[2.0, 0, 1, 0], [1.9, 0, 0.9, 0], [1.8, 0, 1.7, 0], [1.7, 0, 1.6, 0]])
    heat = auxiliary_progress(one_auxiliary(logits), torch.zeros(2).long(), [0, 2], {"heat": 4})[
        "heat/stage1"
    ]
    assert (heat["transform"], heat["0|2"]) == (0.5, 1.0)


def test_who_knows_class_and_transform_is_right_in_all():
    logits = says((0, 0), (1, 0), (0, 2), (1, 2))
    found = auxiliary_progress(one_auxiliary(logits), torch.tensor([0, 1]), [0, 2], {"heat": 4})
    assert found["heat/stage1"] == found["fused/stage1"]
    assert found["heat/stage1"] == {"joint": 1, "class": 1, "transform": 1, "chance": 0.5, "0|2": 1}


def test_without_labels_transforms_are_told_and_classes_are_not():
    found = auxiliary_progress(one_auxiliary(says((0, 0), (1, 2))), torch.tensor([-1]), [0, 2], {"heat": 4})[
        "heat/stage1"
    ]
    assert set(found) == {"transform", "chance", "0|2"}


def test_auxiliaries_that_learn_the_class_alone_name_no_transform():
    logits = says((0, 0), (1, 0), size=1)
    found = auxiliary_progress(one_auxiliary(logits), torch.tensor([0, 0]), [0], {"heat": 1})
    assert found["heat/stage1"] == {"joint": 0.5, "class": 0.5}


def test_a_modality_that_nobody_has_is_left_out():
    trunk = TrunkOutput(
        {}, {"heat": torch.zeros(0, dtype=torch.int64)}, [], torch.zeros(2, 2), torch.zeros(2, 2)
    )
    output = LayeredOutput(trunk, {"heat": []}, [], [])
    assert auxiliary_progress(output, torch.tensor([0, 1]), [0], {"heat": 4}) == {}


def test_what_a_batch_does_not_have_does_not_count_in_the_mean():
    one = {"heat/stage1": {"transform": 0.5, "0|1": 0.5}}
    two = {"heat/stage1": {"transform": 1.0, "0|2": 0.9}, "fused/stage1": {"class": 0.2}}
    assert mean_progress([one, two]) == {
        "heat/stage1": {"transform": 0.75, "0|1": 0.5, "0|2": 0.9},
        "fused/stage1": {"class": 0.2},
    }
    assert mean_progress([]) == {}


def history(**ends):
    """Eight epochs: whatever was at first, these at the end. `heat1={"0|1": 0.9}` is heat/stage1."""
    begin = {f"{name[:-1]}/stage{name[-1]}": dict.fromkeys(pairs, 0.5) for name, pairs in ends.items()}
    end = {f"{name[:-1]}/stage{name[-1]}": pairs for name, pairs in ends.items()}
    return [begin] * 6 + [end] * 2


def test_what_was_learned_by_the_end_is_not_complained_of():
    assert cannot_learn(history(heat1={"0|1": 0.8}, heat2={"0|1": 0.95}, fused1={"0|1": 0.7})) == []
    assert cannot_learn([]) == []
    assert cannot_learn([{"heat/stage1": {"joint": 0.1}}]) == [], "nothing is known of transforms"


def test_a_pair_that_no_stage_tells_apart_is_named():
    told = cannot_learn(
        history(heat1={"0|1": 0.52, "0|2": 0.8}, heat2={"0|1": 0.55, "0|2": 0.9}, shake1={"0|1": 0.9}),
        {"heat": ["identity", "time reversal", "mirror about the mean"]},
    )
    assert told == ["no auxiliary of heat tells identity from time reversal: 55% right, 50% by guessing"]


def test_an_auxiliary_that_tells_nothing_apart_where_others_do_is_named():
    told = cannot_learn(history(heat1={"0|1": 0.5, "0|2": 0.57}, heat2={"0|1": 0.9, "0|2": 0.9}))
    assert told == ["heat/stage1 tells no transforms apart: 57% right, 50% by guessing"]


def test_a_modality_that_tells_nothing_apart_at_all_is_not_told_twice():
    told = cannot_learn(history(heat1={"0|1": 0.5}, heat2={"0|1": 0.5}))
    assert told == ["no auxiliary of heat tells transform 0 from transform 1: 50% right, 50% by guessing"]


def test_transforms_that_leave_no_trace_are_found_in_training(make_layered, prepared, families):
    """Constant heat is the same forwards and backwards; mirrored in level it is not."""
    families = {**families, "heat": (*families["heat"][:2], families["shake"][2])}
    layered = make_layered()
    prepared = {**prepared, "heat": prepared["heat"].mean(dim=2, keepdim=True).abs().expand(-1, -1, 12) + 1}
    presence, views = torch.ones(18, 3), [0, 1, 2]
    rows = transform_all(prepared, families, views)
    target = torch.tensor(views).repeat_interleave(6)
    auxiliaries = layered.modality_auxiliaries["heat"]
    optimiser = torch.optim.Adam(auxiliaries.parameters(), lr=0.05)
    labels, told = torch.full((6,), -1), []
    # All rows at once: one view at a time, batch norm would take the level away.
    for _ in range(30):
        output = layered(rows, presence)
        loss = sum(
            torch.nn.functional.cross_entropy(head.reshape(18, 3, 3).logsumexp(dim=1), target)
            for head in output.modality["heat"]
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        told.append(auxiliary_progress(output, labels, views, layered.families))
    names = {"heat": [transform.name for transform in families["heat"]]}
    complaints = [line for line in cannot_learn(told, names) if "heat" in line]
    assert len(complaints) == 1
    assert complaints[0].startswith("no auxiliary of heat tells identity from time reversal: ")
