"""`sensorkd demo`: the whole road on a simulated plant."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sensorkd.cli.console import AsJson, emit, note, training_bar
from sensorkd.errors import RunError

if TYPE_CHECKING:
    from sensorkd.evaluation.evaluate import Evaluation
    from sensorkd.export.footprint import Footprint
    from sensorkd.runs import Run, RunConfig

__all__ = ["demo_config", "run"]

MARKER = ".sensorkd-demo"
FEW = 2


@dataclass(frozen=True)
class Scale:
    """How large a demo is: machines, of which the last `unseen` are held out; steps of each training."""

    machines: int
    unseen: int
    seconds: float
    steps: int


FULL = Scale(machines=12, unseen=5, seconds=26.0, steps=250)
# The same machines, so that what is said of the full one can be done with it.
QUICK = Scale(machines=12, unseen=5, seconds=11.0, steps=30)


def run(
    out: Annotated[Path, typer.Option(help="Folder for everything the demo writes.")] = Path("demo-out"),
    quick: Annotated[
        bool, typer.Option("--quick", help="Smaller, in a minute; its figures mean less.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Simulate a plant, train, compare, export, verify, predict and report.

    Example: sensorkd demo --quick
    """
    scale = QUICK if quick else FULL
    _fresh(out)
    started = time.monotonic()
    with _stage("writing a simulated plant"):
        from sensorkd.testing.plant import write_plant

        archives = write_plant(out / "plant", machines=scale.machines, seconds=scale.seconds)
    runs, evaluations = _train_all(out, scale)
    best = runs["lsskd", "all"]
    with _stage("exporting, comparing with the trained model, verifying"):
        compared, footprint = _export(best, out / "bundle")
        figures = {**compared, **footprint.to_json()}
    with _stage("judging the archive of an unseen machine with the bundle"):
        from sensorkd.edge import EdgeBundle
        from sensorkd.evaluation.predict import predict_archives, write_table

        table, _ = predict_archives(EdgeBundle.open(out / "bundle"), [archives[-1]])
        write_table(table, out / "predictions.csv")
    with _stage("drawing, and writing the report"):
        _draw(out, runs, evaluations, footprint)
    result = {
        "simulated": True,
        "seconds": round(time.monotonic() - started, 1),
        "table": {f"{method} {labels}": item.to_json() for (method, labels), item in evaluations.items()},
        "export": figures,
        "predictions": len(table),
    }
    (out / "results.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    emit(result, _told(out, evaluations, figures, result), as_json=as_json)


def demo_config(out: Path, scale: Scale = FULL) -> RunConfig:
    """The configuration of the demo's runs; examples/configs/plant.yaml is the same for the full one."""
    from sensorkd.runs.config_file import parse_config

    names = [f"m{index:02d}" for index in range(scale.machines)]
    tree = {
        "data": [str(out / "plant")],
        "target": "condition",
        "inputs": {
            "acceleration": {"span": 1.0},
            "temperature": {"span": 10.0, "required": True},
            "video": {"span": 1.0, "options": {"pool": 2}},
        },
        "windows": {"reference": "hop", "hop": 2.0},
        "split": {"by": "machine", "test": names[-scale.unseen :]},
        "unlabelled_shares": "uniform",
        "training": {"steps": scale.steps, "batch_size": 16},
        "alarm": {"normal": ["healthy"], "raise_count": 2, "raise_within": 3, "clear_count": 3},
        "out": str(out / "runs" / "plant"),
    }
    return parse_config(tree)


def _fresh(out: Path) -> None:
    """Begin anew in an empty folder or in that of an earlier demo; never in anyone else's."""
    if out.exists() and any(out.iterdir()):
        if not (out / MARKER).exists():
            raise RunError("the folder is not empty", file=out, mend="name another with --out")
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / MARKER).write_text("Everything here was written by `sensorkd demo`; the plant is simulated.\n")


