"""The sealed cache: the same windows as from the archives, made once, and never wrong in silence."""

from __future__ import annotations

import dataclasses
import os
import pickle
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sensorkd.errors import WindowError
from sensorkd.processes import ChildLimits
from sensorkd.recordings import Recording, Stream, open_recordings
from sensorkd.recordings.isolated import open_isolated
from sensorkd.timeline import SECOND
from sensorkd.windows import cache_seal
from sensorkd.windows.arrays import Reading, WindowSet
from sensorkd.windows.cache import CacheSettings, cached_windows
from sensorkd.windows.cache_folder import prune
from sensorkd.windows.cache_key import cache_key
from sensorkd.windows.cache_layout import told_bytes
from sensorkd.windows.content import ContentIndex
from sensorkd.windows.mapped import CacheError
from sensorkd.windows.plan import WindowPlan, plan_windows
from sensorkd.windows.read import read_windows

COLUMNS = ("presence", "coverage", "faults", "id", "t_ref", "recording")


class Deadly(Stream):
    """Reading it crashes the process."""

    def read(self, start: int, stop: int) -> Any:
        os.kill(os.getpid(), signal.SIGSEGV)


@pytest.fixture
def presses(write_archive: Any, shake: Any, heat: Any) -> list[Recording]:
    """Three archives; that of b lacks a temperature."""
    return [
        open_recordings(write_archive(streams, name=name))[0]
        for name, streams in {
            "a.h5": {"acceleration": shake(), "temperature": heat()},
            "b.h5": {"acceleration": shake(8.0)},
            "c.h5": {"acceleration": shake(9.0), "temperature": heat(9.0)},
        }.items()
    ]


@pytest.fixture
def kinds(encodings: Any) -> Any:
    return encodings()


