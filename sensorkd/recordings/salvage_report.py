"""What a salvage saved of a file, and what it could not."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from sensorkd import timeline

__all__ = ["Loss", "SalvageReport", "StreamSalvage"]

SHOWN = 8


@dataclass(frozen=True)
class Loss:
    """Samples [start, stop) of a stream that are not in the new archive, and why.

    spans: [t0, t1) in ns, when they were taken, one a segment; none where no segment says so.
    """

    start: int
    stop: int
    reason: str
    spans: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class StreamSalvage:
    """One stream. samples: in the source; failure: why all of it is lost."""

    recording: str
    name: str
    samples: int = 0
    saved: int = 0
    lost: tuple[Loss, ...] = ()
    failure: str | None = None

    @property
    def whole(self) -> bool:
        """Whether every sample was saved."""
        return not self.lost and self.failure is None

    def line(self) -> str:
        """For people."""
        told = f"{self.recording}/{self.name}: "
        if self.failure is not None:
            return f"{told}lost: {self.failure}"
        return f"{told}{self.saved:,} of {self.samples:,} samples saved"


@dataclass(frozen=True)
class SalvageReport:
    """One file. out: the new archive. cut: bytes missing at its end. problems: of what is no stream."""

    source: str
    out: str
    left_open: bool
    cut: int
    streams: tuple[StreamSalvage, ...]
    problems: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether nothing was lost."""
        return not self.problems and all(stream.whole for stream in self.streams)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**dataclasses.asdict(self), "whole": self.whole}

    def lines(self) -> list[str]:
        """For people."""
        text = [f"{self.source} -> {self.out}"]
        if self.left_open:
            text.append("  the file was not closed by its writer")
        if self.cut:
            text.append(f"  {self.cut:,} bytes are missing at its end")
        text += [f"  {problem}" for problem in self.problems]
        for stream in self.streams:
            text.append(f"  {stream.line()}")
            for loss in stream.lost[:SHOWN]:
                seconds = ", ".join(
                    f"{t0 / timeline.SECOND:.3f} to {t1 / timeline.SECOND:.3f} s" for t0, t1 in loss.spans[:3]
                )
                text.append(f"    [{loss.start}:{loss.stop}] {seconds or 'no time known'}: {loss.reason}")
            if len(stream.lost) > SHOWN:
                text.append(f"    and {len(stream.lost) - SHOWN} more")
        return text
