from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sensorkd.errors import ConfigError
from sensorkd.recordings import Layout, load_layout

WriteLayout = Callable[..., Path]
LAYOUTS = sorted((Path(__file__).parents[2] / "examples" / "layouts").glob("*.yaml"))


def message(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_layout(path)
    assert caught.value.file == str(path)
    assert caught.value.found
    assert caught.value.mend
    return str(caught.value)


@pytest.mark.parametrize("path", LAYOUTS, ids=lambda path: path.stem)
def test_every_shipped_layout_is_valid_and_named_after_its_file(path: Path) -> None:
    assert load_layout(path).name == path.stem


def test_a_layout_goes_through_json_unchanged(utd_layout: Layout) -> None:
    assert Layout.model_validate_json(utd_layout.model_dump_json(by_alias=True)) == utd_layout


def test_every_mistake_is_told_at_once_each_on_a_line(layout_file: WriteLayout) -> None:
    path = layout_file(
        {"clock": "sundial", "recordings": "no slash", "about": 3},
        axes=["time", "colour"], unit={"attribut": "u"}, rate=float("nan"),
    )  # fmt: skip
    told = message(path)
    for place in ("clock", "about", "streams.shake.axes.1", "streams.shake.unit", "streams.shake.rate"):
        assert f"\n    {place}" in told, place


def test_an_unknown_key_is_told_with_the_nearest_known_one(layout_file: WriteLayout) -> None:
    told = message(layout_file({"recordngs": "/*"}, offsett=1))
    assert "recordngs: unknown key; did you mean 'recordings'?" in told
    assert "streams.shake.offsett: unknown key; did you mean 'offset'?" in told
    assert "schemata: unknown key; did you mean 'schema'?" in message(layout_file({"schemata": 1}))


@pytest.mark.parametrize(
    ("top", "stream", "told"),
    [
        ({"recordings": "a*"}, {}, "begin with '/'"),
        ({"streams": {}}, {}, "at least one"),
        ({"schema": "layout-2.0"}, {}, "layout-1.0"),
        ({}, {"axes": ["channel"]}, "'time'"),
        ({}, {"axes": []}, "'time'"),
        ({}, {"axes": ["time", "time"]}, "once"),
        ({}, {"axes": ["segment", "time"]}, "start: {dataset: PATH}"),
        ({}, {"scale": 0}, "scale must not be 0"),
        ({}, {"rate": {"match_span_of": "shak"}}, "did you mean"),
        ({}, {"rate": {"match_span_of": "shake"}}, "no other stream"),
        ({}, {"times": {"dataset": "t", "unit": "ms", "ticks_per_second": 5}}, "not both"),
        ({}, {"times": {"dataset": "t", "ticks_per_second": 5, "wraps": 2.5}}, "whole number of ticks"),
        ({}, {"times": {"dataset": "t", "longest_gap": 5}}, "only a clock that `wraps`"),
        ({}, {"times": {"dataset": "t", "unit": "ms", "wraps": 5000, "longest_gap": 5}}, "leaves no trace"),
        ({}, {"times": {"dataset": "t", "set_back": "keep"}}, "'refuse' or 'cut'"),
        ({}, {"times": {"dataset": "t"}, "counter": {"dataset": "n"}}, "`counter` goes with a `rate`"),
        ({}, {"counter": {"dataset": "n", "wraps": 3}}, "wraps"),
        ({"clock": "utc"}, {}, "['shake'] have none"),
        ({"clock": "utc", "timezone": "Europe/Berlyn"}, {"start": 0}, "Europe/Berlyn"),
        ({"timezone": "Europe/Berlin"}, {}, "a relative clock has none"),
    ],
)
def test_what_cannot_be_meant_is_told(
    layout_file: WriteLayout, top: dict[str, Any], stream: dict[str, Any], told: str
) -> None:
    if "rate" in stream and stream["rate"] == {"match_span_of": "shak"}:
        # A near name needs another stream to be near to.
        other = {"modality": "m", "samples": "d", "axes": ["time"], "unit": "1", "rate": 1.0}
        shake = {**other, **stream}
        top = {"streams": {"shaky": other, "shake": shake}}
    assert told in message(layout_file(top, **stream))


def test_a_derived_rate_may_not_derive_from_another(layout_file: WriteLayout) -> None:
    stream = {"modality": "m", "samples": "d", "axes": ["time"], "unit": "1"}
    top = {"streams": {n: {**stream, "rate": {"match_span_of": o}} for n, o in (("a", "b"), ("b", "a"))}}
    assert "has itself a derived rate" in message(layout_file(top))


@pytest.mark.parametrize(
    ("content", "told"),
    [("a: [1", "not a YAML file"), ("- 1\n- 2", "dictionary"), ("", "dictionary"), ("\xff", "not valid")],
)
def test_what_is_no_layout_at_all_is_told(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(content, encoding="utf-8")
    assert told in message(path)


def test_a_missing_file_a_folder_and_binary_data_are_told(tmp_path: Path) -> None:
    assert "no such layout" in message(tmp_path / "none.yaml")
    assert "no such layout" in message(tmp_path)
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    assert "not a YAML file" in message(tmp_path / "b.yaml")
