"""Films that are cut short, damaged or made to do harm: an error or a gap, never a wrong picture."""

from __future__ import annotations

import resource
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sensorkd.errors import ArchiveError, MissingExtraError
from sensorkd.import_jobs import ImportNote
from sensorkd.importers import import_sources, importer_for
from sensorkd.recordings import open_recordings
from tests.adapters.importers.films import WIDTH, film, numbers

Refused = Callable[..., Any]


def converted(path: Path, out: Path) -> Any:
    (archive,) = importer_for("video").convert(path, out, None)
    (recording,) = open_recordings(archive)
    return recording.streams["video"]


def damaged(path: Path, *, seed: int, flips: int = 3) -> Path:
    """The same clip with some bytes of its pictures flipped."""
    content = bytearray(path.read_bytes())
    at = content.find(b"mdat") if path.suffix == ".mp4" else len(content) // 8
    for place in np.random.default_rng(seed).integers(at + len(content) // 8, len(content) - 200, flips):
        content[place] ^= 0x55
    path.write_bytes(content)
    return path


def test_a_file_without_its_index_is_told(tmp_path: Path, refused: Refused) -> None:
    path = film(tmp_path / "a.mov", codec="mjpeg")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with refused("no index", "cut short", "'mdat'", "moov", file="a.mov"):
        importer_for("video").convert(path, tmp_path, None)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "the file is empty"),
        (b"t,x\n0,1\n", "not a video"),
        (b"ffconcat version 1.0\nfile other.mp4\n", "not a video"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nother.mp4\n#EXT-X-ENDLIST\n", "not a video"),
    ],
)
def test_what_is_no_video_is_told_and_a_playlist_opens_no_other_file(
    tmp_path: Path, refused: Refused, content: bytes, told: str
) -> None:
    film(tmp_path / "other.mp4", count=3)
    (tmp_path / "a.mp4").write_bytes(content)
    with refused(told, file="a.mp4"):
        importer_for("video").convert(tmp_path / "a.mp4", tmp_path, None)


def test_a_film_that_ends_early_gives_what_is_there_and_says_so(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", codec="mpeg4", options={"g": "10"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with (
        pytest.warns(ImportNote, match="1 of 26 frames are damaged"),
        pytest.warns(ImportNote, match="declares 50 frames and gives 26"),
    ):
        video = converted(path, tmp_path)
    read = numbers(video.read(0, 50))
    assert 10 < len(read) < 50
    assert read == list(range(len(read)))


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "mpeg4"), ("a.mov", "mjpeg"), ("a.mkv", "ffv1")]
)
def test_damage_is_a_gap_and_no_frame_that_is_kept_differs_from_the_sound_one(
    tmp_path: Path, name: str, codec: str
) -> None:
    options = {"g": "10", "keyint_min": "10", "sc_threshold": "0"}
    # With checksums over every slice, as whoever archives in FFV1 has them.
    options |= {"level": "3", "slicecrc": "1"} if codec == "ffv1" else {}
    sound = converted(film(tmp_path / name, codec=codec, options=options), tmp_path).read(0, 50)
    told = 0
    for seed in range(6):
        out = tmp_path / f"{seed}"
        out.mkdir()
        path = damaged(film(out / name, codec=codec, options=options), seed=seed, flips=1)
        try:
            with pytest.warns(ImportNote) as caught:
                video = converted(path, out)
        except (ArchiveError, pytest.fail.Exception):
            continue  # the container itself, or nothing that its decoder noticed
        if not any("are a gap" in str(note.message) for note in caught):
            continue
        told += 1
        times = [
            round((t0 / 1e9 + k / rate) * 25)
            for t0, rate, count in zip(
                video.segments.t0, video.segments.rate, video.segments.count, strict=True
            )
            for k in range(count)
        ]
        assert len(times) < 50
        frames = video.read(0, 50).astype(int)
        first = numbers(frames[:1])[0] - times[0]
        wrong = [
            t for t, frame in zip(times, frames, strict=True) if np.abs(frame - sound[t + first]).max() > 6
        ]
        assert wrong == [], (seed, times)
    assert told, "no damage was noticed at all"


