"""How importers are found, and what `import_sources` does with many sources, whatever the format."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from sensorkd import importers
from sensorkd.errors import ArchiveError, ConfigError, SensorkdError
from sensorkd.importers import (
    Importer,
    ImporterError,
    ImportNote,
    import_sources,
    importer_for,
    installed_importers,
)
from sensorkd.recordings import RecordingWriter, open_recordings

PLUGIN = """
from sensorkd.importers import Importer

class Words(Importer):
    def __init__(self, *, loud=False):
        if not isinstance(loud, bool):
            raise ValueError("loud is true or false")
        self.loud = loud

    def convert(self, source, out, mapping):
        return []

class NoImporter:
    pass

class Unfinished(Importer):
    pass
"""


class Bytes(Importer):
    """One sample a byte; what begins with ! is bad."""

    suffixes: ClassVar[tuple[str, ...]] = (".bin", ".bin.old")

    def convert(self, source: Path, out: Path, mapping: Path | None) -> list[Path]:
        content = source.read_bytes()
        if mapping is not None:
            raise ConfigError("the mapping is wrong", file=mapping)
        if content.startswith(b"!!"):
            raise ZeroDivisionError("a slip of its author")
        if content.startswith(b"!"):
            raise ArchiveError("a bad file", file=source)
        if content.startswith(b"?"):
            warnings.warn("odd, but taken", ImportNote, stacklevel=2)
        (archive,) = self.archives(source, out)
        samples = np.frombuffer(content, np.uint8)[:, None]
        with RecordingWriter(archive) as writer:
            draft = writer.recording(self.stem(source), clock="relative", identity={})
            draft.add_stream("bytes", samples, rate=1.0, modality="m", unit="1")
        return [archive]


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    for name in ("a.bin", "b.BIN", "deep/a.bin", "deep/down/c.bin.old", "notes.txt", ".a.bin"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An outside package with good and bad entry points beside the installed ones."""
    (tmp_path / "words_plugin.py").write_text(PLUGIN)
    (tmp_path / "broken_plugin.py").write_text("import a_package_that_nobody_has")
    monkeypatch.syspath_prepend(tmp_path)
    values = {
        "words": "words_plugin:Words",
        "broken": "broken_plugin:Words",
        "gone": "words_plugin:Gone",
        "other": "words_plugin:NoImporter",
        "unfinished": "words_plugin:Unfinished",
    }
    points = [EntryPoint(name, value, "sensorkd.importers") for name, value in values.items()]
    monkeypatch.setattr(importers, "entry_points", lambda group: points)
    installed_importers.cache_clear()
    yield
    installed_importers.cache_clear()


def names(paths: tuple[Path, ...], out: Path) -> list[str]:
    return [path.relative_to(out).as_posix() for path in paths]


def test_the_built_in_importers_are_installed() -> None:
    assert {"csv", "cycles", "gopro", "video"} <= set(installed_importers())
    for name in ("csv", "cycles", "gopro", "video"):
        assert isinstance(importer_for(name), Importer)