@pytest.fixture
def plan(presses: list[Recording], kinds: Any) -> WindowPlan:
    return plan_windows(presses, kinds, hop=SECOND // 2)


@pytest.fixture
def settings(tmp_path: Path) -> CacheSettings:
    return CacheSettings(tmp_path / "cache", limit=1 << 30)


@pytest.fixture
def cached(presses: list[Recording], plan: WindowPlan, kinds: Any, settings: CacheSettings) -> Any:
    """The windows from the cache; keyword arguments change what it is asked for."""

    def read(
        *, recordings: Any = presses, plan: WindowPlan = plan, kinds: Any = kinds, **options: Any
    ) -> Reading:
        told = {key: options.pop(key) for key in ("samples", "progress", "on_note") if key in options}
        return cached_windows(recordings, plan, kinds, dataclasses.replace(settings, **options), **told)

    return read


def same(found: WindowSet, expected: WindowSet) -> None:
    for name in COLUMNS:
        np.testing.assert_array_equal(
            getattr(found, name), getattr(expected, name), strict=name != "recording"
        )
    assert list(found.inputs) == list(expected.inputs)
    for name, values in expected.inputs.items():
        np.testing.assert_array_equal(found.inputs[name][:], values[:], strict=True)


def sealed(settings: CacheSettings) -> list[Path]:
    return sorted(path.parent for path in settings.folder.glob("*/cache.json"))


def test_windows_are_those_of_the_archives_bit_for_bit(
    cached: Callable[..., Reading], presses: list[Recording], plan: WindowPlan, kinds: Any
) -> None:
    told: list[tuple[int, int]] = []
    reading = cached(progress=lambda *done: told.append(done), jobs=2)
    same(reading.windows, read_windows(presses, plan, kinds))
    assert (reading.rows.tolist(), reading.failed) == (list(range(len(plan))), ())
    assert told[-1] == (len(plan), len(plan))


def test_windows_in_any_order_are_kept_in_it(
    cached: Callable[..., Reading], presses: list[Recording], plan: WindowPlan, kinds: Any
) -> None:
    some = plan.select(np.random.default_rng(0).permutation(len(plan))[:20])
    same(cached(plan=some).windows, read_windows(presses, some, kinds))


def test_a_cache_is_announced_made_once_and_used_by_all(
    cached: Callable[..., Reading], settings: CacheSettings, plan: WindowPlan
) -> None:
    notes: list[str] = []
    cached(on_note=notes.append)
    (place,) = sealed(settings)
    made = (place / "input0.raw").stat()
    assert len(notes) == 1 and f"{len(plan)} windows" in notes[0] and str(place) in notes[0]
    assert re.search(r"windows, [0-9.]+ kB: ", notes[0])
    cached(on_note=notes.append)
    assert len(notes) == 1
    assert (place / "input0.raw").stat() == made
    assert not list(settings.folder.glob("*.part"))


@pytest.mark.parametrize("change", ["plan", "encoding", "samples", "order"])
def test_another_question_is_another_cache(
    cached: Callable[..., Reading],
    settings: CacheSettings,
    presses: list[Recording],
    plan: WindowPlan,
    kinds: Any,
    change: str,
) -> None:
    cached()
    other = {**kinds, "temperature": dataclasses.replace(kinds["temperature"], stuck_after=3.0)}
    changes: dict[str, dict[str, Any]] = {
        "plan": {"plan": plan.select(np.arange(5))},
        "order": {"plan": plan.select(np.arange(len(plan))[::-1])},
        "encoding": {"kinds": other},
        "samples": {"samples": False},
    }
    cached(**changes[change])
    assert len(sealed(settings)) == 2


def test_archives_that_were_moved_need_no_other_cache(
    cached: Callable[..., Reading], settings: CacheSettings, presses: list[Recording], tmp_path: Path
) -> None:
    cached()
    (tmp_path / "moved").mkdir()
    for recording in presses:
        recording.path.rename(tmp_path / "moved" / recording.path.name)
    cached(recordings=open_recordings(tmp_path / "moved"))
    assert len(sealed(settings)) == 1


@pytest.mark.parametrize("file", ["kept.raw", "recording.raw", "cache.json"])
def test_a_column_or_manifest_that_was_changed_is_made_again(
    cached: Callable[..., Reading],
    settings: CacheSettings,
    presses: list[Recording],
    plan: WindowPlan,
    kinds: Any,
    file: str,
) -> None:
    cached()
    path, notes = sealed(settings)[0] / file, list[str]()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    same(cached(on_note=notes.append).windows, read_windows(presses, plan, kinds))
    assert "not as it was sealed" in notes[0] and "it is made again" in notes[0] and file in notes[0]


def test_samples_that_were_changed_are_told_when_they_are_read_or_at_once(
    cached: Callable[..., Reading], settings: CacheSettings
) -> None:
    cached()
    path, notes = sealed(settings)[0] / "input1.raw", list[str]()
    content = bytearray(path.read_bytes())
    content[-1] ^= 128
    path.write_bytes(content)
    reading = cached()
    reading.windows.inputs["temperature"][:3]
    with pytest.raises(CacheError, match="not what was written"):
        reading.windows.inputs["temperature"][-1]
    cached(verify=True, on_note=notes.append)
    assert "not what was written" in notes[0]
    cached().windows.inputs["temperature"][:]


def test_a_cut_file_is_made_again(cached: Callable[..., Reading], settings: CacheSettings) -> None:
    cached()
    path, notes = sealed(settings)[0] / "input0.raw", list[str]()
    os.truncate(path, path.stat().st_size - 1)
    cached(on_note=notes.append)
    assert "not as it was sealed" in notes[0]


def test_a_file_that_cannot_be_read_is_left_out_and_told_whenever_the_cache_is_opened(
    cached: Callable[..., Reading], presses: list[Recording], plan: WindowPlan
) -> None:
    presses[1].path.write_bytes(b"not HDF5 any more")
    for _ in range(2):
        reading = cached()
        assert set(reading.windows.recording) == {"a.h5::monday", "c.h5::monday"}
        np.testing.assert_array_equal(reading.windows.id, plan.id[reading.rows])
        (error,) = reading.failed
        assert error.file == str(presses[1].path) and "not an HDF5 file" in error.problem
        assert "which remembers this" in str(error.mend)
    presses[1].path.unlink()
    assert "cannot be reached" in cached().failed[0].problem


def test_a_damaged_chunk_costs_its_input_in_the_windows_that_need_it(
    cached: Callable[..., Reading],
    presses: list[Recording],
    plan: WindowPlan,
    kinds: Any,
    write_archive: Any,
    shake: Any,
    heat: Any,
) -> None:
    from tests.windows.damaging import flip_in_chunk

    before = read_windows(presses, plan, kinds)
    flip_in_chunk(presses[0].path, "/monday/streams/acceleration/samples", index=1)
    reading = cached()
    lost = (before.presence[:, 0] > 0) & (reading.windows.presence[:, 0] == 0)
    assert 0 < lost.sum() < (before.recording == presses[0].id).sum()
    assert reading.windows.presence[:, 1].tolist() == before.presence[:, 1].tolist()
    (error,) = reading.failed
    assert f"{lost.sum()} windows lose" in str(error.found) and error.file == str(presses[0].path)


@pytest.mark.parametrize("limits", [None, ChildLimits(seconds=60)])
def test_a_file_that_crashes_its_reader_is_left_out(
    cached: Callable[..., Reading], presses: list[Recording], limits: ChildLimits | None
) -> None:
    fields = {
        field.name: getattr(presses[1].streams["acceleration"], field.name)
        for field in dataclasses.fields(Stream)
    }
    bad = dataclasses.replace(presses[1], streams={"acceleration": Deadly(**fields)})
    for _ in range(2):
        reading = cached(recordings=[presses[0], bad, presses[2]], limits=limits)
        assert set(reading.windows.recording) == {"a.h5::monday", "c.h5::monday"}
        assert "SIGSEGV" in str(reading.failed[0]) and reading.failed[0].file == str(bad.path)


def test_where_no_file_can_be_read_it_is_an_error(
    cached: Callable[..., Reading], presses: list[Recording]
) -> None:
    for recording in presses:
        recording.path.unlink()
    with pytest.raises(WindowError, match="not one of the files can be read") as caught:
        cached()
    assert str(presses[0].path) in str(caught.value)


def test_a_cache_larger_than_its_limit_is_refused_before_anything_is_read(
    cached: Callable[..., Reading], settings: CacheSettings
) -> None:
    cached()
    with pytest.raises(CacheError, match="no room") as caught:
        cached(limit=30_000, samples=False)
    (place,) = sealed(settings)
    assert "at most 30 kB in all caches" in str(caught.value) and "cache.limit" in str(caught.value)
    assert f"delete the folder {place}, unused" in str(caught.value)  # its user may have no Python at hand
    assert not list(settings.folder.glob("*.part"))


def test_the_least_recently_used_caches_are_removed_when_asked(
    cached: Callable[..., Reading], settings: CacheSettings
) -> None:
    cached()
    (first,) = sealed(settings)
    os.utime(first / "cache.json", (1, 1))
    cached(samples=False)
    assert prune(settings.folder, keep=1 << 30) == []
    assert prune(settings.folder, keep=60_000) == [first]
    assert len(sealed(settings)) == 1


def test_a_folder_that_cannot_be_made_is_told(cached: Callable[..., Reading], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match="cannot be written") as caught:
        cached(folder=tmp_path / "file" / "cache")
    assert "cache.folder" in str(caught.value)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let nobody write to a folder meanwhile; root is only stopped by a mount."""
    if os.geteuid() != 0:
        folder.chmod(0o555)
        try:
            yield
        finally:
            folder.chmod(0o755)
        return
    if subprocess.run(["mount", "--bind", folder, folder], check=False, capture_output=True).returncode:
        pytest.skip("a folder cannot be mounted here")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.skipif(os.name != "posix", reason="permissions and mounts of POSIX")
def test_a_cache_in_a_folder_that_is_read_only_is_used_and_another_is_told_to_be_impossible(
    cached: Callable[..., Reading],
    settings: CacheSettings,
    presses: list[Recording],
    plan: WindowPlan,
    kinds: Any,
) -> None:
    cached()
    (settings.folder / "content.json").unlink()
    before, notes = sorted(settings.folder.rglob("*")), list[str]()
    with read_only(settings.folder):
        same(cached(on_note=notes.append).windows, read_windows(presses, plan, kinds))
        with pytest.raises(CacheError, match="cannot be written") as caught:
            cached(samples=False, on_note=notes.append)
    assert notes == [] and "cache.folder=PATH" in str(caught.value) and caught.value.file
    assert [path for path in before if path.suffix != ".lock"] == [
        path for path in sorted(settings.folder.rglob("*")) if path.suffix != ".lock"
    ]


def test_a_cache_that_is_removed_while_it_is_opened_is_made_again(
    cached: Callable[..., Reading],
    presses: list[Recording],
    plan: WindowPlan,
    kinds: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cached()
    notes, hashed = list[str](), cache_seal._hash

    def pruned(path: Path) -> str:
        monkeypatch.setattr(cache_seal, "_hash", hashed)
        shutil.rmtree(path.parent)
        return hashed(path)

    monkeypatch.setattr(cache_seal, "_hash", pruned)
    same(cached(on_note=notes.append).windows, read_windows(presses, plan, kinds))
    assert "FileNotFoundError" in notes[0] and "it is made again" in notes[0]


def test_recordings_that_crossed_processes_have_the_same_cache(
    presses: list[Recording], plan: WindowPlan, kinds: Any, settings: CacheSettings
) -> None:
    paths = [recording.path for recording in presses]
    settings.folder.mkdir()
    contents: Any = ContentIndex(settings.folder).look_up(paths)
    keys = {
        cache_key(recordings, plan, kinds, contents, samples=True)
        for recordings in (presses, pickle.loads(pickle.dumps(presses)), open_isolated(paths))
    }
    assert len(keys) == 1


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (14_300, "14.3 kB"),
        (999_999, "1,000 kB"),
        (10**9 - 1, "1,000 MB"),
        (10**9, "0.931 GiB"),
        (64 << 30, "64 GiB"),
        (5000 << 30, "5,000 GiB"),
    ],
)
def test_bytes_are_told_for_people(count: int, told: str) -> None:
    assert told_bytes(count) == told
