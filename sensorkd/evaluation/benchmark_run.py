"""Runs the cells of a benchmark that are not finished, and tells how it goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sensorkd.errors import ConfigError, RunError, nearest
from sensorkd.evaluation.benchmark_cell import finished, run_cell
from sensorkd.evaluation.benchmark_plan import Cell, Plan
from sensorkd.evaluation.benchmark_time import EqualTime
from sensorkd.evaluation.benchmark_workers import Outcome, Workers

__all__ = ["Only", "Progress", "finished_cells", "run_cells"]

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Only:
    """A part of the grid: allowed values by `method`, `budget`, `seed`, `fold`; of others, all are."""

    allowed: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def parse(cls, texts: Sequence[str], plan: Plan) -> Only:
        """From `method=ce,seed=0` and the like; one key named again allows another value.

        Raises:
            ConfigError: no such key, or no such value in the benchmark.
        """
        known: dict[str, set[str]] = {key: set() for key in ("method", "budget", "seed", "fold")}
        for cell in plan.cells:
            for key, value in _places(cell).items():
                known[key].add(value)
        allowed: dict[str, set[str]] = {}
        for part in (part.strip() for text in texts for part in text.split(",")):
            key, _, value = part.partition("=")
            if value not in known.get(key, ()):
                # A key that is right says which values it has; one that is wrong, which keys there are.
                there, meant = (sorted(known[key]), value) if key in known else (list(known), key)
                raise ConfigError(
                    f"the benchmark has no {part!r}",
                    inside="--only",
                    expected=f"{key} one of {there}" if key in known else f"one of {there}",
                    mend=f"{nearest(meant, there)}name one of these",
                )
            allowed.setdefault(key, set()).add(value)
        return cls({key: frozenset(values) for key, values in allowed.items()})

    def __contains__(self, cell: Cell) -> bool:
        places = _places(cell)
        return all(places[key] in values for key, values in self.allowed.items())


def _places(cell: Cell) -> dict[str, str]:
    return {"method": cell.label, "budget": cell.budget, "seed": str(cell.seed), "fold": str(cell.fold)}


@dataclass
class Progress:
    """failed: cell -> what went wrong. left: cells that were not begun."""

    failed: dict[str, str] = field(default_factory=dict)
    done: int = 0
    left: int = 0


def finished_cells(plan: Plan) -> list[tuple[Cell, dict[str, Any]]]:
    """Cells that are finished, and what they tell.

    Raises:
        RunError: folders hold cells of another configuration; all of them are named.
    """
    times, found, wrong = EqualTime(plan), [], list[str]()
    for cell in plan.cells:
        resolved = times.resolved(cell)
        if resolved is None:
            continue
        try:
            told = finished(resolved)
        except RunError as error:
            wrong.append(str(error))
            continue
        if told is not None:
            found.append((resolved, told))
    if wrong:
        raise RunError(
            f"{len(wrong)} cells in the folder are of another benchmark, or damaged",
            file=plan.out,
            found="".join(f"\n    {line}" for line in "\n".join(wrong[:5]).splitlines()),
            mend="name another folder with --out, or remove those cells",
        )
    return found


def run_cells(
    plan: Plan, *, jobs: int = 1, only: Only | None = None, hours: float | None = None, tell: Tell = print
) -> Progress:
    """Run what is not finished; a cell that fails is told of, and the others go on.

    Args:
        jobs: processes of one thread each. hours: after so many, no other cell is begun.

    Raises:
        RunError: folders hold cells of another configuration.
    """
    done = {cell.folder: told for cell, told in finished_cells(plan)}
    waiting = [cell for cell in plan.cells if cell.folder not in done and cell in (only or Only())]
    deadline = float("inf") if hours is None else time.monotonic() + 3600 * hours
    progress, clock = Progress(), _Clock(list(done.values()), jobs)
    if waiting:
        tell(f"{plan.name}: {len(done)} of {len(plan.cells)} cells are finished, {len(waiting)} to run")
    total = len(waiting)
    with Workers(run_cell, jobs) as workers:
        while waiting or workers.at_work:
            while waiting and workers.free and time.monotonic() < deadline:
                cell = _next(plan, waiting, workers.at_work)
                if cell is None:
                    break
                workers.begin(cell)
            if not workers.at_work:
                break
            for outcome in workers.outcomes():
                progress.done += outcome.kind == "done"
                _note(outcome, progress, clock)
                so_far = f"[{progress.done + len(progress.failed)}/{total}]"
                left = clock.left([*waiting, *workers.at_work])
                tell(f"{so_far} {_told(outcome)}" + (f"; about {left} left" if left else ""))
    progress.left = len(waiting)
    if waiting:
        late = time.monotonic() >= deadline
        first = f"seed {plan.config.seeds[0]}"
        untimed = f"the methods by whose times their steps are told are not finished in every fold of {first}"
        why = "the time is up" if late else untimed
        tell(f"{len(waiting)} cells were not begun: {why}")
    return progress


def _next(plan: Plan, waiting: list[Cell], at_work: Sequence[Cell]) -> Cell | None:
    """Take the first cell that can be begun; one at equal time once those it is measured by are through."""
    times = EqualTime(plan)
    for cell in waiting:
        ready = times.resolved(cell)
        if ready is None:
            folders = {item.folder for item in (*waiting, *at_work)}
            measured = [item for side in times.sources(cell) for item in side]
            if any(item.folder in folders for item in measured):
                continue
            if times.measure(cell, finished):
                ready = times.resolved(cell)
        if ready is not None:
            waiting.remove(cell)
            return ready
    return None


def _note(outcome: Outcome, progress: Progress, clock: _Clock) -> None:
    if outcome.kind == "done":
        clock.add(outcome.value)
    else:
        progress.failed[str(outcome.item)] = outcome.value


def _told(outcome: Outcome) -> str:
    if outcome.kind != "done":
        return f"{outcome.item}: {outcome.kind}: {outcome.value.strip()}"
    first = outcome.value["metrics"][outcome.value["sensors"][0]]
    return f"{outcome.item}: macro-F1 {first['macro_f1']:.3f} in {outcome.value['wall']:.0f} s"


class _Clock:
    """Guesses what is left by how long finished cells of the same method took."""

    def __init__(self, finished: Sequence[Mapping[str, Any]], jobs: int) -> None:
        self._jobs = max(1, jobs)
        self._walls: dict[str, list[float]] = {}
        for told in finished:
            self.add(told)

    def add(self, told: Mapping[str, Any]) -> None:
        self._walls.setdefault(told["label"], []).append(told["wall"])

    def left(self, cells: Sequence[Cell]) -> str:
        """As text; nothing where nothing is left."""
        every = [wall for walls in self._walls.values() for wall in walls]
        if not cells or not every:
            return ""
        usual = sum(every) / len(every)
        means = {name: sum(walls) / len(walls) for name, walls in self._walls.items()}
        seconds = sum(means.get(cell.label, usual) for cell in cells) / self._jobs
        if seconds < 90:
            return f"{seconds:.0f} s"
        return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
