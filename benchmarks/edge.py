"""What one window costs on a device, on one thread, by every way to run it, next to what it must cost.

    sensorkd export RUN --out BUNDLE --int8
    OMP_NUM_THREADS=1 python benchmarks/edge.py RUN BUNDLE [--rounds 400] [--out FILE]

All ways judge the same window in turn, a few times each, so that what else the computer does meets all of
them alike. The floor is the multiply-accumulates of the student over the largest rate of products that a
matrix product reaches here in the same run. Accuracies are of the run's test groups. MiniRocket and its ridge
are trained on the run's training windows, warm, on the signals alone; the student next to it is the smaller
one for those same sensors.

Exit code 1 when `predict` costs more than 1.25 of the bare call of the runtime, int8 more than 0.7 of float,
or MiniRocket less than ten times the student for its sensors, or is right more often; all rows are printed
first.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sensorkd.edge import EdgeBundle, EdgePredictor
from sensorkd.edge.runtime import open_session
from sensorkd.edge.verification import resident_memory
from sensorkd.evaluation.minirocket import MiniRocketRidge
from sensorkd.evaluation.run_windows import RunWindows, windows_for
from sensorkd.evaluation.tables import text_table
from sensorkd.export.seal import export_run
from sensorkd.runs import Run
from sensorkd.runs.data import plan_run, read_training

WARM, IN_A_ROW = 3, 10
LIMITS = {"predict over the bare call": 1.25, "int8 over fp32": 0.7, "student over MiniRocket": 0.1}
IMPORTS = {
    "sensorkd.edge": "import sensorkd.edge",
    "with onnxruntime": "import sensorkd.edge, onnxruntime",
}


@dataclass(frozen=True)
class Way:
    """act: judges one window. macs: what it must compute, 0 where that is not the student. accuracy: on the
    test groups, None where it is that of another row.
    """

    act: Callable[[], object]
    macs: int
    accuracy: float | None = None


def main() -> int:
    options = arguments()
    torch.set_num_threads(1)
    run, bundle = Run.load(options.run), EdgeBundle.open(options.bundle)
    judged = windows_for(run)
    one = a_full_window(bundle, judged)
    ways = student_ways(run, bundle, judged, one)
    with tempfile.TemporaryDirectory() as folder:
        signals = [name for name, item in bundle.description.inputs.items() if len(item.sample_shape) == 1]
        if signals:
            ways |= signal_ways(run, signals, judged, one, Path(folder))
        times = in_turn({name: way.act for name, way in ways.items()}, options.rounds)
    peak = peak_macs()
    rows = {name: row_of(way, times[name], peak) for name, way in ways.items()}
    found = {"rows": rows, "peak_gmacs": peak / 1e9, "ratios": ratios(rows), "import_s": import_seconds()}
    report(found)
    if options.out:
        options.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return 0 if all(item["met"] for item in found["ratios"].values()) else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def a_full_window(bundle: EdgeBundle, judged: RunWindows) -> dict[str, Any]:
    """Inputs (1, ...) of the first window in which the most sensors are present, with `presence`."""
    arrays = judged.arrays
    columns = [list(arrays.inputs).index(name) for name in bundle.description.inputs]
    row = int(arrays.presence[:, columns].sum(axis=1).argmax())
    some = {name: np.asarray(arrays.inputs[name][row : row + 1]) for name in bundle.description.inputs}
    return {**some, "presence": arrays.presence[row : row + 1, columns]}


def student_ways(run: Run, bundle: EdgeBundle, judged: RunWindows, one: Mapping[str, Any]) -> dict[str, Way]:
    """The whole student in torch, and the bundle in every runtime and precision there is."""
    macs, student = bundle.description.macs, run.student()
    if list(bundle.description.inputs) != list(run.encodings):
        student = student.only(list(bundle.description.inputs)).eval()
    inputs, presence = one_window(one)
    tensors = {name: torch.from_numpy(values) for name, values in inputs.items()}
    here = torch.from_numpy(presence)
    compiled = torch.compile(student)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        compiled(tensors, here)
    ways = {
        "torch eager": Way(inferring(lambda: student(tensors, here)), macs),
        "torch compiled": Way(inferring(lambda: compiled(tensors, here)), macs),
    }
    precisions = ["fp32"] if bundle.description.int8 is None else ["fp32", "int8"]
    runtimes = ["onnxruntime", *(["openvino"] if importlib.util.find_spec("openvino") else [])]
    for runtime in runtimes:
        for precision in precisions:
            session = open_session(bundle.model_in(precision), runtime=runtime)
            ways[f"{runtime} {precision}"] = Way(lambda session=session: session.run(one), macs)
    for precision in precisions:
        predictor = EdgePredictor(bundle, precision=precision)
        ways[f"predict {precision}"] = Way(
            lambda predictor=predictor: predictor.predict(inputs, presence), macs, accuracy(predictor, judged)
        )
    return ways


def one_window(one: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    return {name: values for name, values in one.items() if name != "presence"}, one["presence"]


def inferring(act: Callable[[], object]) -> Callable[[], object]:
    def inside() -> object:
        with torch.inference_mode():
            return act()

    return inside


def signal_ways(
    run: Run, signals: list[str], judged: RunWindows, one: Mapping[str, Any], folder: Path
) -> dict[str, Way]:
    """MiniRocket with its ridge, and the student for the same sensors, float and int8."""
    planned = plan_run(run.config)
    labelled, _ = read_training(planned, run.config)
    inputs = {name: np.asarray(labelled.windows.inputs[name][:]) for name in signals}
    columns = [list(run.encodings).index(name) for name in signals]
    encodings = {name: run.encodings[name] for name in signals}
    rocket = MiniRocketRidge(encodings, classes=len(run.classes))
    rocket.fit(inputs, labelled.windows.presence[:, columns], planned.labels[labelled.rows])
    known = np.flatnonzero(judged.labels >= 0)
    presence = judged.arrays.presence[:, columns]
    every = {name: np.asarray(judged.arrays.inputs[name][:]) for name in signals}
    verdicts = rocket.logits({name: x[known] for name, x in every.items()}, presence[known]).argmax(axis=1)
    some = {name: one[name] for name in signals}
    here = np.ones((1, len(signals)), np.float32)
    ways = {
        "MiniRocket + ridge": Way(
            lambda: rocket.logits(some, here), 0, float((verdicts == judged.labels[known]).mean())
        )
    }
    if run.config.windows.segment_of not in (None, *signals):
        return ways
    export_run(run, folder / "signals", sensors=signals, int8=True)
    bundle = EdgeBundle.open(folder / "signals")
    for precision in ("fp32", "int8"):
        predictor = EdgePredictor(bundle, precision=precision)
        ways[f"predict {precision}, signals"] = Way(
            lambda predictor=predictor: predictor.predict(some, here),
            bundle.description.macs,
            accuracy(predictor, judged),
        )
    return ways


def accuracy(predictor: EdgePredictor, judged: RunWindows) -> float:
    """On the labelled windows, with the predictor's sensors alone."""
    names = list(predictor.bundle.description.inputs)
    columns = [list(judged.arrays.inputs).index(name) for name in names]
    right = total = 0
    for row in np.flatnonzero(judged.labels >= 0).tolist():
        inputs = {name: np.asarray(judged.arrays.inputs[name][row : row + 1]) for name in names}
        found = predictor.predict(inputs, judged.arrays.presence[row : row + 1, columns])
        right += int(found.logits[0].argmax() == judged.labels[row])
        total += 1
    return right / total


