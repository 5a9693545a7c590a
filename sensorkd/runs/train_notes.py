"""What a user should know of a training, said before and after it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from sensorkd.runs.config import RunConfig
from sensorkd.training.batches import ArrayDataset
from sensorkd.training.log import TrainingLog
from sensorkd.training.loop import Recipe

__all__ = ["tell_idle", "tell_two_priors", "tell_unmet"]


def tell_two_priors(recipe: Recipe, config: RunConfig, tell: Callable[[str], None]) -> None:
    """What windows without a label teach is of other class shares than what labels do."""
    method = recipe.method
    scaled = method.pseudo_labels and method.align and recipe.unlabelled_shares is not None
    if scaled and config.deployment_prior is not None:
        tell(
            "`deployment_prior` turns verdicts from the class shares of the labels, and windows without a "
            "label teach those of `unlabelled_shares` as well: leave it out, or judge by dev groups"
        )


def tell_unmet(inputs: Iterable[str], teaching: Sequence[ArrayDataset], tell: Callable[[str], None]) -> None:
    """Inputs of which no window that teaches has anything: their weights stay as they were drawn."""
    met = np.concatenate([source.presence for source in teaching]).max(axis=0).tolist()
    unmet = [name for name, seen in zip(inputs, met, strict=True) if not seen]
    if unmet:
        tell(
            f"no window to learn from has {', '.join(unmet)}: where a device has it, it adds noise to the "
            "verdicts; leave it out of `inputs`, or label recordings that have it"
        )


def tell_idle(log: TrainingLog, tell: Callable[[str], None]) -> None:
    """What a method asked for and no step did."""
    if idle := [name for record in log.records()[-1:] for name in record.get("idle", ())]:
        tell(
            f"{', '.join(idle)} taught nothing in the whole run: no window without a label was likely "
            "enough to be of a class; lower method.threshold, or train longer"
        )
