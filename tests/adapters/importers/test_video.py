"""A film becomes one stream whose frames stand at the times that their stamps say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sensorkd.import_jobs import ImportNote
from sensorkd.importers import importer_for
from sensorkd.recordings import Recording, Stream, open_recordings
from sensorkd.timeline import SECOND, sample_times
from tests.adapters.importers.films import HEIGHT, WIDTH, film, numbers

Filmed = Callable[..., Recording]
# As phones write it that are held upright: turn a quarter clockwise.
CLOCKWISE = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)


@pytest.fixture
def filmed(tmp_path: Path, mapping_file: Callable[..., Path]) -> Filmed:
    """Imports a clip with some keys of the mapping, and opens the recording."""

    def run(path: Path, **changes: Any) -> Recording:
        out = tmp_path / f"out {len(list(tmp_path.iterdir()))}"
        out.mkdir()
        mapping = mapping_file("video", **changes) if changes else None
        archives = importer_for("video").convert(path, out, mapping)
        assert sorted(out.iterdir()) == archives  # nothing is left of what was spooled
        (recording,) = open_recordings(archives)
        return recording

    return run


def times(stream: Stream) -> list[float]:
    """Seconds of every sample."""
    runs = zip(stream.segments.t0, stream.segments.rate, stream.segments.count, strict=True)
    return [float(t0 + k / rate * SECOND) / SECOND for t0, rate, count in runs for k in range(count)]


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "libx264"), ("a.MOV", "mjpeg"), ("a.mkv", "ffv1"), ("a.mkv", "libx264"),
        ("a.webm", "libvpx-vp9"),
        ("a.avi", "mpeg4"), ("a.avi", "libx264"), ("a.ts", "libx264"), ("a.mpg", "mpeg2video"),
    ],
)  # fmt: skip
def test_any_container_gives_all_frames_in_the_order_in_which_they_are_shown(
    filmed: Filmed, tmp_path: Path, name: str, codec: str
) -> None:
    recording = filmed(film(tmp_path / name, codec=codec))
    video = recording.streams["video"]
    assert (recording.clock, recording.identity) == ("relative", {"file": "a"})
    assert (video.modality, video.unit, video.channels) == ("video", "1", ("red", "green", "blue"))
    assert (video.sample_shape, video.dtype) == ((HEIGHT, WIDTH, 3), np.uint8)
    assert video.scale == pytest.approx(1 / 255)
    assert numbers(video.read(0, 50)) == list(range(50))
    assert video.segments.count.tolist() == [50]
    np.testing.assert_allclose(times(video), np.arange(50) / 25, atol=1e-3)  # Matroska counts in ms


def test_variable_frame_rate_is_kept_and_a_pause_is_a_gap(filmed: Filmed, tmp_path: Path) -> None:
    steps = [3000] * 20 + [3600] * 20 + [450_000] + [3000] * 19  # 30 Hz, 25 Hz, a pause of 5 s, 30 Hz
    stamps = np.concatenate([[0], np.cumsum(steps)]).tolist()[:60]
    with pytest.warns(ImportNote, match=r"frame rate varies: 3 segments at 2\d\.\d+ to 30\.0"):
        recording = filmed(film(tmp_path / "a.mp4", count=60, stamps=stamps))
    video = recording.streams["video"]
    assert video.segments.rate.tolist() == pytest.approx([30, 25, 30], rel=0.02)
    assert video.segments.t0[2] - video.segments.ends[1] == pytest.approx(5 * SECOND, abs=SECOND // 20)
    np.testing.assert_allclose(times(video), np.array(stamps) / 90_000, atol=0.5 / 25)


def test_irregular_stamps_are_within_half_a_period_of_their_segments_or_it_is_said(
    filmed: Filmed, tmp_path: Path
) -> None:
    steps = np.random.default_rng(0).choice([3000, 3003, 3600, 6000], 99, p=[0.4, 0.4, 0.15, 0.05])
    stamps = np.concatenate([[0], np.cumsum(steps)])
    with pytest.warns(ImportNote, match="frame rate varies") as caught:
        recording = filmed(film(tmp_path / "a.mp4", count=100, stamps=stamps.tolist()))
    told = float(str(caught[0].message).rpartition("up to ")[2].split(" ms")[0])
    off = np.abs(np.array(times(recording.streams["video"])) - stamps / 90_000)
    assert off.max() * 1e3 == pytest.approx(told, abs=0.11)
    assert numbers(recording.streams["video"].read(0, 100)) == [n % 50 for n in range(100)]


def test_the_first_frame_is_at_zero_whatever_the_file_says(filmed: Filmed, tmp_path: Path) -> None:
    late = film(tmp_path / "a.mkv", codec="ffv1", stamps=[900_000 + 3600 * n for n in range(50)])
    assert filmed(late).streams["video"].start == 0


def test_a_film_held_upright_is_turned(filmed: Filmed, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", matrix=CLOCKWISE)
    plain = filmed(film(tmp_path / "b.mp4")).streams["video"].read(7, 8)[0]
    turned = filmed(path).streams["video"].read(7, 8)[0]
    np.testing.assert_array_equal(turned, np.rot90(plain, -1))
    scaled = filmed(path, frames={"size": [32, 24]}).streams["video"].read(7, 8)[0]
    assert scaled.shape == (32, 24, 3)
    shrunk = turned.reshape(32, 2, 24, 2, 3).mean(axis=(1, 3))
    assert np.abs(scaled - shrunk).mean() < 8


def test_frames_are_cut_scaled_and_grey_as_asked(filmed: Filmed, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4")
    corner = {"top": 24, "left": 0, "height": 24, "width": 32}
    video = filmed(path, frames={"crop": corner, "size": [12, 16], "color": "gray"}).streams["video"]
    assert (video.sample_shape, video.channels) == ((12, 16, 1), ("gray",))
    red = video.read(3, 4)[0, 2:-2, 2:-2]
    assert red.mean() == pytest.approx(0.299 * 220, abs=6)  # ITU-R BT.601
    white = filmed(path, frames={"size": [24, 32], "color": "gray"}).streams["video"]
    assert numbers(white.read(0, 50)) == list(range(50))


def test_a_crop_beyond_the_picture_is_told(
    tmp_path: Path, mapping_file: Callable[..., Path], refused: Callable[..., Any]
) -> None:
    crop = {"top": 0, "left": 40, "height": 48, "width": 25}
    with refused("columns up to 65", "64 columns", file="a.mp4", inside="frames.crop"):
        importer_for("video").convert(
            film(tmp_path / "a.mp4", count=3), tmp_path, mapping_file("video", frames={"crop": crop})
        )


@pytest.mark.parametrize(
    ("frames", "kept"),
    [
        ({"every": 3}, 3),
        ({"max_rate": 10}, 3),
        ({"max_rate": 12.5}, 2),
        ({"max_rate": 25}, 1),
        ({"max_rate": 60}, 1),
    ],
)
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_frames_are_thinned_out_and_never_made(
    filmed: Filmed, tmp_path: Path, frames: dict[str, Any], kept: int, name: str
) -> None:
    video = filmed(film(tmp_path / name), frames=frames).streams["video"]
    assert numbers(video.read(0, 50)) == list(range(0, 50, kept))
    assert video.rate == pytest.approx(25 / kept, rel=1e-3)
    assert len(video.segments) == 1


def test_identity_and_stream_are_named_by_the_mapping(filmed: Filmed, tmp_path: Path) -> None:
    (tmp_path / "line 2").mkdir()
    recording = filmed(
        film(tmp_path / "line 2" / "a.mp4", count=3), stream="door",
        identity={"machine": "press 4", "line": {"file": "parent"}},
    )  # fmt: skip
    assert recording.identity == {"machine": "press 4", "line": "line 2"}
    assert recording.streams["door"].modality == "video"


def test_utc_is_what_the_camera_claims_and_only_where_asked(filmed: Filmed, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", count=3, metadata={"creation_time": "2026-07-01T10:00:00Z"})
    assert filmed(path).clock == "relative"
    recording = filmed(path, clock="utc")
    assert recording.clock == "utc"
    assert recording.start == np.datetime64("2026-07-01T10:00:00", "ns").astype(int)
    local = filmed(path, clock="utc", timezone="Europe/Berlin")
    assert recording.start - local.start == 2 * 3600 * SECOND


@pytest.mark.parametrize("said", [None, "1970-01-01T00:00:00Z"])
def test_a_camera_without_a_clock_is_refused_for_utc(
    tmp_path: Path, mapping_file: Callable[..., Path], refused: Callable[..., Any], said: str | None
) -> None:
    path = film(tmp_path / "a.mkv", count=3, metadata={"creation_time": said} if said else {})
    with refused("does not tell when", "clock: relative", file="a.mkv", inside="creation_time"):
        importer_for("video").convert(path, tmp_path, mapping_file("video", clock="utc"))


def test_a_single_frame_has_the_rate_that_the_file_claims(filmed: Filmed, tmp_path: Path) -> None:
    video = filmed(film(tmp_path / "a.avi", codec="mpeg4", count=1)).streams["video"]
    assert (video.segments.count.tolist(), video.rate) == ([1], 25.0)


def test_sample_times_are_those_of_the_archive(filmed: Filmed, tmp_path: Path) -> None:
    video = filmed(film(tmp_path / "a.mp4")).streams["video"]
    assert sample_times(video.segments.t0, video.segments.rate, video.segments.count)[0] == 2 * SECOND
