"""The whole loss against loops over every modality, stage and view, with modalities absent."""

from __future__ import annotations

import math

import pytest
import torch

from sensorkd.distillation.alive import check_alive
from sensorkd.distillation.methods import Method
from sensorkd.distillation.pretext import equivalent_transforms, transform_all
from sensorkd.distillation.terms import loss_terms
from sensorkd.errors import DeadTermError

ALL_ON = Method(
    "all", sad=1, cross=0.5, deep=0.5, feat=0.1, out=1, views=3, earlier="snapshot", alpha=0.3, temperature=2
)
VIEWS = [0, 3, 2]
LABELS = torch.tensor([0, 2, -1, 1, 1, -1])
# Six windows; the last has the movement alone, the fourth no camera, the fifth heat alone.
PRESENCE = torch.tensor([[1, 1, 1], [1, 0, 1], [1, 1, 1], [1, 1, 0], [0, 1, 0], [1, 0, 0]]).float()
# What is hidden from the fusion of some rows, by modality dropout.
HIDDEN = {(0, 1): 0, (6, 0): 0, (8, 2): 0, (13, 2): 0}


def softmax(row, temperature=1.0):
    exponents = [math.exp((value - max(row)) / temperature) for value in row]
    return [value / sum(exponents) for value in exponents]


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def kl(teacher, student):
    return sum(t * (math.log(t) - math.log(s)) for t, s in zip(teacher, student, strict=True))


def row_presence():
    presence = PRESENCE.repeat(len(VIEWS), 1)
    for (row, column), value in HIDDEN.items():
        presence[row, column] = value
    return presence


def outputs(layered, prepared, families):
    rows = transform_all(prepared, families, VIEWS)
    return layered(rows, PRESENCE.repeat(len(VIEWS), 1), row_presence())


def fused_target(seen, j, sizes):
    """Shares of the indices that look like j to every modality the fusion saw."""
    alike = [
        i
        for i in range(max(sizes))
        if all(i % size == j % size for size, here in zip(sizes, seen, strict=True) if here)
    ]
    return [1 / len(alike) if i in alike else 0.0 for i in range(max(sizes))]


def joint_loss(q, y, target, before, alpha, shares=None):
    p, size = softmax(q), len(target)
    if shares is not None:
        under = [sum(p[n * size + j] for n in range(len(shares))) for j in range(size)]
        # log q(j) is learned wholly, log q(y | j) as far as the label counts.
        loss = -sum(
            t
            * (
                math.log(under[j])
                + sum(s * math.log(p[n * size + j] / under[j]) for n, s in enumerate(shares))
            )
            for j, t in enumerate(target)
        )
    elif y >= 0:
        loss = -sum(t * math.log(p[y * size + j]) for j, t in enumerate(target))
    else:
        classes = len(p) // size
        loss = -sum(t * math.log(sum(p[n * size + j] for n in range(classes))) for j, t in enumerate(target))
    if before is None:
        return loss
    soft = -sum(b * math.log(v) for b, v in zip(softmax(before), p, strict=True))
    return (1 - alpha) * loss + alpha * soft


def slow_label(said, past, targets, alphas):
    """The label's part is a mean over the windows that have one, the earlier self's over all."""
    costs = [
        -sum(t * math.log(p) for t, p in zip(row, said[r], strict=True)) for r, row in enumerate(targets)
    ]
    known = sum(sum(row) > 0 for row in targets)
    if past is None:
        return sum(costs) / known
    hard = sum((1 - alpha) * cost for alpha, cost in zip(alphas, costs, strict=True)) / known
    soft = [-sum(b * math.log(p) for b, p in zip(past[r], said[r], strict=True)) for r in range(len(said))]
    return hard + mean(alpha * cost for alpha, cost in zip(alphas, soft, strict=True))


