"""A finished, larger network that teaches: it has no gradient, no dropout, and the same answer every time.

Axes: B windows, V views, R = V * B rows, K modalities, M transforms.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from sensorkd.distillation.pretext import Transform, transform_all
from sensorkd.errors import ConfigError
from sensorkd.models.layered import LayeredOutput, LayeredStudent, end_to_end

__all__ = ["Statistics", "Teacher", "view_statistics"]

# Of one view: `module.running_mean` and `module.running_var` of every batch norm.
Statistics = Mapping[str, Tensor]


class Teacher:
    """Says of prepared rows what it was trained to say, auxiliaries included.

    Its frontends are never run: floats come from the student's, which must have the same constants.

    Args:
        layered: a trained network; it is copied.
        statistics: of joint transform index 0 .. M - 1, as `view_statistics` takes them; empty where the
            running statistics of the network should serve every view.
    """

    def __init__(self, layered: LayeredStudent, statistics: Sequence[Statistics] = ()) -> None:
        if statistics and len(statistics) != layered.transforms:
            raise ValueError(f"expected statistics of {layered.transforms} views, got {len(statistics)}")
        self.network = copy.deepcopy(layered).eval()
        self.statistics = tuple(dict(some) for some in statistics)
        for parameter in self.network.parameters():
            parameter.requires_grad_(False)

    def check(self, layered: LayeredStudent) -> None:
        """Refuse a student that this teacher cannot teach.

        Raises:
            ConfigError: modalities, classes, transforms, or stages of the auxiliaries differ.
        """
        mine, theirs = _question(self.network), _question(layered)
        if not self.network.fused_auxiliaries:
            # Verdicts are about classes alone.
            del mine["transforms"], mine["stages"]
        differing = [name for name in mine if mine[name] != theirs[name]]
        if differing:
            raise ConfigError(
                "the teacher and the student do not answer the same question",
                inside="method.teacher",
                found={name: mine[name] for name in differing},
                expected={name: theirs[name] for name in differing},
                mend="train the teacher on the same inputs and labels",
            )

    @torch.no_grad()
    def say(
        self,
        prepared: Mapping[str, Tensor],
        presence: Tensor,
        fusion_presence: Tensor,
        *,
        views: Sequence[int],
    ) -> LayeredOutput:
        """What it says of V views of B windows, one view after the other, in the order it was asked.

        Args:
            prepared: modality -> (R, C, T, ...). presence: (R, K), what was logged.
            fusion_presence: (R, K), what the student's fusion may see. The teacher's sees all that was
                logged: what is hidden from a student in training is there to be known, and a teacher as
                blind as the student could only teach it to guess as badly. Rows of the same window with
                and without a sensor then have one target, so the student's guess without it tends to the
                mean of what the sensor would have said.
            views: V joint transform indices; views[0] = 0.

        Returns:
            As a student in training gives it: rows of an absent modality are not there. Without maps.
        """
        assert fusion_presence.shape == presence.shape
        self._follow(presence.device)
        size = len(presence) // len(views)
        outputs = []
        for start, view in zip(range(0, len(presence), size), views, strict=True):
            rows = {name: x[start : start + size] for name, x in prepared.items()}
            statistics = dict(self.statistics[view]) if self.statistics else {}
            outputs.append(functional_call(self.network, statistics, (rows, presence[start : start + size])))
        return _present_rows(end_to_end(outputs, size), presence, self.network.student.modalities)

    def _follow(self, device: torch.device) -> None:
        """Be where the student is: nobody else knows of the statistics."""
        if next(self.network.parameters()).device != device:
            self.network.to(device)
            self.statistics = tuple(
                {name: value.to(device) for name, value in some.items()} for some in self.statistics
            )


def _question(layered: LayeredStudent) -> dict[str, object]:
    """What teacher and student must share."""
    student = layered.student
    return {
        "modalities": student.modalities,
        "classes": student.classes,
        "transforms": layered.families,
        "stages": student.stages,
    }


def _present_rows(output: LayeredOutput, presence: Tensor, names: Sequence[str]) -> LayeredOutput:
    """What was said of every row, as a student in training says it: a modality where it is present."""
    rows: dict[str, Tensor | None] = {}
    modality: dict[str, list[Tensor]] = {}
    for column, name in enumerate(names):
        here = presence[:, column].nonzero()[:, 0]
        rows[name] = None if len(here) == len(presence) else here
        if name in output.modality:
            modality[name] = [head[here] for head in output.modality[name]] if len(here) else []
    return dataclasses.replace(output, trunk=dataclasses.replace(output.trunk, rows=rows), modality=modality)


@torch.no_grad()
def view_statistics(
    layered: LayeredStudent,
    batches: Iterable[Mapping[str, Tensor]],
    families: Mapping[str, Sequence[Transform]],
    changed: Callable[[dict[str, Tensor], Tensor], Mapping[str, Tensor]] | None = None,
) -> list[dict[str, Tensor]]:
    """Batch-norm statistics of each joint transform by itself, over windows as they were logged.

    In training a batch norm sees one view at a time (`LayeredStudent.by_view`), but its running statistics
    mix them all, and fit none: a level turned upside down in half of the views has no mean left. What a
    network says of a view is right only under that view's own statistics: under mixed ones auxiliaries
    name fewer joint labels, most of all where levels tell. Those of the identity are the ones that ship.

    Args:
        layered: a trained network; it is left as it is.
        batches: of native samples by modality and `presence`, without augmentation. Each view's statistics
            are plain means over them; a norm that no batch reached keeps the statistics of training.
        families: modality -> its transforms.
        changed: prepared floats and presence -> augmented floats, for a network whose norms are of such.

    Returns:
        M mappings, for `Teacher`.
    """
    networks = [_collecting(layered) for _ in range(layered.transforms)]
    for batch in batches:
        prepared = layered.student.prepare({name: batch[name] for name in layered.student.modalities})
        presence = batch["presence"]
        floats = prepared if changed is None else changed(prepared, presence)
        for view, network in enumerate(networks):
            network.observe(transform_all(floats, families, [view]), presence)
    return [_collected(network, layered) for network in networks]


def _norms(layered: nn.Module) -> dict[str, nn.modules.batchnorm._BatchNorm]:
    return {
        name: module
        for name, module in layered.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
    }


def _collecting(layered: LayeredStudent) -> LayeredStudent:
    """A copy whose batch norms forgot their statistics and take a plain mean of new ones."""
    network = copy.deepcopy(layered).eval()
    for norm in _norms(network).values():
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    return network


def _collected(network: LayeredStudent, trained: LayeredStudent) -> dict[str, Tensor]:
    before = _norms(trained)
    found: dict[str, Tensor] = {}
    for name, norm in _norms(network).items():
        told = norm if norm.num_batches_tracked else before[name]
        assert told.running_mean is not None and told.running_var is not None
        found[f"{name}.running_mean"] = told.running_mean.clone()
        found[f"{name}.running_var"] = told.running_var.clone()
    return found
