"""Trains a run: configuration in, folder with weights and log out."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sensorkd.errors import RunError, SensorkdError
from sensorkd.locks import only_process
from sensorkd.runs.config import RunConfig
from sensorkd.runs.data import Planned, plan_run, read_training, read_usable
from sensorkd.runs.differences import run_differences
from sensorkd.runs.lost_labels import check_labels, labels_lost
from sensorkd.runs.run import CONFIG, LOG, Run
from sensorkd.runs.stats import channel_stats
from sensorkd.runs.teacher import stats_of_teacher, teacher_for
from sensorkd.runs.train_notes import tell_idle, tell_two_priors, tell_unmet
from sensorkd.training.batches import ArrayDataset
from sensorkd.training.cross_validation import settled
from sensorkd.training.device import slow_precision
from sensorkd.training.log import TrainingLog
from sensorkd.training.loop import Recipe, train
from sensorkd.training.priors import effective_prior, sampled_prior
from sensorkd.training.state_files import sound_state
from sensorkd.windows.arrays import Reading
from sensorkd.windows.health import sensor_health

__all__ = ["train_run"]


def train_run(
    config: RunConfig,
    *,
    resume: bool = False,
    on_note: Callable[[str], None] | None = None,
    on_read: Callable[[int, int], None] | None = None,
    on_step: Callable[[int, int, Mapping[str, float]], None] | None = None,
) -> Run:
    """Train as configured, into `config.out`.

    A file that cannot be read is left out, noted, and told in the run's `left_out`.

    Args:
        resume: go on from the last epoch of a run that was cut off.
        on_note: told what a user should know. on_read, on_step: progress.

    Raises:
        RunError: the folder holds another run already, or there is nothing to resume.
        SensorkdError: data or configuration cannot be used.
    """
    folder = Path(config.out)
    _check_folder(folder, config, resume=resume)
    tell = on_note or (lambda _: None)
    planned = plan_run(config)
    for note in planned.notes:
        tell(note)
    if slow := slow_precision(config.training):
        tell(slow)
    data = _read(planned, config, on_read, tell)
    run = _described(folder, planned, config, data)
    _check_classes(run)
    teaching = [data.windows, *([] if data.unlabelled is None else [data.unlabelled])]
    tell_unmet(data.reading.windows.inputs, teaching, tell)
    with only_process(folder, "run"):
        # Again: another process may have begun it, or gone on with it, while this one read.
        _check_folder(folder, config, resume=resume)
        _train(run, data, resume, tell, on_step)
    return run


def _train(
    run: Run,
    data: _Data,
    resume: bool,
    tell: Callable[[str], None],
    on_step: Callable[[int, int, Mapping[str, float]], None] | None,
) -> None:
    """Train it into its folder, of which this is the only process."""
    config, folder, log = run.config, run.folder, TrainingLog(run.folder / LOG)
    if resume:
        _check_windows(run)
    layered, recipe = run.fresh_layered(), _recipe(run)
    # What the loop would refuse, before anything is written, a teacher is trained or labels are held out.
    recipe.check(layered, data.windows, data.dev, data.unlabelled)
    if not resume:
        # A resume that is refused must leave the run as it was described.
        run.save()
        log.begin()
    # A run that was cut off while its teacher learned has not begun itself.
    begun = resume and sound_state(folder, log, tell)
    if recipe.method.teacher != "none":
        teacher = teacher_for(
            run,
            data.windows,
            recipe,
            size=config.method.teacher_size,
            shared=config.method.teacher_run,
            dev=data.dev,
            on_note=tell,
            on_step=on_step,
            on_record=log.write,
        )
        recipe = dataclasses.replace(recipe, teacher=teacher)
    if data.unlabelled is not None:
        recipe = settled(
            recipe,
            layered,
            data.windows,
            data.groups,
            records=log.records(),
            on_record=log.write,
            on_note=tell,
        )
        tell_two_priors(recipe, config, tell)
    train(
        layered,
        data.windows,
        recipe,
        folder,
        dev=data.dev,
        unlabelled=data.unlabelled,
        resume=begun,
        on_step=on_step,
        on_epoch=log.write,
    )
    tell_idle(log, tell)


@dataclass(frozen=True)
class _Data:
    """What was read. reading: of the labelled training windows. windows: these, as the loop takes them.

    groups: of these. unlabelled: None where there are none, or the method has no use for them. left_out:
    what was wrong with files that could not be read, or not whole.
    """

    reading: Reading
    windows: ArrayDataset
    groups: list[str]
    unlabelled: ArrayDataset | None
    dev: ArrayDataset | None
    left_out: tuple[str, ...]


def _read(
    planned: Planned,
    config: RunConfig,
    on_read: Callable[[int, int], None] | None,
    tell: Callable[[str], None],
) -> _Data:
    # At once: training may take hours, and the file can be mended meanwhile.
    failed = _Left(tell)
    failed.add(planned.failed)
    reading, unlabelled = _read_training(planned, config, on_read, tell)
    failed.add(reading.failed)
    dev = None
    if len(dev_rows := planned.rows("dev")):
        dev_reading = read_usable(planned, dev_rows, config, on_note=tell)
        failed.add(dev_reading.failed)
        dev = planned.dataset(dev_reading)
    groups = [planned.groups[row] for row in reading.rows]
    return _Data(reading, planned.dataset(reading), groups, unlabelled, dev, tuple(failed.told))


def _described(folder: Path, planned: Planned, config: RunConfig, data: _Data) -> Run:
    rows, arrays = data.reading.rows, data.reading.windows
    labels, graded = planned.labels[rows], (planned.label_shares, planned.label_weights)
    return Run(
        folder=folder,
        config=config,
        encodings=planned.encodings,
        # A teacher that is there already prepared its floats by its own.
        stats=stats_of_teacher(config.method.teacher_run) or channel_stats(planned, config),
        classes=planned.classes,
        groups={"train": planned.split.train, "dev": planned.split.dev, "test": planned.split.test},
        trained_prior=_trained_prior(data.windows, len(planned.classes), config),
        health=sensor_health(arrays, {name: item.min_coverage for name, item in planned.encodings.items()}),
        windows=_digest(
            arrays.id,
            labels,
            *(known[rows] for known in graded if known is not None),
            *([] if data.unlabelled is None else [data.unlabelled.ids]),
        ),
        left_out=data.left_out,
    )


def _read_training(
    planned: Planned,
    config: RunConfig,
    on_read: Callable[[int, int], None] | None,
    tell: Callable[[str], None],
) -> tuple[Reading, ArrayDataset | None]:
    """The labelled windows of the training groups, and those without a label where the method uses them."""
    if not config.method.method().unlabelled:
        reading, spare = read_usable(planned, planned.rows("train"), config, on_read, tell), None
    else:
        reading, spare = read_training(planned, config, on_read, tell)
    check_labels(planned, reading)
    if lost := labels_lost(planned, reading, config):
        tell(lost)
    return reading, planned.dataset(spare) if spare is not None and len(spare.rows) else None


def _digest(*columns: NDArray[Any]) -> str:
    return hashlib.blake2b(b"".join(column.tobytes() for column in columns), digest_size=16).hexdigest()


class _Left:
    """Files that were left out: noted when first met, and kept as text for the run."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self.told: dict[str, None] = {}

    def add(self, errors: Iterable[SensorkdError]) -> None:
        for error in errors:
            if str(error) not in self.told:
                self.told[str(error)] = None
                self._tell(f"left out: {error}")


