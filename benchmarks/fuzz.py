"""Damages archives at random and counts how reading them ends: refused, intact, different, crash, hang.

    OMP_NUM_THREADS=1 python benchmarks/fuzz.py [--cases 5000] [--seed 0] [--jobs 2]
        [--kinds KIND ...] [--out FILE]

Small archives of several kinds (recording-1.0 by the library's writer; foreign trees of the oldest and the
newest format, contiguous, gzip, fletcher32, text of variable length) are each damaged in several ways, a case
one damage of one archive. A child opens it, reads every sample and compares all that is told with the sound
archive. Twenty-five cases share a child; where it crashes or hangs, each of them is run again by itself. A
case is made from seed and number alone: `--only NUMBER` runs it again, `--keep FILE` writes its archive.

`differs` is wrong data without an error: a failure for recording-1.0, where everything lies under a checksum,
and the price of other formats. `defect` is any error that does not tell its reader what to do. Exit code 1 if
there is a defect, or a difference in recording-1.0.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_archives import Sound, sound_archives, told_of

from sensorkd.errors import SensorkdError
from sensorkd.processes import ChildLimits, in_children

BATCH = 25
SINGLE = ChildLimits(seconds=6.0, memory=2 << 30)
TOGETHER = ChildLimits(seconds=20.0, memory=2 << 30)
OUTCOMES = ("refused", "intact", "differs", "crash", "hang", "hunger", "defect")
DAMAGES = ("bit", "header bit", "chunk bit", "byte run", "zeros", "cut", "copied block", "other header")


@dataclass(frozen=True)
class Plan:
    """What every child knows."""

    sounds: tuple[Sound, ...]
    headers: tuple[bytes, ...]
    seed: int
    folder: Path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--kinds", nargs="+", help="of archives; all by default")
    parser.add_argument("--out", type=Path, help="JSON of the counts and of every case that went wrong")
    parser.add_argument("--only", type=int, help="one case, by itself")
    parser.add_argument("--keep", type=Path, help="with --only: write its archive to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        every = list(sound_archives(Path(folder)))
        sounds = [item for item in every if item.kind in (options.kinds or [item.kind])]
        headers = tuple(item.content[:4096] for item in every)
        plan = Plan(tuple(sounds), headers, options.seed, Path(folder))
        if options.keep:
            options.keep.write_bytes(damaged(plan, options.only))
        numbers = range(options.cases) if options.only is None else [options.only]
        begun = time.monotonic()
        ended = dict(run(plan, list(numbers), options.jobs))
    result: dict[str, Any] = {
        "seed": options.seed,
        "cases": len(ended),
        "seconds": round(time.monotonic() - begun, 1),
        "counts": counted(plan, ended),
        "wrong": {
            str(number): told for number, told in sorted(ended.items()) if told.split(":")[0] in OUTCOMES[2:]
        },
    }
    if options.out:
        options.out.write_text(json.dumps(result, indent=1), encoding="utf-8")
    print(table(result))
    return 1 if failures(result) else 0


def damaged(plan: Plan, number: int) -> bytes:
    """The archive of one case."""
    sounds = plan.sounds
    chosen, kind = sounds[number % len(sounds)], DAMAGES[number // len(sounds) % len(DAMAGES)]
    rng = np.random.default_rng([plan.seed, number])
    content = bytearray(chosen.content)
    size = len(content)

    def block(most: int) -> tuple[int, int]:
        length = min(size, int(2 ** rng.uniform(0, np.log2(most))))
        place = int(rng.integers(0, size - length + 1))
        return place, place + length

    if kind in ("bit", "header bit", "chunk bit"):
        content[_place(chosen, kind, rng)] ^= 1 << int(rng.integers(8))
    elif kind == "byte run":
        first, last = block(64)
        content[first:last] = rng.bytes(last - first)
    elif kind == "zeros":
        first, last = block(4096)
        content[first:last] = bytes(last - first)
    elif kind == "cut":
        del content[int(rng.integers(0, size)) :]
    elif kind == "copied block":
        first, last = block(1024)
        # Structures lie at multiples of 8: a block lands where it may be taken for one.
        place = int(rng.integers(0, size - (last - first) + 1)) // 8 * 8
        content[place : place + last - first] = content[first:last]
    else:
        other = plan.headers[int(rng.integers(len(plan.headers)))]
        length = block(4096)[1] % 4096 + 1
        content[:length] = other[:length]
    return bytes(content)


def _place(chosen: Sound, kind: str, rng: np.random.Generator) -> int:
    inner = np.zeros(len(chosen.content), dtype=np.bool_)
    for first, length in chosen.payload:
        inner[first : first + length] = True
    if kind == "bit":
        inner[:] = True
    return int(rng.choice(np.flatnonzero(inner != (kind == "header bit"))))


def judge(numbers: list[int], plan: Plan) -> list[str]:
    """In a child: how each case ends."""
    return [_judge(number, plan) for number in numbers]


def _judge(number: int, plan: Plan) -> str:
    chosen = plan.sounds[number % len(plan.sounds)]
    # The name goes into recording ids, the number into none of what is compared.
    path = plan.folder / f"case-{number}.h5"
    path.write_bytes(damaged(plan, number))
    warnings.simplefilter("error")  # a warning does not say what to do, either
    try:
        return "intact" if told_of(path, chosen.layout) == chosen.told else "differs"
    except SensorkdError as error:
        whole = error.problem and error.file and error.found is not None and error.mend
        return "refused" if whole else f"defect: an error that does not tell all: {error!r}"
    except Exception:
        return f"defect: {traceback.format_exc(limit=-6)}"
    finally:
        path.unlink()


def run(plan: Plan, numbers: list[int], jobs: int) -> Iterator[tuple[int, str]]:
    """Number and outcome of each case."""
    work = functools.partial(judge, plan=plan)
    batches = [numbers[first : first + BATCH] for first in range(0, len(numbers), BATCH)]
    again: list[list[int]] = []
    for index, result in in_children(work, batches, jobs=jobs, limits=TOGETHER, told=str):
        if isinstance(result, SensorkdError):
            again += [[number] for number in batches[index]]
        else:
            yield from zip(batches[index], result, strict=True)
    for index, result in in_children(work, again, jobs=jobs, limits=SINGLE, told=str):
        if isinstance(result, SensorkdError):
            how = "hang" if "within" in str(result) else "hunger" if "memory" in str(result) else "crash"
            yield again[index][0], f"{how}: {result.found}"
        else:
            yield again[index][0], result[0]


def counted(plan: Plan, ended: dict[int, str]) -> dict[str, dict[str, dict[str, int]]]:
    """Kind of archive -> damage -> outcome -> cases."""
    kinds = len(plan.sounds)
    counts = {item.kind: {damage: Counter[str]() for damage in DAMAGES} for item in plan.sounds}
    for number, outcome in ended.items():
        counts[plan.sounds[number % kinds].kind][DAMAGES[number // kinds % len(DAMAGES)]][
            outcome.split(":")[0]
        ] += 1
    return {kind: {damage: dict(count) for damage, count in rows.items()} for kind, rows in counts.items()}


def failures(result: dict[str, Any]) -> int:
    """Defects, and differences where everything lies under a checksum."""
    defects = sum(row.get("defect", 0) for rows in result["counts"].values() for row in rows.values())
    return defects + sum(row.get("differs", 0) for row in result["counts"].get("recording-1.0", {}).values())


def table(result: dict[str, Any]) -> str:
    lines = [f"{result['cases']} cases of seed {result['seed']} in {result['seconds']} s"]
    lines.append(f"{'archive':<20} {'damage':<14}" + "".join(f"{outcome:>9}" for outcome in OUTCOMES))
    for kind, rows in result["counts"].items():
        both = {**rows, "all": sum((Counter(row) for row in rows.values()), Counter[str]())}
        for damage, row in both.items():
            lines.append(
                f"{kind:<20} {damage:<14}" + "".join(f"{row.get(outcome, 0):>9}" for outcome in OUTCOMES)
            )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