def slow_terms(output, earlier, families, alpha, tau, adjustment=(0.0, 0.0, 0.0), shares=None, trust=None):
    """Windows, views, modalities and stages one by one, as the formulas of the method read.

    adjustment: added to every logit of a class, in the two terms that labels take part in. shares: of
    classes, instead of labels. trust: of rows, how far the earlier self softens them.
    """
    trust = [1.0] * len(LABELS) * len(VIEWS) if trust is None else trust

    def told(row):
        return [f + adjustment[k * len(adjustment) // len(row)] for k, f in enumerate(row)]

    batch, sizes, names = len(LABELS), [len(f) for f in families.values()], list(families)
    logits = output.trunk.logits.tolist()
    classes, count = len(logits[0]), max(sizes)
    seen = row_presence().tolist()
    stages = len(output.fused)
    where = {}
    for column, name in enumerate(names):
        kept = [r for r in range(batch * len(VIEWS)) if PRESENCE[r % batch, column]]
        where[name] = {row: position for position, row in enumerate(kept)}
    past = None if earlier is None else earlier.trunk.logits.tolist()

    label = slow_label(
        [softmax(told(logits[r])) for r in range(batch)],
        None if past is None else [softmax(told(past[r])) for r in range(batch)],
        [[float(n == int(y)) for n in range(classes)] for y in LABELS] if shares is None else shares,
        [alpha * trust[r] for r in range(batch)],
    )

    sad, cross = [], []
    for s in range(stages):
        fused = output.fused[s].tolist()
        sad.append(
            mean(
                joint_loss(
                    told(fused[v * batch + b]),
                    int(LABELS[b]),
                    fused_target(seen[v * batch + b], j, sizes),
                    None if earlier is None else told(earlier.fused[s][v * batch + b].tolist()),
                    alpha * trust[v * batch + b],
                    None if shares is None else shares[b],
                )
                for v, j in enumerate(VIEWS)
                for b in range(batch)
            )
        )
        for name, size in zip(names, sizes, strict=True):
            heads = output.modality[name][s].tolist()
            losses, divergences = [], []
            for row, position in where[name].items():
                j = VIEWS[row // batch] % size
                losses.append(
                    joint_loss(
                        told(heads[position]),
                        int(LABELS[row % batch]),
                        [float(i == j) for i in range(size)],
                        None if earlier is None else told(earlier.modality[name][s][position].tolist()),
                        alpha * trust[row],
                        None if shares is None else shares[row % batch],
                    )
                )
                teacher = [0.0] * (classes * size)
                for k, p in enumerate(softmax(fused[row], tau)):
                    teacher[k // count * size + k % count % size] += p
                divergences.append(tau**2 * kl(teacher, softmax(heads[position], tau)))
            sad.append(mean(losses))
            cross.append(mean(divergences))

    deepest = [softmax(row, tau) for row in output.fused[-1].tolist()]
    last = output.projections[-1].tolist()
    return {
        "label": label,
        "sad": mean(sad),
        "cross": mean(cross),
        "deep": mean(
            mean(tau**2 * kl(t, softmax(q, tau)) for t, q in zip(deepest, fused.tolist(), strict=True))
            for fused in output.fused[:-1]
        ),
        "feat": mean(
            mean(
                sum((a - b) ** 2 for a, b in zip(x, y, strict=True))
                for x, y in zip(h.tolist(), last, strict=True)
            )
            for h in output.projections[:-1]
        ),
        "out": mean(
            tau**2
            * kl(
                [sum(deepest[r][n * count : (n + 1) * count]) for n in range(classes)],
                softmax(logits[r], tau),
            )
            for r in range(batch)
        ),
    }


# Weak and soft labels: sure, half sure, unknown, torn between two, weakly torn, unknown.
SHARES = [[1.0, 0, 0], [0, 0, 0.5], [0, 0, 0], [0, 0.7, 0.3], [0.1, 0.3, 0], [0, 0, 0]]
# Of 18 rows, those that the earlier self has seen before.
TRUST = [1.0, 0, 1, 1, 0, 1, 0, 0, 1, 1, 1, 1, 1, 0, 1, 0, 1, 0]


@pytest.mark.parametrize("trust", [None, TRUST])
@pytest.mark.parametrize("shares", [None, SHARES])
@pytest.mark.parametrize("adjustment", [None, (-0.2, -3.0, -1.5)])
@pytest.mark.parametrize("alpha", [None, 0.25])
def test_every_term_is_its_formula_over_modalities_stages_and_views(
    make_layered, prepared, families, alpha, adjustment, shares, trust
):
    layered = make_layered(widths=(4, 6, 8))
    output = outputs(layered, prepared, families)
    earlier = None if alpha is None else outputs(make_layered(widths=(4, 6, 8), seed=9), prepared, families)
    got = loss_terms(
        output,
        method=ALL_ON,
        labels=LABELS,
        presence=row_presence(),
        views=VIEWS,
        families=layered.families,
        earlier=earlier,
        alpha=alpha or 0.0,
        adjustment=None if adjustment is None else torch.tensor(adjustment),
        shares=None if shares is None else torch.tensor(shares),
        trust=None if trust is None else torch.tensor(trust),
    )
    logits = adjustment or (0.0, 0.0, 0.0)
    expected = slow_terms(output, earlier, families, alpha or 0.0, ALL_ON.temperature, logits, shares, trust)
    assert {name: float(term.detach()) for name, term in got.items()} == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("dropped", ["sad", "cross", "deep", "feat", "out"])
def test_a_term_of_weight_zero_is_neither_computed_nor_weighed(layered, prepared, families, dropped):
    method = Method("some", **{"sad": 1, "cross": 1, "deep": 1, "feat": 1, "out": 1, "views": 3, dropped: 0})
    got = loss_terms(
        outputs(layered, prepared, families),
        method=method,
        labels=LABELS,
        presence=row_presence(),
        views=VIEWS,
        families=layered.families,
        earlier=None,
        alpha=0.0,
    )
    assert set(got) == set(method.weights()) == {"label", "sad", "cross", "deep", "feat", "out"} - {dropped}


def test_plain_cross_entropy_needs_no_auxiliary(layered, prepared):
    bare = layered.without_auxiliaries()
    got = loss_terms(
        bare(prepared, PRESENCE),
        method=Method("ce"),
        labels=LABELS,
        presence=PRESENCE,
        views=[0],
        families=bare.families,
        earlier=None,
        alpha=0.0,
    )
    assert list(got) == ["label"]


def test_teaching_sides_get_no_gradient_through_the_terms(layered, prepared, families):
    """`cross`, `deep`, `feat` and `out` leave the auxiliary that teaches alone."""
    output = outputs(layered, prepared, families)
    terms = loss_terms(
        output,
        method=ALL_ON,
        labels=LABELS,
        presence=row_presence(),
        views=VIEWS,
        families=layered.families,
        earlier=None,
        alpha=0.0,
    )
    deepest = list(layered.fused_auxiliaries.values())[-1]
    for name in ("cross", "deep", "feat", "out"):
        gradients = torch.autograd.grad(
            terms[name], list(deepest.parameters()), retain_graph=True, allow_unused=True
        )
        assert all(gradient is None for gradient in gradients), name
    taught = torch.autograd.grad(terms["sad"], list(deepest.parameters()), allow_unused=True)
    assert all(gradient is not None for gradient in taught)


@pytest.mark.parametrize("sizes", [(4,), (4, 4), (4, 2), (2, 4, 3), (3, 2)])
def test_equivalent_transforms_are_those_no_present_modality_tells_apart(sizes):
    combinations = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * len(sizes)).reshape(-1, len(sizes))
    got = equivalent_transforms(combinations, sizes)
    for row, seen in enumerate(combinations.tolist()):
        for j in range(max(sizes)):
            assert got[row, j].tolist() == pytest.approx(fused_target(seen, j, sizes))


def test_one_stage_cannot_teach_itself(make_layered, prepared, families):
    layered = make_layered(widths=(4,))
    output = outputs(layered, prepared, families)
    for name in ("deep", "feat"):
        method = Method("one", views=3, **{name: 1.0})
        terms = loss_terms(
            output,
            method=method,
            labels=LABELS,
            presence=row_presence(),
            views=VIEWS,
            families=layered.families,
            earlier=None,
            alpha=0.0,
        )
        with pytest.raises(DeadTermError, match=name) as caught:
            check_alive(terms, layered)
        assert "at least two stages" in str(caught.value)
        assert f"method.{name}=0" in str(caught.value)


def test_a_term_without_gradient_is_dead(layered):
    weight = next(layered.parameters())
    alive = weight.square().sum()
    check_alive({"sad": alive}, layered)
    with pytest.raises(DeadTermError, match="no gradient to any weight") as caught:
        check_alive({"sad": alive, "out": alive.detach()}, layered)
    assert "'out'" in str(caught.value)
    assert "set method.out=0" in str(caught.value)
    with pytest.raises(DeadTermError, match="value 0"):
        check_alive({"out": alive * 0}, layered)


def test_a_first_batch_without_labels_is_told(layered, prepared):
    terms = loss_terms(
        layered(prepared, PRESENCE),
        method=Method("ce"),
        labels=torch.full((6,), -1),
        presence=PRESENCE,
        views=[0],
        families=layered.families,
        earlier=None,
        alpha=0.0,
    )
    with pytest.raises(DeadTermError, match="no labelled window"):
        check_alive(terms, layered)


def test_a_batch_without_a_modality_has_no_auxiliary_loss_of_it(layered, prepared, families):
    presence = PRESENCE.clone()
    presence[:, 2] = 0
    presence[4, 1] = 1
    output = layered(transform_all(prepared, families, [0, 1]), presence.repeat(2, 1))
    assert output.modality["camera"] == []
    terms = loss_terms(
        output,
        method=Method("all", sad=1, cross=1, deep=1, feat=1, out=1, views=2),
        labels=LABELS,
        presence=presence.repeat(2, 1),
        views=[0, 1],
        families=layered.families,
        earlier=None,
        alpha=0.0,
    )
    torch.stack(list(terms.values())).sum().backward()
    assert all(torch.isfinite(term) for term in terms.values())
    assert all(p.grad is None for p in layered.modality_auxiliaries["camera"].parameters())
    assert all(p.grad is not None for p in layered.modality_auxiliaries["heat"].parameters())
