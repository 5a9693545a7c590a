"""The page on a run: one file, complete, and safe to open."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from matplotlib.figure import Figure

from sensorkd.errors import ConfigError
from sensorkd.evaluation import report
from sensorkd.evaluation.evaluate import evaluate_windows
from sensorkd.evaluation.report import report_html, write_report
from sensorkd.evaluation.run_windows import RunWindows, windows_for
from sensorkd.export.footprint import Footprint
from sensorkd.runs import Run
from sensorkd.runs.run import LOG

SECTIONS = [
    "Sensors",
    "Confusion and calibration",
    "Alarms",
    "Windows",
    "Data and splits",
    "Training",
    "Size and latency",
    "Configuration",
]
PICTURES = [
    "Confusion matrix: rows are truth, columns verdicts",
    "Share right against confidence",
    "Alarm scores over time",
    "Recall and precision against false alarms a day",
    "Windows judged wrong",
    "Windows judged right",
    "Terms of the loss over steps",
    "What auxiliaries name right over steps",
]
PIXEL = "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()


class Page(HTMLParser):
    """Headings, cells by table, pictures, all text, and every attribute that could fetch something."""

    EMPTY = ("meta", "img", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.source = text
        self.headings: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.pictures: dict[str, str] = {}
        self.links: list[tuple[str, str]] = []
        self.tags: set[str] = set()
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == [], "a tag was left open"

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        told = dict(attributes)
        self.tags.add(tag)
        self.links += [
            (name, told[name]) for name in ("src", "href", "action", "srcset", "data") if name in told
        ]
        if tag == "img":
            self.pictures[told["alt"]] = told["src"]
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag == "h2":
            self.headings.append("")
        if tag not in self.EMPTY:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "h2":
            self.headings[-1] += data
        if set(self._open) & {"td", "th"}:
            self.tables[-1][-1][-1] += data
        if "style" not in self._open:
            self.text += data

    def table(self, first: str) -> list[list[str]]:
        """Rows below the header whose first cell says so."""
        (found,) = [rows[1:] for rows in self.tables if rows[0][0] == first]
        return found


@pytest.fixture(autouse=True)
def footprint(monkeypatch: pytest.MonkeyPatch) -> Footprint:
    """Exporting takes seconds, and has tests of its own."""
    known = Footprint(12_345, 678_901, 54_321, 1.5, 0.25, 0.75)
    monkeypatch.setattr(report, "footprint_of", lambda run: known)
    return known


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that would have been drawn."""
    figures: list[Figure] = []
    monkeypatch.setattr(report, "_inline", lambda figure: figures.append(figure) or PIXEL)
    return figures


@pytest.fixture(scope="module")
def unseen(press_run: Run) -> RunWindows:
    return windows_for(press_run)


def with_config(run: Run, **changes: Any) -> Run:
    return dataclasses.replace(run, config=run.config.model_copy(update=changes))


def page_of(run: Run, windows: RunWindows) -> Page:
    page = Page(report_html(run, windows, evaluate_windows(run, windows)))
    assert_it_stands_alone(page)
    return page


def assert_it_stands_alone(page: Page) -> None:
    assert re.findall(r"https?:|file:|ftp:|//|@import|url\(", without_pictures(page.source)) == []
    assert page.tags.isdisjoint({"script", "link", "iframe", "object", "embed", "form", "base", "a"})
    assert len(page.links) == len(page.pictures), "nothing is fetched but pictures"
    for name, value in page.links:
        assert name == "src"
        assert value.startswith("data:image/png;base64,")
        assert base64.b64decode(value.partition(",")[2], validate=True).startswith(b"\x89PNG")


def without_pictures(text: str) -> str:
    """Paths of the configuration aside, which are text and fetch nothing."""
    return re.sub(r"base64,[A-Za-z0-9+/=]+", "", text)


def test_one_file_holds_everything_that_was_promised(press_run: Run, tmp_path: Path) -> None:
    judged = write_report(press_run, tmp_path / "press.html")
    assert [item.name for item in tmp_path.iterdir()] == ["press.html"]
    page = Page((tmp_path / "press.html").read_text(encoding="utf-8"))
    assert_it_stands_alone(page)
    assert page.headings == SECTIONS
    assert list(page.pictures) == PICTURES
    assert len(set(page.pictures.values())) == len(PICTURES)
    assert all(len(picture) > 2000 for picture in page.pictures.values())
    assert f"{judged.overall.macro_f1:.3f}" in page.text
    assert "Judged on p4, which training never saw." in page.text


