"""Windows from streams: every sensor at its own rate, late, twice or not at all; the same as from an archive.

Axes: K inputs. No model is needed for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd import timeline
from sensorkd.edge.bundle import BundleDescription
from sensorkd.edge.references import BurstEnds, HopGrid, NoReferences, References
from sensorkd.edge.sensor import Part, Sensor
from sensorkd.errors import BundleError, nearest

__all__ = ["ClosedWindow", "Windower"]

# Seconds by which all sensors must lag behind, three times on end, to be of a clock that was set back.
LEAP, GOES_ON = 60.0, 3


@dataclass(frozen=True)
class ClosedWindow:
    """recording: as it was begun. t_ref: ns, the window's end. inputs: name -> (steps, *sample_shape), zeros
    where absent. presence, coverage: (K,). missing: absent input -> why.
    """

    recording: str
    t_ref: int
    inputs: dict[str, NDArray[Any]]
    presence: NDArray[np.float32]
    coverage: NDArray[np.float64]
    missing: dict[str, str]


class Windower:
    """Gathers samples until windows are complete, or will not become so.

    The clock is the newest time of any sample, or of `advance`. A window closes as soon as every input is
    settled: all of its samples before the window's end are there, or the clock is past that end by the
    input's lateness. So a dead sensor delays windows by its lateness and never stops them. What comes for a
    closed window is dropped and counted.

    Args:
        rates: Hz, of sensors whose rate is not that of the bundle. lateness: s, in place of the bundle's.

    Raises:
        BundleError: one is of no input, or is no such number.
    """

    def __init__(
        self,
        description: BundleDescription,
        *,
        rates: Mapping[str, float] | None = None,
        lateness: Mapping[str, float] | None = None,
    ) -> None:
        self._description = description
        inputs = description.inputs
        rates = {name: item.rate for name, item in inputs.items()} | dict(rates or {})
        lateness = {name: item.lateness for name, item in inputs.items()} | dict(lateness or {})
        for what, told in (("rate", rates), ("lateness", lateness)):
            for name, value in told.items():
                self._known(name)
                if not (np.isfinite(value) and value >= 0 and (value > 0 or what == "lateness")):
                    raise BundleError(f"the {what} of {name!r} cannot be", found=value, expected="above 0")
        self.sensors = {
            name: Sensor(name, item, rate=rates[name], lateness=round(lateness[name] * timeline.SECOND))
            for name, item in inputs.items()
        }
        self.recording, self.set_back = "", 0
        self.clock: int | None = None
        self.references = self._new_references()
        self._heard: dict[str, int] = {}  # name -> clock when something of it was accepted
        # Who sent only what is far too late, since something was accepted: the first of it; how often in all.
        self._behind: dict[str, int] = {}
        self._times_behind = self._times_lagging = 0

    def push(self, name: str, samples: Any, time: Any) -> tuple[list[ClosedWindow], BundleError | None]:
        """Take samples of one input; windows closed by them, and the first that contradicts earlier samples.

        Args:
            samples: (n, *sample_shape) in the bundle's dtype.
            time: int64 ns of the first one, the others following at the input's rate; or (n,), one each.

        Raises:
            BundleError: no such input, or other samples or times than it has. Nothing was taken.
        """
        self._known(name)
        sensor, closed, first_problem = self.sensors[name], list[ClosedWindow](), None
        step = sensor.encoding.steps if not sensor.encoding.whole else max(1, len(samples))
        for begin, chunk in sensor.chunks(samples, time):
            # Part by part: of an hour at once, no more is held than of an hour in seconds.
            for first in range(0, len(chunk), step):
                part = chunk[first : first + step]
                start = int(timeline.sample_times(begin, sensor.ring.rate, first))
                newest = int(timeline.sample_times(start, sensor.ring.rate, len(part) - 1))
                if self._clock_was_set_back(name, newest):
                    closed += self._begin_anew()
                accepted, problem = sensor.push(start, part)
                first_problem = first_problem or problem
                if accepted:
                    self._forget_behind()
                    self.clock = self._clock_after(newest)
                    self._heard[name] = self.clock
                closed += self._close()
        return closed, first_problem

    def advance(self, time: int) -> list[ClosedWindow]:
        """It is `time` (ns) now, says whoever knows: windows close without a sample's help.

        Raises:
            BundleError: no clock tells such a time.
        """
        if not abs(time) < timeline.LIMIT:
            raise BundleError("no clock tells such a time", found=f"{time} ns", expected="a year before 2096")
        self.clock = time if self.clock is None else max(self.clock, time)
        return list(self._close())

    def begin(self, recording: str) -> list[ClosedWindow]:
        """What comes now is another recording; windows of the one before are closed."""
        closed = self.end()
        self.recording = recording
        return closed

    def flush(self) -> list[ClosedWindow]:
        """Nothing more comes for now: all windows so far are closed, and what comes later goes on behind."""
        return self.end() if isinstance(self.references, NoReferences) else list(self._close(flush=True))

    def end(self) -> list[ClosedWindow]:
        """Nothing more comes of this recording: all windows are closed, and everything is forgotten."""
        closed = self._whole() if isinstance(self.references, NoReferences) else self.flush()
        for sensor in self.sensors.values():
            sensor.forget()
        self.clock, self.references = None, self._new_references()
        self._heard.clear()
        self._forget_behind()
        return closed

    def state(self) -> dict[str, Any]:
        """What must outlive a restart so that no window is judged twice or off its grid: a few numbers."""
        return {
            "recording": self.recording,
            "clock": self.clock,
            "last": self.references.last,
            "closed": {name: sensor.ring.closed for name, sensor in self.sensors.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was told. Samples are not kept: windows are missing them until they are full.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        self.recording, self.clock = str(state["recording"]), _maybe(state["clock"])
        self.references.last = _maybe(state["last"])
        for name, closed in state["closed"].items():
            self.sensors[name].ring.closed = _maybe(closed)
        if self.clock is not None:
            # What was sent before may be sent again: until all sensors lag, no clock was set back.
            self._heard = dict.fromkeys(self.sensors, self.clock)

    def _known(self, name: str) -> None:
        inputs = self._description.inputs
        if name not in inputs:
            raise BundleError(
                f"the bundle has no input {name!r}",
                found=name,
                expected=list(inputs),
                mend=nearest(name, inputs) or None,
            )

    def _new_references(self) -> References:
        hop, bursts = self._description.hop, self._description.segment_of
        if hop is not None:
            return HopGrid(self.sensors, round(hop * timeline.SECOND))
        if bursts is None:
            return NoReferences()
        self._known(bursts)
        return BurstEnds(self.sensors[bursts])

    def _clock_was_set_back(self, name: str, newest: int) -> bool:
        """Whether all that still send lag behind by far: one wrong stamp must not make a device deaf."""
        leap, closed = self._leap(), self.sensors[name].ring.closed
        if self.clock is None or closed is None or newest >= min(closed, self.clock - leap):
            return False
        first = self._behind.setdefault(name, newest)
        self._times_behind += 1
        alive = {other for other, heard in self._heard.items() if heard >= self.clock - leap}
        # Who has said nothing while this one went on for so long is not alive either.
        alone = newest - first >= leap
        return self._times_behind >= GOES_ON and (alone or alive <= set(self._behind))

    def _clock_after(self, newest: int) -> int:
        """The clock after accepted samples; where all of them lag behind by far, `advance` was told wrong."""
        if self.clock is None or newest >= self.clock - self._leap():
            self._times_lagging = 0
            return newest if self.clock is None else max(self.clock, newest)
        self._times_lagging += 1
        if self._times_lagging < GOES_ON:
            return self.clock
        self._times_lagging = 0
        return newest

    def _leap(self) -> float:
        """ns, by which what comes may lag behind the clock for other reasons than a wrong clock."""
        return max(LEAP * timeline.SECOND, *(2 * sensor.lateness for sensor in self.sensors.values()))

    def _forget_behind(self) -> None:
        self._behind.clear()
        self._times_behind = 0

    def _begin_anew(self) -> list[ClosedWindow]:
        self.set_back += 1
        return self.end()

    def _close(self, *, flush: bool = False) -> Iterator[ClosedWindow]:
        clock = self.clock
        if clock is None or isinstance(self.references, NoReferences):
            return
        # Mostly there is nothing to close, which must cost nothing.
        latest = clock + max(math.ceil(sensor.ring.period) for sensor in self.sensors.values())
        while (time := self.references.upcoming()) is not None and time <= latest:
            if time > (latest := max(self._ends())):
                break
            if not (flush or self._settled(time, clock)):
                break
            parts = {name: sensor.part(time) for name, sensor in self.sensors.items()}
            last = self.references.pass_on(time, time if flush else self._empty_until(time, clock))
            for sensor in self.sensors.values():
                sensor.close(last)
            yield from self._window(time, parts)
        earliest = self.references.earliest(clock)
        if earliest is not None:
            for sensor in self.sensors.values():
                # No window may need it, but what is not late must not be counted as such.
                sensor.ring.evict(min(earliest - sensor.keep, clock - sensor.lateness))

    def _settled(self, time: int, clock: int) -> bool:
        return all(
            self.references.settled(time, sensor, clock)
            and (clock - sensor.lateness >= time or sensor.complete(time))
            for sensor in self.sensors.values()
        )

    def _empty_until(self, time: int, clock: int) -> int:
        """No window before this holds a sample that is not in the one before `time`, nor will."""
        later = [sensor.ring.after(time - (sensor.encoding.span or 0)) for sensor in self.sensors.values()]
        latest = max(sensor.lateness for sensor in self.sensors.values())
        return min([clock - latest, *(first for first in later if first is not None)])

    def _ends(self) -> list[int]:
        return [end for sensor in self.sensors.values() if (end := sensor.ring.end) is not None]

    def _whole(self) -> list[ClosedWindow]:
        rings = [sensor.ring for sensor in self.sensors.values()]
        starts = [ring.start for ring in rings if ring.start is not None]
        if not starts:
            return []
        start, stop = min(starts), max(self._ends())
        parts = {name: sensor.whole_part(start, stop) for name, sensor in self.sensors.items()}
        return list(self._window(stop, parts))

    def _window(self, time: int, parts: Mapping[str, Part]) -> Iterator[ClosedWindow]:
        """The window, unless no input of it is covered: an archive has none there either."""
        inputs = self._description.inputs
        if not any(inputs[name].is_present(part.coverage, 1.0) for name, part in parts.items()):
            return
        yield ClosedWindow(
            recording=self.recording,
            t_ref=time,
            inputs={name: part.samples for name, part in parts.items()},
            presence=np.array([part.why is None for part in parts.values()], np.float32),
            coverage=np.array([part.coverage for part in parts.values()]),
            missing={name: part.why for name, part in parts.items() if part.why is not None},
        )


def _maybe(value: Any) -> int | None:
    if value is None:
        return None
    if not (isinstance(value, int) and abs(value) < timeline.LIMIT):
        raise ValueError(f"{value!r} is no time")
    return value
