"""The mappings of importers `video` and `gopro`: what becomes of the frames, and which clock they are on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from sensorkd.recordings.recording import Clock
from sensorkd_adapters.importers.mapping import FilePart, ImportMapping, Rate, Strict, Timezone

__all__ = ["CameraMapping", "Crop", "FrameOptions", "GoproMapping", "VideoMapping"]

Pixels = Annotated[int, Field(ge=1, le=1 << 14)]
Place = Annotated[int, Field(ge=0, le=1 << 14)]
Kind = Literal["video", "acceleration", "gyroscope", "temperature"]


class Crop(Strict):
    """A part of the upright picture, in its pixels."""

    top: Place
    left: Place
    height: Pixels
    width: Pixels


class FrameOptions(Strict):
    """What becomes of the frames: turned upright, cut, brought to a size, thinned out.

    size: [height, width] to scale to, whatever the proportions; left out, as they are. color: gray is one
    channel, rgb three. every: one frame of so many is kept. max_rate: Hz; frames that come sooner after the
    last one kept are dropped. None is ever made.
    """

    size: tuple[Pixels, Pixels] | None = None
    crop: Crop | None = None
    color: Literal["rgb", "gray"] = "rgb"
    every: Annotated[int, Field(ge=1)] = 1
    max_rate: Rate | None = None

    @model_validator(mode="after")
    def _one_way_to_thin_out(self) -> FrameOptions:
        if self.every > 1 and self.max_rate is not None:
            raise ValueError("every, max_rate: name one of them")
        return self


class CameraMapping(ImportMapping):
    """What cameras have in common.

    clock: relative, on which the first frame is at 0; or utc, from the `creation_time` that the camera
    wrote, in whole seconds of a clock that nobody checked. timezone: for cameras that write local time
    there, as if it were UTC.
    """

    clock: Clock = "relative"
    timezone: Timezone | None = None
    frames: FrameOptions = FrameOptions()
    identity: Mapping[str, str | FilePart] = {"file": FilePart(file="stem")}

    @model_validator(mode="after")
    def _only_utc_has_a_zone(self) -> CameraMapping:
        if self.timezone is not None and self.clock == "relative":
            raise ValueError("timezone: a relative clock has none")
        return self


class VideoMapping(CameraMapping):
    """The whole map of a video. stream: what to call it in the archive."""

    importer: Literal["video"]
    stream: Annotated[str, Field(min_length=1)] = "video"


class GoproMapping(CameraMapping):
    """The whole map of a GoPro video with telemetry. streams: those to take, of what the file has."""

    importer: Literal["gopro"]
    streams: Annotated[tuple[Kind, ...], Field(min_length=1)] = (
        "video", "acceleration", "gyroscope", "temperature",
    )  # fmt: skip
