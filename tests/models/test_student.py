from __future__ import annotations

import copy
import dataclasses
import itertools
import math
import pickle

import pytest
import torch

from sensorkd.errors import ConfigError
from sensorkd.models.cost import cost_of
from sensorkd.models.layered import LayeredStudent
from sensorkd.models.size import SIZES, size_named
from sensorkd.runs.build import example_inputs


def only(*columns, rows=5):
    presence = torch.zeros(rows, 3)
    presence[:, list(columns)] = 1
    return presence


def statistics(module):
    return {name: value.clone() for name, value in module.named_buffers() if "running" in name}


def test_logits_and_embedding_have_their_shapes(student, inputs):
    logits, embedding = student.eval()(inputs, torch.ones(5, 3))
    assert logits.shape == (5, 4)
    assert embedding.shape == (5, SIZES["tiny"].embedding)
    assert student.stages == SIZES["tiny"].stages


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("absent", [0, 1, 2])
def test_what_an_absent_input_holds_changes_nothing(student, inputs, absent, training):
    student.train(training)
    presence = only(*({0, 1, 2} - {absent}))
    other = dict(inputs)
    name = student.modalities[absent]
    filled = torch.full_like(inputs[name].double(), math.nan if name == "shake" else 77)
    other[name] = filled.to(inputs[name].dtype)
    results = []
    for samples in (inputs, other):
        torch.manual_seed(0)
        results.append(student(samples, presence))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


def test_every_present_input_matters(student, inputs):
    student.eval()
    everything = student(inputs, torch.ones(5, 3))[0]
    for absent in range(3):
        assert not torch.allclose(student(inputs, only(*({0, 1, 2} - {absent})))[0], everything)


def test_windows_are_judged_one_by_one(student, inputs):
    student.eval()
    presence = torch.tensor([[1, 1, 1], [1, 0, 0], [0, 1, 1], [0, 0, 1], [1, 1, 0]]).float()
    together = student(inputs, presence)[0]
    for row in range(5):
        alone = student({name: x[[row]] for name, x in inputs.items()}, presence[[row]])[0]
        assert torch.allclose(alone[0], together[row], atol=1e-5)


def test_training_skips_rows_of_an_absent_modality_and_their_statistics(make_layered, inputs):
    presence = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]]).float()
    student, reference = make_layered().student.train(), make_layered().student.train()
    prepared = student.prepare(inputs)
    output = student.trunk(prepared, presence)
    assert output.rows["shake"].tolist() == [0, 1, 3, 4]
    assert output.rows["heat"].tolist() == [0, 2, 4]
    assert output.rows["camera"] is None
    assert [m.shape[0] for m in output.maps["heat"]] == [3] * student.stages
    for name in student.modalities:
        rows = presence[:, student.modalities.index(name)] > 0
        reference.encode(name, prepared[name][rows])
        mine, theirs = statistics(student.encoder(name)), statistics(reference.encoder(name))
        assert all(torch.equal(mine[key], theirs[key]) for key in mine)


@pytest.mark.parametrize("training", [False, True])
def test_a_batch_without_a_modality_works(layered, inputs, training):
    layered.train(training)
    before = statistics(layered.student.encoder("camera"))
    output = layered(layered.student.prepare(inputs), only(0, 1))
    assert torch.isfinite(output.trunk.logits).all()
    assert all(torch.isfinite(q).all() for q in output.fused)
    after = statistics(layered.student.encoder("camera"))
    assert all(torch.equal(before[key], after[key]) for key in before)
    if training:
        assert output.modality["camera"] == []


@pytest.mark.parametrize("training", [False, True])
def test_a_window_of_nothing_has_a_finite_verdict(student, inputs, training):
    assert torch.isfinite(student.train(training)(inputs, torch.zeros(5, 3))[0]).all()