def test_tables_say_what_the_evaluation_says(
    press_run: Run, unseen: RunWindows, undrawn: list[Figure], footprint: Footprint
) -> None:
    judged = evaluate_windows(press_run, unseen)
    page = page_of(press_run, unseen)
    rows = {row[0]: row[1:] for row in page.table("sensors")}
    assert set(rows) == {"all that are there", "shake", "heat", "shake + heat"}
    heat = judged.subsets["heat"]
    assert rows["heat"] == [
        "94 %",
        f"{heat.macro_f1:.3f}",
        f"{heat.accuracy:.3f}",
        f"{heat.nll:.3f}",
        f"{heat.ece:.3f}",
    ]
    assert [row[:6] for row in page.table("sensor")] == [
        ["shake", "trained on", "156", "156", "0", "0"],
        ["shake", "judged", "60", "60", "0", "0"],
        ["heat", "trained on", "156", "147", "9", "0"],
        ["heat", "judged", "60", "57", "3", "0"],
    ]
    # hot, ok, worn
    assert page.table("side") == [
        ["train", "3", "180", "36", "84", "36", "p0, p1, p2"],
        ["dev", "1", "60", "12", "28", "12", "p3"],
        ["test", "1", "60", "12", "28", "12", "p4"],
    ]
    assert page.table("stream") == [
        ["heat", "5", "2", "5", "0.0833"],
        ["shake", "5", "100", "5", "0.0833"],
    ]
    assert page.table("input")[0] == [
        "shake", "acceleration", "0.64 s: 64 x 2 int16", "100 Hz", "m/s2", "-50000 to 50000"
    ]  # fmt: skip
    assert page.table("parameters") == [["12,345", "678,901", "54,321", "1.50", "0.25", "0.75"]]
    for line in (*judged.alarms.lines(), judged.prior.told()):  # type: ignore[union-attr]
        assert line in page.text


def test_the_course_of_alarms_is_that_of_all_windows(
    press_run: Run, unseen: RunWindows, monkeypatch: pytest.MonkeyPatch, undrawn: list[Figure]
) -> None:
    """As the alarms were judged: an alarm that rests on windows nobody labelled is in the picture too."""
    seen: dict[str, Any] = {}

    def keep(recordings: Any, t_ref: Any, scores: Any, fault: Any, active: Any, threshold: float) -> Figure:
        seen.update(t_ref=t_ref, scores=scores, fault=fault, active=active, threshold=threshold)
        return Figure()

    monkeypatch.setattr(report, "alarm_courses", keep)
    hot = unseen.labels == press_run.classes.index("hot")
    quiet = dataclasses.replace(unseen, labels=np.where(hot, -1, unseen.labels))
    judged = evaluate_windows(press_run, quiet)
    report_html(press_run, quiet, judged)
    assert len(seen["t_ref"]) == 60
    assert seen["active"][hot].any()
    assert not seen["fault"][hot].any()
    assert seen["fault"].sum() == (quiet.labels == press_run.classes.index("worn")).sum()
    assert judged.alarms is not None
    assert seen["threshold"] == judged.alarms.metrics.rule.threshold


NAMES = ("<b>hot</b>", "ok", "</td><script>alert(1)</script> & \"worn\" '$x_$'")


def test_names_are_text_and_never_markup(press_run: Run, unseen: RunWindows, tmp_path: Path) -> None:
    """Nor formulas: all of it is drawn."""
    run = dataclasses.replace(press_run, classes=NAMES)
    windows = dataclasses.replace(
        unseen, notes=["no window from <i>x.h5</i>: it is too short"], groups=["<u>p4</u>"] * 60
    )
    page = page_of(run, windows)
    assert page.text.count("<b>hot</b>") >= 3
    assert "<script>alert(1)</script>" in page.text
    assert "no window from <i>x.h5</i>" in page.text
    assert "<u>p4</u>" in page.text
    assert page.tags.isdisjoint({"i", "u", "script"})
    assert "<b>hot" not in page.source
    assert page.headings == SECTIONS


