"""Judges archives with a bundle: the device's own predictor behind the reader of archives."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sensorkd import timeline
from sensorkd.alarms import alarms_of
from sensorkd.edge import EdgeBundle, EdgePredictor, Predictions
from sensorkd.encoding import InputEncoding
from sensorkd.errors import ConfigError, MissingExtraError, SensorkdError
from sensorkd.processes import ChildLimits
from sensorkd.recordings import Recording, open_recordings
from sensorkd.recordings.isolated import open_isolated
from sensorkd.windows.arrays import WindowSet
from sensorkd.windows.cache import CacheSettings
from sensorkd.windows.failures import Failures
from sensorkd.windows.plan import WindowPlan, plan_windows
from sensorkd.windows.read import read_readable
from sensorkd.windows.reading import ReadingSettings, read_plan, window_bytes

__all__ = ["predict_archives", "write_table"]

BATCH = 64
# Bytes that a child reads of an archive in a second, if it comes forward at all.
SLOWEST = 1_000_000

Batches = Iterator[tuple[WindowSet, NDArray[np.int64]]]
Encodings = Mapping[str, InputEncoding]
OnError = Callable[[SensorkdError], None]


def predict_archives(
    bundle: EdgeBundle,
    paths: Sequence[str | Path],
    layout: str | Path | None = None,
    *,
    on_error: OnError | None = None,
    isolated: ChildLimits | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """One row a window, and notes on recordings that hold none.

    on_error: told of files that cannot be opened, or not be read whole, and the others go on; None raises.
    isolated: archives are opened and read in child processes only, within such limits, more of time for
    many windows; None: in this process.

    Columns: recording; time, the window's end (UTC, or seconds on a relative clock); verdict,
    probability, missing; alarm, whether it is active after this window, if the bundle has a rule; p.<class>.

    Raises:
        SensorkdError: an archive cannot be used.
    """
    description = bundle.description
    recordings = _opened(paths, layout, on_error, isolated)
    hop = None if description.hop is None else round(description.hop * timeline.SECOND)
    plan = plan_windows(recordings, description.inputs, hop=hop, segment_of=description.segment_of)
    errors: list[SensorkdError] = []
    read = _read_here if isolated is None else functools.partial(_read_isolated, limits=isolated)
    predictor, tables, scores, places = EdgePredictor(bundle), [], [], []
    for windows, rows in read(recordings, plan, description.inputs, errors.append):
        if len(rows):
            clocks = [recordings[index].clock for index in plan.recording[rows]]
            found = _judged(predictor, windows)
            tables.append(_table(found, windows, clocks))
            places.append(rows)
            if description.alarm is not None:
                scores.append(found.scores(description.alarm))
    if errors and (on_error is None or not tables):
        raise errors[0]
    if on_error is not None:
        for error in errors:
            on_error(error)
    notes = [f"no window from {name}: {why}" for name, why in plan.skipped]
    table = pd.concat(tables, ignore_index=True)
    if description.alarm is not None:
        kept = np.concatenate(places)
        active = alarms_of(
            np.concatenate(scores),
            description.alarm,
            recording=plan.recording[kept],
            t_ref=plan.t_ref[kept],
        )
        table.insert(list(table.columns).index("missing") + 1, "alarm", active)
    return table, notes


def _opened(
    paths: Sequence[str | Path],
    layout: str | Path | None,
    on_error: OnError | None,
    isolated: ChildLimits | None,
) -> list[Recording]:
    """Recordings; `on_error` is told of files that cannot be opened, unless there are no others."""
    failed: list[SensorkdError] = []
    gather = None if on_error is None else failed.append
    if isolated is None:
        recordings = open_recordings(paths, layout, on_error=gather)
    else:
        jobs = os.cpu_count() or 1
        recordings = open_isolated(paths, layout, on_error=gather, jobs=jobs, limits=isolated)
    if failed and not recordings:
        raise failed[0]
    if on_error is not None:
        for error in failed:
            on_error(error)
    return recordings


def _judged(predictor: EdgePredictor, windows: WindowSet) -> Predictions:
    return predictor.predict({name: values[:] for name, values in windows.inputs.items()}, windows.presence)


def _table(found: Predictions, windows: WindowSet, clocks: Sequence[str]) -> pd.DataFrame:
    """Verdicts of some windows. clocks: of each of them."""
    table = pd.DataFrame(found.rows())
    times = [_time(int(t_ref), clock) for t_ref, clock in zip(windows.t_ref, clocks, strict=True)]
    table.insert(0, "time", times)
    table.insert(0, "recording", list(windows.recording))
    return table


def _read_here(
    recordings: Sequence[Recording], plan: WindowPlan, encodings: Encodings, on_error: OnError
) -> Batches:
    """Windows some at a time, and their rows in the plan; after all, `on_error` is told of bad files."""
    failures = Failures()
    for start in range(0, len(plan), BATCH):
        rows = np.arange(start, min(start + BATCH, len(plan)))
        arrays, kept = read_readable(recordings, plan.select(rows), encodings, failures=failures)
        yield arrays, rows[kept]
    for error in failures.errors:
        on_error(error)


def _read_isolated(
    recordings: Sequence[Recording],
    plan: WindowPlan,
    encodings: Encodings,
    on_error: OnError,
    *,
    limits: ChildLimits,
) -> Batches:
    """As `_read_here`, from a cache that children make and nothing is left of."""
    needed = window_bytes(encodings) * len(plan)
    seconds = None if limits.seconds is None else limits.seconds + len(plan) + needed / SLOWEST
    with tempfile.TemporaryDirectory(prefix="sensorkd.") as work:
        cache = CacheSettings(
            Path(work), jobs=os.cpu_count() or 1, limits=ChildLimits(seconds, limits.memory)
        )
        reading = read_plan(recordings, plan, encodings, ReadingSettings(cache, isolated=True))
        for error in reading.failed:
            on_error(error)
        for start in range(0, len(reading.rows), BATCH):
            some = np.arange(start, min(start + BATCH, len(reading.rows)))
            yield reading.windows.select(some), reading.rows[some]


def _time(t_ref: int, clock: str) -> str | float:
    if clock == "utc":
        return str(pd.Timestamp(t_ref, unit="ns", tz="UTC").isoformat())
    return round(t_ref / timeline.SECOND, 6)


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write predictions as .csv, .parquet or .jsonl.

    Raises:
        ConfigError: another ending.
        MissingExtraError: Parquet without pyarrow.
    """
    if path.suffix == ".parquet":
        try:
            table.to_parquet(path, index=False)
        except ImportError as error:
            raise MissingExtraError(
                "Parquet needs a package that is not installed",
                file=path,
                mend="pip install pyarrow, or write .csv",
            ) from error
    elif path.suffix == ".jsonl":
        table.to_json(path, orient="records", lines=True)
    elif path.suffix == ".csv":
        table.to_csv(path, index=False)
    else:
        raise ConfigError(
            "predictions are not written in this format",
            file=path,
            found=path.suffix or "no ending",
            expected=".csv, .parquet or .jsonl",
        )
