"""What a run's inputs look like, for their normalisation: from a drawn sample of training windows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sensorkd.encoding import InputEncoding
from sensorkd.errors import ArchiveError
from sensorkd.models.frontend import ChannelStats
from sensorkd.runs.config import RunConfig
from sensorkd.runs.data import Planned, read_for

__all__ = ["channel_stats"]

STATS_WINDOWS, FEW_WINDOWS = 256, 16


def channel_stats(planned: Planned, config: RunConfig) -> dict[str, ChannelStats]:
    """Mean of each channel and one deviation an input, in physical units, from training windows.

    One deviation serves all channels, so that axes of a sensor keep their proportions. A drawn sample of
    256 windows, labelled or not, is enough; an input that few of them have is looked for in others.

    Raises:
        ArchiveError: an input is absent from all of them.
    """
    rows = _stats_rows(planned, config.seed)
    # A few windows: in memory, whatever holds the others, unless no archive may be read in this process.
    mode = {"cache": config.cache.model_copy(update={"mode": "memory"})}
    windows = read_for(
        config.model_copy(update=mode), planned.recordings, planned.plan.select(rows), planned.encodings
    ).windows
    stats = {}
    for index, (name, encoding) in enumerate(planned.encodings.items()):
        values = windows.inputs[name][np.flatnonzero(windows.presence[:, index] > 0)]
        if not len(values):
            raise ArchiveError(
                f"input {name!r} is absent from every training window that was looked at",
                found=f"presence 0 in {len(rows)} windows",
                mend=f"shorten `inputs.{name}.span` if it is longer than what was logged without a gap; "
                "check its unit and valid range with `sensorkd inspect`; or leave it out of `inputs`",
            )
        stats[name] = _stats(values, encoding)
    return stats


def _stats_rows(planned: Planned, seed: int) -> NDArray[np.int64]:
    every = planned.split.rows(planned.groups, "train")
    if len(every) <= STATS_WINDOWS:
        return every
    generator = np.random.default_rng(seed)
    rows = generator.choice(every, STATS_WINDOWS, replace=False)
    for column, encoding in enumerate(planned.encodings.values()):
        logged = planned.plan.coverage[:, column] >= encoding.min_coverage - 1e-6
        if logged[rows].sum() < FEW_WINDOWS:
            there = every[logged[every]]
            more = generator.choice(there, min(STATS_WINDOWS // 4, len(there)), replace=False)
            rows = np.concatenate([rows, np.setdiff1d(more, rows)])
    return np.sort(rows)


def _stats(values: NDArray[np.generic], encoding: InputEncoding) -> ChannelStats:
    flat = values.reshape(-1, encoding.sample_shape[-1])
    flat = flat[:: max(1, len(flat) // 1_000_000)]
    physical = flat.astype(np.float64) * encoding.scale + encoding.offset
    low, high = encoding.valid_range
    physical[~((physical >= low) & (physical <= high))] = np.nan
    mean = np.nan_to_num(np.nanmean(physical, axis=0))
    deviation = float(np.sqrt(np.nanmean((physical - mean) ** 2)))
    # A constant channel must not blow up; its unit's last bit is as small as a deviation can be.
    floor = max(abs(encoding.scale), 1e-6)
    return ChannelStats(tuple(mean.tolist()), (max(deviation, floor),) * len(mean))