@pytest.mark.parametrize("name", ["costs $5 $ or $6", "a_b^c$ $", r"\frac$x$", "$$", "日本"])
def test_a_class_may_be_called_anything(press_run: Run, unseen: RunWindows, name: str) -> None:
    """Pictures draw the name as it is; a font that lacks its letters warns at most."""
    run = dataclasses.replace(press_run, classes=(name, "ok", "worn"))
    judged = evaluate_windows(run, unseen)
    with pytest.warns(UserWarning, match="missing from font") if name == "日本" else contextlib.nullcontext():
        report._inline(report.confusion_picture(judged.overall.confusion, judged.classes, title=""))
        figures = report._pictures(run, unseen, judged)
        report._inline(figures["right"])


def test_without_an_alarm_rule_nothing_is_said_of_alarms(
    press_run: Run, unseen: RunWindows, undrawn: list[Figure]
) -> None:
    page = page_of(with_config(press_run, alarm=None), unseen)
    assert page.headings == [name for name in SECTIONS if name != "Alarms"]
    assert list(page.pictures) == [name for name in PICTURES if "larm" not in name]
    assert "false alarms" not in page.text


def test_without_dev_groups_all_sections_stand(
    press_run: Run, unseen: RunWindows, undrawn: list[Figure]
) -> None:
    split = press_run.config.split.model_copy(update={"dev": ()})
    run = dataclasses.replace(with_config(press_run, split=split), groups={**press_run.groups, "dev": ()})
    page = page_of(run, unseen)
    assert page.headings == SECTIONS
    assert page.table("side")[1] == ["dev", "0", "0", "0", "0", "0", ""]
    assert "(as configured)" in page.text


def relabelled(windows: RunWindows, labels: np.ndarray) -> RunWindows:
    return dataclasses.replace(windows, labels=labels)


def test_when_no_window_is_wrong_it_is_said(
    press_run: Run, unseen: RunWindows, undrawn: list[Figure]
) -> None:
    verdicts = evaluate_windows(press_run, relabelled(unseen, np.zeros(60, np.int64))).logits.argmax(axis=1)
    page = page_of(press_run, relabelled(unseen, verdicts))
    assert "No window was judged wrong." in page.text
    assert list(page.pictures) == [name for name in PICTURES if name != "Windows judged wrong"]


def test_when_every_window_is_wrong_none_is_shown_as_right(
    press_run: Run, unseen: RunWindows, undrawn: list[Figure]
) -> None:
    verdicts = evaluate_windows(press_run, relabelled(unseen, np.zeros(60, np.int64))).logits.argmax(axis=1)
    page = page_of(press_run, relabelled(unseen, (verdicts + 1) % 3))
    assert "(60 of 60 windows were judged wrong)" in page.text
    assert list(page.pictures) == [name for name in PICTURES if name != "Windows judged right"]


