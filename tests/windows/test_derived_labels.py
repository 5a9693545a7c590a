"""Labels by rule: the share of a life, and the class of all other time."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from sensorkd.errors import WindowError
from sensorkd.recordings import LabelTrack, Recording
from sensorkd.timeline import SECOND
from sensorkd.windows.derived_labels import with_life_stages, with_otherwise

STAGES: dict[str, Any] = {"bounds": (0.5, 0.9), "classes": ("early", "middle", "late")}


def held(recording: Recording, target: str) -> list[tuple[float, float, str]]:
    track = recording.tracks[target]
    assert track.fault() is None
    order = np.argsort(track.t0)
    return [(track.t0[row] / SECOND, track.t1[row] / SECOND, track.label[row]) for row in order]


@pytest.fixture
def life(record: Any, shake: Any, heat: Any) -> Recording:
    """Acceleration from 2 s to 12 s, temperature for 20 s."""
    streams = {"acceleration": shake(t0=2 * SECOND), "temperature": heat(seconds=20.0)}
    return record(streams)


def test_a_life_is_parted_at_its_shares(life: Recording) -> None:
    (staged,) = with_life_stages([life], "stage", of="acceleration", **STAGES)
    assert held(staged, "stage") == [(2, 7, "early"), (7, 11, "middle"), (11, 12, "late")]
    (staged,) = with_life_stages([life], "stage", **STAGES)
    assert held(staged, "stage") == [(0, 10, "early"), (10, 18, "middle"), (18, 20, "late")]


def test_recordings_of_one_machine_may_be_one_life(record: Any, heat: Any) -> None:
    days = [record({"temperature": heat(t0=t0 * SECOND)}, name=f"{t0}.h5") for t0 in (0, 90)]
    staged = with_life_stages(days, "stage", per="machine", **STAGES)
    assert held(staged[0], "stage") == held(staged[1], "stage") == [
        (0, 50, "early"), (50, 90, "middle"), (90, 100, "late")
    ]  # fmt: skip
    with pytest.raises(WindowError, match=r"no identity 'machin'(.|\n)*did you mean 'machine'"):
        with_life_stages(days, "stage", per="machin", **STAGES)


def test_only_lives_that_ended_are_told(life: Recording) -> None:
    other = dataclasses.replace(life, identity={"run_to_failure": "no"})
    failed = dataclasses.replace(life, identity={"run_to_failure": "yes"})
    staged = with_life_stages([other, failed], "stage", where={"run_to_failure": "yes"}, **STAGES)
    assert [list(item.tracks) for item in staged] == [[], ["stage"]]
    assert with_life_stages([other], "stage", where={"run_to_failure": "yes"}, **STAGES) == [other]


def test_a_recording_without_the_stream_has_no_stage(life: Recording) -> None:
    bare = dataclasses.replace(life, streams={"temperature": life.streams["temperature"]})
    staged = with_life_stages([life, bare], "stage", of="acceleration", **STAGES)
    assert staged[1].tracks == {}
    assert with_life_stages([life], "stage", of="aceleration", **STAGES) == [life]


def test_other_tracks_stay(life: Recording) -> None:
    known = dataclasses.replace(life, tracks={"state": LabelTrack.constant("run", start=0, end=5)})
    (staged,) = with_life_stages([known], "stage", **STAGES)
    assert set(staged.tracks) == {"state", "stage"}


def test_all_other_time_is_normal(life: Recording) -> None:
    track = LabelTrack(np.array([12, 3, 4]) * SECOND, np.array([15, 5, 6]) * SECOND, ("leak", "jam", "jam"))
    known = dataclasses.replace(life, tracks={"state": track})
    bare, full = with_otherwise([life, known], "state", "normal")
    assert held(bare, "state") == [(0, 20, "normal")]
    assert held(full, "state") == [
        (0, 3, "normal"), (3, 5, "jam"), (4, 6, "jam"), (6, 12, "normal"), (12, 15, "leak"),
        (15, 20, "normal"),
    ]  # fmt: skip
