"""Checks that read every sample: damage, values that cannot be true, sensors that are dead or clipped."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from sensorkd import quality
from sensorkd.adapters import StreamSpec
from sensorkd.checks.blocks import Damage, read_blocks, time_of
from sensorkd.checks.finding import Check, Finding, Place, when
from sensorkd.checks.sensors import conversion_of, spec_of
from sensorkd.checks.tally import ChannelTally, Faulty, StreamTally
from sensorkd.quality import Limits
from sensorkd.recordings import Recording, Stream

__all__ = ["CHECKS", "StreamSamples", "check_samples", "read_samples"]

DAMAGED_CHUNK = Check(
    id="damaged-chunk",
    importance="critical",
    title="stored samples are damaged and cannot be read",
    reason="A window over the damage has no such samples; everything else of the stream can be read.",
    cure="restore the file from its source; `--salvage OUT` writes what can be read into a new archive",
    reads_samples=True,
)
NO_VALUE = Check(
    id="no-value",
    importance="warning",
    title="a channel holds no number at all",
    reason="A sensor of which one channel is dead counts as absent, so that its windows teach nothing of it.",
    cure="leave the channel or the stream out, and look at the sensor and its wire",
    reads_samples=True,
)
NOT_FINITE = Check(
    id="not-finite",
    importance="warning",
    title="samples are NaN or infinite",
    reason="They are repaired, and count against presence; many of them make the sensor absent.",
    cure="log a pause where there is no value, as a gap between segments",
    reads_samples=True,
)
OUT_OF_RANGE = Check(
    id="out-of-range",
    importance="warning",
    title="values cannot be true: they lie outside the physical range of the modality",
    reason="Broken wires and wrong scales look so. One such value outweighs all others in means and "
    "gradients unless it is masked; sensorkd masks it.",
    cure="look at the sensor, its unit and its scale; set `valid_range` of the input where the range is "
    "wrong",
    reads_samples=True,
)
SATURATED = Check(
    id="saturated",
    importance="warning",
    title="the sensor is at the end of what it can report",
    reason="Clipped peaks are the strongest events, and all look alike: what a fault adds beyond is lost.",
    cure="use a sensor, or an amplifier, of a larger range",
    reads_samples=True,
)
CLIPPED = Check(
    id="clipped",
    importance="hint",
    title="a signal stays again and again at one and the same value on either side, as a clipped one does",
    reason="Some sensor or amplifier seems to end there, before the numbers do: peaks are lost, unseen.",
    cure="look at the range of the sensor; name it as `full_scale` of the input, so that clipped windows "
    "count as saturated",
    reads_samples=True,
)
STUCK = Check(
    id="stuck",
    importance="warning",
    title="a channel stays at one value for longer than a live sensor does",
    reason="A dead sensor repeats its last value. A model learns that value as a sign of whatever went on "
    "then.",
    cure="look at the sensor; set `stuck_after` of the input (0: never) where so long a rest is true",
    reads_samples=True,
)
FROZEN = Check(
    id="frozen",
    importance="warning",
    title="one and the same frame is repeated for longer than a live camera does",
    reason="A frozen picture shows what was, while the other sensors go on: the labels then belong to no "
    "view.",
    cure="look at the camera and its recorder; set `stuck_after` of the input (0: never) where it is true",
    reads_samples=True,
)
BLANK = Check(
    id="blank",
    importance="warning",
    title="frames of one colour throughout",
    reason="A covered, blinded or unlit camera sees nothing; such frames count against presence.",
    cure="look at the camera and the light; set `stuck_after: 0` of the input where blank frames are true",
    reads_samples=True,
)
CONSTANT = Check(
    id="constant",
    importance="hint",
    title="a channel has one and the same value throughout",
    reason="It tells nothing apart: at best it is useless to a model, at worst its value names the "
    "recording.",
    cure="leave the stream out where it is so in all recordings",
    reads_samples=True,
)
CHECKS = (
    DAMAGED_CHUNK,
    NO_VALUE,
    NOT_FINITE,
    OUT_OF_RANGE,
    SATURATED,
    CLIPPED,
    STUCK,
    FROZEN,
    BLANK,
    CONSTANT,
)


@dataclass(frozen=True)
class StreamSamples:
    """What reading a stream from end to end gave. known: whether unit and range of its values are."""

    tally: StreamTally
    damage: list[Damage] = field(default_factory=list)
    known: bool = True


def read_samples(stream: Stream) -> StreamSamples:
    """Read all samples once, a few MB at a time."""
    spec = spec_of(stream)
    conversion = conversion_of(stream, spec)
    limits = _limits(stream, spec, conversion)
    known = spec is not None and conversion is not None
    found = StreamSamples(StreamTally(limits, stream.sample_shape, stream.dtype), known=known)
    for block in read_blocks(stream):
        if isinstance(block, Damage):
            _join(found.damage, block)
        else:
            found.tally.add(block.start, block.samples)
    found.tally.end()
    return found


def _limits(stream: Stream, spec: StreamSpec | None, conversion: tuple[float, float] | None) -> Limits:
    scale, offset = conversion or (stream.scale, stream.offset)
    run = None
    if spec is not None and spec.stuck_after is not None:
        signal = len(stream.sample_shape) == 1
        fewest = quality.FEWEST_SAMPLES if signal else quality.FEWEST_FRAMES
        run = max(fewest, math.ceil(spec.stuck_after * stream.rate))
    valid = spec.valid_range if spec is not None and conversion is not None else (-math.inf, math.inf)
    return Limits(scale=scale, offset=offset, valid_range=valid, stuck_run=run, blank=run is not None)


def _join(damage: list[Damage], block: Damage) -> None:
    """Chunks side by side are one place."""
    if damage and damage[-1].stop == block.start:
        block = Damage(damage.pop().start, block.stop, block.told)
    damage.append(block)


def check_samples(recording: Recording, name: str, read: StreamSamples) -> Iterator[Finding]:
    """Findings in the samples of one stream."""
    stream, place = recording.streams[name], Place.of(recording, name)
    for damage in read.damage:
        yield _damaged(recording, stream, place, damage)
    spec = spec_of(stream) if read.known else None
    unit = spec.unit if spec is not None else stream.unit
    told = _Told(recording, stream, place, read.tally, "" if unit == "1" else f" {unit}")
    for channel in range(len(read.tally.channels)):
        yield from told.channel(channel)
    yield from told.stuck()
    blank = read.tally.blank
    if read.tally.limits.blank and blank.count:
        frames = read.tally.channels[0].count // max(1, math.prod(stream.sample_shape))
        share = blank.count / frames
        found = f"{blank.count:,} of {frames:,} frames, first at {told.at(blank.first)}"
        yield BLANK.at(place, found=found, expected="a picture", value=100 * share, unit="%", size=share)


def _damaged(recording: Recording, stream: Stream, place: Place, damage: Damage) -> Finding:
    spans = stream.segments.spans(damage.start, damage.stop)
    first, last = when(recording, spans[0][0]), when(recording, spans[-1][1])
    lost = damage.stop - damage.start
    return DAMAGED_CHUNK.at(
        Place(place.file, place.recording, place.stream, f"{place.inside}[{damage.start}:{damage.stop}]"),
        found=f"{lost:,} of {stream.source.count:,} samples, {first} to {last}: {damage.told}",
        expected="samples that fit their checksum",
        value=lost / stream.rate,
        unit="s",
        size=lost / stream.source.count,
    )


@dataclass(frozen=True)
class _Told:
    """Words for what was gathered of one stream. unit: of the tally's values, with a blank before."""

    recording: Recording
    stream: Stream
    place: Place
    tally: StreamTally
    unit: str

    def at(self, index: int) -> str:
        return when(self.recording, time_of(self.stream, index))

    def channel(self, channel: int) -> Iterator[Finding]:
        tally = self.tally.channels[channel]
        whose = self._whose(channel)
        if tally.count and not tally.finite:
            found = f"{whose}{tally.count:,} samples, none of them a number"
            yield NO_VALUE.at(self.place, found=found, expected="numbers", size=1.0)
        elif tally.not_finite.count:
            yield self._share(NOT_FINITE, whose, tally, tally.not_finite, "numbers", "")
        if tally.out_of_range.count:
            low, high = self.tally.limits.valid_range
            expected = f"{low:g} to {high:g}{self.unit}"
            told = f", furthest {tally.out_of_range.extreme:g}{self.unit}"
            yield self._share(OUT_OF_RANGE, whose, tally, tally.out_of_range, expected, told)
        if tally.saturated.count:
            expected, told = "values within the range of the sensor", f" at {tally.high:g}{self.unit}"
            yield self._share(SATURATED, whose, tally, tally.saturated, expected, told)
        elif tally.clipped:
            share = (tally.bottom.count + tally.top.count) / tally.count
            yield CLIPPED.at(
                self.place,
                found=f"{whose}{tally.bottom.count + tally.top.count:,} of {tally.count:,} samples "
                f"({100 * share:.3g} %) at {tally.low:g} or {tally.high:g}{self.unit}",
                expected="peaks of various heights",
                value=100 * share,
                unit="%",
                size=share,
            )
        many = tally.count >= quality.FEWEST_SAMPLES and not self.tally.frames
        if tally.constant and many and not self.tally.runs[channel].total:
            yield CONSTANT.at(
                self.place,
                found=f"{whose}{tally.low:g}{self.unit} in all {tally.finite:,} samples",
                expected="values that change",
            )

    def _share(
        self, check: Check, whose: str, tally: ChannelTally, bad: Faulty, expected: str, told: str
    ) -> Finding:
        what = "pixels" if self.tally.frames else "samples"
        share = bad.count / tally.count
        found = f"{whose}{bad.count:,} of {tally.count:,} {what} ({100 * share:.3g} %){told}, "
        found += f"first at {self.at(bad.first)}"
        return check.at(self.place, found=found, expected=expected, value=100 * share, unit="%", size=share)

    def stuck(self) -> Iterator[Finding]:
        for channel, runs in enumerate(self.tally.runs):
            if not runs.total:
                continue
            count = self.tally.channels[channel].count // self._pixels
            share, seconds = runs.total / count, runs.longest / self.stream.rate
            what = "frames" if self.tally.frames else "samples"
            check = FROZEN if self.tally.frames else STUCK
            yield check.at(
                self.place,
                found=f"{self._whose(channel)}{runs.longest:,} equal {what} in a row ({seconds:.3g} s) "
                f"from {self.at(runs.longest_at)}; {100 * share:.3g} % of the stream in such runs",
                expected=f"fewer than {runs.shortest:,} in a row",
                value=100 * share,
                unit="%",
                size=share,
            )

    @property
    def _pixels(self) -> int:
        return math.prod(self.stream.sample_shape) if self.tally.frames else 1

    def _whose(self, channel: int) -> str:
        if self.tally.frames or len(self.tally.channels) == 1:
            return ""
        names = self.stream.channels
        return f"channel {names[channel]}: " if names else f"channel {channel}: "
