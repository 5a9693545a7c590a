from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sensorkd.checks import CHECKS, Finding, select_checks, validate
from sensorkd.checks.rescue import salvage_damaged
from sensorkd.processes import ChildLimits
from sensorkd.recordings import open_recordings
from sensorkd.recordings.manifest import seal
from sensorkd.recordings.schema import SCHEMA
from sensorkd.timeline import SECOND
from tests.recordings.test_isolated import without_heap

WriteArchive = Callable[..., Path]
Found = Callable[..., dict[str, list[Finding]]]


def damage_chunk(path: Path, dataset: str, number: int) -> None:
    """Flip a bit in the middle of a chunk."""
    with h5py.File(path) as file:
        chunk = file[dataset].id.get_chunk_info(number)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 1
    path.write_bytes(content)


def test_a_simulated_plant_has_nothing_wrong(plant: Path) -> None:
    report = validate(plant)
    assert report.recordings >= 6
    assert report.findings == ()
    assert report.exit_code == 0


def test_a_clean_archive_has_nothing_wrong(write_archive: WriteArchive, shake: Any, heat: Any) -> None:
    labels = {"state": [(0, 4 * SECOND, "idle"), (4 * SECOND, 10 * SECOND, "runs")]}
    streams = {"acceleration": shake(), "temperature": heat()}
    assert validate(write_archive(streams, labels=labels)).findings == ()


def test_a_damaged_chunk_is_named_with_its_time_and_the_rest_is_checked(
    write_archive: WriteArchive, shake: Any, heat: Any, found: Found
) -> None:
    heat = heat(seconds=60.0)
    heat["samples"][7] = 1254.0
    path = write_archive({"acceleration": shake(seconds=60.0), "temperature": heat})
    damage_chunk(path, "monday/streams/acceleration/samples", 3)
    findings = found(path)
    (damaged,) = findings["damaged-chunk"]
    assert damaged.importance == "critical"
    assert damaged.place.inside == "/monday/streams/acceleration/samples[1200:1600]"
    assert "400 of 6,000 samples, 12.000 s to 16.000 s" in damaged.found
    assert "1254 degC" in findings["out-of-range"][0].found


@pytest.mark.parametrize("options", [{"jobs": 1}, {"jobs": 2}, {"jobs": 1, "isolated": True}])
def test_one_bad_file_never_hides_the_others(
    write_archive: WriteArchive, heat: Any, tmp_path: Path, found: Found, options: dict[str, Any]
) -> None:
    broken = heat()
    broken["samples"][3] = 1254.0
    write_archive({"temperature": broken}, name="folder/a.h5")
    (tmp_path / "folder" / "b.h5").write_bytes(b"")
    (tmp_path / "folder" / "c.h5").write_text("time,value\n1,2\n")
    missing = tmp_path / "nowhere.h5"
    findings = found(tmp_path / "folder", missing, **options)
    assert [Path(item.place.file).name for item in findings["unreadable"]] == ["b.h5", "c.h5", "nowhere.h5"]
    assert "the logger likely died" in findings["unreadable"][0].found
    assert "comma-separated text" in findings["unreadable"][1].found
    assert [item.place.recording for item in findings["out-of-range"]] == ["a.h5::monday"]


def test_a_folder_without_archives_is_a_finding(tmp_path: Path) -> None:
    report = validate(tmp_path)
    assert [item.check for item in report.findings] == ["unreadable"]
    assert report.exit_code == 2


def test_a_file_that_takes_too_long_is_ended_and_named(write_archive: WriteArchive, heat: Any) -> None:
    path = write_archive({"temperature": heat()})
    with h5py.File(path, "r+") as file:
        file["monday"].attrs["operator"] = "anna"
    without_heap(path)
    report = validate(path, isolated=True, limits=ChildLimits(seconds=4.0))
    assert [item.check for item in report.findings] == ["unreadable"]
    assert "does not end" in report.findings[0].found


def test_files_at_a_time_find_the_same_in_the_same_order(
    write_archive: WriteArchive, shake: Any, heat: Any, tmp_path: Path
) -> None:
    for number in range(4):
        streams = {"acceleration": shake(t0=number), "temperature": heat()}
        write_archive(streams if number else {"acceleration": shake(unit="V")}, name=f"{number}.h5")
    one, two = (validate(tmp_path, jobs=jobs) for jobs in (1, 2))
    assert one.to_json() == two.to_json()
    assert one.counts["critical"] == 1


def test_all_problems_of_a_tree_are_listed_not_only_the_first(
    write_archive: WriteArchive, heat: Any, found: Found
) -> None:
    path = write_archive({"temperature": heat()}, recordings=("monday", "tuesday"))
    with h5py.File(path, "r+") as file:
        del file["monday/streams/temperature"].attrs["unit"]
        file["tuesday"].attrs["clock"] = "local"
        file["tuesday/streams/temperature"].attrs["scale"] = 0.0
    problems = found(path)["schema"]
    assert [item.place.inside for item in problems] == [
        "/monday/streams/temperature",
        "/tuesday attribute clock",
        "/tuesday/streams/temperature attribute scale",
    ]
    assert "'unit' is a required property" in problems[0].found
    assert problems[1].expected == "utc or relative"


def test_a_file_of_another_schema_asks_for_a_layout(tmp_path: Path, found: Found) -> None:
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["data"] = np.arange(4)
    (finding,) = found(tmp_path / "foreign.h5")["unreadable"]
    assert "no schema attribute" in finding.found and finding.expected == SCHEMA
    assert "--layout" in finding.cure


