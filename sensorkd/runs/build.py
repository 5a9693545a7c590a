"""Builds a student from encodings and adapters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from sensorkd.adapters import SensorAdapter, adapter_for
from sensorkd.encoding import InputEncoding
from sensorkd.models.frontend import ChannelStats
from sensorkd.models.layered import LayeredStudent
from sensorkd.models.size import Depth, ModelSize, Norm
from sensorkd.models.student import Student

__all__ = ["adapters_for", "build_layered", "build_student", "example_inputs"]


def adapters_for(
    encodings: Mapping[str, InputEncoding], options: Mapping[str, Mapping[str, Any]]
) -> dict[str, SensorAdapter]:
    """The adapter of each input, with the run's options."""
    return {name: adapter_for(encoding.modality, options.get(name)) for name, encoding in encodings.items()}


def example_inputs(encodings: Mapping[str, InputEncoding], batch: int = 1) -> dict[str, torch.Tensor]:
    """Zero windows of each input, (batch, *shape) in its dtype."""
    return {
        name: torch.from_numpy(encoding.blank()[None].repeat(batch, axis=0))
        for name, encoding in encodings.items()
    }


def build_student(
    encodings: Mapping[str, InputEncoding],
    stats: Mapping[str, ChannelStats],
    adapters: Mapping[str, SensorAdapter],
    *,
    classes: Sequence[str],
    size: ModelSize,
    seed: int,
) -> Student:
    """A student with fresh weights drawn from the seed."""
    torch.manual_seed(seed)
    frontends = {name: adapters[name].build_frontend(encodings[name], stats[name]) for name in encodings}
    encoders = {
        name: adapters[name].build_encoder(frontends[name].out_channels, encodings[name], size)
        for name in encodings
    }
    return Student(
        frontends,
        encoders,
        example_inputs(encodings),
        classes=len(classes),
        embedding=size.embedding,
        time_bins=size.time_bins,
        space_bins=size.space_bins,
        dropout=size.dropout,
    )


def build_layered(
    student: Student,
    adapters: Mapping[str, SensorAdapter],
    *,
    seed: int,
    depth: Depth = "full",
    norm: Norm = "batch",
) -> LayeredStudent:
    """The student with auxiliaries of fresh weights around it; depth, norm: theirs."""
    torch.manual_seed(seed + 1)
    families = {name: len(adapter.pretext()) for name, adapter in adapters.items()}
    return LayeredStudent(student, families, depth=depth, norm=norm)
