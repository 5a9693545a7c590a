"""The method of a run, by name, with any of its numbers changed."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from sensorkd.distillation.methods import METHODS, Method, method_named
from sensorkd.errors import SensorkdError, nearest
from sensorkd.models.size import SIZES

__all__ = ["MethodConfig"]


class MethodConfig(BaseModel):
    """A method by name, which may stand alone (`method: ce`), and any of its numbers changed; what they mean
    is told under "Methods".

    teacher_size: of methods with a teacher, how large it is; default the next larger size than the student.
    teacher_run: a finished run that teaches instead of one trained for this.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = "lsskd"
    label: float | None = None
    sad: float | None = None
    cross: float | None = None
    deep: float | None = None
    feat: float | None = None
    out: float | None = None
    views: int | None = None
    temperature: float | None = None
    earlier: Literal["none", "snapshot", "ema", "last_visit"] | None = None
    alpha: float | None = None
    warmup: float | None = None
    kd: float | None = None
    kd_views: float | None = None
    joint: float | None = None
    relation: float | None = None
    teacher: Literal["none", "plain", "layered"] | None = None
    pretext: bool | None = None
    auxiliaries: Literal["both", "modality", "fused"] | None = None
    smoothing: float | None = None
    mixup: float | None = None
    decay: float | None = None
    max_age: int | None = None
    confidence: float | None = None
    balance: Literal["fixed", "auto"] | None = None
    unlabelled: float | None = None
    pseudo: Literal["none", "hard", "soft", "mse"] | None = None
    pseudo_from: Literal["self", "earlier", "visit"] | None = None
    sharpness: float | None = None
    threshold: float | None = None
    align: bool | None = None
    ramp: float | None = None
    strong: bool | None = None
    doubt: float | None = None
    teacher_size: str | None = None
    teacher_run: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _a_name_alone(cls, told: Any) -> Any:
        return {"name": told} if isinstance(told, str) else told

    @model_validator(mode="after")
    def _method_exists(self) -> MethodConfig:
        if self.name not in METHODS:
            raise ValueError(
                f"no method {self.name!r}; {nearest(self.name, METHODS)}there are {sorted(METHODS)}"
            )
        try:
            method = self.method()
        except SensorkdError as error:
            raise ValueError(str(error)) from error
        size, run = self.teacher_size, self.teacher_run
        if size is not None and size not in SIZES:
            raise ValueError(f"no model size {size!r}; {nearest(size, SIZES)}there are {sorted(SIZES)}")
        if method.teacher == "none" and not size is run is None:
            raise ValueError(f"`teacher_size` and `teacher_run` go with a teacher; {self.name!r} has none")
        if size is not None and run is not None:
            raise ValueError("give `teacher_size` or `teacher_run`, not both")
        return self

    def method(self) -> Method:
        """The method with the changes made."""
        beside = {"name", "teacher_size", "teacher_run"}
        return method_named(self.name, self.model_dump(exclude=beside, exclude_none=True))