def test_neither_look_up_nor_importers_import_torch() -> None:
    code = (
        "import sys; from sensorkd.importers import importer_for as f\n"
        "for name in ('csv', 'cycles', 'gopro', 'video'): f(name)\n"
        "sys.exit('torch' in sys.modules or 'av' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_name_is_told_with_those_installed_and_how_to_add_one(plugin: None) -> None:
    with pytest.raises(ImporterError) as caught:
        importer_for("word")
    told = str(caught.value)
    for word in (
        "'unfinished', 'words'",
        "did you mean 'words'?",
        "pip install",
        "sensorkd.importers",
        "README",
    ):
        assert word in told, word


def test_options_go_to_the_constructor(plugin: None) -> None:
    assert importer_for("words", {"loud": True}).loud is True  # type: ignore[attr-defined]
    for options in ({"lout": True}, {"loud": 3}):
        with pytest.raises(ImporterError, match="does not take these options") as caught:
            importer_for("words", options)
        assert str(options) in str(caught.value)


@pytest.mark.parametrize(("name", "told"), [("broken", "a_package_that_nobody_has"), ("gone", "Gone")])
def test_a_broken_plugin_warns_by_name_and_breaks_no_other(plugin: None, name: str, told: str) -> None:
    with (
        pytest.warns(UserWarning, match=f"importer '{name}'"),
        pytest.raises(ImporterError, match="cannot be imported") as caught,
    ):
        importer_for(name)
    assert told in str(caught.value)
    assert "other importers are not affected" in str(caught.value)
    assert isinstance(importer_for("words"), Importer)


def test_an_entry_point_that_names_no_importer_is_told(plugin: None) -> None:
    with pytest.raises(ImporterError, match="does not name an Importer class"):
        importer_for("other")
    with pytest.raises(ImporterError, match="convert"):
        importer_for("unfinished")


def test_a_folder_stands_for_its_files_and_sub_folders_are_kept(sources: Path, tmp_path: Path) -> None:
    out = tmp_path / "archives"
    seen: list[tuple[int, int]] = []
    imported = import_sources(
        Bytes(), [sources], out, progress=lambda done, total: seen.append((done, total))
    )
    assert names(imported.written, out) == ["a.h5", "b.h5", "deep/a.h5", "deep/down/c.h5"]
    assert imported.skipped == ()
    assert seen == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    (recording,) = open_recordings(out / "deep" / "a.h5")
    assert bytes(recording.streams["bytes"].read(0, 10)[:, 0]) == b"deep/a.bin"


def test_a_file_is_taken_whatever_its_name(sources: Path, tmp_path: Path) -> None:
    imported = import_sources(Bytes(), [sources / "notes.txt", str(sources / "a.bin")], tmp_path)
    assert names(imported.written, tmp_path) == ["notes.h5", "a.h5"]


def test_one_bad_file_does_not_keep_the_others_out(sources: Path, tmp_path: Path) -> None:
    (sources / "a.bin").write_bytes(b"! bad")
    (sources / "b.BIN").write_bytes(b"!! worse")
    failed: list[SensorkdError] = []
    paths = [tmp_path / "nowhere", sources]
    imported = import_sources(Bytes(), paths, tmp_path / "o", on_error=failed.append)
    assert names(imported.written, tmp_path / "o") == ["deep/a.h5", "deep/down/c.h5"]
    assert [error.problem for error in failed] == [
        "no such file or folder", "a bad file", "the file cannot be converted"
    ]  # fmt: skip
    assert "a slip of its author" in str(failed[2])
    assert str(failed[2].file).endswith("b.BIN")
    with pytest.raises(ArchiveError, match="no such file or folder"):
        import_sources(Bytes(), paths, tmp_path / "p")


def test_a_wrong_mapping_ends_the_job_at_once(sources: Path, tmp_path: Path) -> None:
    failed: list[SensorkdError] = []
    with pytest.raises(ConfigError, match="the mapping is wrong"):
        import_sources(Bytes(), [sources], tmp_path / "o", tmp_path / "m.yaml", on_error=failed.append)
    assert failed == []


def test_an_archive_that_exists_is_an_error_or_skipped_and_never_changed(
    sources: Path, tmp_path: Path
) -> None:
    out = tmp_path / "o"
    first = import_sources(Bytes(), [sources / "a.bin"], out).written[0]
    before = first.read_bytes()
    failed: list[SensorkdError] = []
    again = import_sources(Bytes(), [sources], out, on_error=failed.append)
    assert (len(again.written), [error.problem for error in failed]) == (3, ["the file exists already"])
    skipping = import_sources(Bytes(), [sources], out, skip_existing=True)
    assert (skipping.written, len(skipping.skipped)) == ((), 4)
    assert first.read_bytes() == before


@pytest.mark.parametrize("skip_existing", [False, True])
def test_sources_that_would_share_an_archive_are_told(
    sources: Path, tmp_path: Path, skip_existing: bool
) -> None:
    failed: list[SensorkdError] = []
    imported = import_sources(
        Bytes(), [sources / "a.bin", sources / "deep"], tmp_path / "o", skip_existing=skip_existing,
        on_error=failed.append,
    )  # fmt: skip
    assert names(imported.written, tmp_path / "o") == ["a.h5", "down/c.h5"]
    (error,) = failed
    assert error.problem == "two sources would give the same archive"
    assert str(sources / "a.bin") in str(error.found)


def test_a_folder_without_such_files_and_one_that_cannot_be_made_are_told(
    sources: Path, tmp_path: Path
) -> None:
    (tmp_path / "bare").mkdir()
    with pytest.raises(ArchiveError, match=r"expected: files ending in \.bin, \.bin\.old"):
        import_sources(Bytes(), [tmp_path / "bare"], tmp_path / "o")
    with pytest.raises(ArchiveError, match="a folder to write into"):
        import_sources(Bytes(), [sources], sources / "notes.txt")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes of POSIX")
@pytest.mark.parametrize("name", ["csv", "cycles", "gopro", "video"])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path, name: str) -> None:
    pipe = tmp_path / "a.csv"
    os.mkfifo(pipe)
    failed: list[SensorkdError] = []
    importer = importer_for(name)
    assert import_sources(importer, [pipe], tmp_path / "o", on_error=failed.append).written == ()
    (error,) = failed
    assert error.file == str(pipe) and "neither a file nor a folder" in error.problem and error.mend


def test_without_suffixes_a_folder_is_itself_a_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cycles = importer_for("cycles")
    (tmp_path / "run.1").mkdir()
    assert cycles.sources(tmp_path / "run.1") == [(tmp_path / "run.1", Path())]
    monkeypatch.chdir(tmp_path / "run.1")
    assert cycles.archives(Path(), tmp_path) == [tmp_path / "run.1.h5"]


def test_what_an_importer_notes_is_told_and_written_down(sources: Path, tmp_path: Path) -> None:
    (sources / "b.BIN").write_bytes(b"? odd")
    imported = import_sources(Bytes(), [sources], tmp_path / "o")
    assert imported.notes == ("odd, but taken",)
    lines = [json.loads(line) for line in (tmp_path / "o" / "imports.jsonl").read_text().splitlines()]
    assert [line["archives"] for line in lines] == [["a.h5"], ["b.h5"], ["deep/a.h5"], ["deep/down/c.h5"]]
    assert [line["notes"] for line in lines] == [[], ["odd, but taken"], [], []]
    assert lines[1]["source"] == str((sources / "b.BIN").resolve())
    assert (lines[1]["bytes"], lines[1]["importer"], lines[1]["mapping_sha256"]) == (5, "Bytes", None)
