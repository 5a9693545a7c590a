"""Foreign files small enough to be read at a glance, and what every refusal must tell."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from sensorkd.errors import SensorkdError
from sensorkd.importers import importer_for
from sensorkd.recordings import Recording, open_recordings

FLOW = {"modality": "flow", "unit": "l/min", "columns": ["flow"]}
CSV: dict[str, Any] = {
    "schema": "import-1.0",
    "importer": "csv",
    "name": "lab",
    "clock": "relative",
    "time": {"column": "t", "unit": "s"},
    "streams": {"flow": FLOW},
}
CYCLES: dict[str, Any] = {
    "schema": "import-1.0",
    "importer": "cycles",
    "name": "lab",
    "cycle": 2,
    "streams": {"flow": {"modality": "flow", "unit": "l/min", "files": ["FS1.txt"]}},
}
VIDEO: dict[str, Any] = {"schema": "import-1.0", "importer": "video", "name": "lab"}
GOPRO: dict[str, Any] = {**VIDEO, "importer": "gopro"}
MAPPINGS = {"csv": CSV, "cycles": CYCLES, "video": VIDEO, "gopro": GOPRO}


@pytest.fixture
def mapping_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a mapping with some keys changed; None takes a key out."""

    def write(importer: str = "csv", **changes: Any) -> Path:
        tree = {**copy.deepcopy(MAPPINGS[importer]), **changes}
        path = tmp_path / "mapping.yaml"
        kept = {key: value for key, value in tree.items() if value is not None}
        path.write_text(yaml.safe_dump(kept, sort_keys=False))
        return path

    return write


@pytest.fixture
def imported(tmp_path: Path, mapping_file: Callable[..., Path]) -> Callable[..., Recording]:
    """Imports a table from its text, as press.csv in the folder line 2, and opens the recording."""

    def run(content: str | bytes, *, name: str = "press.csv", **changes: Any) -> Recording:
        source = tmp_path / "line 2" / name
        source.parent.mkdir(exist_ok=True)
        source.write_bytes(content if isinstance(content, bytes) else content.encode())
        out = tmp_path / f"out {len(list(tmp_path.iterdir()))}"
        out.mkdir()
        archives = importer_for("csv").convert(source, out, mapping_file(**changes))
        assert sorted(out.iterdir()) == archives
        (recording,) = open_recordings(archives)
        return recording

    return run


@pytest.fixture
def folder_imported(tmp_path: Path, mapping_file: Callable[..., Path]) -> Callable[..., list[Recording]]:
    """Imports a folder `rig` of cycles from the text of its files and opens the recordings."""

    def run(files: dict[str, str | bytes], **changes: Any) -> list[Recording]:
        rig = tmp_path / "rig"
        rig.mkdir()
        for name, content in files.items():
            (rig / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return open_recordings(
            importer_for("cycles").convert(rig, tmp_path, mapping_file("cycles", **changes))
        )

    return run


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., Any]:
    """A block that must be refused with words in the message, all five parts told, nothing left behind."""

    @contextmanager
    def check(*words: str, file: str | None = None, inside: str | None = None) -> Iterator[None]:
        with pytest.raises(SensorkdError) as caught:
            yield
        error = caught.value
        for part in ("file", "found", "expected", "mend"):
            assert getattr(error, part) is not None, f"{part}: {error}"
        assert file is None or Path(str(error.file)).name == file, error.file
        assert inside is None or error.inside == inside, error.inside
        for word in words:
            assert word in str(error), str(error)
        assert not [*tmp_path.rglob("*.h5"), *tmp_path.rglob("*.part")]

    return check