def _trained_prior(windows: ArrayDataset, classes: int, config: RunConfig) -> tuple[float, ...]:
    """What the weights will answer for: class shares as sampled, evened out by logit adjustment."""
    sampled = sampled_prior(
        windows.labels, classes=classes, sampling=config.training.sampling, mass=windows.label_mass(classes)
    )
    return tuple(effective_prior(sampled, config.training.logit_adjustment).tolist())


def _check_windows(run: Run) -> None:
    before = Run.load(run.folder)
    if before.windows != run.windows:
        raise RunError(
            "the training windows or their labels are not those the run was begun with",
            file=run.folder,
            found=f"{run.windows[:8]}...",
            expected=f"{before.windows[:8]}...",
            mend="put archives and label table back as they were, or train into a new folder",
        )


def _check_classes(run: Run) -> None:
    """Class shares, or an alarm, that do not fit the classes: told now, not after training."""
    _ = run.prior, run.unlabelled_shares
    if run.config.alarm is not None:
        run.config.alarm.rule().is_normal(run.classes)


def _check_folder(folder: Path, config: RunConfig, *, resume: bool) -> None:
    begun = (folder / CONFIG).exists()
    if begun and not resume:
        raise RunError(
            "the folder holds a run already",
            file=folder,
            mend="add --resume to go on with it, or out=FOLDER to train into another",
        )
    if resume and not begun:
        raise RunError("there is no run to resume", file=folder, mend="train without --resume")
    if resume:
        was, will = run_differences(Run.load(folder).config, config)
        if was:
            # Another target may fit the very same network: its weights would be taken up in silence.
            raise RunError(
                "the run was begun with another configuration",
                file=folder / CONFIG,
                found=was,
                expected=will,
                mend="resume with the configuration it was begun with, or train into a new folder",
            )


def _recipe(run: Run) -> Recipe:
    adapters = run.adapters
    return Recipe(
        method=run.config.method.method(),
        config=run.config.training,
        families=run.families,
        augmentations={
            name: adapter.augmentations(run.encodings[name]) if run.config.inputs[name].augment else ()
            for name, adapter in adapters.items()
        },
        seed=run.config.seed,
        unlabelled_shares=run.unlabelled_shares,
    )
