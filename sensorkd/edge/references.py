"""Where the windows of a stream lie: on the grid, or at the ends of the bursts, as in an archive."""

from __future__ import annotations

import abc
from collections.abc import Mapping

from sensorkd.edge.sensor import Sensor

__all__ = ["BurstEnds", "HopGrid", "NoReferences", "References"]


class References(abc.ABC):
    """Times before which windows lie, one after the other. last: ns, of the last window that was closed."""

    def __init__(self) -> None:
        self.last: int | None = None

    @abc.abstractmethod
    def upcoming(self) -> int | None:
        """ns, the next one as far as the samples tell; None when they do not."""

    def settled(self, time: int, sensor: Sensor, clock: int) -> bool:
        """Whether nothing that `sensor` may still send would move the next one, `time`."""
        return True

    def pass_on(self, time: int, empty_until: int) -> int:
        """The window before `time` is closed, and those without any sample, before `empty_until` and later.

        Returns:
            ns, the last of them.
        """
        self.last = time
        return time

    @abc.abstractmethod
    def earliest(self, clock: int) -> int | None:
        """ns; no reference before it can come any more. None while nothing tells."""


class HopGrid(References):
    """Every `hop` ns, from where the first input is covered: the earliest of (first sample + span)."""

    def __init__(self, sensors: Mapping[str, Sensor], hop: int) -> None:
        super().__init__()
        self._sensors, self._hop = sensors, hop

    def upcoming(self) -> int | None:
        """The grid begins as that of an archive which holds the same samples."""
        if self.last is not None:
            return self.last + self._hop
        starts = [
            sensor.ring.start + (sensor.encoding.span or 0)
            for sensor in self._sensors.values()
            if sensor.ring.start is not None
        ]
        return min(starts, default=None)

    def pass_on(self, time: int, empty_until: int) -> int:
        """However long the sensors were silent, this takes no time."""
        self.last = time + max(0, (empty_until - time - 1) // self._hop) * self._hop
        return self.last

    def earliest(self, clock: int) -> int | None:
        """The next one."""
        return self.upcoming()


class BurstEnds(References):
    """The end of every burst of one stream. What comes later than its lateness is not waited for."""

    def __init__(self, sensor: Sensor) -> None:
        super().__init__()
        self._sensor = sensor

    def upcoming(self) -> int | None:
        """One period after the last sample of the first burst that is open."""
        ring = self._sensor.ring
        # The samples of a burst that is closed may still be held.
        closed = None if self.last is None else self.last + int(ring.period / 2)
        return next((chain.end for chain in ring.chains() if closed is None or chain.end > closed), None)

    def settled(self, time: int, sensor: Sensor, clock: int) -> bool:
        """A burst may go on as long as its next sample may come."""
        if sensor is not self._sensor:
            return True
        return clock - sensor.lateness > time + sensor.ring.slack_before(time)

    def earliest(self, clock: int) -> int | None:
        """The end of the first open burst, unless another before it can still come."""
        ring, watermark = self._sensor.ring, clock - self._sensor.lateness
        # What would go on with a burst that was judged, or would be one before it, comes too late.
        ring.closed = watermark if ring.closed is None else max(ring.closed, watermark)
        upcoming = self.upcoming()
        return watermark if upcoming is None else min(upcoming, watermark)


class NoReferences(References):
    """A window is the whole recording: there is none before its end mark."""

    def upcoming(self) -> int | None:
        """Never by itself."""
        return None

    def earliest(self, clock: int) -> int | None:
        """All samples are needed."""
        return None