def test_no_frame_at_all_is_an_error(tmp_path: Path, refused: Refused) -> None:
    path = film(tmp_path / "a.mp4", count=10)
    content = bytearray(path.read_bytes())
    at = content.find(b"mdat") + 4
    content[at:] = b"\x55" * (len(content) - at)
    path.write_bytes(content)
    with refused("no frame of the video can be used", "damaged", file="a.mp4"):
        importer_for("video").convert(path, tmp_path, None)


def test_a_picture_that_changes_its_size_is_told(tmp_path: Path, refused: Refused) -> None:
    # Elementary streams of a transport stream may simply follow each other.
    first, second = film(tmp_path / "a.ts"), tmp_path / "b.ts"
    import av

    with av.open(str(second), "w") as out:
        track: Any = out.add_stream("libx264", rate=25)
        track.width, track.height, track.pix_fmt = 2 * WIDTH, 96, "yuv420p"
        for _ in range(10):
            out.mux(track.encode(av.VideoFrame.from_ndarray(np.zeros((96, 128, 3), np.uint8))))
        out.mux(track.encode())
    first.write_bytes(first.read_bytes() + second.read_bytes())
    with refused("changes its size", "128 x 96", "64 x 48", file="a.ts"):
        importer_for("video").convert(first, tmp_path, None)


def test_huge_dimensions_are_refused_before_memory_is_taken_for_them(
    tmp_path: Path, refused: Refused
) -> None:
    path = film(tmp_path / "a.avi", codec="mjpeg", count=3)
    content = bytearray(path.read_bytes())
    # BITMAPINFOHEADER after strf: size, width, height; every JPEG frame has its own, which SOF0 tells.
    at = content.find(b"strf") + 8
    content[at + 4 : at + 12] = struct.pack("<ii", 65_500, 65_500)
    start = 0
    while (start := content.find(b"\xff\xc0", start)) >= 0:
        content[start + 5 : start + 9] = struct.pack(">HH", 65_500, 65_500)
        start += 2
    path.write_bytes(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with refused(file="a.avi"):
        importer_for("video").convert(path, tmp_path, None)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


def test_a_film_that_exists_as_an_archive_is_not_decoded_again(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", count=3)
    (archive,) = importer_for("video").convert(path, tmp_path, None)
    before = archive.read_bytes()
    with pytest.raises(ArchiveError, match="exists already"):
        importer_for("video").convert(path, tmp_path, None)
    assert archive.read_bytes() == before


def test_one_bad_film_of_a_folder_does_not_keep_the_others_out_isolated_too(tmp_path: Path) -> None:
    (tmp_path / "in" / "night").mkdir(parents=True)
    film(tmp_path / "in" / "a.mp4", count=3)
    (tmp_path / "in" / "b.mp4").write_bytes(b"no film")
    film(tmp_path / "in" / "night" / "a.mkv", codec="ffv1", count=3)
    for isolated in (False, True):
        failed: list[Any] = []
        out = tmp_path / f"out {isolated}"
        done = import_sources(
            importer_for("video"), [tmp_path / "in"], out, isolated=isolated, on_error=failed.append
        )
        assert [path.relative_to(out).as_posix() for path in done.written] == ["a.h5", "night/a.h5"]
        assert [Path(error.file).name for error in failed] == ["b.mp4"]


def test_without_pyav_the_extra_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.mp4", "b.mp4"):
        film(tmp_path / name, count=3)
    monkeypatch.setitem(sys.modules, "av", None)
    failed: list[Any] = []
    with pytest.raises(MissingExtraError, match=r"pip install 'sensorkd\[video\]'"):
        import_sources(importer_for("video"), [tmp_path], tmp_path / "o", on_error=failed.append)
    assert failed == []
    assert list((tmp_path / "o").iterdir()) == []
