"""A mapping is checked whole before any file is read."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sensorkd_adapters.importers.csv_mapping import CsvMapping
from sensorkd_adapters.importers.cycles_mapping import CyclesMapping
from sensorkd_adapters.importers.mapping import load_mapping
from sensorkd_adapters.importers.video_mapping import GoproMapping, VideoMapping

from sensorkd.errors import ConfigError

MappingFile = Callable[..., Path]
MODELS: dict[str, Any] = {
    "csv": CsvMapping, "cycles": CyclesMapping, "video": VideoMapping, "gopro": GoproMapping
}  # fmt: skip
EXAMPLES = sorted((Path(__file__).parents[3] / "examples" / "imports").glob("*.yaml"))
FLOW = {"modality": "flow", "unit": "l/min", "columns": ["flow"]}
MATRIX = {"modality": "flow", "unit": "l/min", "files": ["FS1.txt"]}
PUMP = {"file": "profile.txt", "columns": ["pump"], "targets": {"pump": {"column": "pump"}}}


def message(path: Path | None, importer: str = "csv") -> str:
    with pytest.raises(ConfigError) as caught:
        load_mapping(path, MODELS[importer])
    error = caught.value
    assert None not in (error.found, error.expected, error.mend)
    assert error.file == (None if path is None else str(path))
    return str(error)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_shipped_mapping_is_valid_and_named_after_its_file(path: Path) -> None:
    (importer,) = re.findall(r"^importer: (\w+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    mapping = load_mapping(path, MODELS[importer])
    assert mapping.name == path.stem
    assert type(mapping).model_validate_json(mapping.model_dump_json(by_alias=True)) == mapping


def test_the_mapping_of_the_readme_is_valid(tmp_path: Path) -> None:
    readme = (EXAMPLES[0].parents[2] / "adapters" / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", readme, flags=re.DOTALL)
    (tmp_path / "press.yaml").write_text(block, encoding="utf-8")
    mapping = load_mapping(tmp_path / "press.yaml", CsvMapping)
    assert mapping.streams["temperature"].columns == ("oil", "T air")


def test_every_mistake_is_told_at_once_each_on_a_line(mapping_file: MappingFile) -> None:
    told = message(
        mapping_file(
            clock="sundial", header=0, encoding="utf-99", delimiter=";;", timezone="Europe/Berlyn", about=3,
            time={"column": 1}, labels={"state": {"column": "s", "classes": {"a": 1}}},
            streams={"flow": {**FLOW, "scale": 0, "offset": float("nan"), "dtype": "int7", "unit": ""}},
        )
    )  # fmt: skip
    for place in (
        "clock", "header", "encoding", "delimiter", "timezone", "about", "time.column",
        "labels.state.classes.a", "streams.flow.scale", "streams.flow.offset", "streams.flow.dtype",
        "streams.flow.unit",
    ):  # fmt: skip
        assert f"\n    {place}: " in told, place
    assert "data_schemas/import-1.0.json" in told


def test_an_unknown_key_is_told_with_the_nearest_known_one(mapping_file: MappingFile) -> None:
    told = message(mapping_file(stream={}, streams={"flow": {**FLOW, "colums": []}}))
    assert "stream: unknown key; did you mean 'streams'?" in told
    assert "streams.flow.colums: unknown key; did you mean 'columns'?" in told
    told = message(mapping_file("cycles", bloc_of=["pump"]), "cycles")
    assert "bloc_of: unknown key; did you mean 'block_of'?" in told


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"schema": "import-2.0"}, "import-1.0"),
        ({"streams": {}}, "at least 1"),
        ({"streams": {"flow": {**FLOW, "columns": []}}}, "at least 1"),
        ({"streams": {"flow": {**FLOW, "columns": ["a", "a"]}}}, "names one twice"),
        ({"streams": {"flow": {**FLOW, "channels": ["x", "y"]}}}, "2 names for 1 columns"),
        ({"time": None}, "time, rate: one of them is needed, and not both"),
        ({"rate": 5.0}, "time, rate: one of them is needed, and not both"),
        ({"time": None, "rate": 5.0, "clock": "utc"}, "say `clock: relative`"),
        ({"time": None, "rate": -5.0}, "greater than 0"),
        ({"time": {"column": "t", "unit": "s", "format": "%Y"}}, "name one of them"),
        ({"timezone": "Europe/Berlin"}, "a relative clock has none"),
        ({"decimal": ",", "delimiter": ","}, "a comma cannot end numbers and cells alike"),
        ({"identity": {"machine": {"file": "suffix"}}}, "'stem' or 'parent'"),
    ],
)
def test_what_cannot_be_meant_of_a_table_is_told(
    mapping_file: MappingFile, changes: dict[str, Any], told: str
) -> None:
    assert told in message(mapping_file(**changes))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"cycle": 0}, "greater than 0"),
        ({"streams": {"flow": {**MATRIX, "files": []}}}, "at least 1"),
        ({"streams": {"flow": {**MATRIX, "channels": ["x", "y"]}}}, "2 names for 1 files"),
        ({"labels": {**PUMP, "targets": {}}}, "at least 1"),
        ({"labels": {**PUMP, "targets": {"pump": {"column": "pum"}}}}, "did you mean 'pump'?"),
        ({"block_of": ["pump"]}, "'pump' is no target"),
        ({"labels": PUMP, "block_of": ["pum"]}, "did you mean 'pump'?"),
        ({"labels": PUMP, "block_of": ["pump"], "identity": {"block": "b"}}, "given by block_of"),
    ],
)
def test_what_cannot_be_meant_of_cycles_is_told(
    mapping_file: MappingFile, changes: dict[str, Any], told: str
) -> None:
    assert told in message(mapping_file("cycles", **changes), "cycles")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"frames": {"size": [0, 112]}}, "greater than or equal to 1"),
        ({"frames": {"size": [64]}}, "frames.size"),
        ({"frames": {"sise": [64, 64]}}, "did you mean 'size'?"),
        ({"frames": {"every": 2, "max_rate": 5}}, "name one of them"),
        ({"frames": {"max_rate": 0}}, "greater than 0"),
        ({"frames": {"color": "sepia"}}, "'rgb' or 'gray'"),
        ({"frames": {"crop": {"top": -1, "left": 0, "height": 1, "width": 1}}}, "frames.crop.top"),
        ({"timezone": "Europe/Berlin"}, "a relative clock has none"),
    ],
)
@pytest.mark.parametrize("importer", ["video", "gopro"])
def test_what_cannot_be_meant_of_a_film_is_told(
    mapping_file: MappingFile, importer: str, changes: dict[str, Any], told: str
) -> None:
    assert told in message(mapping_file(importer, **changes), importer)
    assert "streams.0" in message(mapping_file("gopro", streams=["sound"]), "gopro")


def test_a_mapping_is_needed_and_must_be_for_this_importer(mapping_file: MappingFile) -> None:
    assert "importer 'csv' needs a mapping" in message(None)
    told = message(mapping_file("cycles"))
    assert "the mapping is for another importer" in told
    assert "--importer cycles" in told


@pytest.mark.parametrize(
    ("content", "told"), [("a: [1", "not a YAML file"), ("- 1", "dictionary"), ("", "dictionary")]
)
def test_what_is_no_mapping_at_all_is_told(tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / "x.yaml").write_text(content)
    assert told in message(tmp_path / "x.yaml")


def test_a_missing_file_and_binary_data_are_told(tmp_path: Path) -> None:
    assert "no such mapping" in message(tmp_path / "none.yaml")
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    assert "not a YAML file" in message(tmp_path / "b.yaml")
