"""What a few labelled windows of a person never seen are worth, and when an action never seen is unknown.

    OMP_NUM_THREADS=1 python benchmarks/update.py [--work DIR] [--draws 10] [--out FILE]

Data: UTD-MHAD below SENSORKD_DATA, five people, 27 actions done four times each, the worn sensor alone:
examples/configs/utd_inertial.yaml with all labels, `method.name=ce`, 250 steps. Runs in --work serve again.

1. Trained without one person, then 1, 2 and 3 windows of each action of that person: accuracy on the rest of
   their windows. There are four of each, so that after 4 nothing would be left to judge by.
2. Trained without one person, one more for dev, and five actions: each of these in turn becomes a new class
   from 5 windows of other people.
3. The same students: `unknown` at its stated rate, its threshold from dev, on the person never seen.

Intervals are of the mean over people, 95 %, by Student's t: people are what is drawn at random.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats
from sklearn.metrics import roc_auc_score
from update_parts.people import ALL, CONFIG, Person, actions, person
from update_parts.rivals import RIVALS

from sensorkd.edge.examples import Examples, shared_weight
from sensorkd.edge.novelty import Novelty
from sensorkd.edge.patch import Patch
from sensorkd.edge.update import Learned, learn
from sensorkd.errors import GateError
from sensorkd.evaluation.tables import text_table

PEOPLE = ("1", "2", "3", "5", "7")
EACH, NEW, HIDDEN, SETS = (1, 2, 3), 5, 5, 2
Figures = dict[str, list[float]]


def main() -> int:
    options = arguments()
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    told = actions(
        Path(os.environ["SENSORKD_DATA"]) / "utd_mhad", CONFIG.parents[1] / "layouts/utd_mhad.yaml"
    )
    found = {"few windows": few_windows(options.work, told, options.draws)}
    found |= new_actions(options.work, told)
    report(found)
    if options.out:
        options.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/update"), help="folder of the runs")
    parser.add_argument("--draws", type=int, default=10, help="of labelled windows, for each person")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    return parser.parse_args()


def few_windows(work: Path, told: dict[str, str], draws: int) -> dict[str, Any]:
    """Way and windows a class -> figures by person, each the mean over draws."""
    every: dict[str, dict[str, list[float]]] = {}
    for held_out in PEOPLE:
        one, figures = person(held_out, work, told=told), dict[str, Figures]()
        rng = np.random.default_rng(int(held_out))
        for each in EACH:
            for _ in range(draws):
                labelled = drawn(one, one.rows(), each, rng)
                for name, values in compared(one, labelled).items():
                    for key, value in values.items():
                        figures.setdefault(f"{name}, {each}", {}).setdefault(key, []).append(value)
        for name, values in figures.items():
            for key, items in values.items():
                every.setdefault(name, {}).setdefault(key, []).append(float(np.mean(items)))
    return every


def drawn(one: Person, rows: Any, each: int, rng: np.random.Generator) -> Any:
    """So many windows of each action."""
    return np.concatenate(
        [rng.permutation(rows[one.label[rows] == c])[:each] for c in range(len(one.classes))]
    )


def compared(one: Person, labelled: Any) -> dict[str, dict[str, float]]:
    """Way -> accuracy on the rest of the person, with one sensor alone, and on the others."""
    rest, fitted = np.setdiff1d(one.rows(), labelled), one.trained_on

    def figures(judge: Any) -> dict[str, float]:
        right = [
            np.mean(judge(one.embedding[q][rows], one.logits[q][rows]).argmax(axis=1) == one.label[rows])
            for q, rows in ((ALL, rest), (1, rest), (2, rest), (ALL, fitted))
        ]
        return {"rest": right[0], "one sensor": (right[1] + right[2]) / 2, "others": right[3]}

    ways = {"as trained": figures(lambda x, logits: logits)}
    begun = time.perf_counter()
    learned = taught(one, labelled, one.classes, most_lost=1.0)
    taken = time.perf_counter() - begun
    ways["sensorkd"] = {**figures(lambda x, logits: learned.correction(logits, x)), "ms": taken * 1e3}
    ways["sensorkd"]["bytes"] = patch_bytes(learned)
    ways["sensorkd"]["kept lost"] = learned.before - learned.after
    for name, rival in RIVALS.items():
        begun = time.perf_counter()
        judge = rival(one.statistics, one.embedding[ALL][labelled].astype(float), one.label[labelled])
        ways[name] = {"ms": (time.perf_counter() - begun) * 1e3, **figures(judge)}
    return ways


def taught(one: Person, rows: Any, classes: tuple[str, ...], *, new: int = -1, **options: Any) -> Learned:
    """As a device learns, without the time that the model takes for the windows themselves."""
    subsets = one.statistics.subsets
    window, subset = (
        np.tile(np.arange(len(rows)), len(subsets)),
        np.repeat(np.arange(len(subsets)), len(rows)),
    )
    label = np.where(one.label[rows] < 0, new, one.label[rows])
    examples = Examples(
        embedding=one.embedding[:, rows].reshape(len(window), -1).astype(float),
        label=np.tile(label, len(subsets)),
        subset=subset,
        weight=shared_weight(window, subsets.sum(axis=1)[subset]),
        window=window,
        classes=classes,
    )
    return learn(one.statistics, one.classes, examples, **options)


def patch_bytes(learned: Learned) -> int:
    """Of what would ship."""
    return len(Patch(1, "0" * 64, "", learned.correction).to_bytes(secrets.token_bytes(32)))


def new_actions(work: Path, told: dict[str, str]) -> dict[str, Any]:
    """Figures by person of every hidden action as a new class, and of `unknown`."""
    added: list[Figures] = []
    unknown: list[Figures] = []
    names, rng = sorted(set(told.values())), np.random.default_rng(0)
    for turn, held_out in enumerate(PEOPLE):
        order = rng.permutation(names).tolist()
        new, far = Figures(), Figures()
        for number in range(SETS):
            hidden = sorted(order[HIDDEN * number : HIDDEN * (number + 1)])
            one = person(held_out, work, dev=PEOPLE[(turn + 1) % len(PEOPLE)], hidden=hidden, told=told)
            gather(far, distances(one))
            for action in hidden:
                gather(new, new_class(one, action, rng))
        added.append({key: [float(np.mean(values))] for key, values in new.items()})
        unknown.append({key: [float(np.mean(values))] for key, values in far.items()})
    return {"new class": merged(added), "unknown": merged(unknown)}


def gather(into: Figures, figures: Mapping[str, float]) -> None:
    for key, value in figures.items():
        into.setdefault(key, []).append(float(value))


def merged(people: list[Figures]) -> Figures:
    return {key: [value for item in people for value in item[key]] for key in people[0]}


def new_class(one: Person, action: str, rng: np.random.Generator) -> dict[str, float]:
    """5 windows of other people's; the person's own that are found, and what becomes of old classes."""
    number = len(one.classes)
    labelled = rng.permutation(np.flatnonzero((one.action == action) & (one.subject != one.held_out)))[:NEW]
    mine = np.flatnonzero((one.action == action) & (one.subject == one.held_out))
    old = one.rows()
    before = float(np.mean(one.logits[ALL][old].argmax(axis=1) == one.label[old]))
    try:
        learned = taught(one, labelled, (*one.classes, action), new=number)
    except GateError:
        return {"refused": 1.0, "found": 0.0, "old before": before, "old after": before, "false": 0.0}
    said = {
        name: learned.correction(one.logits[ALL][rows], one.embedding[ALL][rows]).argmax(axis=1)
        for name, rows in (("new", mine), ("old", old))
    }
    return {
        "refused": 0.0,
        "found": float(np.mean(said["new"] == number)),
        "old before": before,
        "old after": float(np.mean(said["old"] == one.label[old])),
        "false": float(np.mean(said["old"] == number)),
    }


def distances(one: Person) -> dict[str, float]:
    """`unknown` on the person never seen, with all sensors and with each alone; and from training windows."""
    found: dict[str, float] = {}
    novelty = Novelty(one.statistics, one.rule)
    for number, subset in enumerate(one.statistics.subsets):
        name = one.rule.subsets[number] if one.rule is not None else str(number)
        sides = {"known": one.rows(), "new": one.rows(known=False), "trained": one.trained_on}
        far, called = {}, {}
        for side, rows in sides.items():
            here = np.broadcast_to(subset, (len(rows), len(subset)))
            far[side] = novelty.distances(one.embedding[number][rows], here)
            called[side] = novelty.unknown(one.embedding[number][rows], here)
        truth = np.repeat([0, 1], [len(far["known"]), len(far["new"])])
        found[f"{name}: AUROC"] = float(roc_auc_score(truth, np.concatenate([far["known"], far["new"]])))
        found[f"{name}: false alarms"] = float(called["known"].mean())
        found[f"{name}: detected"] = float(called["new"].mean())
        if number == ALL:
            naive = np.quantile(far["trained"], 0.99)
            found[f"{name}: false alarms, threshold from training windows"] = float(
                np.mean(far["known"] > naive)
            )
    return found


def report(found: Mapping[str, Any]) -> None:
    keys = ["rest", "one sensor", "others", "kept lost", "ms", "bytes"]
    rows = [
        [name, *(told_mean(values.get(key), key) for key in keys)]
        for name, values in found["few windows"].items()
    ]
    print(
        text_table(["way, windows of each action", "rest of the person", "with one sensor", *keys[2:]], rows)
    )
    for part in ("new class", "unknown"):
        print(f"\n{part}")
        print(text_table(["", "mean over people"], list(lines(found[part]))))


def lines(figures: Figures) -> Iterator[list[str]]:
    for key, values in figures.items():
        yield [key, told_mean(values, key)]


def told_mean(values: list[float] | None, key: str) -> str:
    """Mean and half the width of its interval."""
    if not values:
        return ""
    mean, form = float(np.mean(values)), ".0f" if key in ("ms", "bytes") else ".3f"
    if key in ("ms", "bytes") or len(values) < 2:
        return format(mean, form)
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{mean:{form}} +- {half:{form}}"


if __name__ == "__main__":
    sys.exit(main())
