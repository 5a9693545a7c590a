from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sensorkd.errors import ArchiveError
from sensorkd.recordings import Recording, RecordingWriter, Segments, load_layout, open_recordings
from sensorkd.recordings.salvage import salvage
from sensorkd.recordings.salvage_report import StreamSalvage
from sensorkd.timeline import SECOND

DATA = os.environ.get("SENSORKD_DATA")
GAPS = Segments(
    t0=np.array([0, 100 * SECOND]),
    rate=np.array([100.0, 100.0]),
    offset=np.array([0, 700]),
    count=np.array([700, 2300]),
)


def video() -> dict[str, Any]:
    frames = np.random.default_rng(2).integers(0, 256, (120, 24, 24, 1)).astype(np.uint8)
    return {"samples": frames, "rate": 5.0, "modality": "video", "unit": "1", "t0": 3 * SECOND}


@pytest.fixture
def archive(tmp_path: Path, heat: Any) -> Path:
    """Two recordings of three streams that do not compress, one of them with a gap, and labels."""
    rng = np.random.default_rng(1)
    path = tmp_path / "press.h5"
    with RecordingWriter(path) as writer:
        for name in ("monday", "tuesday"):
            draft = writer.recording(
                name, clock="utc", identity={"machine": "press 4", "line": 2, "load": 0.5}
            )
            noise = rng.integers(-30000, 30000, (3000, 2)).astype(np.int16)
            draft.add_stream(
                "acceleration", noise, rate=100.0, modality="acceleration", unit="g", scale=0.1, offset=-1.0,
                channels=("x", "y"), segments=GAPS,
            )  # fmt: skip
            draft.add_stream("temperature", **heat(seconds=60.0))
            draft.add_stream("video", **video())
            draft.add_labels("state", [(0, 5 * SECOND, "idle"), (5 * SECOND, 9 * SECOND, "läuft")])
    return path


def timed(recording: Recording, name: str) -> dict[int, bytes]:
    """Every sample of a stream by its time."""
    stream = recording.streams[name]
    samples = stream.read(0, stream.source.count)
    found: dict[int, bytes] = {}
    for t0, rate, offset, count in zip(
        stream.segments.t0, stream.segments.rate, stream.segments.offset, stream.segments.count, strict=True
    ):
        for step in range(int(count)):
            found[int(t0 + np.rint(step / rate * SECOND))] = samples[offset + step].tobytes()
    return found


def assert_part_of(saved: Path, original: Path) -> None:
    """Everything in `saved` is in `original`, bit for bit, at the same time and of the same kind."""
    whole = {recording.group: recording for recording in open_recordings(original)}
    for recording in open_recordings(saved):
        source = whole[recording.group]
        assert recording.identity == source.identity
        assert recording.clock == source.clock
        for name, stream in recording.streams.items():
            other = source.streams[name]
            kind = (stream.modality, stream.unit, stream.scale, stream.offset, stream.channels, stream.dtype)
            assert kind == (
                other.modality,
                other.unit,
                other.scale,
                other.offset,
                other.channels,
                other.dtype,
            )
            assert timed(recording, name).items() <= timed(source, name).items()


def streams(report: Any) -> dict[str, StreamSalvage]:
    return {f"{stream.recording}/{stream.name}": stream for stream in report.streams}