def in_turn(acts: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of every act, a few of each in a row, then those of the next."""
    taken: dict[str, list[float]] = {name: [] for name in acts}
    for _ in range(max(1, rounds // IN_A_ROW)):
        for name, act in acts.items():
            for number in range(WARM + IN_A_ROW):
                begun = time.perf_counter()
                act()
                # The first ones bring weights and code back into the processor's cache.
                if number >= WARM:
                    taken[name].append((time.perf_counter() - begun) * 1e3)
    return taken


def peak_macs(size: int = 768, rounds: int = 30) -> float:
    """Multiply-accumulates a second of a float32 matrix product, the best of some rounds."""
    a = torch.rand(size, size)
    best = 0.0
    for _ in range(rounds):
        begun = time.perf_counter()
        a @ a
        best = max(best, size**3 / (time.perf_counter() - begun))
    return best


def row_of(way: Way, times: list[float], peak: float) -> dict[str, float | None]:
    floor = way.macs / peak * 1e3
    p50, p99 = (float(np.percentile(times, share)) for share in (50, 99))
    return {
        "p50_ms": p50,
        "p99_ms": p99,
        "floor_ms": floor or None,
        "over_floor": p50 / floor if floor else None,
        "accuracy": way.accuracy,
    }


def ratios(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """What is promised, in medians of this run."""
    found: dict[str, dict[str, Any]] = {}

    def add(name: str, of: str, over: str, kind: str, better: bool = True) -> None:
        if of in rows and over in rows:
            ratio, limit = rows[of]["p50_ms"] / rows[over]["p50_ms"], LIMITS[kind]
            found[name] = {"ratio": ratio, "at_most": limit, "met": ratio <= limit and better}

    for precision in ("fp32", "int8"):
        add(
            f"predict over the bare call, {precision}",
            f"predict {precision}",
            f"onnxruntime {precision}",
            "predict over the bare call",
        )
    for runtime in ("onnxruntime", "openvino"):
        add(f"int8 over fp32, {runtime}", f"{runtime} int8", f"{runtime} fp32", "int8 over fp32")
    for precision in ("fp32", "int8"):
        name = f"predict {precision}, signals"
        better = name in rows and rows[name]["accuracy"] >= rows["MiniRocket + ridge"]["accuracy"]
        add(f"{name}, over MiniRocket", name, "MiniRocket + ridge", "student over MiniRocket", better)
    return found


def import_seconds(rounds: int = 5) -> dict[str, float]:
    """Of a fresh process, less what an empty one takes; the best of some rounds."""

    def best(code: str) -> float:
        taken = []
        for _ in range(rounds):
            begun = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            taken.append(time.perf_counter() - begun)
        return min(taken)

    empty = best("pass")
    return {name: best(code) - empty for name, code in IMPORTS.items()}


def report(found: Mapping[str, Any]) -> None:
    def told(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    header = ["one window, one thread", "p50 ms", "p99 ms", "floor ms", "p50 / floor", "accuracy"]
    rows = [
        [
            name,
            f"{row['p50_ms']:.3f}",
            f"{row['p99_ms']:.3f}",
            told(row["floor_ms"], ".3f"),
            told(row["over_floor"], ".1f"),
            told(row["accuracy"], ".3f"),
        ]
        for name, row in found["rows"].items()
    ]
    print(f"peak of a matrix product: {found['peak_gmacs']:.1f} G multiply-accumulates a second")
    print(text_table(header, rows))
    lines = [
        [name, f"{item['ratio']:.2f}", f"{item['at_most']:g}", "yes" if item["met"] else "NO"]
        for name, item in found["ratios"].items()
    ]
    print("\n" + text_table(["ratio of medians", "found", "at most", "met"], lines))
    told_imports = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in found["import_s"].items())
    print(f"\nimport: {told_imports}; resident here, with torch and all ways: {resident_memory():.0f} MB")


if __name__ == "__main__":
    sys.exit(main())
