"""Builds a student from encodings and adapters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from sensorkd.adapters import SensorAdapter, adapter_for
from sensorkd.distillation.pretext import KNOWN, Transform, chosen_family
from sensorkd.encoding import InputEncoding
from sensorkd.errors import ConfigError, nearest
from sensorkd.models.frontend import ChannelStats
from sensorkd.models.layered import LayeredStudent
from sensorkd.models.size import Depth, ModelSize, Norm
from sensorkd.models.student import Student

__all__ = ["adapters_for", "build_layered", "build_student", "example_inputs", "families_of"]

Families = dict[str, tuple[Transform, ...]]


def adapters_for(
    encodings: Mapping[str, InputEncoding], options: Mapping[str, Mapping[str, Any]]
) -> dict[str, SensorAdapter]:
    """The adapter of each input, with the run's options."""
    return {name: adapter_for(encoding.modality, options.get(name)) for name, encoding in encodings.items()}


def families_of(
    adapters: Mapping[str, SensorAdapter],
    encodings: Mapping[str, InputEncoding] | None = None,
    chosen: Mapping[str, Sequence[str] | None] | None = None,
) -> Families:
    """The transforms of each input: its adapter's, or those that were chosen for it by name.

    Raises:
        ConfigError: no such transform of samples of that shape.
    """
    families = {name: adapter.pretext() for name, adapter in adapters.items()}
    for name, names in (chosen or {}).items():
        if names is None or encodings is None:
            continue
        axes = len(encodings[name].sample_shape)
        known = [item for item in KNOWN[axes] if item != "identity"]
        try:
            families[name] = chosen_family(names, axes=axes)
        except KeyError as error:
            near = next((nearest(item, known) for item in names if item not in known), None)
            raise ConfigError(
                "no such transforms of this input",
                inside=f"inputs.{name}.pretext",
                found=list(names),
                expected=f"some of {known}, each once",
                mend=near or None,
            ) from error
    return families


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
    families: Mapping[str, Sequence[Transform]],
    *,
    seed: int,
    depth: Depth = "full",
    norm: Norm = "batch",
) -> LayeredStudent:
    """The student with auxiliaries of fresh weights for these transforms around it; depth, norm: theirs."""
    torch.manual_seed(seed + 1)
    sizes = {name: len(family) for name, family in families.items()}
    return LayeredStudent(student, sizes, depth=depth, norm=norm)
