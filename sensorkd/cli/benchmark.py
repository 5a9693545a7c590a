"""`sensorkd benchmark CONFIG ... [--out DIR] [--jobs N]`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sensorkd.cli.console import AsJson, emit, note
from sensorkd.errors import ConfigError

__all__ = ["run"]


def run(
    configs: Annotated[
        list[Path], typer.Argument(metavar="CONFIG...", help="YAML benchmarks, one data set each.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of cells, results and pictures; of several benchmarks, one in it each. Default: "
            "runs/benchmarks/NAME."
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that run cells, of one thread each.")] = 1,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE,...", help="A part of the grid: method, budget, seed, fold."),
    ] = None,
    budget_hours: Annotated[
        float | None, typer.Option(min=0.0, help="After so many, no other cell is begun.")
    ] = None,
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Sum up what is finished; run nothing.")
    ] = False,
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="With --report-only: the method that differences are taken to, in place of the benchmark's.",
        ),
    ] = None,
    tune: Annotated[
        bool,
        typer.Option(
            "--tune", help="Choose overrides on dev groups, and write tuned.yaml; no test group is judged."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare methods at several label budgets, on groups that were never seen.

    Several benchmarks run one after the other, and a table tells each method's lead on all of them.

    Finished cells are not run again, and one that was cut off goes on: the same command continues.

    Example: sensorkd benchmark examples/benchmarks/plant.yaml --jobs 2 --out runs/plant-benchmark
    """
    if tune and report_only:
        raise ConfigError("--tune runs trials, and --report-only runs nothing", mend="leave one of them out")
    if tune and only:
        raise ConfigError("--tune runs all trials, or nothing is chosen", mend="leave --only out")
    if reference is not None and not report_only:
        raise ConfigError(
            "--reference takes differences anew of what is finished",
            found=f"--reference {reference} without --report-only",
            mend="add --report-only, or write `reference` into the benchmark",
        )
    _check_configs(configs)
    names = [path.stem for path in configs]
    if len(set(names)) < len(names):
        raise ConfigError("two benchmarks have one name", found=names, mend="run them one by one")
    told, texts, failed = {}, [], False
    for path in configs:
        if out is None:
            folder = Path("runs") / "benchmarks" / path.stem
        else:
            folder = out if len(configs) == 1 else out / path.stem
        if tune:
            found, text, fell = _tuned(path, folder, jobs, budget_hours)
        elif report_only:
            found, text, fell = _reported(path, folder, reference)
        else:
            found, text, fell = _benchmarked(path, folder, jobs, only or [], budget_hours)
        told[path.stem], failed = found, failed or fell
        texts.append(text if len(configs) == 1 else f"{path.stem}\n\n{text}")
    result: dict[str, Any] = told[names[0]] if len(configs) == 1 else {"benchmarks": told}
    if len(configs) > 1 and not tune:
        from sensorkd.evaluation.benchmark_across import across_text, side_by_side

        result["across"] = side_by_side(told)
        texts += [across_text(result["across"], names)] if result["across"] else []
    emit(result, "\n\n".join(texts), as_json=as_json)
    if failed:
        raise typer.Exit(1)


def _check_configs(paths: list[Path]) -> None:
    """All of them, before the first one runs for hours."""
    from sensorkd.evaluation.benchmark_config import load_benchmark

    for path in paths:
        if "=" in path.name and not path.exists():
            raise ConfigError(
                "a benchmark takes no overrides on the command line, which would make its cells another's",
                found=str(path),
                mend="write it under `set` in the benchmark, for all cells, or in a method's own `set`",
            )
        load_benchmark(path)


def _reported(path: Path, out: Path, reference: str | None) -> tuple[dict[str, Any], str, bool]:
    """Results of what is finished, as values and as text, and whether files were left out."""
    from sensorkd.evaluation.benchmark import report_benchmark
    from sensorkd.evaluation.benchmark_table import results_text

    results = report_benchmark(path, out, reference=reference)
    told = {**results.to_json(), "failed": {}, "left": None}
    return told, results_text(results), bool(results.left_out)


def _benchmarked(
    path: Path, out: Path, jobs: int, only: list[str], hours: float | None
) -> tuple[dict[str, Any], str, bool]:
    """Results as values and as text, and whether a cell failed."""
    from sensorkd.evaluation.benchmark import run_benchmark
    from sensorkd.evaluation.benchmark_table import results_text

    done = run_benchmark(path, out, jobs=jobs, only=only, hours=hours, tell=note)
    for name, why in done.progress.failed.items():
        note(f"error: {name}: {why}")
    told = {"failed": done.progress.failed, "left": done.progress.left}
    if done.results is None:
        return told, "no method has a seed with all folds finished yet", bool(done.progress.failed)
    failed = bool(done.progress.failed or done.results.left_out)
    return {**done.results.to_json(), **told}, results_text(done.results), failed


def _tuned(path: Path, out: Path, jobs: int, hours: float | None) -> tuple[dict[str, Any], str, bool]:
    """What was chosen, as values and as text, and whether a trial failed."""
    from sensorkd.evaluation.benchmark_tune import tune_benchmark, tuned_text

    tuned, progress = tune_benchmark(path, out, jobs=jobs, hours=hours, tell=note)
    for name, why in progress.failed.items():
        note(f"error: {name}: {why}")
    return tuned.to_json(), tuned_text(tuned), bool(progress.failed)
