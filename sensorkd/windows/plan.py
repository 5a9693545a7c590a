"""Lays windows over recordings: a reference time each and, per input, its own span before it.

Columnar: a million windows are a few arrays. No sample is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensorkd import timeline
from sensorkd.encoding import InputEncoding
from sensorkd.errors import WindowError, nearest
from sensorkd.recordings import Recording, Stream

__all__ = ["WindowPlan", "locate", "plan_windows", "whole_coverage"]

MAX_REFERENCES = 100_000_000


@dataclass(frozen=True)
class WindowPlan:
    """W windows over a list of recordings.

    recording: (W,) index into the list. t_ref: (W,) int64 ns; a window is [t_ref - span, t_ref).
    coverage: (W, K) share of each input's span that was logged, in the order of `inputs`.
    id: (W,) uint64, the same for the same recording id, time and encodings on every computer.
    skipped: recordings that hold no window, and why.
    """

    inputs: tuple[str, ...]
    recording: NDArray[np.int64]
    t_ref: NDArray[np.int64]
    coverage: NDArray[np.float32]
    id: NDArray[np.uint64]
    skipped: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.t_ref)

    def select(self, rows: NDArray[np.int64]) -> WindowPlan:
        """The plan of some of the windows."""
        return WindowPlan(
            self.inputs,
            self.recording[rows],
            self.t_ref[rows],
            self.coverage[rows],
            self.id[rows],
            self.skipped,
        )


def plan_windows(
    recordings: Sequence[Recording],
    encodings: Mapping[str, InputEncoding],
    *,
    hop: int | None = None,
    segment_of: str | None = None,
    required: Sequence[str] = (),
) -> WindowPlan:
    """References every `hop` ns, at the end of every segment of a stream, or one window a recording.

    Where a sensor is logged in bursts, `segment_of` names it: every burst gives one window, and each other
    input its span before the burst's end. Without either, the encodings are `whole`. A window is kept
    when at least one input is covered to its `min_coverage`, and all `required` ones are.

    Raises:
        WindowError: spans and whole encodings are mixed, the hop is not positive, a required input or the
            stream of the segments is unknown, or there is no window at all.
    """
    _check_request(encodings, hop, segment_of, required)
    _check_segments_exist(recordings, segment_of)
    fingerprint = _fingerprint(encodings)
    parts: list[tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.uint64]]] = []
    skipped: list[tuple[str, str]] = []
    for recording in recordings:
        references, coverage = _covered_references(recording, encodings, hop, segment_of, required)
        if not len(references):
            skipped.append((recording.id, _why_skipped(recording, encodings, hop, segment_of)))
        parts.append((references, coverage, _ids(recording.id, references, fingerprint)))
    if not any(len(part[0]) for part in parts):
        raise WindowError(
            "no recording holds a window",
            found="; ".join(f"{name}: {why}" for name, why in skipped[:3]) or "no recordings",
            mend="shorten the spans, or name other data",
        )
    return WindowPlan(
        inputs=tuple(encodings),
        recording=np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts]),
        t_ref=np.concatenate([part[0] for part in parts]),
        coverage=np.concatenate([part[1] for part in parts]),
        id=np.concatenate([part[2] for part in parts]),
        skipped=tuple(skipped),
    )


def _check_request(
    encodings: Mapping[str, InputEncoding], hop: int | None, segment_of: str | None, required: Sequence[str]
) -> None:
    whole = {encoding.whole for encoding in encodings.values()}
    references = [item for item in (hop, segment_of) if item is not None]
    if len(whole) != 1 or len(references) != (0 if whole == {True} else 1):
        raise WindowError(
            "windows are whole recordings, or they lie before references: every hop, or ends of segments",
            found=f"hop {hop}, segment_of {segment_of}, spans "
            f"{ {name: encoding.span for name, encoding in encodings.items()} }",
            expected="either a hop or segment_of, and a span for every input; or none of these",
            mend="correct `windows` and `inputs` in the configuration",
        )
    if hop is not None and hop < 1:
        raise WindowError("the hop must be positive", found=f"{hop} ns", mend="correct `windows.hop`")
    for name in required:
        if name not in encodings:
            raise WindowError(
                f"a required input {name!r} is no input",
                found=f"inputs {list(encodings)}",
                mend=f"{nearest(name, encodings)}correct `required`",
            )


def _check_segments_exist(recordings: Sequence[Recording], segment_of: str | None) -> None:
    known = {name for recording in recordings for name in recording.streams}
    if segment_of is not None and recordings and segment_of not in known:
        raise WindowError(
            f"no recording has a stream {segment_of!r}, whose segments are to be the references",
            found=f"streams {sorted(known)}",
            mend=f"{nearest(segment_of, known)}correct `windows.segment_of` in the configuration",
        )


def _covered_references(
    recording: Recording,
    encodings: Mapping[str, InputEncoding],
    hop: int | None,
    segment_of: str | None,
    required: Sequence[str],
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The references at which enough is covered, and the coverage (W, K) there."""
    references = _references(recording, encodings, hop, segment_of)
    coverage = np.stack(
        [
            _coverage(recording, recording.streams.get(name), encoding, references)
            for name, encoding in encodings.items()
        ],
        axis=1,
    )
    threshold = np.array([encoding.min_coverage for encoding in encodings.values()]) - 1e-9
    present = coverage >= threshold
    must = [list(encodings).index(name) for name in required]
    keep = present.any(axis=1) & present[:, must].all(axis=1)
    return references[keep], coverage[keep].astype(np.float32)


