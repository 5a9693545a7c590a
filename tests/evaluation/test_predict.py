"""Predictions are written in the format that the file's ending names."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from sensorkd.errors import ConfigError, MissingExtraError
from sensorkd.evaluation.predict import write_table

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
