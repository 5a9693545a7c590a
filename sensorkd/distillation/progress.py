"""How well auxiliaries name class and transform, and which transforms they cannot tell apart.

Axes: B windows, V views, R rows, N classes, M transforms; a joint label is y * M + j.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sensorkd.distillation.pretext import equivalent_transforms
from sensorkd.distillation.teaching import seen_rows
from sensorkd.models.layered import LayeredOutput

__all__ = ["NEAR_CHANCE", "PAIR", "auxiliary_progress", "cannot_learn", "mean_progress"]

Progress = dict[str, dict[str, float]]
# Between the two transforms of a pair, as "0|2".
PAIR = "|"
# Of the way from guessing (half of the pairs right) to knowing, how much counts as not learned.
NEAR_CHANCE = 0.2
# The end of a run: the share of its epochs that are averaged.
END = 0.25


@torch.no_grad()
def auxiliary_progress(
    output: LayeredOutput, labels: Tensor, views: Sequence[int], families: Mapping[str, int]
) -> Progress:
    """Accuracies of every auxiliary in a batch, by its name: `heat/stage1`, `fused/stage3`.

    joint: share of labelled rows whose class and transform are both named. class: of labelled rows, the
    likeliest class, transforms summed out. transform: of all rows, the likeliest transform, classes summed
    out. chance: what `transform` would be by always naming the most frequent one, which is the identity
    (every batch has it), so it is well above 1 / M. "0|2": of a row under transform 0 and one under 2, how
    often the auxiliary knows which is which; 0.5 by guessing, however often each is drawn. By guessing,
    class is 1 / N and joint is chance / N.

    A fused auxiliary is right with any index that the modalities logged in a window do not tell from the
    right one. Modality dropout hides more from it, which counts against it.

    Args:
        output: of V * B rows, view by view. labels: (B,), -1 where unknown. views: V joint indices.
        families: modality -> M_m, in the order of presence.

    Returns:
        What the batch has no rows for is left out.
    """
    device = output.trunk.logits.device
    row_labels = labels.to(device).repeat(len(views))
    row_views = torch.tensor(views, device=device).repeat_interleave(len(labels))
    found: Progress = {}
    for name, heads in output.modality.items():
        rows = seen_rows(output, name)
        alike = F.one_hot(row_views[rows] % families[name], families[name]).bool()
        for number, head in enumerate(heads, start=1):
            right = _accuracies(head, row_labels[rows], row_views[rows] % families[name], alike)
            found[f"{name}/stage{number}"] = right
    alike = equivalent_transforms(_presence(output, families), list(families.values())) > 0
    alike = alike[torch.arange(len(row_views), device=device), row_views]
    for number, head in enumerate(output.fused, start=1):
        found[f"fused/stage{number}"] = _accuracies(head, row_labels, row_views, alike)
    return found


def _presence(output: LayeredOutput, families: Mapping[str, int]) -> Tensor:
    """(R, K): which modalities were logged."""
    logits = output.trunk.logits
    presence = torch.zeros(len(logits), len(families), device=logits.device)
    for column, name in enumerate(families):
        presence[seen_rows(output, name), column] = 1
    return presence


def _accuracies(logits: Tensor, labels: Tensor, transforms: Tensor, alike: Tensor) -> dict[str, float]:
    """Of one auxiliary: logits (R, N * M), labels and transforms (R,), alike (R, M) what counts as right."""
    size = alike.shape[1]
    logp = F.log_softmax(logits, dim=1).reshape(len(logits), -1, size)
    known, found = labels >= 0, dict[str, float]()
    if known.any():
        best = logp[known].flatten(1).argmax(dim=1)
        of_transform = alike[known].gather(1, (best % size)[:, None])[:, 0]
        right = (best // size == labels[known]) & of_transform
        found["joint"] = _share(right)
        found["class"] = _share(logp[known].logsumexp(dim=2).argmax(dim=1) == labels[known])
    if size == 1 or not len(logits):
        return found
    marginal = logp.logsumexp(dim=1)
    found["transform"] = _share(alike.gather(1, marginal.argmax(dim=1, keepdim=True)))
    found["chance"] = float(alike.float().mean(dim=0).max())
    return found | dict(_pairs(marginal, transforms, alike))


def _pairs(marginal: Tensor, transforms: Tensor, alike: Tensor) -> Iterator[tuple[str, float]]:
    """ "i|j" -> of one row under i and one under j, how often the first is the likelier i; ties count half.

    Ranks (the area under the ROC curve), not verdicts: the identity is drawn more often than others, so an
    auxiliary that tells them apart may well call all of them the identity.
    """
    for one, other in itertools.combinations(sorted(set(transforms.tolist())), 2):
        evidence = marginal[:, one] - marginal[:, other]
        first = evidence[(transforms == one) & ~alike[:, other]]
        second = evidence[(transforms == other) & ~alike[:, one]]
        if len(first) and len(second):
            difference = first[:, None] - second[None]
            yield f"{one}{PAIR}{other}", float((difference.sign().mean() + 1) / 2)


def _share(right: Tensor) -> float:
    return float(right.float().mean())


def mean_progress(parts: Sequence[Mapping[str, Mapping[str, float]]]) -> Progress:
    """Of several batches, each accuracy averaged over those that have it."""
    gathered: dict[str, dict[str, list[float]]] = {}
    for part in parts:
        for name, accuracies in part.items():
            for kind, value in accuracies.items():
                gathered.setdefault(name, {}).setdefault(kind, []).append(value)
    return {
        name: {kind: sum(values) / len(values) for kind, values in kinds.items()}
        for name, kinds in gathered.items()
    }


def cannot_learn(
    history: Sequence[Mapping[str, Mapping[str, float]]],
    transforms: Mapping[str, Sequence[str]] | None = None,
) -> list[str]:
    """What auxiliaries could not tell apart at the end of a run, one sentence each; empty where all is well.

    A pair of transforms that no stage of a modality tells apart leaves no trace in it, or destroys what the
    class is told by (an axis flip where direction is the fault): as a pretext it does no good. A single
    auxiliary that tells no pair apart stands where the trace is not yet seen: it costs and does not teach.

    Args:
        history: `auxiliary_progress` of a run, epoch by epoch; the mean over its last quarter decides.
        transforms: modality -> names of its transforms, for the sentences.
    """
    end = mean_progress(history[-max(1, round(END * len(history))) :]) if history else {}
    pairs = {
        name: {kind: value for kind, value in accuracies.items() if PAIR in kind}
        for name, accuracies in end.items()
    }
    told: list[str] = []
    for modality in dict.fromkeys(name.partition("/")[0] for name in pairs):
        stages = {name: some for name, some in pairs.items() if name.partition("/")[0] == modality and some}
        names = (transforms or {}).get(modality, ())
        seen = sorted({pair for some in stages.values() for pair in some})
        best = {pair: max(some[pair] for some in stages.values() if pair in some) for pair in seen}
        blind = {pair: value for pair, value in best.items() if _guessed(value)}
        for pair, value in blind.items():
            one, other = (_named(int(index), names) for index in pair.split(PAIR))
            told.append(
                f"no auxiliary of {modality} tells {one} from {other}: {value:.0%} right, 50% by guessing"
            )
        for name, some in stages.items():
            if len(blind) < len(seen) and all(_guessed(value) for value in some.values()):
                told.append(
                    f"{name} tells no transforms apart: {max(some.values()):.0%} right, 50% by guessing"
                )
    return told


def _guessed(pair: float) -> bool:
    return (pair - 0.5) / 0.5 < NEAR_CHANCE


def _named(index: int, names: Sequence[str]) -> str:
    return names[index] if index < len(names) else f"transform {index}"
