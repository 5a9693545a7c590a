"""Pseudo-labels against loops, and what windows without a label may touch."""

from __future__ import annotations

import math

import pytest
import torch

from sensorkd.distillation.methods import Method, method_named
from sensorkd.distillation.pretext import transform_all
from sensorkd.distillation.pseudo_labels import Alignment, pseudo_labels
from sensorkd.distillation.sight import Sight, select_rows, undisturbed
from sensorkd.distillation.terms import loss_terms, unlabelled_terms
from tests.distillation.test_terms import fused_target

VIEWS = [0, 3]
PRESENCE = torch.tensor([[1, 1, 1], [1, 0, 1], [1, 1, 1], [1, 1, 0], [0, 1, 0], [1, 0, 0]]).float()
WINDOWS, CLASSES = 6, 3


@torch.no_grad()
def said_by(layered, prepared, families):
    rows = transform_all(prepared, families, VIEWS)
    presence = PRESENCE.repeat(2, 1)
    return Sight(rows, presence, presence, VIEWS).shown_to(layered)


def told(method, output, layered, *, source=None, own=False, earlier=None, alpha=0.0):
    pseudo = None
    if source is not None:
        pseudo = pseudo_labels(select_rows(source, torch.arange(WINDOWS)), method, own=own)
    return unlabelled_terms(
        output,
        method=method,
        presence=PRESENCE.repeat(2, 1),
        views=VIEWS,
        families=layered.families,
        earlier=earlier,
        alpha=alpha,
        pseudo=pseudo,
    )


def softmax(row):
    exponents = [math.exp(value - max(row)) for value in row]
    return [value / sum(exponents) for value in exponents]


def lesson(method, probabilities):
    """What one row is taught, and whether it is."""
    best = max(probabilities)
    if method.pseudo == "hard":
        return [float(p == best) for p in probabilities], best >= method.threshold
    return probabilities, best >= method.threshold


def marginal(row):
    p = softmax(row)
    size = len(p) // CLASSES
    return [sum(p[n * size : (n + 1) * size]) for n in range(CLASSES)]


def cost_of(row, target, shares, *, squared):
    """Of the class under each transform that the row may be of, in the mean of their logarithms."""
    p, size = softmax(row), len(target)
    given = []
    for n in range(CLASSES):
        under = [p[n * size + j] / sum(p[k * size + j] for k in range(CLASSES)) for j in range(size)]
        given.append(math.exp(sum(t * math.log(q) for t, q in zip(target, under, strict=True))))
    if squared:
        return sum((a - b) ** 2 for a, b in zip(given, shares, strict=True)) / CLASSES
    return -sum(s * math.log(a) for s, a in zip(shares, given, strict=True))


