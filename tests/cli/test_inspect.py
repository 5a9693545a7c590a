"""`sensorkd inspect` tells what archives hold; with --isolated it opens none of them itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import pytest

from sensorkd.cli.__main__ import main


@pytest.fixture
def plant(write_archive: Any, shake: Any, heat: Any, tmp_path: Path) -> Path:
    """Two good archives, and an empty file between them."""
    write_archive({"acceleration": shake()}, name="plant/a.h5")
    write_archive({"temperature": heat()}, name="plant/c.h5")
    (tmp_path / "plant" / "b.h5").write_bytes(b"")
    return tmp_path / "plant"


@pytest.mark.parametrize("options", [[], ["--isolated"], ["--isolated", "--jobs", "2"]])
def test_every_file_is_told_of_and_a_bad_one_does_not_end_it(
    plant: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    assert main(["inspect", str(plant), *options]) == 1
    printed = capsys.readouterr().out
    assert "a.h5::monday" in printed and "c.h5::monday" in printed
    assert "acceleration [m/s2] int16 2, 100 Hz, 10.000 s" in printed
    assert "chunks 400x2 gzip" in printed
    assert f"error: {plant / 'b.h5'}: the file is empty" in printed


def test_isolated_and_not_say_the_same(plant: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = []
    for options in ([], ["--isolated"]):
        assert main(["inspect", str(plant), "--json", *options]) == 1
        told.append(json.loads(capsys.readouterr().out))
    assert told[0] == told[1]
    assert len(told[0]["recordings"]) == 2 and len(told[0]["errors"]) == 1


def test_with_isolated_no_file_is_opened_in_this_process(
    plant: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*args: Any, **options: Any) -> Any:
        raise AssertionError("opened in the parent")

    monkeypatch.setattr(h5py, "File", never)
    assert main(["inspect", str(plant), "--isolated"]) == 1
    assert "a.h5::monday" in capsys.readouterr().out


def test_nothing_but_bad_files_is_unusable_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "b.h5").write_bytes(b"")
    for options in ([], ["--isolated"]):
        assert main(["inspect", str(tmp_path), *options]) == 2
        assert "the file is empty" in capsys.readouterr().out
