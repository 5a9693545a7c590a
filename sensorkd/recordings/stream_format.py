"""What samples of one stream are, said before the first of them comes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sensorkd.errors import ArchiveError
from sensorkd.recordings.policy import GuardPolicy
from sensorkd.recordings.schema import CANONICAL_AXES
from sensorkd.recordings.stream import check_rate

__all__ = ["StreamFormat"]

CHUNK_SECONDS = 4.0
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class StreamFormat:
    """One stream of an archive that is written block by block.

    modality: which adapter takes it. unit: of `sample * scale + offset`. dtype: as logged: integers or
    floats of at most 8 bytes. sample_shape: (C,) for signals, (H, W, C) for video. rate: Hz, nominal.
    channels: names of the last axis, or none. chunk: samples in a chunk of the file; None: four seconds,
    a mebibyte at most. For a sensor that measures in bursts, the length of a burst.
    """

    modality: str
    unit: str
    dtype: np.dtype[Any]
    sample_shape: tuple[int, ...]
    rate: float
    scale: float = 1.0
    offset: float = 0.0
    channels: tuple[str, ...] = ()
    chunk: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", np.dtype(self.dtype))  # "i2" is as good
        object.__setattr__(self, "sample_shape", tuple(self.sample_shape))
        object.__setattr__(self, "channels", tuple(self.channels))

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample."""
        return math.prod(self.sample_shape) * self.dtype.itemsize

    @property
    def chunk_samples(self) -> int:
        """Samples in a chunk; h5py's own guess would cut across time."""
        if self.chunk is not None:
            return self.chunk
        return max(1, min(round(CHUNK_SECONDS * self.rate), CHUNK_BYTES // max(1, self.sample_bytes)))

    def check(self, *, file: Path, inside: str, count: int | None = None) -> None:
        """Refuse what could not be read again; `count`: samples, where they are known already.

        Raises:
            ArchiveError: naming what is wrong.
        """
        finite = math.isfinite(self.scale) and self.scale != 0 and math.isfinite(self.offset)
        if not (self.modality and self.unit and finite):
            raise ArchiveError(
                "samples need a modality, a unit, and finite scale and offset",
                file=file,
                inside=inside,
                found={name: getattr(self, name) for name in ("modality", "unit", "scale", "offset")},
                expected="text that is not empty; a scale other than 0",
                mend="unit '1' is for what has none",
            )
        known = self.dtype.kind in "iuf" and self.dtype.itemsize <= 8
        shaped = 1 + len(self.sample_shape) in CANONICAL_AXES and 0 not in self.sample_shape
        if not known or not shaped or count == 0:
            shape = ", ".join(map(str, ("n" if count is None else count, *self.sample_shape)))
            raise ArchiveError(
                "samples cannot be stored as they are",
                file=file,
                inside=inside,
                found=f"shape ({shape}), dtype {self.dtype}",
                expected="numbers of at most 8 bytes, of shape (n, C) or (n, H, W, C), n > 0",
                mend="a single channel is (n, 1): samples[:, None]",
            )
        self._check_rest(file, inside)

    def _check_rest(self, file: Path, inside: str) -> None:
        if self.channels and len(self.channels) != self.sample_shape[-1]:
            raise ArchiveError(
                "one name a channel is needed",
                file=file,
                inside=inside,
                found=list(self.channels),
                expected=f"{self.sample_shape[-1]} names",
                mend="name every channel, or none",
            )
        check_rate(self.rate, file=file, inside=inside)
        most = GuardPolicy().chunk_bytes
        if not 1 <= self.chunk_samples <= most // self.sample_bytes:
            raise ArchiveError(
                "a chunk holds no sample, or more than a reader takes",
                file=file,
                inside=inside,
                found=f"{self.chunk_samples:,} samples of {self.sample_bytes:,} bytes",
                expected=f"1 sample or more, and at most {most:,} bytes",
                mend="leave `chunk` out, or give the samples of a burst",
            )
