"""The sealed cache: windows of a plan in a run's encodings, laid out end to end, made once.

Reading windows from archives unpacks chunks again in every epoch; reading them from here is a copy of bytes.
A cache is keyed by content (see cache_key), made under the name KEY.part and renamed when it is whole.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sensorkd.encoding import InputEncoding
from sensorkd.errors import SensorkdError, WindowError
from sensorkd.processes import ChildLimits, in_children
from sensorkd.recordings import Recording
from sensorkd.windows.arrays import Reading
from sensorkd.windows.cache_build import CopyTask, SourceFile, copy_files, read_journal, write_journal
from sensorkd.windows.cache_folder import PART, check_room, locked, remove_stale
from sensorkd.windows.cache_key import READER_VERSION, cache_key
from sensorkd.windows.cache_layout import CacheLayout, told_bytes, write_error
from sensorkd.windows.cache_seal import open_sealed, seal
from sensorkd.windows.content import Content, ContentIndex
from sensorkd.windows.mapped import CacheError
from sensorkd.windows.plan import WindowPlan

__all__ = ["CacheSettings", "cached_windows"]

# A child takes some 30 ms to start: small files share one.
MOST_FILES_A_CHILD, ENOUGH_BYTES = 64, 64 << 20


@dataclass(frozen=True)
class CacheSettings:
    """folder: of all caches. limit: bytes of all of them together. jobs: children that read at once.
    verify: check all samples when a cache is opened, not each when it is first read. limits: of a child,
    which then reads one file alone."""

    folder: Path
    limit: int = 64 << 30
    jobs: int = 1
    verify: bool = False
    limits: ChildLimits | None = None


def _silent(*_: object) -> None:
    return None


def cached_windows(
    recordings: Sequence[Recording],
    plan: WindowPlan,
    encodings: Mapping[str, InputEncoding],
    settings: CacheSettings,
    *,
    samples: bool = True,
    progress: Callable[[int, int], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Reading:
    """The windows of a plan from a sealed cache, which is made first where there is none.

    A file that cannot be read is left out with its windows, told in `failed`; so it is again whenever the
    cache is opened, until the file changes. Where only some samples cannot be read, their input is absent.

    Args:
        samples: False keeps only what is known of each window; its `inputs` are then empty.
        progress: told of (windows done, windows). on_note: told what is done and where.

    Raises:
        CacheError: there is no room, or the cache cannot be written. Archives are untouched.
        WindowError: no file can be read.
    """
    note = on_note or _silent
    _make_folder(settings.folder)
    used = [recordings[index].path for index in np.unique(plan.recording).tolist()]
    found = ContentIndex(settings.folder).look_up(dict.fromkeys(used), jobs=settings.jobs)
    failed = [error for error in found.values() if isinstance(error, SensorkdError)]
    contents = {path: item for path, item in found.items() if isinstance(item, Content)}
    readable = np.array([recording.path in contents for recording in recordings], dtype=np.bool_)
    rows = np.flatnonzero(readable[plan.recording])
    if not len(rows) and len(plan):
        raise _nothing_left(failed)
    plan = plan.select(rows)
    key = cache_key(recordings, plan, encodings, contents, samples=samples)
    layout = CacheLayout(encodings, len(plan), samples)
    place = settings.folder / key
    reading = _opened(place, layout, settings, note)
    if reading is None:
        with locked(settings.folder, key, note):
            reading = _opened(place, layout, settings, note)
            if reading is None:
                remove_stale(settings.folder, key, note)
                check_room(settings.folder, key, layout.bytes, settings.limit)
                note(f"making a cache of {len(plan):,} windows, {told_bytes(layout.bytes)}: {place}")
                _make(place, layout, recordings, plan, contents, settings, progress or _silent)
                reading = open_sealed(place, layout, verify=settings.verify)
    if not len(reading.rows) and len(plan):
        raise _nothing_left([*failed, *reading.failed])
    return Reading(reading.windows, rows[reading.rows], (*failed, *reading.failed))


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(folder, error, 0) from error


def _nothing_left(failed: Sequence[SensorkdError]) -> WindowError:
    return WindowError(
        "not one of the files can be read",
        file=failed[0].file if failed else None,
        found="\n".join(str(error) for error in failed[:3]),
        expected="at least one readable archive",
        mend="restore the files from their source, or name other data",
    )


def _opened(
    place: Path, layout: CacheLayout, settings: CacheSettings, note: Callable[[str], None]
) -> Reading | None:
    """The cache if it is there; one that is damaged is removed."""
    try:
        if not place.exists():
            return None
    except OSError as error:  # a folder of which not even that can be asked
        raise write_error(place, error, layout.bytes) from error
    try:
        return open_sealed(place, layout, verify=settings.verify)
    except CacheError as error:
        note(f"{error}\n  done: it is made again")
        shutil.rmtree(place, ignore_errors=True)
        return None


def _make(
    place: Path,
    layout: CacheLayout,
    recordings: Sequence[Recording],
    plan: WindowPlan,
    contents: Mapping[Path, Content],
    settings: CacheSettings,
    progress: Callable[[int, int], None],
) -> None:
    part = place.with_name(place.name + PART)
    fresh = not part.exists()
    _make_folder(part)
    try:
        layout.reserve(part)
    except CacheError:
        if fresh:
            shutil.rmtree(part, ignore_errors=True)
        raise
    sources = _source_files(recordings, plan, contents)
    _copy(part, layout, sources, settings, progress)
    used, recording = np.unique(plan.recording, return_inverse=True)
    about = {
        "reader": READER_VERSION,
        "samples": layout.samples,
        "recordings": [recordings[index].id for index in used.tolist()],
        "sources": {str(source.path): contents[source.path].sha256 for source in sources},
        "errors": [tree for errors in read_journal(part).values() for tree in errors],
    }
    seal(part, place, layout, {"id": plan.id, "t_ref": plan.t_ref, "recording": recording}, about)


def _source_files(
    recordings: Sequence[Recording], plan: WindowPlan, contents: Mapping[Path, Content]
) -> list[SourceFile]:
    """The windows of a plan by the file they come from, in a stable order."""
    numbers: dict[Path, int] = {}
    used, first = np.unique(plan.recording, return_index=True)
    for index in used[np.argsort(first)].tolist():
        numbers.setdefault(recordings[index].path, len(numbers))
    number = np.zeros(len(recordings), np.int64)
    number[used] = [numbers[recordings[index].path] for index in used.tolist()]
    of_window = number[plan.recording]
    order = np.argsort(of_window, kind="stable")
    bounds = np.searchsorted(of_window[order], np.arange(len(numbers) + 1))
    return [
        SourceFile(
            number=index,
            path=path,
            state=contents[path].state,
            recordings=tuple(recordings[item] for item in plan.recording[rows].tolist()),
            t_ref=plan.t_ref[rows],
            rows=rows,
        )
        for path, index in numbers.items()
        for rows in [order[bounds[index] : bounds[index + 1]]]
    ]


def _copy(
    part: Path,
    layout: CacheLayout,
    sources: Sequence[SourceFile],
    settings: CacheSettings,
    progress: Callable[[int, int], None],
) -> None:
    """Copy all files that were not copied before; a group whose child dies is tried again file by file."""
    done = read_journal(part)
    left = [source for source in sources if source.number not in done]
    copied = layout.windows - sum(len(source.rows) for source in left)
    tasks = [CopyTask(part, layout, group) for group in _groups(left, layout, alone=bool(settings.limits))]
    while tasks:
        again: list[SourceFile] = []
        results = in_children(copy_files, tasks, jobs=settings.jobs, limits=settings.limits)
        for index, result in results:
            files = tasks[index].files
            if isinstance(result, CacheError):
                raise result
            if isinstance(result, SensorkdError):
                finished = read_journal(part)
                files = tuple(source for source in files if source.number in finished)
                lost = [source for source in tasks[index].files if source.number not in finished]
                if len(tasks[index].files) > 1:
                    again += lost
                else:
                    for source in lost:
                        write_journal(part, source, [result])
                    files = tuple(lost)
            copied += sum(len(source.rows) for source in files)
            progress(copied, layout.windows)
        tasks = [CopyTask(part, layout, group) for group in _groups(again, layout, alone=True)]


def _groups(
    files: Sequence[SourceFile], layout: CacheLayout, *, alone: bool
) -> Iterator[tuple[SourceFile, ...]]:
    """Files that one child copies: each alone, or small ones together."""
    each = layout.bytes // max(1, layout.windows)
    group: list[SourceFile] = []
    for source in files:
        group.append(source)
        enough = sum(len(item.rows) for item in group) * each >= ENOUGH_BYTES
        if alone or enough or len(group) == MOST_FILES_A_CHILD:
            yield tuple(group)
            group = []
    if group:
        yield tuple(group)
