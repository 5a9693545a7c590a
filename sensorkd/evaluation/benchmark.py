"""Methods x label budgets x seeds x folds, on one set of archives: run, summed up, written and drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sensorkd.errors import ConfigError, nearest
from sensorkd.evaluation.benchmark_config import load_benchmark
from sensorkd.evaluation.benchmark_pictures import write_pictures
from sensorkd.evaluation.benchmark_plan import plan_benchmark
from sensorkd.evaluation.benchmark_results import Results, write_results
from sensorkd.evaluation.benchmark_run import Only, Progress, finished_cells, run_cells
from sensorkd.evaluation.benchmark_summary import summarise

__all__ = ["Benchmarked", "report_benchmark", "run_benchmark"]


@dataclass(frozen=True)
class Benchmarked:
    """results: of all that is finished; None where no method has a whole seed yet."""

    results: Results | None
    progress: Progress


def run_benchmark(
    path: str | Path,
    out: Path,
    *,
    jobs: int = 1,
    only: Sequence[str] = (),
    hours: float | None = None,
    tell: Callable[[str], None] = print,
) -> Benchmarked:
    """Run the cells of a benchmark that are not finished, and sum up all that are.

    Args:
        path: YAML; see BenchmarkConfig. out: folder of cells, results.json, results.csv and pictures.
        jobs: processes of one thread each. only: a part of the grid, as `method=ce`. hours: after so many, no
            other cell is begun.

    Raises:
        ConfigError: the benchmark is not valid. SplitError: its split leaks. RunError: the folder holds
            cells of another one.
    """
    plan = plan_benchmark(load_benchmark(path), out, name=Path(path).stem)
    chosen = Only.parse(only, plan) if only else Only()
    out.mkdir(parents=True, exist_ok=True)
    progress = run_cells(plan, jobs=jobs, only=chosen, hours=hours, tell=tell)
    cells = finished_cells(plan)
    whole = {(cell.label, cell.budget, cell.seed) for cell, _ in cells}
    counts = [sum((c.label, c.budget, c.seed) == key for c, _ in cells) for key in whole]
    if not any(count == len(plan.folds) for count in counts):
        return Benchmarked(None, progress)
    return Benchmarked(_written(summarise(plan, cells), out), progress)


def report_benchmark(path: str | Path, out: Path, *, reference: str | None = None) -> Results:
    """Sum up what is finished, and write it anew; nothing is run.

    Args:
        reference: label of the method that differences are taken to; default the benchmark's.

    Raises:
        SensorkdError: as `run_benchmark`. RunError: no method has a whole seed yet. ConfigError: no method
            has the label `reference`.
    """
    config = load_benchmark(path)
    names = [entry.name for entry in config.methods]
    if reference is not None and reference not in names:
        raise ConfigError(
            f"the benchmark has no method {reference!r} to take differences to",
            file=path,
            inside="--reference",
            found=reference,
            expected=f"one of {names}",
            mend=f"{nearest(reference, names)}name a method as it stands in `methods`",
        )
    plan = plan_benchmark(config, out, name=Path(path).stem)
    return _written(summarise(plan, finished_cells(plan), reference=reference), out)


def _written(results: Results, out: Path) -> Results:
    write_results(results, out)
    write_pictures(results, out)
    return results
