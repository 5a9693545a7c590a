from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import numpy as np
import pytest

from sensorkd.recordings import open_recordings
from sensorkd.timeline import SECOND

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def make() -> ModuleType:
    spec = importlib.util.spec_from_file_location("golden_make", HERE / "make.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_archive_of_recording_1_0_still_opens_with_exact_values(make: ModuleType) -> None:
    assert make.ARCHIVE.stat().st_size < 60_000
    shift, trial = open_recordings(make.ARCHIVE)
    assert (shift.id, shift.clock) == ("recording-1.0.h5::shift", "utc")
    assert shift.identity == {"machine": "press 4", "line": "2"}
    shake, heat = shift.streams["acceleration"], shift.streams["temperature"]
    for stream, samples in (
        (shake, make.acceleration()),
        (heat, make.temperature()),
        (trial.streams["video"], make.video()),
    ):
        read = stream.read(0, len(samples))
        assert read.dtype == samples.dtype
        np.testing.assert_array_equal(read, samples)
    assert (shake.unit, shake.scale, shake.offset, shake.channels) == ("g", 0.0005, 0.0, ("x", "y", "z"))
    for column in ("t0", "rate", "offset", "count"):
        np.testing.assert_array_equal(getattr(shake.segments, column), getattr(make.gaps(), column))
    assert (heat.unit, heat.rate, heat.start) == ("degC", 2.0, make.MORNING)
    track = shift.tracks["state"]
    assert track.label == ("idle", "läuft")
    assert (track.t0 - make.MORNING).tolist() == [0, 3 * SECOND]
    assert (track.t1 - make.MORNING).tolist() == [3 * SECOND, 8 * SECOND]
    assert (trial.clock, trial.identity, trial.tracks) == ("relative", {"machine": "press 5"}, {})
    video = trial.streams["video"]
    assert (video.sample_shape, video.rate, video.scale) == ((4, 5, 1), 12.5, 1 / 255)


def test_a_new_archive_of_the_same_is_read_as_the_golden_one(make: ModuleType, tmp_path: Path) -> None:
    make.write_archive(tmp_path / "recording-1.0.h5")

    def told(path: Path) -> list[Any]:
        columns = ("t0", "rate", "offset", "count")
        return [
            (
                item.id,
                item.clock,
                item.identity,
                stream.name,
                stream.modality,
                stream.unit,
                stream.channels,
                *(getattr(stream.segments, column).tolist() for column in columns),
            )
            for item in open_recordings(path)
            for stream in item.streams.values()
        ]

    assert told(tmp_path / "recording-1.0.h5") == told(make.ARCHIVE)


def test_window_ids_are_those_they_have_always_been(make: ModuleType) -> None:
    pinned = json.loads(make.IDS.read_text(encoding="utf-8"))
    plan = make.plan()
    found = {str(t_ref): f"{int(i):016x}" for t_ref, i in zip(plan.t_ref, plan.id, strict=True)}
    assert found == pinned
    assert [name for name, _ in plan.skipped] == ["recording-1.0.h5::trial"]


@pytest.mark.parametrize("name", ["layout-1.0.json", "bundle-1.0.json", "import-1.0.json"])
def test_a_generated_schema_is_that_of_its_model(make: ModuleType, tmp_path: Path, name: str) -> None:
    make.write_schemas(tmp_path)
    stored, fresh = make.SCHEMAS / name, tmp_path / name
    assert stored.read_bytes() == fresh.read_bytes(), "run `python tests/golden/make.py schemas`"


@pytest.mark.parametrize(
    "name", ["recording-1.0.json", "layout-1.0.json", "bundle-1.0.json", "import-1.0.json"]
)
def test_every_schema_is_a_valid_one_and_described(make: ModuleType, name: str) -> None:
    tree = json.loads((make.SCHEMAS / name).read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(tree)
    assert name.removesuffix(".json") in (make.SCHEMAS / "README.md").read_text(encoding="utf-8")


def test_every_object_of_recording_1_0_says_that_it_is_one(make: ModuleType) -> None:
    # `required` and `properties` pass whatever is no object, `minItems` whatever is no array.
    needs = {"required": "object", "properties": "object", "additionalProperties": "object",
             "minProperties": "object", "minItems": "array", "items": "array",
             "minLength": "string", "pattern": "string"}  # fmt: skip

    def check(tree: Any, place: str) -> None:
        if isinstance(tree, list):
            for number, item in enumerate(tree):
                check(item, f"{place}/{number}")
        if not isinstance(tree, dict):
            return
        names_of_properties = place.endswith(("/properties", "/$defs"))
        if not names_of_properties and "/anyOf/" not in place:  # alternatives stand beside a type
            for keyword, kind in needs.items():
                assert keyword not in tree or tree.get("type") == kind, f"{place}: {keyword}"
        for key, value in tree.items():
            check(value, f"{place}/{key}")

    check(json.loads((make.SCHEMAS / "recording-1.0.json").read_text(encoding="utf-8")), "")


def test_the_readme_names_every_attribute_of_recording_1_0(make: ModuleType) -> None:
    tree = json.loads((make.SCHEMAS / "recording-1.0.json").read_text(encoding="utf-8"))
    readme = (make.SCHEMAS / "README.md").read_text(encoding="utf-8")
    for kind in tree["$defs"].values():
        for part in ("attributes", "members"):
            for name in kind.get("properties", {}).get(part, {}).get("properties", {}):
                assert f"`{name}`" in readme, name


def test_the_edge_does_not_import_pydantic() -> None:
    code = "import sensorkd.edge.bundle, sys; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