def test_fusion_can_be_shown_less_than_was_logged(student, inputs):
    student.eval()
    prepared = student.prepare(inputs)
    hidden = student.trunk(prepared, torch.ones(5, 3), only(0, 2))
    assert torch.allclose(hidden.logits, student.trunk(prepared, only(0, 2)).logits, atol=1e-6)
    assert len(hidden.maps["heat"]) == student.stages


def test_observing_moves_statistics_of_what_is_present_and_no_weight(student, inputs):
    student.train()
    weights = [parameter.clone() for parameter in student.parameters()]
    before = statistics(student)
    presence = only(0, 1)
    presence[0, 2] = 1
    student.observe(student.prepare(inputs), presence)
    after = statistics(student)
    moved = {name.split(".")[1] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"shake", "heat"}  # one window of video is too few for a deviation
    assert all(torch.equal(a, b) for a, b in zip(weights, student.parameters(), strict=True))


def test_wrapping_leaves_the_student_as_it_was(make_layered, inputs):
    student = make_layered().student.eval()
    before, logits = copy.deepcopy(student.state_dict()), student(inputs, torch.ones(5, 3))[0]
    layered = LayeredStudent(student, {"shake": 4, "heat": 2, "camera": 3})
    assert layered.student is student
    assert all(torch.equal(before[name], value) for name, value in student.state_dict().items())
    assert torch.equal(student(inputs, torch.ones(5, 3))[0], logits)
    assert torch.equal(layered.eval()(student.prepare(inputs), torch.ones(5, 3)).trunk.logits, logits)


def test_auxiliaries_predict_the_joint_labels_of_their_own_family(make_layered, inputs):
    student = make_layered().student
    layered = LayeredStudent(student, {"shake": 4, "heat": 2, "camera": 3})
    output = layered(student.prepare(inputs), torch.ones(5, 3))
    assert {name: [q.shape[1] for q in heads] for name, heads in output.modality.items()} == {
        "shake": [16] * 3,
        "heat": [8] * 3,
        "camera": [12] * 3,
    }
    assert [q.shape for q in output.fused] == [(5, 16)] * 3
    assert layered.transforms == 4


def test_the_students_weights_name_no_auxiliary(layered):
    names = set(layered.student.state_dict())
    assert not [name for name in names if "auxil" in name or "project.0" in name]
    all_names = set(layered.state_dict())
    rest = {name for name in all_names if not name.startswith("student.")}
    assert {f"student.{name}" for name in names} == all_names - rest
    assert rest
    assert all(name.split(".")[0] in ("modality_auxiliaries", "fused_auxiliaries") for name in rest)


def test_without_auxiliaries_the_very_same_student_remains(layered, inputs):
    bare = layered.without_auxiliaries()
    assert bare.student is layered.student
    assert {id(p) for p in bare.parameters()} == {id(p) for p in layered.student.parameters()}
    assert len(list(layered.parameters())) > len(list(bare.parameters()))
    output = bare.eval()(bare.student.prepare(inputs), torch.ones(5, 3))
    assert (output.modality, output.fused, output.projections) == ({}, [], [])
    assert bare.transforms == layered.transforms


def test_a_layered_student_survives_pickling(layered, inputs):
    again = pickle.loads(pickle.dumps(layered)).eval()
    expected = layered.eval().student(inputs, torch.ones(5, 3))
    assert torch.equal(again.student(inputs, torch.ones(5, 3))[0], expected[0])


def test_the_same_seed_builds_the_same_weights(make_layered):
    one, same, other = make_layered(seed=1), make_layered(seed=1), make_layered(seed=2)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(one.student.classifier.weight, other.student.classifier.weight)


def test_families_must_name_the_students_modalities(student):
    with pytest.raises(ValueError, match=r"\('shake', 'heat', 'camera'\), got \['shake'\]"):
        LayeredStudent(student, {"shake": 4})


