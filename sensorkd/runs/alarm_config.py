"""When a run's verdicts raise an alarm, and how many false ones a plant puts up with."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sensorkd.alarms import AlarmRule

__all__ = ["AlarmConfig"]

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, le=1)]


class AlarmConfig(BaseModel):
    """normal: classes that need no alarm. threshold, raise_count, raise_within, clear_count,
    clear_threshold: see AlarmRule. budget: false alarms a day that the plant accepts; with dev groups the
    threshold is chosen on them to keep it. early: seconds that an alarm may come before its fault and still
    be true; default three windows.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    normal: Annotated[tuple[str, ...], Field(min_length=1)]
    threshold: Share = 0.5
    raise_count: Count = 1
    raise_within: Count = 1
    clear_count: Count = 1
    clear_threshold: Share | None = None
    budget: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    early: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _rule_makes_sense(self) -> AlarmConfig:
        self.rule()
        return self

    def rule(self) -> AlarmRule:
        """The same as a rule that reader and device follow."""
        return AlarmRule(**self.model_dump(exclude={"budget", "early"}))
