"""Checks that compare recordings: what most of them have and one lacks, what differs that should not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from sensorkd.checks.facts import RecordingFacts, StreamFacts
from sensorkd.checks.finding import Check, Finding, Place

__all__ = ["CHECKS", "check_across"]

MISSING_STREAM = Check(
    id="missing-stream",
    importance="warning",
    title="a stream that most recordings have is missing",
    reason="The recording gives no windows with that sensor: a model can only go by the others there, and a "
    "class or machine that always lacks it may be learned from its absence.",
    cure="look for the missing data, or accept it: an absent sensor is masked",
)
MISSING_IDENTITY = Check(
    id="missing-identity",
    importance="warning",
    title="an identity that most recordings have is missing",
    reason="Splits by it cannot place this recording.",
    cure="give the recording this attribute, or take it from a constant in the layout",
)
MIXED_SHAPES = Check(
    id="mixed-shapes",
    importance="critical",
    title="samples have another shape than those of most recordings",
    reason="One input of a model has one frame size and one number of channels; reading refuses to mix them.",
    cure="leave the recording out, or name the stream otherwise there; check the axes of the layout",
)
MIXED_CHANNELS = Check(
    id="mixed-channels",
    importance="warning",
    title="channels are named otherwise, or lie in another order, than in most recordings",
    reason="A model knows channels by their places: a vertical axis in the place of a horizontal one "
    "misleads it.",
    cure="bring the channels into one order, or correct their names",
)
MIXED_UNITS = Check(
    id="mixed-units",
    importance="warning",
    title="the unit differs from that of most recordings",
    reason="Units of one modality are converted, if they are true. That they differ within one data set is "
    "often a slip: g that are called m/s2 are wrong by a factor of ten.",
    cure="compare the values of the two; correct the unit where it is wrong, or ignore this check",
)
MIXED_RATES = Check(
    id="mixed-rates",
    importance="hint",
    title="the rate differs from the usual one",
    reason="Windows are resampled to one rate, which costs what lies above half the lower one.",
    cure="nothing, if sensors differ; otherwise check the rate",
)
IDENTICAL = Check(
    id="identical-recordings",
    importance="warning",
    title="two recordings hold the same samples",
    reason="If one is learned from and the other tested on, the score is that of a look-up.",
    cure="remove one of the two",
    reads_samples=True,
)
RARE_CLASS = Check(
    id="rare-class",
    importance="hint",
    title="a class occurs in one recording only",
    reason="It can be learned or tested, not both; and nobody can tell the class from the recording.",
    cure="record the class again, on another machine or day",
)
REPEATED_ID = Check(
    id="repeated-id",
    importance="critical",
    title="two files give the same recording id",
    reason="Labels and splits name recordings by their id; reading refuses the second file.",
    cure="open their common folder, so that the ids hold the folders' names",
)
CHECKS = (
    REPEATED_ID,
    MISSING_STREAM,
    MISSING_IDENTITY,
    MIXED_SHAPES,
    MIXED_CHANNELS,
    MIXED_UNITS,
    MIXED_RATES,
    IDENTICAL,
    RARE_CLASS,
)

RATE_TOLERANCE = 0.01
Held = list[tuple[RecordingFacts, StreamFacts]]


def check_across(recordings: Sequence[RecordingFacts]) -> Iterator[Finding]:
    """Findings that take all recordings together."""
    yield from _repeated_ids(recordings)
    yield from _missing(
        recordings,
        MISSING_STREAM,
        lambda item: {name: facts.modality for name, facts in item.streams.items()},
    )
    yield from _missing(recordings, MISSING_IDENTITY, lambda item: dict.fromkeys(item.identity, "identity"))
    for name in sorted({name for item in recordings for name in item.streams}):
        held = [(item, item.streams[name]) for item in recordings if name in item.streams]
        yield from _mixed(name, held, MIXED_SHAPES, _shape)
        yield from _mixed(name, held, MIXED_CHANNELS, lambda facts: ", ".join(facts.channels) or "no names")
        yield from _mixed(name, held, MIXED_UNITS, lambda facts: facts.unit)
        yield from _mixed_rates(name, held)
    yield from _identical(recordings)
    yield from _rare_classes(recordings)


def _repeated_ids(recordings: Sequence[RecordingFacts]) -> Iterator[Finding]:
    first: dict[str, RecordingFacts] = {}
    for item in recordings:
        other = first.setdefault(item.id, item)
        if other is not item:
            place = Place(item.file, item.id, None, item.group)
            yield REPEATED_ID.at(place, found=f"{item.id}, also from {other.file}", expected="one file an id")


def _missing(
    recordings: Sequence[RecordingFacts], check: Check, names: Callable[[RecordingFacts], dict[str, str]]
) -> Iterator[Finding]:
    """names: what a recording has -> what kind of thing that is."""
    held = Counter(name for item in recordings for name in names(item))
    kinds = {name: kind for item in recordings for name, kind in names(item).items()}
    for item in recordings:
        for name in sorted(set(held) - set(names(item))):
            if held[name] >= 2 and 2 * held[name] > len(recordings):
                what = name if name == kinds[name] else f"{name} ({kinds[name]})"
                yield check.at(
                    Place(item.file, item.id, name if check is MISSING_STREAM else None, item.group),
                    found=f"no {name} among {', '.join(sorted(names(item))) or 'nothing'}",
                    expected=f"{what}, as in {held[name]} of {len(recordings)} recordings",
                    size=held[name] / len(recordings),
                )


def _mixed(name: str, held: Held, check: Check, key: Callable[[StreamFacts], str]) -> Iterator[Finding]:
    counts = Counter(key(facts) for _, facts in held)
    if len(counts) < 2:
        return
    usual, number = counts.most_common(1)[0]
    example = next(item.id for item, facts in held if key(facts) == usual)
    for item, facts in held:
        if key(facts) != usual:
            yield check.at(
                Place(item.file, item.id, name, facts.inside),
                found=key(facts),
                expected=f"{usual}, as in {number} of {len(held)} recordings, such as {example}",
            )


def _shape(facts: StreamFacts) -> str:
    shape = ", ".join(map(str, facts.sample_shape)) + ("," if len(facts.sample_shape) == 1 else "")
    return f"{facts.modality} ({shape})"


def _mixed_rates(name: str, held: Held) -> Iterator[Finding]:
    rates = np.array([facts.rate for _, facts in held])
    usual = float(np.median(rates))
    for (item, facts), off in zip(held, np.abs(rates / usual - 1.0), strict=True):
        if off > RATE_TOLERANCE:
            yield MIXED_RATES.at(
                Place(item.file, item.id, name, facts.inside),
                found=f"{facts.rate:.5g} Hz",
                expected=f"{usual:.5g} Hz within {100 * RATE_TOLERANCE:g} %, as is usual",
                value=facts.rate,
                unit="Hz",
                size=float(off),
            )


def _identical(recordings: Sequence[RecordingFacts]) -> Iterator[Finding]:
    first: dict[str, RecordingFacts] = {}
    for item in recordings:
        if item.digest is None:
            continue
        other = first.setdefault(item.digest, item)
        if other is not item:
            place = Place(item.file, item.id, None, item.group)
            yield IDENTICAL.at(place, found=f"the samples of {other.id}", expected="samples of its own")


def _rare_classes(recordings: Sequence[RecordingFacts]) -> Iterator[Finding]:
    labelled = Counter(target for item in recordings for target in item.classes)
    counts = Counter(
        (target, name) for item in recordings for target, names in item.classes.items() for name in names
    )
    for item in recordings:
        for target, names in item.classes.items():
            for name in sorted(names):
                if counts[target, name] == 1 and labelled[target] > 1:
                    yield RARE_CLASS.at(
                        Place(item.file, item.id, None, f"{item.group.rstrip('/')}/labels/{target}"),
                        found=f"{target} {name!r} here only",
                        expected="two recordings or more",
                    )