@contextmanager
def _stage(name: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    note(f"{name}: {time.monotonic() - started:.1f} s")


def _train_all(
    out: Path, scale: Scale
) -> tuple[dict[tuple[str, str], Run], dict[tuple[str, str], Evaluation]]:
    """`ce` and `lsskd`, at few labels and at all of them, on the same student and budget."""
    from sensorkd.evaluation.evaluate import evaluate_run
    from sensorkd.runs.config_file import parse_config
    from sensorkd.runs.train import train_run

    base = demo_config(out, scale).model_dump(mode="json")
    runs, evaluations = {}, {}
    for labels, per_class in (("few", FEW), ("all", None)):
        for method in ("ce", "lsskd"):
            name = f"{method}-{labels}"
            tree = {
                **base,
                "labels_per_class": per_class,
                "method": {"name": method},
                "out": str(out / "runs" / name),
            }
            with _stage(f"training and judging {name}"), training_bar(name) as on_step:
                trained = train_run(parse_config(tree), on_step=on_step)
                runs[method, labels] = trained
                evaluations[method, labels] = evaluate_run(trained)
    return runs, evaluations


def _export(best: Run, bundle: Path) -> tuple[dict[str, Any], Footprint]:
    """Seal and verify; time torch and onnxruntime on one window, one thread each."""
    from sensorkd.edge import EdgeBundle, EdgePredictor
    from sensorkd.edge.bundle import MODEL
    from sensorkd.export.footprint import Footprint, torch_latency
    from sensorkd.export.seal import export_run
    from sensorkd.runs.build import example_inputs

    comparison = export_run(best, bundle)
    verified = EdgePredictor(EdgeBundle.open(bundle)).verify()
    description = EdgeBundle.open(bundle).description
    footprint = Footprint(
        parameters=description.parameters,
        macs=description.macs,
        onnx_bytes=(bundle / MODEL).stat().st_size,
        torch_p50_ms=torch_latency(best.student(), example_inputs(best.encodings)),
        onnx_p50_ms=verified.p50_ms,
        onnx_p99_ms=verified.p99_ms,
    )
    compared = {
        "windows_compared": comparison.windows,
        "largest_difference": comparison.largest_difference,
    }
    return compared, footprint


def _draw(
    out: Path,
    runs: dict[tuple[str, str], Run],
    evaluations: dict[tuple[str, str], Evaluation],
    footprint: Footprint,
) -> None:
    import numpy as np

    from sensorkd.evaluation.pictures import confusion_picture, learning_curves, window_pictures
    from sensorkd.evaluation.report import report_html
    from sensorkd.evaluation.run_windows import windows_for

    logs = {
        f"{method}, {labels} labels": run.folder / "metrics.jsonl" for (method, labels), run in runs.items()
    }
    title = "Simulated plant: learning curves"
    learning_curves(logs, title=title).savefig(out / "learning_curves.png")
    best = evaluations["lsskd", "all"]
    title = "Simulated plant: verdicts on unseen machines"
    confusion_picture(best.overall.confusion, best.classes, title=title).savefig(out / "confusion.png")
    run = runs["lsskd", "all"]
    windows = windows_for(run)
    rows = [int(np.flatnonzero(windows.labels == index)[0]) for index in range(len(run.classes))]
    inputs = {name: values[rows] for name, values in windows.arrays.inputs.items()}
    title = "Simulated plant: one window of each condition"
    window_pictures(inputs, run.encodings, run.classes, title=title).savefig(out / "windows.png")
    (out / "report.html").write_text(report_html(run, windows, best, footprint=footprint), encoding="utf-8")


def _told(
    out: Path, evaluations: dict[tuple[str, str], Evaluation], figures: dict[str, Any], result: dict[str, Any]
) -> str:
    """The closing table."""
    from sensorkd.evaluation.tables import text_table

    singles = [name for name in next(iter(evaluations.values())).subsets if "+" not in name]
    rows = []
    for (method, labels), item in evaluations.items():
        few = f"{FEW} a class" if labels == "few" else "all"
        alone = [f"{item.subsets[name].accuracy:.3f}" for name in singles]
        overall = item.overall
        numbers = [f"{value:.3f}" for value in (overall.accuracy, overall.macro_f1, overall.nll, overall.ece)]
        rows.append([method, few, *alone, *numbers])
    header = [
        "method",
        "labels",
        *(f"{name} alone" for name in singles),
        "together",
        "macro-F1",
        "NLL",
        "ECE",
    ]
    unseen = sorted(set(next(iter(evaluations.values())).groups))
    return (
        f"\nSimulated plant, accuracy on machines never seen in training ({', '.join(unseen)}), one seed:\n\n"
        f"{text_table(header, rows)}\n\n"
        f"Exported student (lsskd, all labels): {figures['onnx_bytes']:,} bytes, {figures['parameters']:,} "
        f"parameters, {figures['macs']:,} multiply-accumulates a window.\n"
        f"torch against ONNX on {figures['windows_compared']} windows: outputs within "
        f"{figures['largest_difference']:.1g}; one window, one thread: "
        f"torch {figures['torch_p50_ms']:.1f} ms, "
        f"ONNX {figures['onnx_p50_ms']:.1f} ms (p99 {figures['onnx_p99_ms']:.1f}).\n"
        f"{result['seconds']:.0f} s in all. In {out}/: bundle/ (verified), predictions.csv, results.json, "
        "report.html, learning_curves.png, confusion.png, windows.png"
    )
