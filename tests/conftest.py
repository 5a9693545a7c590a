"""Archives for the tests of every room: small, written by the library's own writer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import settings

from sensorkd.errors import SensorkdError
from sensorkd.recordings import Recording, RecordingWriter, open_recordings

# A shared computer may be slow at any moment; no example is a failure for that.
settings.register_profile("sensorkd", deadline=None)
settings.load_profile("sensorkd")

WriteArchive = Callable[..., Path]
Refused = Callable[..., Any]


@pytest.fixture
def refused() -> Refused:
    """A block that must be refused with words in the message, all five parts told, the file untouched."""

    @contextmanager
    def check(path: Path, *words: str, inside: str | None = None) -> Iterator[None]:
        before = _content(path)
        with pytest.raises(SensorkdError) as caught:
            yield
        error = caught.value
        assert error.file is not None and Path(error.file) == path
        assert error.found is not None, str(error)
        assert error.expected is not None, str(error)
        assert error.mend, str(error)
        if inside is not None:
            assert error.inside == inside
        for word in words:
            assert word in str(error), str(error)
        assert _content(path) == before, "the source file was changed"

    return check


def _content(path: Path) -> str | None:
    # A sparse file is as good as its first and last parts.
    if not path.is_file():
        return None
    with path.open("rb") as file:
        head = file.read(1 << 20)
        file.seek(max(0, path.stat().st_size - (1 << 20)))
        return hashlib.sha256(head + file.read()).hexdigest() + str(path.stat().st_size)


@pytest.fixture
def write_archive(tmp_path: Path) -> WriteArchive:
    """Writes press.h5 and gives its path: `streams` maps a name to the arguments of `add_stream`."""

    def write(
        streams: dict[str, dict[str, Any]],
        *,
        name: str = "press.h5",
        recordings: tuple[str, ...] = ("monday",),
        clock: str = "relative",
        labels: dict[str, list[tuple[int, int, str]]] | None = None,
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with RecordingWriter(path) as writer:
            for recording in recordings:
                identity = {"machine": "press 4", "session": recording}
                draft = writer.recording(recording, clock=clock, identity=identity)  # type: ignore[arg-type]
                for stream, arguments in streams.items():
                    draft.add_stream(stream, **arguments)
                for target, intervals in (labels or {}).items():
                    draft.add_labels(target, intervals)
        return path

    return write


@pytest.fixture
def record(write_archive: WriteArchive) -> Callable[..., Recording]:
    """Writes an archive of one recording and opens it."""
    return lambda *args, **options: open_recordings(write_archive(*args, **options))[0]


@pytest.fixture
def shake() -> Callable[..., dict[str, Any]]:
    """Arguments of an acceleration stream whose samples tell their own index."""

    def arguments(seconds: float = 10.0, rate: float = 100.0, **changes: Any) -> dict[str, Any]:
        index = np.arange(round(seconds * rate))
        samples = np.stack([index, -index], axis=1).astype(np.int16)
        kind = {"modality": "acceleration", "unit": "m/s2", "scale": 0.01, "channels": ("x", "y")}
        return {"samples": samples, "rate": rate, **kind, **changes}

    return arguments


@pytest.fixture
def heat() -> Callable[..., dict[str, Any]]:
    """Arguments of a temperature stream that rises by a hundredth of a degree a sample."""

    def arguments(seconds: float = 10.0, rate: float = 2.0, **changes: Any) -> dict[str, Any]:
        samples = (20.0 + 0.01 * np.arange(round(seconds * rate))).astype(np.float32)[:, None]
        return {"samples": samples, "rate": rate, "modality": "temperature", "unit": "degC", **changes}

    return arguments


@pytest.fixture
def layout_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a layout of three axes of acceleration at 50 Hz; keyword arguments change the stream."""

    def write(top: dict[str, Any] | None = None, **stream: Any) -> Path:
        defaults = {
            "modality": "acceleration",
            "samples": "data",
            "axes": ["time", "channel"],
            "unit": "g",
            "rate": 50.0,
        }
        told = {key: value for key, value in {**defaults, **stream}.items() if value is not None}
        tree = {"schema": "layout-1.0", "name": "lab", "clock": "relative", "streams": {"shake": told}}
        path = tmp_path / "lab.yaml"
        path.write_text(yaml.safe_dump({**tree, **(top or {})}), encoding="utf-8")
        return path

    return write


# The whole road's fixtures are made once and used by several rooms.
pytest_plugins = ["tests.plant_run", "tests.press_run"]
