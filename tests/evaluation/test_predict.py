"""Archives judged by a bundle, and predictions in the format that the file's ending names."""

from __future__ import annotations

import multiprocessing.util
import tempfile
from pathlib import Path
from typing import Any

import h5py
import pandas as pd
import pytest

from sensorkd.edge import EdgeBundle
from sensorkd.errors import ConfigError, MissingExtraError, SensorkdError
from sensorkd.evaluation.predict import predict_archives, write_table
from sensorkd.processes import ChildLimits
from tests.press_run import write_press
from tests.recordings.test_isolated import without_heap

TABLE = pd.DataFrame({"recording": ["a", "b"], "time": [1.0, 2.5], "verdict": ["hot", "cold"]})


def test_csv_json_lines_and_parquet_hold_the_table(tmp_path: Path) -> None:
    write_table(TABLE, tmp_path / "t.csv")
    write_table(TABLE, tmp_path / "t.jsonl")
    write_table(TABLE, tmp_path / "t.parquet")
    assert pd.read_parquet(tmp_path / "t.parquet").equals(TABLE)
    assert pd.read_csv(tmp_path / "t.csv").equals(TABLE)
    assert pd.read_json(tmp_path / "t.jsonl", lines=True).equals(TABLE)


def test_another_ending_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.csv, \.parquet or \.jsonl"):
        write_table(TABLE, tmp_path / "t.xlsx")


def test_parquet_without_its_package_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ImportError("no engine")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", missing)
    with pytest.raises(MissingExtraError, match="pip install pyarrow"):
        write_table(TABLE, tmp_path / "t.parquet")


@pytest.fixture(scope="module")
def same_shift(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One and the same shift of an unseen press, as three loggers would have stored it."""
    kinds: dict[str, dict[str, Any]] = {"plain": {}, "louder": {"gain": 2}, "in g": {"in_g": True}}
    return {
        name: write_press(tmp_path_factory.mktemp("shift"), "p9", seed=9, **options)
        for name, options in kinds.items()
    }


def test_neither_gain_nor_unit_changes_a_verdict(press_bundle: Path, same_shift: dict[str, Path]) -> None:
    bundle = EdgeBundle.open(press_bundle)
    tables = {name: predict_archives(bundle, [path])[0] for name, path in same_shift.items()}
    plain = tables["plain"]
    assert len(plain) == 60
    assert set(plain["verdict"]) == {"ok", "worn", "hot"}, "all three, or this would show nothing"
    for name in ("louder", "in g"):
        table = tables[name]
        assert table.drop(columns=probabilities(table)).equals(plain.drop(columns=probabilities(plain))), name
        assert (table[probabilities(table)] - plain[probabilities(plain)]).abs().max().max() < 1e-4, name


def probabilities(table: pd.DataFrame) -> list[str]:
    return [name for name in table.columns if name.startswith("p")]


def test_recordings_that_hold_no_window_are_noted(
    press_bundle: Path, tmp_path: Path, record: Any, heat: Any
) -> None:
    write_press(tmp_path, "p9", seed=9)
    record({"heat": heat(seconds=2.0)}, name="short.h5")
    table, notes = predict_archives(EdgeBundle.open(press_bundle), [tmp_path])
    assert set(table["recording"]) == {"p9.h5::shift"}
    assert notes == ["no window from short.h5::monday: its 2 s are shorter than a window"]


def test_a_file_that_hangs_its_reader_is_told_and_the_others_are_judged_as_ever(
    press_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    # multiprocessing keeps the first one it is given, and a socket's path must be short.
    multiprocessing.util.get_temp_dir()
    monkeypatch.setattr(tempfile, "tempdir", str(work))
    plant = tmp_path / "plant"
    plant.mkdir()
    good, bad = write_press(plant, "p9", seed=9), write_press(plant, "p8", seed=8)
    with h5py.File(bad, "r+") as file:
        file["shift"].attrs["operator"] = "anna"
    without_heap(bad)
    bundle, errors = EdgeBundle.open(press_bundle), list[SensorkdError]()
    table, _ = predict_archives(
        bundle, [plant], on_error=errors.append, isolated=ChildLimits(seconds=4.0, memory=4 << 30)
    )
    (error,) = errors
    assert error.file == str(bad) and "does not end" in str(error)
    assert table.equals(predict_archives(bundle, [good])[0])
    assert list(work.iterdir()) == []