def test_a_class_without_a_right_window_is_left_out_of_those_that_are_shown(
    press_run: Run, unseen: RunWindows, undrawn: list[Figure], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[list[str]] = []

    def keep(inputs: Any, encodings: Any, captions: list[str], **options: Any) -> Figure:
        shown.append(captions)
        return Figure()

    monkeypatch.setattr(report, "window_pictures", keep)
    hot, ok = (press_run.classes.index(name) for name in ("hot", "ok"))
    page_of(press_run, relabelled(unseen, np.where(unseen.labels == hot, ok, unseen.labels)))
    wrong, right = shown
    assert right == ["ok", "worn"]
    assert len(wrong) == 4
    assert all(re.fullmatch(r"ok\nsaid hot 0\.\d\d", caption) for caption in wrong)
    assert wrong == sorted(wrong, reverse=True), "the surest first"


def test_without_a_log_there_are_no_curves(
    press_run: Run, unseen: RunWindows, undrawn: list[Figure], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "LOG", "nowhere.jsonl")
    assert not set(PICTURES[-2:]) & set(page_of(press_run, unseen).pictures)


def logging(run: Run, folder: Path, *records: dict[str, Any]) -> Run:
    """The run with another log; the page is made of nothing else that training left."""
    shutil.copytree(run.folder, folder)
    (folder / LOG).write_text("".join(json.dumps(record) + "\n" for record in records))
    return dataclasses.replace(run, folder=folder)


def test_a_run_without_auxiliaries_has_no_picture_of_them(
    press_run: Run, unseen: RunWindows, undrawn: list[Figure], tmp_path: Path
) -> None:
    run = logging(press_run, tmp_path / "run", {"step": 10, "label": 0.5})
    page = page_of(run, unseen)
    assert list(page.pictures) == PICTURES[:-1]
    assert "auxiliary classifiers named right" not in page.text
    assert "Taught by" not in page.text


def test_transforms_that_auxiliaries_did_not_tell_apart_are_named(
    press_run: Run, unseen: RunWindows, undrawn: list[Figure], tmp_path: Path
) -> None:
    told = {
        "heat/stage1": {"class": 0.5, "transform": 0.5, "chance": 0.5, "0|1": 0.51, "0|2": 0.9},
        "shake/stage1": {"class": 0.5, "transform": 0.9, "chance": 0.5, "0|1": 0.9},
    }
    run = logging(press_run, tmp_path / "run", {"step": 10, "label": 0.5, "auxiliaries": told})
    page = page_of(run, unseen)
    assert list(page.pictures) == PICTURES
    assert "no auxiliary of heat tells identity from time reversal: 51% right, 50% by guessing" in page.text
    assert "no auxiliary of shake" not in page.text


@pytest.mark.parametrize(
    ("shared", "told"),
    [
        (False, "Taught by a teacher of its own: size small, by sad in 60 steps, 12,345 parameters, 7 s"),
        (True, "Taught by a shared teacher: size small, by sad in 60 steps, 12,345 parameters, 7 s"),
    ],
)
def test_what_the_teacher_cost_is_told(
    press_run: Run, unseen: RunWindows, undrawn: list[Figure], tmp_path: Path, shared: bool, told: str
) -> None:
    cost = {"size": "small", "method": "sad", "steps": 60, "parameters": 12345, "seconds": 7.2, "run": "x"}
    run = logging(
        press_run, tmp_path / "run", {"teacher": {**cost, "shared": shared}}, {"step": 1, "label": 0.5}
    )
    page = page_of(run, unseen)
    assert f"{told} of training" in page.text
    assert ("that are not this run's" in page.text) == shared


def test_other_archives_are_reported_with_what_training_knew_of_them(
    press_run: Run, press: Path, tmp_path: Path, undrawn: list[Figure]
) -> None:
    paths = [str(press / name) for name in ("p0.h5", "p4.h5")]
    judged = write_report(press_run, tmp_path / "two.htm", paths)
    page = Page((tmp_path / "two.htm").read_text(encoding="utf-8"))
    assert "Judged on p0, p4, which training never saw, but for p0." in page.text
    assert judged.notes[0] in page.text


def test_many_groups_and_notes_are_shortened(
    press_run: Run, unseen: RunWindows, undrawn: list[Figure]
) -> None:
    groups = [f"g{number:02d}" for number in range(60)]
    notes = [f"note {number}." for number in range(20)]
    page = page_of(press_run, dataclasses.replace(unseen, groups=groups, notes=notes))
    assert "g11 ... (52 in all)" in page.text
    assert "note 11." in page.text
    assert "note 12." not in page.text
    assert "... and 8 more" in page.text


def test_a_file_that_is_no_page_or_in_no_folder_is_refused_before_anything_is_judged(
    press_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "windows_for", lambda *_, **__: pytest.fail("judged"))
    with pytest.raises(ConfigError, match=r"found: \.pdf(.|\n)*ends in \.html") as caught:
        write_report(press_run, tmp_path / "press.pdf")
    assert caught.value.file == str(tmp_path / "press.pdf")
    with pytest.raises(ConfigError, match=r"no folder .*nowhere(.|\n)*correct --out"):
        write_report(press_run, tmp_path / "nowhere" / "press.html")
    assert list(tmp_path.iterdir()) == []


def test_the_configuration_is_shown_as_it_was_resolved(
    press_run: Run, unseen: RunWindows, undrawn: list[Figure]
) -> None:
    page = page_of(press_run, unseen)
    assert yaml.safe_dump(press_run.config.model_dump(mode="json"), sort_keys=False) in page.text


def test_other_archives_are_reported_on_where_those_of_training_are_gone(
    press_run: Run, press: Path, tmp_path: Path
) -> None:
    away = dataclasses.replace(
        press_run, config=press_run.config.model_copy(update={"data": (str(tmp_path / "gone"),)})
    )
    write_report(away, tmp_path / "report.html", [str(press)])
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "cannot be read here" in page
    assert str(tmp_path / "gone") in page
