"""Judges streams as they come: chunks of samples in, verdicts and alarms out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sensorkd.alarms import AlarmState
from sensorkd.edge.windower import ClosedWindow, Windower
from sensorkd.errors import BundleError

if TYPE_CHECKING:
    from sensorkd.edge.predictor import EdgePredictor, Predictions

__all__ = ["StreamPredictor", "Verdict"]

STATE = "stream-1.0"


@dataclass(frozen=True)
class Verdict:
    """Of one window. t_ref: ns, its end. predictions: of this one window. missing: absent input -> why.

    score: how far from normal it is; None without an alarm rule, or when no input was there. alarm: whether
    it is active after this window, None without a rule; event: what this window did to it.
    """

    recording: str
    t_ref: int
    predictions: Predictions
    missing: Mapping[str, str]
    score: float | None = None
    alarm: bool | None = None
    event: Literal["raised", "cleared"] | None = None

    @property
    def verdict(self) -> str:
        """The likeliest class."""
        return self.predictions.verdicts[0]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        told: dict[str, Any] = {"recording": self.recording, "time": self.t_ref, **self.predictions.rows()[0]}
        told["missing"] = dict(self.missing)
        if self.alarm is not None:
            told |= {"score": None if self.score is None else round(self.score, 6), "alarm": self.alarm}
        if self.event is not None:
            told["event"] = self.event
        # JSON has no word for what is no number.
        return {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in told.items()
        }


class StreamPredictor:
    """A predictor that gathers samples by itself; `Windower` says when a window closes and what is dropped.

    Memory is bounded by each input's span, lateness and hop, for ever. One thread at a time.

    Args:
        rates, lateness: of this device's sensors, where they are not the bundle's; Hz, s.
        on_problem: told of the first sample of a push that contradicts an earlier one; `counters` count all.

    Example:
        stream = EdgePredictor(EdgeBundle.open("bundle")).stream()
        for verdict in stream.push("acceleration", samples, time):
            print(verdict.verdict, verdict.alarm)

    Raises:
        BundleError: a rate or lateness of no input, or that cannot be.
    """

    def __init__(
        self,
        predictor: EdgePredictor,
        *,
        rates: Mapping[str, float] | None = None,
        lateness: Mapping[str, float] | None = None,
        on_problem: Callable[[BundleError], None] | None = None,
    ) -> None:
        self.predictor = predictor
        self._windower = Windower(predictor.bundle.description, rates=rates, lateness=lateness)
        self._on_problem = on_problem
        rule = predictor.bundle.description.alarm
        self._alarm = None if rule is None else AlarmState(rule)

    def push(self, stream: str, samples: Any, time: Any) -> list[Verdict]:
        """Take samples of one input, at any time and in any order; the verdicts that are due.

        Args:
            stream: name of the input.
            samples: (n, *sample_shape) in the bundle's dtype.
            time: int64 ns of the first one, the others following at the input's rate; or (n,), one each.

        Raises:
            BundleError: no such input, or other samples or times than it has. Nothing was taken.
        """
        closed, problem = self._windower.push(stream, samples, time)
        if self._on_problem is not None and problem is not None:
            self._on_problem(problem)
        return self._judged(closed)

    def advance(self, time: int) -> list[Verdict]:
        """It is `time` (ns) now: what is missing by then is not waited for longer than its lateness."""
        return self._judged(self._windower.advance(time))

    def begin(self, recording: str = "") -> list[Verdict]:
        """Another recording begins; its alarm starts anew. The verdicts of what is left of the one before."""
        verdicts = self._judged(self._windower.begin(recording))
        if self._alarm is not None:
            self._alarm = AlarmState(self._alarm.rule)
        return verdicts

    def flush(self) -> list[Verdict]:
        """Nothing more comes for now, say before a restart: the verdicts of what is left, to go on behind."""
        return self._judged(self._windower.flush())

    def end(self) -> list[Verdict]:
        """Nothing more comes of this recording: the verdicts of what is left, or of it as a whole."""
        return self._judged(self._windower.end())

    @property
    def recording(self) -> str:
        """Which one is being judged."""
        return self._windower.recording

    @property
    def alarm_active(self) -> bool:
        """Whether there is an alarm now."""
        return self._alarm is not None and self._alarm.active

    @property
    def counters(self) -> dict[str, dict[str, int]]:
        """Of each input: samples accepted, duplicate, conflicting, late; chunks refused; gaps."""
        return {name: sensor.told for name, sensor in self._windower.sensors.items()}

    @property
    def set_back(self) -> int:
        """How often the clock of the streams was set back, so that all began anew."""
        return self._windower.set_back

    @property
    def held_bytes(self) -> int:
        """Memory of the samples that are held."""
        return sum(sensor.ring.bytes for sensor in self._windower.sensors.values())

    def state(self) -> dict[str, Any]:
        """What must outlive a restart, under a kilobyte: the grid, what is closed, the alarm."""
        alarm = None if self._alarm is None else self._alarm.to_json()
        return {"schema": STATE, "alarm": alarm, **self._windower.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was told. Samples are not kept: first windows say what they miss.

        Raises:
            BundleError: it is none, or of another bundle.
        """
        try:
            if state["schema"] != STATE:
                raise ValueError(f"schema {state['schema']!r}, expected {STATE!r}")
            self._windower.restore(state)
            if self._alarm is not None and state["alarm"] is not None:
                self._alarm = AlarmState.from_json(self._alarm.rule, state["alarm"])
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise BundleError(
                "the state of a stream cannot be read",
                found=repr(error),
                expected=f"{STATE}, of a stream of this bundle",
                mend="remove it: the stream then begins anew",
            ) from error

    def _judged(self, closed: Sequence[ClosedWindow]) -> list[Verdict]:
        return [self._judge(window) for window in closed]

    def _judge(self, window: ClosedWindow) -> Verdict:
        inputs = {name: samples[None] for name, samples in window.inputs.items()}
        found = self.predictor.predict(inputs, window.presence[None])
        if self._alarm is None:
            return Verdict(window.recording, window.t_ref, found, window.missing)
        score = float(found.scores(self._alarm.rule)[0])
        before, active = self._alarm.active, self._alarm.push(score)
        return Verdict(
            window.recording,
            window.t_ref,
            found,
            window.missing,
            score=None if math.isnan(score) else score,
            alarm=active,
            event=None if active == before else ("raised" if active else "cleared"),
        )
