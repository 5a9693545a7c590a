"""Wherever windows are read from, they are the same."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sensorkd.errors import ArchiveError
from sensorkd.recordings import Recording, open_recordings
from sensorkd.recordings.layout import parse_layout
from sensorkd.timeline import SECOND
from sensorkd.windows import reading as reading_module
from sensorkd.windows.cache import CacheSettings
from sensorkd.windows.direct import ArchiveSamples, chunk_notes
from sensorkd.windows.mapped import CacheError, MappedSamples
from sensorkd.windows.plan import WindowPlan, plan_windows
from sensorkd.windows.read import read_windows
from sensorkd.windows.reading import ReadingMode, ReadingSettings, read_plan, window_bytes


@pytest.fixture
def recordings(write_archive: Any, shake: Any, heat: Any) -> list[Recording]:
    fast, slow = shake(), heat()
    slow["samples"][4:8] = np.nan
    return [
        *open_recordings(write_archive({"acceleration": fast, "temperature": slow}, name="a.h5")),
        *open_recordings(write_archive({"acceleration": fast}, name="b.h5")),
    ]


@pytest.fixture
def plan(recordings: list[Recording], encodings: Any) -> WindowPlan:
    return plan_windows(recordings, encodings(), hop=SECOND)


def settings(folder: Path, **changes: Any) -> ReadingSettings:
    cache = CacheSettings(folder / "cache", limit=changes.pop("limit", 1 << 30))
    return ReadingSettings(cache, **changes)


@pytest.mark.parametrize("mode", ["memory", "cache", "direct"])
def test_windows_are_the_same_from_everywhere(
    recordings: list[Recording], plan: WindowPlan, encodings: Any, tmp_path: Path, mode: Any
) -> None:
    expected = read_windows(recordings, plan, encodings())
    found = read_plan(recordings, plan, encodings(), settings(tmp_path, mode=mode)).windows
    some = np.array([3, 0, 7, 3])
    for windows, other in ((found, expected), (found.select(some), expected.select(some))):
        for name in ("presence", "coverage", "faults", "id", "t_ref", "recording"):
            np.testing.assert_array_equal(getattr(windows, name), getattr(other, name))
        for name, values in other.inputs.items():
            np.testing.assert_array_equal(windows.inputs[name][:], values, strict=True)


def test_what_does_not_fit_into_memory_goes_into_a_cache_and_what_does_not_fit_there_stays_where_it_is(
    recordings: list[Recording], plan: WindowPlan, encodings: Any, tmp_path: Path
) -> None:
    notes: list[str] = []
    size = window_bytes(encodings()) * len(plan)
    kinds = []
    # Columns of this plan take 72 bytes a window beside the samples.
    for memory, limit in ((size, 1 << 30), (size - 1, 1 << 30), (size - 1, 1 << 15)):
        told = settings(tmp_path / f"{memory}{limit}", memory=memory, limit=limit)
        (tmp_path / f"{memory}{limit}").mkdir()
        encoded = (
            {
                name: dataclasses.replace(item, steps=item.steps * 4, span=4 * item.span)
                for name, item in encodings().items()
            }
            if limit == 1 << 15
            else encodings()
        )
        reading = read_plan(recordings, plan, encoded, told, on_note=notes.append)
        kinds.append(type(reading.windows.inputs["acceleration"]))
    assert kinds == [np.ndarray, MappedSamples, ArchiveSamples]
    assert "windows are read from the archives" in "\n".join(notes)


def test_memory_is_never_filled_by_more_than_half(
    recordings: list[Recording], plan: WindowPlan, encodings: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(reading_module, "available_memory", lambda: 1000)
    windows = read_plan(recordings, plan, encodings(), settings(tmp_path)).windows
    assert isinstance(windows.inputs["acceleration"], MappedSamples)


def test_available_memory_is_a_number_where_the_system_tells() -> None:
    found = reading_module.available_memory()
    assert found is None or found > 1 << 20


def test_isolated_archives_are_never_read_here(
    recordings: list[Recording], plan: WindowPlan, encodings: Any, tmp_path: Path
) -> None:
    isolated = settings(tmp_path, isolated=True, mode="memory")
    windows = read_plan(recordings, plan, encodings(), isolated).windows
    assert isinstance(windows.inputs["acceleration"], MappedSamples)
    with pytest.raises(CacheError, match="no room"):
        read_plan(recordings, plan, encodings(), settings(tmp_path / "x", isolated=True, limit=1))


@pytest.mark.parametrize("mode", ["auto", "direct"])
def test_archives_are_read_directly_where_nothing_can_be_written(
    recordings: list[Recording], plan: WindowPlan, encodings: Any, tmp_path: Path, mode: ReadingMode
) -> None:
    (tmp_path / "file").write_text("no folder")
    nowhere = settings(tmp_path / "file" / "cache", mode=mode, memory=1)
    windows = read_plan(recordings, plan, encodings(), nowhere).windows
    kept = read_plan(recordings, plan, encodings(), settings(tmp_path, mode="memory")).windows
    assert isinstance(windows.inputs["acceleration"], ArchiveSamples)
    assert np.array_equal(windows.presence, kept.presence)
    for row in range(len(kept)):
        assert np.array_equal(windows.inputs["acceleration"][row], kept.inputs["acceleration"][row])


def test_an_archive_that_changes_while_it_is_read_directly_is_told(
    recordings: list[Recording], plan: WindowPlan, encodings: Any, tmp_path: Path
) -> None:
    windows = read_plan(recordings, plan, encodings(), settings(tmp_path, mode="direct")).windows
    windows.inputs["acceleration"][0]
    recordings[0].path.write_bytes(b"")
    with pytest.raises(ArchiveError, match="was changed while it was read"):
        windows.inputs["acceleration"][0]
    recordings[0].path.unlink()
    with pytest.raises(ArchiveError, match="cannot be reached any more"):
        windows.inputs["acceleration"][0]


def test_chunks_that_make_random_windows_slow_are_told_with_the_cure(encodings: Any, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "lab.h5", "w") as file:
        file.create_dataset(
            "data", data=np.zeros((60_000, 2), np.int16) + 1, chunks=(30_000, 2), compression=1
        )
    shake = {
        "modality": "acceleration",
        "samples": "data",
        "axes": ["time", "channel"],
        "unit": "m/s2",
        "rate": 100.0,
    }
    layout = {"schema": "layout-1.0", "name": "lab", "clock": "relative", "streams": {"shake": shake}}
    recordings = open_recordings(tmp_path / "lab.h5", parse_layout(layout))
    (note,) = chunk_notes(recordings, {"shake": encodings()["acceleration"]})
    assert "a random window of 1 s (400 bytes) unpacks" in note and "301 times" in note
    assert "h5repack -l /data:CHUNK=400x2 OLD NEW" in note


def test_chunks_as_sensorkd_writes_them_are_not_told(recordings: list[Recording], encodings: Any) -> None:
    assert chunk_notes(recordings, encodings()) == []
