"""A million windows, a thousand files, few open files, many processes."""

from __future__ import annotations

import dataclasses
import multiprocessing
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch.utils.data import DataLoader

from sensorkd.encoding import InputEncoding
from sensorkd.processes import in_children
from sensorkd.recordings import LabelTrack, Recording, RecordingWriter, Segments, Stream, open_recordings
from sensorkd.recordings.stream import SampleSource
from sensorkd.timeline import SECOND
from sensorkd.training.batches import ArrayDataset, collate
from sensorkd.windows.cache import CacheSettings
from sensorkd.windows.labels import encode_labels, label_windows
from sensorkd.windows.plan import plan_windows
from sensorkd.windows.read import read_windows, recording_names
from sensorkd.windows.reading import ReadingSettings, read_plan
from sensorkd.windows.splits import groups_of, split_by_group

LINUX = sys.platform == "linux"


def machine(number: int, seconds: int) -> Recording:
    """A recording of which nothing lies anywhere: a plan reads no sample."""
    count = seconds * 100
    stream = Stream(
        name="acceleration",
        modality="acceleration",
        unit="m/s2",
        segments=Segments.uniform(t0=0, rate=100.0, count=count),
        source=SampleSource(Path(f"{number}.h5"), "/x", ("time", "channel"), (count, 2)),
        dtype=np.dtype("int16"),
    )
    times = np.arange(0, seconds, 20) * SECOND
    track = LabelTrack(times, times + 20 * SECOND, tuple(["ok", "worn"][i % 2] for i in range(len(times))))
    name = f"plant/line{number % 7}/machine{number:04d}.h5::session"
    identity = {"machine": f"m{number % 50:02d}"}
    return Recording(
        name, Path(f"{number}.h5"), "/", "relative", identity, {"acceleration": stream}, {"state": track}
    )


def test_a_million_windows_over_a_thousand_files_are_planned_labelled_and_split_in_seconds(
    encodings: Any,
) -> None:
    kinds = {"acceleration": encodings()["acceleration"]}
    recordings = [machine(number, 1000) for number in range(1000)]
    begun = time.monotonic()
    plan = plan_windows(recordings, kinds, hop=SECOND)
    labels = encode_labels(
        label_windows(recordings, plan, "state", encodings=kinds, rule="majority"), ["ok", "worn"]
    )
    groups = groups_of(recordings, plan, "machine")
    rows = split_by_group(groups, dev=("m01",), test=("m02",)).rows(groups, "train")
    names = recording_names(recordings, plan)
    assert time.monotonic() - begun < 60  # some 3 s on a quiet core
    assert (len(plan), len(rows)) == (1_000_000, 960_000)
    assert np.bincount(labels).tolist() == [500_000, 500_000]
    assert names.nbytes == 8_000_000 and names[-1] == recordings[-1].id


def few_open_files(item: tuple[Path, dict[str, InputEncoding]]) -> tuple[int, int]:
    """In a child: read windows of all archives in random order, with few files that may be open."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    folder, kinds = item
    recordings = open_recordings(folder)
    plan = plan_windows(recordings, kinds, hop=SECOND)
    mixed = plan.select(np.random.default_rng(0).permutation(len(plan)))
    return len(recordings), int(read_windows(recordings, mixed, kinds).presence.sum())


@pytest.mark.skipif(not LINUX, reason="the limit of open files is Linux's")
def test_more_archives_than_files_may_be_open_are_read(tmp_path: Path, shake: Any, encodings: Any) -> None:
    with RecordingWriter(tmp_path / "0000.h5") as writer:
        draft = writer.recording("r", clock="relative", identity={"machine": "x"})
        draft.add_stream("acceleration", **shake(2.0))
    content = (tmp_path / "0000.h5").read_bytes()
    for number in range(1, 400):
        (tmp_path / f"{number:04d}.h5").write_bytes(content)
    ((_, found),) = in_children(few_open_files, [(tmp_path, {"acceleration": encodings()["acceleration"]})])
    assert found == (400, 800)


def total(windows: ArrayDataset) -> list[int]:
    return [int(values.sum()) for values in windows[:].values()]


@pytest.fixture
def recordings(write_archive: Any, shake: Any, heat: Any) -> list[Recording]:
    streams = {"acceleration": shake(), "temperature": heat()}
    return [open_recordings(write_archive(streams, name=name))[0] for name in ("a.h5", "b.h5")]


@pytest.fixture(params=["memory", "cache", "direct"])
def dataset(request: Any, recordings: list[Recording], encodings: Any, tmp_path: Path) -> ArrayDataset:
    kinds = encodings()
    kinds["temperature"] = dataclasses.replace(kinds["temperature"], dtype="int16", scale=0.01)
    plan = plan_windows(recordings, kinds, hop=SECOND)
    settings = ReadingSettings(CacheSettings(tmp_path / "cache"), request.param)
    windows = read_plan(recordings, plan, kinds, settings).windows.select(np.arange(3, len(plan)))
    labels = np.arange(len(windows)) % 2
    return ArrayDataset(windows.inputs, windows.presence, labels, window_id=windows.id, t_ref=windows.t_ref)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_windows_cross_processes_however_they_are_begun(dataset: ArrayDataset) -> None:
    expected = total(dataset)  # files are open when the process forks
    for method in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            assert pool.apply(total, (dataset,)) == expected, method


def test_a_data_loader_gives_the_same_windows_with_any_number_of_workers(dataset: ArrayDataset) -> None:
    expected = dataset[:]
    for workers in (0, 1, 2):
        loader = DataLoader(dataset, batch_size=6, collate_fn=collate, num_workers=workers)
        parts = list(loader)
        for name, values in expected.items():
            found = np.concatenate([part[name].numpy() for part in parts])
            np.testing.assert_array_equal(found, values.numpy())