def test_small_costs_more_than_tiny(make_layered, encodings):
    examples = example_inputs(encodings)
    costs = {size: cost_of(make_layered(size).student, examples) for size in ("tiny", "small")}
    assert costs["small"].parameters > 1.4 * costs["tiny"].parameters
    assert costs["small"].macs > 1.4 * costs["tiny"].macs
    # A hundred thousand weights and a few million operations: it fits a microcontroller with a DSP.
    assert 60_000 < costs["tiny"].parameters < 400_000
    assert 0.5e6 < costs["tiny"].macs < 20e6
    assert costs["tiny"].weight_bytes == 4 * costs["tiny"].parameters


def test_cost_counts_multiply_accumulates_of_one_window(make_layered, encodings):
    """A linear classifier of E x N adds E * N; nothing depends on the mode the student is in."""
    examples = example_inputs(encodings)
    few, many = make_layered(classes="ab").student, make_layered(classes="abcdefgh").student
    few.train()
    difference = cost_of(many, examples).macs - cost_of(few, examples).macs
    assert difference == 6 * SIZES["tiny"].embedding
    assert few.training


def test_an_unknown_size_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'small'"):
        size_named("smal")
    assert dataclasses.asdict(size_named("tiny"))["name"] == "tiny"


def test_a_lone_window_of_a_sensor_with_a_single_value_is_no_trouble_in_training(make_student_of_steps):
    """Batch norm has no statistics of one value: those so far serve, and stay as they were."""
    student, inputs = make_student_of_steps(1)
    student.train()
    presence = torch.tensor([[1, 1], [1, 0], [1, 0]]).float()
    student.trunk(student.prepare(inputs), torch.ones(3, 2))
    before = statistics(student.encoder("heat"))
    output = student.trunk(student.prepare(inputs), presence)
    assert output.maps["heat"][-1].shape == (1, SIZES["tiny"].signal_widths[-1], 1)
    after = statistics(student.encoder("heat"))
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert student.encoder("heat").training
    output.logits.sum().backward()
    assert student.encoder("heat").stages["stage1"][0].weight.grad is not None


def test_a_lone_window_of_several_values_is_its_own_statistics(make_student_of_steps):
    student, inputs = make_student_of_steps(8)
    student.train()
    before = statistics(student.encoder("heat"))
    student.trunk(student.prepare(inputs), torch.tensor([[1, 1], [1, 0], [1, 0]]).float())
    after = statistics(student.encoder("heat"))
    assert not any(torch.equal(value, after[name]) for name, value in before.items())


SUBSETS = [names for size in (1, 2, 3) for names in itertools.combinations(("shake", "heat", "camera"), size)]


@pytest.mark.parametrize("names", SUBSETS, ids="+".join)
def test_a_smaller_student_says_what_the_whole_one_says_without_the_others(student, inputs, names):
    """Whatever of its own sensors is there."""
    small = student.eval().only(names)
    presence = torch.tensor(list(itertools.product([0.0, 1.0], repeat=len(names))))[:5]
    whole = torch.zeros(len(presence), 3)
    whole[:, [student.modalities.index(name) for name in names]] = presence
    some = {name: values[: len(presence)] for name, values in inputs.items()}
    expected = student(some, whole)
    found = small({name: some[name] for name in names}, presence)
    for before, after in zip(expected, found, strict=True):
        assert torch.allclose(before, after, atol=2e-5)


def test_a_smaller_student_is_smaller_and_leaves_the_whole_one_alone(student, encodings):
    before = {name: value.clone() for name, value in student.state_dict().items()}
    whole = cost_of(student, example_inputs(encodings))
    small = student.only(["camera", "shake"])
    assert small.modalities == ("shake", "camera")  # the order of the whole one
    cost = cost_of(small, example_inputs({name: encodings[name] for name in small.modalities}))
    assert cost.parameters < whole.parameters and cost.macs < whole.macs
    assert not [name for name in small.state_dict() if "heat" in name]
    assert all(torch.equal(before[name], value) for name, value in student.state_dict().items())


@pytest.mark.parametrize("names", [[], ["shake", "smell"]])
def test_a_student_for_sensors_that_are_not_there_is_refused(student, names):
    with pytest.raises(ValueError, match="expected some of"):
        student.only(names)
