"""The earlier self that costs no forward pass: what was said of a window when it was last seen.

Axes: W training windows, V views, R = V * B rows, M joint transforms, N classes, S stages, L logits of all
classifiers together. Source: PS-KD (Kim et al., ICCV 2021), whose code keeps the predictions of the epoch
before; those of auxiliaries, under every transform, are ours.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sensorkd.distillation.sight import Said, Sight
from sensorkd.errors import RunError
from sensorkd.models.layered import LayeredOutput, LayeredStudent
from sensorkd.models.student import TrunkOutput

__all__ = ["LastVisit"]

NEVER = -1
FILE = "last_visit.npy"


class LastVisit:
    """Logits (W, M, L) of student and auxiliaries in float16, in a memory-mapped file of the run.

    A window's augmentation is drawn anew at every visit, so its last visit was of another draw; PS-KD's
    own code softens by another crop in the same way. Of a visit with a sensor hidden by modality
    dropout nothing is kept: it would teach less than the window shows.

    Args:
        folder: of the run. windows: W. max_age: steps after which a visit counts no more.
    """

    def __init__(self, layered: LayeredStudent, folder: Path, *, windows: int, max_age: int) -> None:
        self.max_age = max_age
        self._folder = folder
        self._widths = _widths(layered)
        transforms = layered.transforms if len(self._widths) > 1 else 1
        self._stamps = torch.full((windows, transforms), NEVER)
        self._shape = (windows, transforms, sum(self._widths.values()))
        folder.mkdir(parents=True, exist_ok=True)
        self._logits = np.lib.format.open_memmap(
            folder / FILE, mode="w+", dtype=np.float16, shape=self._shape
        )

    @torch.no_grad()
    def visit(self, sight: Sight, output: LayeredOutput, *, step: int) -> None:
        """Keep what the network says in a step, of rows of which nothing is hidden."""
        full = (sight.fusion_presence == sight.presence).all(dim=1).cpu()
        windows, transforms = (index[full] for index in _places(sight))
        said = self._flat(output).cpu()[full].half()
        self._logits[windows.numpy(), transforms.numpy()] = said.numpy()
        self._stamps[windows, transforms] = step

    def recall(self, sight: Sight, *, step: int) -> Said:
        """What was said of the windows under the same transforms; trusted where that is not too long ago."""
        windows, transforms = _places(sight)
        stamps = self._stamps[windows, transforms]
        said = torch.from_numpy(self._logits[windows.numpy(), transforms.numpy()]).float()
        trust = ((stamps != NEVER) & (step - stamps <= self.max_age)).float()
        here = sight.presence.device
        return Said(self._layered(said.to(here), sight), trust.to(here))

    def observe(self, layered: LayeredStudent, step: int) -> None:
        """It keeps answers, not weights."""

    def state(self) -> dict[str, Tensor]:
        """The step (W, M) of each visit; the logits are sealed beside the checkpoint."""
        return {"stamps": self._stamps}

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `state`."""
        self._stamps.copy_(tensors["stamps"])

    def seal(self, epoch: int) -> None:
        """Copy the logits as they are after an epoch; the copy before is kept until the next one.

        A run that is killed between this and its checkpoint finds the copy that the older one needs.
        """
        self._logits.flush()
        part = self._sealed(epoch).with_suffix(".part")
        shutil.copyfile(self._folder / FILE, part)
        with part.open("rb") as handle:
            os.fsync(handle.fileno())
        part.replace(self._sealed(epoch))
        for path in self._folder.glob("last_visit-*.npy"):
            if path not in (self._sealed(epoch), self._sealed(epoch - 1)):
                path.unlink()

    def unseal(self, epoch: int) -> None:
        """Take the logits back to where they were after an epoch.

        Raises:
            RunError: the copy is missing or of another shape.
        """
        path = self._sealed(epoch)
        try:
            kept = np.load(path, mmap_mode="r", allow_pickle=False)
            if kept.shape != self._shape or kept.dtype != np.float16:
                raise ValueError(f"{kept.dtype} of shape {kept.shape}, expected float16 of {self._shape}")
            self._logits[:] = kept
        except (OSError, ValueError) as error:
            raise RunError(
                "what was said of the windows at their last visit cannot be read",
                file=path,
                found=error,
                mend="train again into a new folder",
            ) from error

    def _sealed(self, epoch: int) -> Path:
        return self._folder / f"last_visit-{epoch}.npy"

    def _flat(self, output: LayeredOutput) -> Tensor:
        """All that was said, as (R, L); zero where a modality is absent, which is never read."""
        rows = len(output.trunk.logits)
        parts = [output.trunk.logits, *output.fused]
        for name, heads in output.modality.items():
            seen = output.trunk.rows[name]
            stages = sum(1 for key in self._widths if key.startswith(f"{name}/"))
            for stage in range(stages):
                full = output.trunk.logits.new_zeros(rows, self._widths[f"{name}/{stage}"])
                if heads:
                    full[slice(None) if seen is None else seen] = heads[stage]
                parts.append(full)
        return torch.cat(parts, dim=1)

    def _layered(self, said: Tensor, sight: Sight) -> LayeredOutput:
        """The inverse of `_flat`, with the rows of the modalities that are there now."""
        columns = torch.split(said, list(self._widths.values()), dim=1)
        parts = dict(zip(self._widths, columns, strict=True))
        logits = parts.pop("final")
        fused = [value for key, value in parts.items() if key.startswith("/")]
        names = dict.fromkeys(key.split("/")[0] for key in parts if not key.startswith("/"))
        rows: dict[str, Tensor | None] = {}
        modality: dict[str, list[Tensor]] = {}
        for column, name in enumerate(sight.prepared):
            here = sight.presence[:, column].nonzero()[:, 0]
            rows[name] = here
            if name in names:
                heads = [value[here] for key, value in parts.items() if key.startswith(f"{name}/")]
                modality[name] = heads if len(here) else []
        return LayeredOutput(TrunkOutput({}, rows, [], logits, logits), modality, fused, [])


def _widths(layered: LayeredStudent) -> dict[str, int]:
    """How many logits each classifier has: `final`, `/stage` of the fusion, `modality/stage`."""
    classes = layered.student.classes
    widths = {"final": classes}
    for stage in range(len(layered.fused_auxiliaries)):
        widths[f"/{stage}"] = classes * layered.transforms
    for name in layered.modality_auxiliaries:
        stages = layered.modality_auxiliaries[name]
        assert isinstance(stages, nn.ModuleDict)
        for stage in range(len(stages)):
            widths[f"{name}/{stage}"] = classes * layered.families[name]
    return widths


def _places(sight: Sight) -> tuple[Tensor, Tensor]:
    """Window and joint transform (R,) of every row."""
    assert sight.windows is not None
    views = torch.tensor(list(sight.views), device="cpu")
    return sight.windows.cpu().repeat(len(views)), views.repeat_interleave(sight.size)