def test_one_bad_recording_does_not_hide_the_others_of_its_file(
    write_archive: WriteArchive, heat: Any, found: Found
) -> None:
    path = write_archive({"temperature": heat()}, recordings=("monday", "tuesday"))
    with h5py.File(path, "r+") as file:
        table = file["monday/streams/temperature/segments"][()]
        table["count"] = 1000
        file["monday/streams/temperature/segments"][...] = table
    findings = found(path)
    (bad,) = findings["unreadable-recording"]
    assert bad.place.recording == "press.h5::monday"
    assert "reaches beyond the samples" in bad.found
    assert validate(path, jobs=1).recordings == 1


def test_a_flipped_bit_without_a_checksum_is_told_by_the_manifest(
    write_archive: WriteArchive, heat: Any, tmp_path: Path, found: Found
) -> None:
    path = write_archive({"temperature": heat()})
    with h5py.File(path, "r+") as file:
        samples = file["monday/streams/temperature/samples"]
        values = samples[()]
        del file["monday/streams/temperature/samples"]
        file["monday/streams/temperature/samples"] = values
    seal(path)
    assert set(found(path)) == {"no-checksum"}
    content = bytearray(path.read_bytes())
    place = content.index(values.tobytes())
    content[place] ^= 1
    path.write_bytes(content)
    (changed,) = found(path)["changed-file"]
    assert "SHA-256" in changed.found and "SHA-256" in changed.expected
    assert "changed-file" not in found(path, quick=True)
    path.rename(tmp_path / "other.h5")
    assert "press.h5" in found(tmp_path)["missing-file"][0].place.file


def test_quick_reads_no_samples(write_archive: WriteArchive, heat: Any, found: Found) -> None:
    path = write_archive({"temperature": heat(samples=np.full((40, 1), np.nan))})
    assert set(found(path)) == {"no-value"}
    assert set(found(path, quick=True)) == set()


def test_only_the_checks_that_were_chosen_are_made(
    write_archive: WriteArchive, heat: Any, found: Found
) -> None:
    temperature = heat(unit="furlong", samples=np.full((40, 1), np.nan))
    path = write_archive({"temperature": temperature})
    assert set(found(path)) == {"unknown-unit", "no-value"}
    assert set(found(path, checks=select_checks(ignore=["no-value"]))) == {"unknown-unit"}
    assert set(found(path, checks=select_checks(select=["stuck"]))) == set()


def test_samples_are_read_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.h5"
    script = f"""
import resource
from pathlib import Path
import h5py, numpy as np
from sensorkd.checks import validate
from sensorkd.recordings import RecordingWriter
path = Path({str(path)!r})
with RecordingWriter(path) as writer:
    draft = writer.recording("r", clock="relative", identity={{"machine": "m"}})
    few = np.zeros((4096, 3), np.float32)
    draft.add_stream("acceleration", few, rate=1e3, modality="acceleration", unit="m/s2")
with h5py.File(path, "r+") as file:
    stream = file["r/streams/acceleration"]
    del stream["samples"], stream["segments"]
    n = 6_000_000
    samples = stream.create_dataset("samples", (n, 3), "f4", chunks=(1 << 16, 3), fletcher32=True)
    block = np.random.default_rng(0).normal(0, 1, (1 << 16, 3)).astype("f4")
    for start in range(0, n, 1 << 16):
        samples[start : start + (1 << 16)] = block[: n - start]
    row = np.array([(0, 1e3, 0, n)], [("t0", "<i8"), ("rate", "<f8"), ("offset", "<i8"), ("count", "<i8")])
    stream["segments"] = row
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
report = validate(path, jobs=1)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(report.recordings, (after - before) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    recordings, grown = map(int, done.stdout.split())
    assert recordings == 1
    assert grown < 40  # MiB, of 69 in the file


def test_what_can_be_read_of_a_damaged_file_is_saved(
    write_archive: WriteArchive, shake: Any, tmp_path: Path
) -> None:
    path = write_archive({"acceleration": shake(seconds=60.0)}, name="in/press.h5")
    shutil.copy(path, path.with_name("whole.h5"))
    (tmp_path / "in" / "empty.h5").write_bytes(b"")
    damage_chunk(path, "monday/streams/acceleration/samples", 3)
    before = path.read_bytes()
    failed: list[Any] = []
    report = validate(tmp_path / "in")
    (saved,) = salvage_damaged(report, tmp_path / "out", on_error=failed.append)
    assert [Path(error.file).name for error in failed] == ["empty.h5"]
    assert [item.name for item in (tmp_path / "out").iterdir()] == ["press.h5"]
    (stream,) = saved.streams
    assert [(loss.start, loss.stop) for loss in stream.lost] == [(1200, 1600)]
    segments = open_recordings(tmp_path / "out" / "press.h5")[0].streams["acceleration"].segments
    assert segments.count.sum() == 5600 and len(segments) == 2
    assert path.read_bytes() == before


def test_every_check_that_reads_samples_says_so() -> None:
    quick = {check.id for check in CHECKS.values() if not check.reads_samples}
    assert {"missing-stream", "nominal-rate", "schema", "slow-windows"} <= quick
    assert not {"stuck", "out-of-range", "damaged-chunk", "identical-recordings"} & quick


def test_children_are_used_only_when_there_are_several_files_or_isolation_is_asked(
    write_archive: WriteArchive, heat: Any
) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    validate(write_archive({"temperature": heat()}), jobs=8)
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime == before
