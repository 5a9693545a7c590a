"""Whatever becomes of clocks, no window is judged twice, nothing grows, and all is well again soon after."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorkd.edge.windower import LEAP, ClosedWindow, Windower
from sensorkd.timeline import LIMIT, SECOND
from tests.edge.streams import describe, encoding

RATES = {"fast": 20.0, "slow": 4.0}
# Sensors send a second at a time, one after the other.
LATENESS = 1.5
# Longest that samples may be late after a clock was set back, and a little to see that it is well.
CALM = round(LEAP) + 20
OFFSETS = st.one_of(
    st.floats(-3 * LEAP, 3 * LEAP), st.sampled_from([-1e9, -1e5, -LEAP - 1, LEAP + 1, 1e5, 1e8])
)
# What happens before one second of samples; the clock that is set stays so, a wrong stamp is one chunk's.
EVENTS = st.one_of(
    st.tuples(st.just("nothing"), st.just(0.0)),
    st.tuples(st.sampled_from(["clock set", "wrong stamp", "wrong advance"]), OFFSETS),
    st.tuples(st.sampled_from(["fast dies", "slow dies", "both are well"]), st.just(0.0)),
)


class Plant:
    """Two sensors on one clock, and what a device makes of them."""

    def __init__(self) -> None:
        inputs = {name: encoding(rate, lateness=LATENESS) for name, rate in RATES.items()}
        self.windows = Windower(describe(inputs, hop=1.0))
        self.rng = np.random.default_rng(0)
        self.closed: list[ClosedWindow] = []
        self.dead: set[str] = set()
        self.set_by = 0.0

    def second(self, number: int, event: tuple[str, float] = ("nothing", 0.0)) -> None:
        what, size = event
        self.set_by += size if what == "clock set" else 0.0
        if what == "wrong advance":
            self.closed += self.windows.advance(round((number + self.set_by + size) * SECOND))
        self.dead |= {name for name in RATES if what == f"{name} dies"}
        self.dead -= set(RATES) if what == "both are well" else set()
        for name, rate in RATES.items():
            if name not in self.dead:
                wrong = size if what == "wrong stamp" and name == "fast" else 0.0
                self.push(name, round(rate), number + self.set_by + wrong)

    def push(self, name: str, count: int, second: float) -> None:
        samples = self.rng.integers(-9, 9, (count, 2)).astype(np.int16)
        self.closed += self.windows.push(name, samples, round(second * SECOND))[0]
        assert sum(len(sensor.ring) for sensor in self.windows.sensors.values()) < 12 * sum(RATES.values())


@settings(max_examples=40)
@given(st.lists(EVENTS, min_size=1, max_size=12), st.integers(0, 5))
def test_a_device_recovers_from_whatever_its_clock_was(events: list[Any], apart: int) -> None:
    plant, number = Plant(), 1_700_000_000
    for event in events:
        plant.second(number, event)
        number += 1
        for _ in range(apart):
            plant.second(number)
            number += 1
    plant.second(number, ("both are well", 0.0))
    for after in range(1, CALM):
        plant.second(number + after)
    last = number + CALM + plant.set_by
    assert abs(last * SECOND) < LIMIT
    # Every second a window, whole, and the newest is no older than lateness and hop.
    tail = plant.closed[-5:]
    assert all(not window.missing and window.presence.all() for window in tail)
    assert np.diff([window.t_ref for window in tail]).tolist() == [SECOND] * 4
    assert 0 <= round(last * SECOND) - tail[-1].t_ref <= (LATENESS + 1.5) * SECOND
    # What was judged is not judged again, unless the whole stream began anew.
    steps_back = (np.diff([window.t_ref for window in plant.closed]) <= 0).sum()
    assert steps_back <= plant.windows.set_back
