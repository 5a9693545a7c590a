"""The configuration of a run: one frozen, typed tree."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sensorkd import timeline
from sensorkd.encoding import LATENESS
from sensorkd.errors import nearest
from sensorkd.models.size import NARROWEST, SIZES, WIDEST, Depth, ModelSize, Norm, size_named
from sensorkd.runs.alarm_config import AlarmConfig
from sensorkd.runs.cache_config import CacheConfig
from sensorkd.runs.label_config import LabelConfig
from sensorkd.runs.method_config import MethodConfig
from sensorkd.training.config import Seed, TrainingConfig
from sensorkd.windows.encode import InputRequest
from sensorkd.windows.labels import LabelRule

__all__ = [
    "InputConfig",
    "ModelConfig",
    "RunConfig",
    "SplitConfig",
    "WindowsConfig",
]

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Limits = tuple[Finite, Finite]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InputConfig(_Strict):
    """One input, named after the stream it reads.

    span: seconds before each reference (windows by hop). steps: samples a whole recording is resampled
    to (whole windows). required: windows without it are left out. min_coverage: share of usable samples
    from which it counts as present. valid_range, full_scale: physical limits of what can be true, and of
    what the sensor can report (there it is saturated). stuck_after: seconds of one and the same value that
    make it dead; 0: never. lateness: seconds that a device waits for samples that have not come. augment:
    false where a random scale or shift would hide the finding, as it does where a level of a few per cent
    tells. pretext: names of the transforms that auxiliaries tell apart, beside the identity; default the
    adapter's. options: for the adapter.
    """

    span: Positive | None = None
    steps: Annotated[int, Field(ge=1)] | None = None
    required: bool = False
    min_coverage: Annotated[float, Field(gt=0, le=1)] = 0.8
    valid_range: Limits | None = None
    full_scale: Limits | None = None
    stuck_after: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    lateness: Annotated[float, Field(ge=0, allow_inf_nan=False)] = LATENESS
    augment: bool = True
    pretext: tuple[str, ...] | None = None
    options: Mapping[str, Any] = {}

    @model_validator(mode="after")
    def _limits_rise(self) -> InputConfig:
        for name in ("valid_range", "full_scale"):
            limits = getattr(self, name)
            if limits is not None and not limits[0] < limits[1]:
                raise ValueError(f"{name}: {list(limits)} must rise")
        return self

    def request(self) -> InputRequest:
        """The same in nanoseconds."""
        span = None if self.span is None else round(self.span * timeline.SECOND)
        return InputRequest(
            span=span,
            steps=self.steps,
            required=self.required,
            min_coverage=self.min_coverage,
            options=self.options,
            valid_range=self.valid_range,
            full_scale=self.full_scale,
            stuck_after=self.stuck_after,
            lateness=self.lateness,
        )


class WindowsConfig(_Strict):
    """Where windows lie.

    reference: `whole` for one window a recording, `hop` for one every `hop` seconds, `segment` for one at
    the end of every segment of the stream `segment_of` - of a sensor that is logged in bursts.
    """

    reference: Literal["whole", "hop", "segment"]
    hop: Positive | None = None
    segment_of: str | None = None

    @model_validator(mode="after")
    def _reference_and_its_number(self) -> WindowsConfig:
        if (self.reference == "hop") != (self.hop is not None):
            raise ValueError("`hop: SECONDS` goes with `reference: hop`, and only with it")
        if (self.reference == "segment") != (self.segment_of is not None):
            raise ValueError("`segment_of: STREAM` goes with `reference: segment`, and only with it")
        return self


class SplitConfig(_Strict):
    """by: the identity that must not stand on two sides. All groups not held out are trained on.

    dev, test: named groups; or, for test, every one of `folds` in turn: `fold` says which of them.
    """

    by: str
    dev: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    folds: Annotated[int, Field(ge=2)] | None = None
    fold: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _test_is_told_once(self) -> SplitConfig:
        if self.folds is not None and self.test:
            raise ValueError("name `test` groups, or say `folds` and `fold`, not both")
        if self.folds is None and self.fold:
            raise ValueError("`fold` goes with `folds: N`")
        if self.folds is not None and self.fold >= self.folds:
            raise ValueError(f"fold {self.fold} of {self.folds}: they are counted from 0")
        return self


class ModelConfig(_Strict):
    """How large the student is, and what of it is open to choice.

    size: `tiny` or `small`. width: all its widths are those of `size` times it, in multiples of 4; for so
    many times the work see `sensorkd.runs.width.width_for`. norm: after its convolutions, and those of its
    auxiliaries.
    auxiliary_depth: of what judges a modality's stages in training; `full` repeats the stages that are left
    in small, `light` averages and no more.
    """

    size: str = "tiny"
    width: Annotated[float, Field(ge=NARROWEST, le=WIDEST, allow_inf_nan=False)] = 1.0
    norm: Norm = "batch"
    auxiliary_depth: Depth = "full"

    @model_validator(mode="after")
    def _size_exists(self) -> ModelConfig:
        if self.size not in SIZES:
            raise ValueError(
                f"no model size {self.size!r}; {nearest(self.size, SIZES)}there are {sorted(SIZES)}"
            )
        return self

    def model_size(self) -> ModelSize:
        """The size with the changes made."""
        return dataclasses.replace(size_named(self.size).widened(self.width), norm=self.norm)


class RunConfig(_Strict):
    """Everything a run depends on.

    data: files and folders; `~` and `$VARIABLES` are expanded. layout: for foreign trees. target: which label
    is learned. labels: CSV or Parquet tables, or a rule; see LabelConfig. label_rule: a window is of the
    class at its `reference`, of the one that holds for most of its longest span (`majority`), or of each by
    its `share` of that. labels_per_class: learn from so few; labels_share: from this share of those of each
    class, and at least one; labels_groups: from those of so many training groups, before either is counted.
    alarm: when verdicts raise one, for alarm metrics. deployment_prior: how often classes occur in the plant,
    where that is not how often they were labelled; what ships answers for it. unlabelled_shares: how often
    they occur among the training windows without a label, where that is known: of each class, `uniform`, or
    as among the labelled ones (`labels`); labels that a network gives itself are brought to it. cache: where
    windows are kept. isolated: archives are opened and read in child processes only, so that one made to
    crash or hang its reader does no harm. Paths in a file are relative to that file, on the command line to
    the working folder.
    """

    data: Annotated[tuple[str, ...], Field(min_length=1)]
    layout: str | None = None
    target: str
    labels: LabelConfig = LabelConfig()
    label_rule: LabelRule = "reference"
    inputs: Annotated[Mapping[str, InputConfig], Field(min_length=1)]
    windows: WindowsConfig
    split: SplitConfig
    labels_per_class: Annotated[int, Field(ge=1)] | None = None
    labels_share: Annotated[float, Field(gt=0, le=1)] | None = None
    labels_groups: Annotated[int, Field(ge=1)] | None = None
    alarm: AlarmConfig | None = None
    deployment_prior: Mapping[str, Annotated[float, Field(gt=0, le=1)]] | None = None
    unlabelled_shares: (
        Literal["labels", "uniform"] | Mapping[str, Annotated[float, Field(ge=0, le=1)]] | None
    ) = None
    model: ModelConfig = ModelConfig()
    method: MethodConfig = MethodConfig()
    training: TrainingConfig = TrainingConfig()
    cache: CacheConfig = CacheConfig()
    isolated: bool = False
    seed: Seed = 0
    out: str

    @model_validator(mode="after")
    def _one_label_budget(self) -> RunConfig:
        if self.labels_per_class is not None and self.labels_share is not None:
            raise ValueError("give `labels_per_class` or `labels_share`, not both")
        return self

    @property
    def requests(self) -> dict[str, InputRequest]:
        """What is wanted of each stream."""
        return {name: value.request() for name, value in self.inputs.items()}

    @property
    def required(self) -> list[str]:
        """Inputs without which a window is left out."""
        return [name for name, value in self.inputs.items() if value.required]

    @property
    def isolated_jobs(self) -> int | None:
        """How many children open archives at once; None where they are opened in this process."""
        return self.cache.processes if self.isolated else None

    @property
    def hop(self) -> int | None:
        """Nanoseconds between references; None for whole windows."""
        return None if self.windows.hop is None else round(self.windows.hop * timeline.SECOND)