def flip(path: Path, dataset: str, chunk: int) -> None:
    with h5py.File(path) as file:
        place = file[dataset].id.get_chunk_info(chunk)
    content = bytearray(path.read_bytes())
    content[place.byte_offset + place.size // 2] ^= 16
    path.write_bytes(content)


def test_a_whole_archive_is_saved_whole(archive: Path, tmp_path: Path) -> None:
    before = archive.read_bytes()
    report = salvage(archive, tmp_path / "out.h5")
    assert report.whole
    assert_part_of(tmp_path / "out.h5", archive)
    first, second = open_recordings(archive)[0], open_recordings(tmp_path / "out.h5")[0]
    assert {name: timed(first, name) for name in first.streams} == {
        name: timed(second, name) for name in second.streams
    }
    assert second.tracks["state"].label == ("idle", "läuft")
    assert archive.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.h5", "press.h5"]


def reachable(path: Path, end: int) -> dict[str, int]:
    """Samples in chunks wholly before byte `end`, of streams whose table of segments lies before it too."""
    found: dict[str, int] = {}
    with h5py.File(path) as file:
        for group in file:
            for name, stream in file[group]["streams"].items():
                data, table = stream["samples"], stream["segments"].id.get_chunk_info(0)
                infos = [data.id.get_chunk_info(number) for number in range(data.id.get_num_chunks())]
                counts = [
                    min(data.chunks[0], len(data) - info.chunk_offset[0])
                    for info in infos
                    if info.byte_offset + info.size <= end
                ]
                found[f"/{group}/{name}"] = sum(counts) if table.byte_offset + table.size <= end else 0
    return found


def test_of_a_file_cut_short_every_chunk_before_the_cut_is_saved(archive: Path, tmp_path: Path) -> None:
    content = archive.read_bytes()
    metadata = 1 << 16  # lies at the front
    for number, end in enumerate(np.linspace(metadata + 20_000, len(content) - 1, 20).astype(int).tolist()):
        cut = tmp_path / f"cut{number}.h5"
        cut.write_bytes(content[:end])
        out = tmp_path / f"out{number}.h5"
        report = salvage(cut, out)
        assert report.cut == len(content) - end
        assert {name: stream.saved for name, stream in streams(report).items()} == reachable(archive, end)
        assert_part_of(out, archive)
        for stream in report.streams:
            assert (
                stream.failure
                or stream.saved + sum(loss.stop - loss.start for loss in stream.lost) == stream.samples
            )
        assert cut.read_bytes() == content[:end]


def test_a_chunk_with_a_flipped_bit_becomes_a_gap(archive: Path, tmp_path: Path) -> None:
    flip(archive, "monday/streams/acceleration/samples", 2)
    report = salvage(archive, tmp_path / "out.h5")
    (loss,) = streams(report)["/monday/acceleration"].lost
    assert (loss.start, loss.stop) == (800, 1200)
    assert loss.spans == ((101 * SECOND, 105 * SECOND),)
    assert "bits were changed" in loss.reason
    saved = open_recordings(tmp_path / "out.h5")[0].streams["acceleration"]
    assert saved.source.count == 2600
    assert saved.segments.t0.tolist() == [0, 100 * SECOND, 105 * SECOND]
    assert saved.segments.count.tolist() == [700, 100, 1800]
    assert streams(report)["/tuesday/acceleration"].whole
    told = "\n".join(report.lines())
    assert "2,600 of 3,000" in told and "[800:1200] 101.000 to 105.000 s" in told
    assert json.loads(json.dumps(report.to_json()))["whole"] is False


def test_a_chunk_never_written_becomes_a_gap(archive: Path, tmp_path: Path) -> None:
    with h5py.File(archive, "r+") as file:
        group = file["monday/streams/video"]
        samples = group["samples"][()]
        del group["samples"]
        data = group.create_dataset("samples", samples.shape, "u1", chunks=(20, 24, 24, 1))
        data[:40], data[60:] = samples[:40], samples[60:]
    stream = streams(salvage(archive, tmp_path / "out.h5"))["/monday/video"]
    assert stream.saved == 100
    assert sum(loss.stop - loss.start for loss in stream.lost) == 20
    with h5py.File(tmp_path / "out.h5") as file:
        np.testing.assert_array_equal(
            file["monday/streams/video/samples"][()], np.concatenate([samples[:40], samples[60:]])
        )


def contiguous(archive: Path) -> int:
    """Lay the video of Tuesday down without chunks, last in the file; where it begins."""
    with h5py.File(archive, "r+") as file:
        group = file["tuesday/streams/video"]
        samples = group["samples"][()]
        del group["samples"]
        group["samples"] = np.concatenate([samples] * 4)
        rows = group["segments"]
        rows[...] = [(3 * SECOND, 5.0, 0, 480)]
        return int(group["samples"].id.get_offset())


def test_of_samples_without_chunks_the_rows_before_the_cut_are_saved(archive: Path, tmp_path: Path) -> None:
    begin = contiguous(archive)
    whole = archive.with_suffix(".whole")
    archive.rename(whole)
    archive.write_bytes(whole.read_bytes()[: begin + 100 * 576 + 5])
    stream = streams(salvage(archive, tmp_path / "out.h5"))["/tuesday/video"]
    assert stream.saved == 100
    with h5py.File(tmp_path / "out.h5") as file, h5py.File(whole) as source:
        saved, samples = (item["tuesday/streams/video/samples"][:100] for item in (file, source))
        np.testing.assert_array_equal(saved, samples)


def unit(file: h5py.File) -> None:
    del file["monday/streams/video"].attrs["unit"]


def table(file: h5py.File) -> None:
    del file["monday/streams/video/segments"]


def linked(file: h5py.File) -> None:
    del file["monday/streams/video/samples"]
    file["monday/streams/video/samples"] = h5py.ExternalLink("/etc/hostname", "/samples")


def overlapping(file: h5py.File) -> None:
    rows = np.array([(0, 5.0, 0, 60), (SECOND, 5.0, 60, 60)], file["monday/streams/video/segments"].dtype)
    del file["monday/streams/video/segments"]
    file["monday/streams/video/segments"] = rows


@pytest.mark.parametrize(
    ("damage", "why"),
    [(unit, "unit"), (table, "nothing here"), (linked, "external link"), (overlapping, "overlap")],
)
def test_a_damaged_stream_costs_that_stream(
    archive: Path, tmp_path: Path, damage: Callable[[h5py.File], None], why: str
) -> None:
    with h5py.File(archive, "r+") as file:
        damage(file)
    report = salvage(archive, tmp_path / "out.h5")
    lost = [stream for stream in report.streams if not stream.whole]
    assert [f"{stream.recording}/{stream.name}" for stream in lost] == ["/monday/video"]
    assert why in str(lost[0].failure)
    assert sorted(open_recordings(tmp_path / "out.h5")[0].streams) == ["acceleration", "temperature"]


def test_damaged_labels_and_recordings_are_told_and_the_rest_is_saved(archive: Path, tmp_path: Path) -> None:
    flip(archive, "monday/labels/state/intervals", 0)
    with h5py.File(archive, "r+") as file:
        del file["tuesday/streams"]
    report = salvage(archive, tmp_path / "out.h5")
    assert not report.whole
    assert any("/monday/labels/state" in problem for problem in report.problems)
    assert any("/tuesday: lost" in problem for problem in report.problems)
    (saved,) = open_recordings(tmp_path / "out.h5")
    assert saved.tracks == {}
    assert len(saved.streams) == 3


def test_a_row_of_the_table_that_is_lost_costs_the_samples_of_its_time(archive: Path, tmp_path: Path) -> None:
    with h5py.File(archive, "r+") as file:
        rows = file["monday/streams/acceleration/segments"][()]
        del file["monday/streams/acceleration/segments"]
        options = {"chunks": (1,), "fletcher32": True}
        file["monday/streams/acceleration"].create_dataset("segments", data=rows, **options)
    flip(archive, "monday/streams/acceleration/segments", 0)
    stream = streams(salvage(archive, tmp_path / "out.h5"))["/monday/acceleration"]
    assert [(loss.start, loss.stop, loss.spans) for loss in stream.lost] == [(0, 700, ())]
    assert stream.saved == 2300


def test_nothing_is_written_where_nothing_can_be_saved(archive: Path, tmp_path: Path, refused: Any) -> None:
    cut = tmp_path / "cut.h5"
    cut.write_bytes(archive.read_bytes()[:300])
    with refused(cut, "damaged"):
        salvage(cut, tmp_path / "out.h5")
    with refused(tmp_path / "press.h5", "exists already"):
        salvage(cut, archive)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.h5", "press.h5"]


def test_a_foreign_file_is_saved_through_its_layout(trials: Path, utd_layout: Any, tmp_path: Path) -> None:
    content = trials.read_bytes()
    report = salvage(trials, tmp_path / "whole.h5", utd_layout)
    assert report.whole
    first, second = open_recordings(trials, utd_layout), open_recordings(tmp_path / "whole.h5")
    for before, after in zip(first, second, strict=True):
        assert after.identity == before.identity
        assert after.tracks["action"].label == before.tracks["action"].label
        for name, stream in before.streams.items():
            other = after.streams[name]
            np.testing.assert_array_equal(
                other.read(0, other.source.count), stream.read(0, stream.source.count)
            )
            assert (other.unit, other.rate) == (stream.unit, stream.rate)
    assert trials.read_bytes() == content


@pytest.mark.parametrize("share", [0.9, 0.999999])
def test_a_real_foreign_file_that_is_cut_gives_true_samples_or_an_error(tmp_path: Path, share: float) -> None:
    found = sorted(Path(DATA).glob("utd_mhad/**/*.h5")) if DATA else []
    if not found:
        pytest.skip("SENSORKD_DATA does not lead to UTD-MHAD")
    layout = load_layout(Path(__file__).parents[2] / "examples" / "layouts" / "utd_mhad.yaml")
    content = found[0].read_bytes()
    whole = {recording.group.strip("/"): recording for recording in open_recordings(found[0], layout)}
    cut, out = tmp_path / "cut.h5", tmp_path / "out.h5"
    cut.write_bytes(content[: int(len(content) * share)])
    try:
        assert not salvage(cut, out, layout).whole
    except ArchiveError as error:  # its list of groups lies at the end
        assert "what leads to the recordings of the file is damaged" in str(error)
        assert not out.exists()
        return
    for recording in open_recordings(out):
        source = whole[recording.group.strip("/")]
        for name, stream in recording.streams.items():
            samples = stream.read(0, stream.source.count)
            np.testing.assert_array_equal(samples, source.streams[name].read(0, len(samples)))


@pytest.mark.slow
def test_a_stream_that_never_ends_costs_that_stream(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = zlib.compress(bytes(1 << 26), 9)
    with h5py.File(archive, "r+") as file:
        group = file["tuesday/streams/video"]
        del group["samples"]
        data = group.create_dataset(
            "samples", (400 << 10, 64, 256, 1), "u1", chunks=(1 << 12, 64, 256, 1), compression="gzip"
        )
        for first in range(0, len(data), 1 << 12):
            data.id.write_direct_chunk((first, 0, 0, 0), packed)
        group["segments"][...] = [(0, 5.0, 0, len(data))]
    monkeypatch.setattr("sensorkd.recordings.salvage.PATIENCE", 5.0)
    report = salvage(archive, tmp_path / "out.h5")
    lost = [f"{stream.recording}/{stream.name}" for stream in report.streams if not stream.whole]
    assert lost == ["/tuesday/video"]
    assert "does not end" in str(streams(report)["/tuesday/video"].failure)
    assert len(open_recordings(tmp_path / "out.h5")) == 2
