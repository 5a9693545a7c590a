"""Training from arrays in memory: the loop knows no files, only the batch dict.

Two made-up sensors, three classes: `tone` is a vibration whose frequency tells two groups of classes apart,
`level` a slow signal that tells two others apart. Only together do they tell all three.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from sensorkd.adapters import adapter_for
from sensorkd.distillation.methods import METHODS
from sensorkd.encoding import InputEncoding
from sensorkd.models.frontend import ChannelStats
from sensorkd.models.size import SIZES
from sensorkd.runs.build import build_layered, build_student, families_of
from sensorkd.training.batches import ArrayDataset
from sensorkd.training.config import TrainingConfig
from sensorkd.training.inference import predict_logits
from sensorkd.training.loop import Recipe, train
from sensorkd.training.metrics import classification_metrics

SECOND = 1_000_000_000
CLASSES = ("slow and cold", "fast and cold", "fast and warm")


def encoding(modality: str, unit: str, *, steps: int, rate: float) -> InputEncoding:
    return InputEncoding(
        modality=modality,
        dtype="float32",
        unit=unit,
        scale=1.0,
        offset=0.0,
        sample_shape=(1,),
        channels=(),
        steps=steps,
        rate=rate,
        span=round(steps / rate * SECOND),
        valid_range=(-1000.0, 1000.0),
        resampling="linear",
    )


ENCODINGS = {
    "tone": encoding("acceleration", "m/s2", steps=256, rate=256.0),
    "level": encoding("temperature", "degC", steps=32, rate=2.0),
}


def windows(count: int, seed: int) -> ArrayDataset:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, count)
    time = np.arange(256) / 256
    frequency = np.where(labels == 0, 9.0, 21.0)[:, None]
    phase = generator.uniform(0, 2 * np.pi, (count, 1))
    tone = np.sin(2 * np.pi * frequency * time + phase) + generator.normal(0, 0.5, (count, 256))
    level = np.where(labels == 2, 60.0, 40.0)[:, None] + generator.normal(0, 6, (count, 32))
    inputs = {"tone": tone[..., None].astype(np.float32), "level": level[..., None].astype(np.float32)}
    return ArrayDataset(inputs, np.ones((count, 2), np.float32), labels)


def main(steps: int = 120) -> float:
    adapters = {name: adapter_for(item.modality) for name, item in ENCODINGS.items()}
    stats = {"tone": ChannelStats((0.0,), (1.0,)), "level": ChannelStats((47.0,), (11.0,))}
    student = build_student(ENCODINGS, stats, adapters, classes=CLASSES, size=SIZES["tiny"], seed=0)
    families = families_of(adapters)
    recipe = Recipe(
        method=METHODS["lsskd"],
        config=TrainingConfig(steps=steps, batch_size=16),
        families=families,
        augmentations={name: adapter.augmentations(ENCODINGS[name]) for name, adapter in adapters.items()},
        seed=0,
    )
    with tempfile.TemporaryDirectory() as folder:
        student = train(build_layered(student, families, seed=0), windows(60, seed=1), recipe, Path(folder))
    judged = windows(300, seed=2)
    for only in (("tone",), ("level",), ("tone", "level")):
        metrics = classification_metrics(predict_logits(student, judged, only=only), judged.labels)
        print(f"{'+'.join(only):>10}: accuracy {metrics.accuracy:.3f}")
    return metrics.accuracy


if __name__ == "__main__":
    main(*[int(argument) for argument in sys.argv[1:]])
