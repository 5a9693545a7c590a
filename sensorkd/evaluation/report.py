"""One HTML file a run, for people who must decide: everything in it, nothing fetched from anywhere."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import yaml
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.special import softmax

from sensorkd import timeline
from sensorkd._version import __version__
from sensorkd.alarms import alarm_active
from sensorkd.distillation.progress import cannot_learn
from sensorkd.encoding import InputEncoding
from sensorkd.errors import ConfigError, SensorkdError
from sensorkd.evaluation.alarm_report import AlarmReport
from sensorkd.evaluation.evaluate import Evaluation, evaluate_windows
from sensorkd.evaluation.pictures import confusion_picture, window_pictures
from sensorkd.evaluation.report_pictures import (
    COURSES,
    alarm_courses,
    auxiliary_curves,
    budget_curve,
    reliability,
    term_curves,
)
from sensorkd.evaluation.run_windows import RunWindows, windows_for
from sensorkd.export.footprint import Footprint, footprint_of
from sensorkd.runs.data import Planned, plan_run
from sensorkd.runs.run import LOG, Run
from sensorkd.training.cross_validation import RECORD, CrossValidation
from sensorkd.training.log import TrainingLog

__all__ = ["report_html", "write_report"]

WRONG, RIGHT = 4, 8  # windows shown
LONGEST_LIST = 12


def write_report(
    run: Run, path: str | Path, paths: Sequence[str] | None = None, *, labels: str | None = None
) -> Evaluation:
    """Judge a run as `evaluate_run` does, and write what came out as one HTML file.

    Raises:
        ConfigError: the file would not be HTML, or its folder does not exist.
        SensorkdError: archives cannot be used.
    """
    path = Path(path)
    if path.suffix not in (".html", ".htm") or not path.parent.is_dir():
        raise ConfigError(
            "a report is an HTML file in a folder that exists",
            file=path,
            found=path.suffix if path.parent.is_dir() else f"no folder {path.parent}",
            expected="a name that ends in .html",
            mend="correct --out",
        )
    windows = windows_for(run, paths, labels=labels)
    judged = evaluate_windows(run, windows)
    path.write_text(report_html(run, windows, judged), encoding="utf-8")
    return judged


def report_html(
    run: Run, windows: RunWindows, judged: Evaluation, *, footprint: Footprint | None = None
) -> str:
    """The page.

    footprint: what the student costs, where that was measured already; it takes an export.
    """
    planned, lacking = None, ""
    try:
        planned = plan_run(run.config, split=run.split)
    except SensorkdError as error:
        # Other archives can be reported on where those of training are not.
        lacking = str(error)
    source = resources.files("sensorkd.evaluation").joinpath("report.html.j2").read_text("utf-8")
    page = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).from_string(source)
    records = TrainingLog(run.folder / LOG).records()
    return page.render(
        version=__version__,
        run=run,
        judged=judged,
        config=yaml.safe_dump(run.config.model_dump(mode="json"), sort_keys=False),
        inputs=[_input_row(name, encoding) for name, encoding in run.encodings.items()],
        health=[
            (name, where, health[name])
            for name in run.encodings
            for where, health in (("trained on", run.health), ("judged", judged.health))
            if name in health
        ],
        sides=[] if planned is None else _sides(planned),
        data=None if planned is None else _data(planned),
        lacking=lacking,
        footprint=footprint or footprint_of(run),
        pictures={name: _inline(figure) for name, figure in _pictures(run, windows, judged).items()},
        teacher=next((record["teacher"] for record in records if "teacher" in record), None),
        believed=_believed(run, records),
        blind=_blind(run, records),
        trained_on=sorted(set(judged.groups) & set(run.groups["train"])),
        shown=LONGEST_LIST,
        courses=COURSES,
        recordings=len(set(windows.arrays.recording.tolist())),
    )


def _input_row(name: str, encoding: InputEncoding) -> dict[str, str]:
    span = "whole recording" if encoding.span is None else f"{encoding.span / timeline.SECOND:g} s"
    low, high = encoding.valid_range
    return {
        "name": name,
        "modality": encoding.modality,
        "window": f"{span}: {' x '.join(map(str, encoding.shape))} {encoding.dtype}",
        "rate": "" if encoding.whole else f"{encoding.rate:g} Hz",
        "unit": encoding.unit,
        "range": f"{low:g} to {high:g}",
    }


def _sides(planned: Planned) -> list[dict[str, Any]]:
    """Groups and labelled windows of each class, by side."""
    sides = []
    for side in ("train", "dev", "test"):
        every, known = planned.split.rows(planned.groups, side), planned.rows(side)
        counts = np.bincount(planned.labels[known], minlength=len(planned.classes)).tolist()
        groups = getattr(planned.split, side)
        sides.append({"name": side, "groups": groups, "windows": len(every), "counts": counts})
    return sides


def _data(planned: Planned) -> dict[str, Any]:
    """What was opened: recordings, and for each stream how many hold it, its rates and its logged time."""
    rows = []
    for name in sorted({name for recording in planned.recordings for name in recording.streams}):
        streams = [item.streams[name] for item in planned.recordings if name in item.streams]
        rates = [stream.rate for stream in streams]
        logged = sum(float((s.segments.ends - s.segments.t0).sum()) for s in streams) / timeline.SECOND
        segments = sum(len(stream.segments) for stream in streams)
        span = f"{min(rates):.6g}" if np.ptp(rates) < 1e-9 else f"{min(rates):.4g} to {max(rates):.4g}"
        rows.append(
            {"name": name, "in": len(streams), "rate": span, "segments": segments, "hours": logged / 3600}
        )
    clocks = Counter(recording.clock for recording in planned.recordings)
    return {"recordings": len(planned.recordings), "clocks": dict(clocks), "streams": rows}


def _blind(run: Run, records: Sequence[dict[str, Any]]) -> list[str]:
    """Transforms that the auxiliaries did not learn to tell apart."""
    names = {name: [transform.name for transform in family] for name, family in run.families.items()}
    history = [record["auxiliaries"] for record in records if record.get("auxiliaries")]
    return cannot_learn(history, names)


def _believed(run: Run, records: Sequence[Mapping[str, Any]]) -> str | None:
    """What cross-validation said of windows without a label, where it was asked."""
    found = next((record[RECORD] for record in records if record.get(RECORD)), None)
    return None if found is None else CrossValidation.of_record(found).told(run.config.method.method().doubt)


def _pictures(run: Run, windows: RunWindows, judged: Evaluation) -> dict[str, Figure]:
    shares = softmax(judged.logits.astype(np.float64), axis=1)
    correct = judged.logits.argmax(axis=1) == judged.labels
    figures = {
        "confusion": confusion_picture(judged.overall.confusion, judged.classes, title=""),
        "reliability": reliability(shares.max(axis=1), correct),
        **_examples(run, windows, judged, shares.max(axis=1), correct),
    }
    records = TrainingLog(run.folder / LOG).records()
    if records:
        figures["curves"] = term_curves(records)
        told = [record for record in records if record.get("auxiliaries")]
        if told:
            figures["auxiliaries"] = auxiliary_curves(told, len(run.classes))
    if judged.alarms is not None:
        figures["budget"] = budget_curve(judged.alarms.curve, judged.alarms.budget)
        figures["courses"] = _courses(judged.alarms)
    return figures


def _examples(
    run: Run,
    windows: RunWindows,
    judged: Evaluation,
    confidence: NDArray[np.float64],
    correct: NDArray[np.bool_],
) -> dict[str, Figure]:
    """Windows that were judged right, of as many classes as there are, and the surest of the wrong ones."""
    known = np.flatnonzero(windows.labels >= 0)
    chosen = {"wrong": np.flatnonzero(~correct)[np.argsort(-confidence[~correct])][:WRONG]}
    firsts = [np.flatnonzero(correct & (judged.labels == label))[:1] for label in range(len(judged.classes))]
    chosen["right"] = np.concatenate(firsts).astype(np.int64)[:RIGHT]
    figures = {}
    for name, rows in chosen.items():
        if not len(rows):
            continue
        verdicts = judged.logits[rows].argmax(axis=1)
        captions = [
            f"{judged.classes[judged.labels[row]]}"
            if correct[row]
            else f"{judged.classes[judged.labels[row]]}\nsaid {judged.classes[verdict]} {confidence[row]:.2f}"
            for row, verdict in zip(rows.tolist(), verdicts.tolist(), strict=True)
        ]
        inputs = {key: values[known[rows]] for key, values in windows.arrays.inputs.items()}
        presence = windows.arrays.presence[known[rows]]
        figures[name] = window_pictures(inputs, run.encodings, captions, title="", presence=presence)
    return figures


def _courses(alarms: AlarmReport) -> Figure:
    """Scores of all windows over time, labelled or not, as the alarms were judged by them."""
    rule, windows = alarms.metrics.rule, alarms.windows
    names = np.asarray(windows.recording, np.str_)
    order = np.lexsort((windows.t_ref, names))
    names, scores, truth = names[order], windows.scores[order], windows.truth[order]
    starts = np.flatnonzero(np.append(True, names[1:] != names[:-1]))
    fault = (truth >= 0) & ~rule.is_normal(windows.classes)[truth]
    active = alarm_active(scores, rule, starts=starts)
    return alarm_courses(names, windows.t_ref[order], scores, fault, active, rule.threshold)


def _inline(figure: Figure) -> str:
    """A picture as a data URL: the page stays one file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