def slow_pseudo(method, output, source, families, own):
    """Row by row, auxiliary by auxiliary, of the modalities and of the fusion."""
    squared = method.pseudo == "mse"
    finals = [lesson(method, softmax(row)) for row in source.trunk.logits[:WINDOWS].tolist()]
    total = 0.0
    for row, (shares, taught) in zip(output.trunk.logits[:WINDOWS].tolist(), finals, strict=True):
        p = softmax(row)
        if squared:
            cost = sum((a - b) ** 2 for a, b in zip(p, shares, strict=True)) / CLASSES
        else:
            cost = -sum(s * math.log(a) for s, a in zip(shares, p, strict=True))
        total += cost * taught / WINDOWS
    parts, sizes = [], [len(family) for family in families.values()]
    for stage, head in enumerate(output.fused):
        costs = []
        for row in range(WINDOWS * 2):
            shares, taught = finals[row % WINDOWS]
            if own:
                shares, taught = lesson(method, marginal(source.fused[stage][row % WINDOWS].tolist()))
            alike = fused_target(PRESENCE[row % WINDOWS].tolist(), VIEWS[row // WINDOWS], sizes)
            costs.append(cost_of(head[row].tolist(), alike, shares, squared=squared) * taught)
        parts.append(sum(costs) / len(costs))
    names = list(families)
    for column, name in enumerate(names):
        kept = [r for r in range(WINDOWS * 2) if PRESENCE[r % WINDOWS, column]]
        size = len(families[name])
        for stage, head in enumerate(output.modality[name]):
            costs = []
            for position, row in enumerate(kept):
                shares, taught = finals[row % WINDOWS]
                if own:
                    identity = kept.index(row % WINDOWS)
                    shares, taught = lesson(method, marginal(source.modality[name][stage][identity].tolist()))
                target = [float(j == VIEWS[row // WINDOWS] % size) for j in range(size)]
                costs.append(cost_of(head[position].tolist(), target, shares, squared=squared) * taught)
            parts.append(sum(costs) / len(costs))
    return total, parts


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize(
    ("pseudo", "threshold"), [("hard", 0.0), ("hard", 0.4), ("soft", 0.35), ("mse", 0.0)]
)
def test_pseudo_labels_are_learned_as_their_formulas_say(
    make_layered, prepared, families, pseudo, threshold, own
):
    layered, past = make_layered(), make_layered(seed=9)
    method = method_named(
        "sad",
        {
            "unlabelled": 1.0,
            "pseudo": pseudo,
            "threshold": threshold,
            "strong": not own,
            **({"pseudo_from": "earlier", "earlier": "ema"} if own else {}),
        },
    )
    output, source = (said_by(network, prepared, families) for network in (layered, past))
    terms = told(method, output, layered, source=source, own=own)
    final, parts = slow_pseudo(method, output, source, families, own)
    assert float(terms["pseudo"]) == pytest.approx(final, rel=1e-4, abs=1e-7)
    assert float(terms["pseudo_sad"]) == pytest.approx(sum(parts) / len(parts), rel=1e-4, abs=1e-7)


def test_class_part_and_transform_part_make_up_the_joint_label(layered, prepared, families):
    """A pseudo-label that is right and certain teaches auxiliaries what the label itself would."""
    output = said_by(layered, prepared, families)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    method = method_named("sad", {"unlabelled": 1.0, "pseudo": "hard"})
    knowing = said_by(layered, prepared, families)
    knowing.trunk.logits[:] = 0
    knowing.trunk.logits[torch.arange(12), labels.repeat(2)] = 50.0
    terms = told(method, output, layered, source=knowing)
    labelled = loss_terms(
        output,
        method=method,
        labels=labels,
        presence=PRESENCE.repeat(2, 1),
        views=VIEWS,
        families=layered.families,
        earlier=None,
        alpha=0.0,
    )
    assert float(terms["pseudo"]) == pytest.approx(float(labelled["label"]), rel=1e-5)
    joint = float(terms["sad_unlabelled"]) + float(terms["pseudo_sad"])
    # Where a modality repeats transforms, the fused class part is a mean over those that look alike.
    assert joint == pytest.approx(float(labelled["sad"]), rel=0.02)


def test_nothing_likely_enough_teaches_nothing(layered, prepared, families):
    output = said_by(layered, prepared, families)
    method = Method("some", sad=1, views=2, unlabelled=1, pseudo="hard", threshold=1.0)
    terms = told(method, output, layered, source=output)
    assert float(terms["pseudo"]) == 0 and float(terms["pseudo_sad"]) == 0


def test_terms_without_labels_are_those_of_labelled_windows(layered, prepared, families):
    """Of the same windows: all that labels take no part in is the same, name by name."""
    output = said_by(layered, prepared, families)
    method = Method("all", sad=1, cross=1, deep=1, feat=1, out=1, views=2, unlabelled=1)
    free = told(method, output, layered)
    unknown = loss_terms(
        output,
        method=method,
        labels=torch.full((6,), -1),
        presence=PRESENCE.repeat(2, 1),
        views=VIEWS,
        families=layered.families,
        earlier=None,
        alpha=0.0,
    )
    unknown.pop("label")
    assert {name.removesuffix("_unlabelled") for name in free} == set(unknown)
    for name, term in unknown.items():
        assert torch.equal(free[f"{name}_unlabelled"], term), name


def test_names_and_weights_of_terms_agree(layered, prepared, families):
    numbers = {"unlabelled": 0.5, "pseudo": "hard", "pseudo_from": "earlier", "doubt": 0.0}
    method = method_named("lsskd", numbers)
    output = said_by(layered, prepared, families)
    terms = told(method, output, layered, source=output, own=True, earlier=output, alpha=0.2)
    weights = method.unlabelled_weights(5, 10)
    assert terms.keys() == weights.keys()
    assert weights["cross_unlabelled"] == 0.25 and weights["pseudo_sad"] == 0.5


def test_alignment_brings_predictions_to_the_class_shares():
    """ReMixMatch: p * pi / running mean, normalised."""
    alignment = Alignment(torch.tensor([0.5, 0.5]))
    skewed = torch.tensor([[0.9, 0.1], [0.7, 0.3]])
    mean = torch.tensor([0.5, 0.5])
    for _ in range(600):
        got = alignment.aligned("final", skewed)
        mean = mean + (skewed.mean(dim=0) - mean) / 128
    raised = skewed * 0.5 / mean
    assert torch.allclose(got, raised / raised.sum(dim=1, keepdim=True), atol=1e-5)
    assert float(got.mean(dim=0)[0]) < 0.6
    again = Alignment(torch.tensor([0.5, 0.5]))
    again.load_state(alignment.state())
    assert torch.equal(again.aligned("final", skewed), alignment.aligned("final", skewed))


def test_classifiers_are_aligned_one_by_one():
    alignment = Alignment(torch.tensor([0.5, 0.5]))
    alignment.aligned("final", torch.tensor([[0.9, 0.1]]))
    assert "fused/0" not in alignment.state()
    alignment.aligned("fused/0", torch.tensor([[0.1, 0.9]]))
    assert alignment.state()["final"][0] > 0.5 > alignment.state()["fused/0"][0]


def test_what_is_asked_beside_training_leaves_no_trace(make_layered, prepared):
    layered = make_layered(dropout=0.5).train()
    before = {name: value.clone() for name, value in layered.state_dict().items()}
    everything = torch.ones(6, 3)
    state = torch.get_rng_state()
    with undisturbed(layered):
        one = Sight(prepared, everything, everything).shown_to(layered)
        other = Sight(prepared, everything, everything).shown_to(layered)
    assert torch.equal(one.trunk.logits, other.trunk.logits) and not one.trunk.logits.requires_grad
    assert torch.equal(state, torch.get_rng_state())
    after = layered.state_dict()
    assert all(
        torch.equal(before[name], after[name]) for name in before if not name.endswith("batches_tracked")
    )
    assert all(module.training for module in layered.modules())
