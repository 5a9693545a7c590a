"""Judges archives with a bundle: the device's own predictor behind the reader of archives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from sensorkd import timeline
from sensorkd.edge import EdgeBundle, EdgePredictor
from sensorkd.errors import ConfigError, MissingExtraError, SensorkdError
from sensorkd.recordings import open_recordings
from sensorkd.windows.failures import Failures
from sensorkd.windows.plan import plan_windows
from sensorkd.windows.read import read_readable

__all__ = ["predict_archives", "write_table"]

BATCH = 64


def predict_archives(
    bundle: EdgeBundle,
    paths: Sequence[str | Path],
    layout: str | Path | None = None,
    *,
    on_error: Callable[[SensorkdError], None] | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """One row a window, and notes on recordings that hold none.

    on_error: told of files that cannot be opened, or not be read whole, and the others go on; None raises.

    Columns: recording; time, the window's end (UTC, or seconds on a relative clock); verdict,
    probability, missing; p.<class>.

    Raises:
        SensorkdError: an archive cannot be used.
    """
    description = bundle.description
    failed: list[SensorkdError] = []
    recordings = open_recordings(paths, layout, on_error=None if on_error is None else failed.append)
    if failed and not recordings:
        raise failed[0]
    if on_error is not None:
        for error in failed:
            on_error(error)
    hop = None if description.hop is None else round(description.hop * timeline.SECOND)
    plan = plan_windows(recordings, description.inputs, hop=hop, segment_of=description.segment_of)
    predictor, failures = EdgePredictor(bundle), Failures()
    tables = []
    for start in range(0, len(plan), BATCH):
        some = plan.select(np.arange(start, min(start + BATCH, len(plan))))
        arrays, kept = read_readable(recordings, some, description.inputs, failures=failures)
        if failures.count and on_error is None:
            raise failures.errors[0]
        if not len(kept):
            continue
        some = some.select(kept)
        table = pd.DataFrame(predictor.predict(arrays.inputs, arrays.presence).rows())
        clocks = [recordings[index].clock for index in some.recording]
        times = [_time(int(t_ref), clock) for t_ref, clock in zip(some.t_ref, clocks, strict=True)]
        table.insert(0, "time", times)
        table.insert(0, "recording", list(arrays.recording))
        tables.append(table)
    if not tables:
        raise failures.errors[0]
    if on_error is not None:
        for error in failures.errors:
            on_error(error)
    notes = [f"no window from {name}: {why}" for name, why in plan.skipped]
    return pd.concat(tables, ignore_index=True), notes


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
