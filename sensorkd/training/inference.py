"""Runs a student over a dataset, and mends its batch statistics after training."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from sensorkd.distillation.augmentation import Augmentation, AugmentationDraw
from sensorkd.models.student import Student
from sensorkd.training.batches import Batch, WindowSource, collate
from sensorkd.training.device import created_on, device_of, moved
from sensorkd.training.step import augmented

__all__ = ["predict_labelled", "predict_logits", "predict_subsets", "recompute_norms", "sensor_subsets"]


def predict_logits(
    student: Student, windows: WindowSource, *, only: Sequence[str] | None = None, batch_size: int = 64
) -> NDArray[np.float32]:
    """Logits (W, N) of every window; `only` hides all modalities but the named ones.

    A window that has none of them is judged from nothing, which is what a device would do.
    """
    return predict_labelled(student, windows, only=only, batch_size=batch_size)[0]


@torch.inference_mode()
def predict_labelled(
    student: Student, windows: WindowSource, *, only: Sequence[str] | None = None, batch_size: int = 64
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Logits (W, N) and labels (W,) in one reading of the windows; see `predict_logits`."""
    student.eval()
    device = device_of(student)
    kept = [float(only is None or name in only) for name in student.modalities]
    keep = torch.tensor(kept, device=device)
    logits, labels = [torch.zeros(0, student.classes)], [torch.zeros(0, dtype=torch.int64)]
    for batch in DataLoader(windows, batch_size=batch_size, collate_fn=collate):  # type: ignore[arg-type]
        here = moved(batch, device)
        inputs = {name: here[name] for name in student.modalities}
        with created_on(device):
            logits.append(student(inputs, here["presence"] * keep)[0].cpu())
        labels.append(batch["label"])
    return torch.cat(logits).numpy(), torch.cat(labels).numpy()


@torch.inference_mode()
def predict_subsets(
    student: Student, windows: WindowSource, subsets: Sequence[Sequence[str]], *, batch_size: int = 64
) -> dict[str, NDArray[np.float32]]:
    """Logits (W, N) with only the modalities of each subset, by its name, "a+b".

    The same as `predict_logits` with `only`, but the encoders, which see one modality each, run once.
    """
    student.eval()
    device = device_of(student)
    masks = {
        "+".join(names): torch.tensor([float(name in names) for name in student.modalities], device=device)
        for names in subsets
    }
    logits: dict[str, list[Tensor]] = {name: [torch.zeros(0, student.classes)] for name in masks}
    for batch in DataLoader(windows, batch_size=batch_size, collate_fn=collate):  # type: ignore[arg-type]
        here = moved(batch, device)
        with created_on(device):
            prepared = student.prepare({name: here[name] for name in student.modalities})
            pooled = {
                name: [student.pool(value) for value in student.encode(name, x)]
                for name, x in prepared.items()
            }
            for name, mask in masks.items():
                embedding = student.fuse(pooled, here["presence"] * mask)[-1]
                logits[name].append(student.classifier(embedding).cpu())
    return {name: torch.cat(parts).numpy() for name, parts in logits.items()}


def sensor_subsets(names: Sequence[str]) -> list[tuple[str, ...]]:
    """All non-empty subsets of up to six sensors; of more, singles, pairs, all but one, and all.

    >>> sensor_subsets(["a", "b"])
    [('a',), ('b',), ('a', 'b')]
    """
    count = len(names)
    sizes = range(1, count + 1) if count <= 6 else (1, 2, count - 1, count)
    return [subset for size in sizes for subset in itertools.combinations(names, size)]


@torch.no_grad()
def recompute_norms(
    student: Student,
    windows: WindowSource,
    *,
    augmentations: Mapping[str, Sequence[Augmentation]] | None = None,
    batch_size: int = 64,
    batches: int = 32,
) -> None:
    """Batch-norm statistics anew, from identity views of training windows as they were logged.

    In training the statistics mix views, augmentations and the weights of many steps; what ships
    sees none of that. Absent modalities are skipped, as in training; one that was hardly ever there keeps
    the statistics of training.

    Args:
        augmentations: of every modality, where weights have settled on windows that always pass them and
            fit no statistics but those, as images do that are cut out of a black border.
    """
    norms = [module for module in student.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    trained = [copy.deepcopy(norm.state_dict()) for norm in norms]
    student.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the batches
        norm.train()
    device = device_of(student)
    generator = torch.Generator().manual_seed(0)
    loader: DataLoader[Batch] = DataLoader(
        windows,  # type: ignore[arg-type]
        batch_size=min(batch_size, len(windows)),
        shuffle=True,
        drop_last=True,
        generator=generator,
        collate_fn=collate,
    )
    chance = torch.Generator().manual_seed(1)
    for count, batch in enumerate(loader):
        if count == batches:
            break
        here = moved(batch, device)
        with created_on(device):
            prepared = student.prepare({name: here[name] for name in student.modalities})
        if augmentations is not None:
            prepared = augmented(prepared, augmentations, AugmentationDraw(len(here["presence"]), chance))
        with created_on(device):
            student.observe(prepared, here["presence"])
    for norm, momentum, state in zip(norms, momenta, trained, strict=True):
        norm.momentum = momentum
        if norm.num_batches_tracked == 0:
            norm.load_state_dict(state)
    student.eval()