def _references(
    recording: Recording, encodings: Mapping[str, InputEncoding], hop: int | None, segment_of: str | None
) -> NDArray[np.int64]:
    if segment_of is not None:
        bursts = recording.streams.get(segment_of)
        return np.zeros(0, np.int64) if bursts is None else bursts.segments.ends
    streams = {name: recording.streams[name] for name in encodings if name in recording.streams}
    if not streams:
        return np.zeros(0, np.int64)
    end = max(stream.end for stream in streams.values())
    if hop is None:
        return np.array([end], dtype=np.int64)
    first = min(stream.start + (encodings[name].span or 0) for name, stream in streams.items())
    if (end - first) // hop > MAX_REFERENCES:
        raise WindowError(
            "a recording is absurdly long for this hop: the clocks of its streams may disagree",
            file=recording.path,
            inside=recording.group,
            found=_ranges(streams),
            expected=f"at most {MAX_REFERENCES:,} references",
            mend="mend the start times, or lengthen `windows.hop`",
        )
    return np.arange(first, end + 1, hop, dtype=np.int64)


def locate(stream: Stream, t_ref: int) -> int:
    """Index of the segment that holds the last sample before t_ref; -1 when there is none."""
    return int(np.searchsorted(stream.segments.t0, t_ref, side="left")) - 1


def whole_coverage(recording: Recording, stream: Stream) -> float:
    """Share of the whole recording that one of its streams covers."""
    segments = stream.segments
    logged = int((segments.ends - segments.t0).sum())
    return min(1.0, logged / max(1, recording.end - recording.start))


def _coverage(
    recording: Recording, stream: Stream | None, encoding: InputEncoding, references: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Share of each window that one stream covers, from its segments alone."""
    if stream is None:
        return np.zeros(len(references))
    if encoding.whole:
        return np.full(len(references), whole_coverage(recording, stream))
    segments = stream.segments
    rows = np.searchsorted(segments.t0, references, side="left") - 1
    shares = encoding.coverage(
        t0=segments.t0[rows], rate=segments.rate[rows], count=segments.count[rows], stop=references
    )
    return np.where(rows >= 0, shares, 0.0)


def _why_skipped(
    recording: Recording, encodings: Mapping[str, InputEncoding], hop: int | None, segment_of: str | None
) -> str:
    if not set(encodings) & set(recording.streams):
        return f"it has none of the inputs {sorted(encodings)}, only {sorted(recording.streams)}"
    if segment_of is not None and segment_of not in recording.streams:
        return f"it has no stream {segment_of!r}, whose segments are the references"
    if not len(_references(recording, encodings, hop, segment_of)):
        return f"its {(recording.end - recording.start) / timeline.SECOND:.3g} s are shorter than a window"
    streams = {name: recording.streams[name] for name in encodings if name in recording.streams}
    return f"no window is covered well enough, or a required input is missing throughout: {_ranges(streams)}"


def _ranges(streams: Mapping[str, Stream]) -> str:
    """When each stream was logged, for people."""
    return ", ".join(
        f"{name} from {stream.start / timeline.SECOND:.3f} s to {stream.end / timeline.SECOND:.3f} s"
        for name, stream in streams.items()
    )


def _fingerprint(encodings: Mapping[str, InputEncoding]) -> bytes:
    tree = {name: encoding.to_json() for name, encoding in encodings.items()}
    for fields in tree.values():
        # Whether samples are trusted, or waited for, is no part of which samples a window holds.
        del fields["full_scale"], fields["stuck_after"], fields["lateness"]
    return json.dumps(tree, sort_keys=True).encode()


def _ids(recording: str, t_ref: NDArray[np.int64], fingerprint: bytes) -> NDArray[np.uint64]:
    """Window ids: a hash of recording and plan, mixed with the time by the finaliser of splitmix64."""
    digest = hashlib.blake2b(recording.encode() + b"\0" + fingerprint, digest_size=8).digest()
    mixed = t_ref.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(int.from_bytes(digest))
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)), dtype=np.uint64)
