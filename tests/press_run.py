"""A press with two sensors and a run on it: small archives, no simulated plant."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sensorkd.export.seal import export_run
from sensorkd.recordings import RecordingWriter
from sensorkd.runs import Run, RunConfig, train_run
from sensorkd.runs.config_file import parse_config
from sensorkd.timeline import SECOND

# Small tensors: a second thread only waits.
torch.set_num_threads(1)

SECONDS, RATE, SLOW = 60, 100, 2
# A shift: two faults, and eight seconds at the end that nobody labelled.
SHIFT = (("ok", 0, 20), ("worn", 20, 32), ("ok", 32, 40), ("hot", 40, 52))
G = 9.80665
# A plant where less is wrong than was labelled.
CALM = {"ok": 0.7, "worn": 0.18, "hot": 0.12}


def write_press(
    folder: Path,
    machine: str,
    *,
    seed: int,
    gain: int = 1,
    in_g: bool = False,
    heat_until: float = SECONDS,
    labelled: bool = True,
    shift: tuple[tuple[str, int, int], ...] = SHIFT,
) -> Path:
    """One machine in one shift. Worn, it shakes at 31 Hz; hot, it warms up.

    gain: samples times so much, scale over it. in_g: the same acceleration in g. heat_until: s after which
    nothing more of the temperature was logged; 0 for nothing at all.
    """
    rng = np.random.default_rng(seed)
    time, slow = np.arange(SECONDS * RATE) / RATE, np.arange(SECONDS * SLOW) / SLOW
    shake = rng.normal(0, 1, (len(time), 2)) + 2 * np.sin(2 * np.pi * 5 * time + rng.uniform(0, 6))[:, None]
    heat = 40 + rng.normal(0, 3) + rng.normal(0, 0.2, len(slow))
    for label, begin, end in shift:
        if label == "worn":
            at = (time >= begin) & (time < end)
            shake[at] += 4 * np.sin(2 * np.pi * 31 * time[at])[:, None]
        if label == "hot":
            heat += 20 * np.clip((slow - begin) / 4, 0, 1) * (slow < end)
    path = folder / f"{machine}.h5"
    with RecordingWriter(path) as writer:
        draft = writer.recording("shift", clock="relative", identity={"machine": machine})
        scale = 0.001 / gain / (G if in_g else 1)
        draft.add_stream(
            "shake",
            np.rint(shake * 1000).astype(np.int16) * np.int16(gain),
            rate=RATE,
            modality="acceleration",
            unit="g" if in_g else "m/s2",
            scale=scale,
            channels=("x", "y"),
        )
        kept = heat[: round(heat_until * SLOW), None].astype(np.float32)
        if len(kept):
            draft.add_stream("heat", kept, rate=SLOW, modality="temperature", unit="degC")
        if labelled:
            draft.add_labels("state", [(a * SECOND, b * SECOND, label) for label, a, b in shift])
    return path


def press_tree(data: Path, out: Path, **changes: Any) -> dict[str, Any]:
    """A configuration for such presses, small enough for a test."""
    return {
        "data": [str(data)],
        "target": "state",
        "inputs": {"shake": {"span": 0.64}, "heat": {"span": 4.0}},
        "windows": {"reference": "hop", "hop": 1.0},
        "split": {"by": "machine", "test": ["p4"]},
        "method": {"name": "ce"},
        "training": {"steps": 30, "batch_size": 16},
        "out": str(out),
        **changes,
    }


def press_config(data: Path, out: Path, **changes: Any) -> RunConfig:
    """`press_tree`, checked."""
    return parse_config(press_tree(data, out, **changes))


@pytest.fixture(scope="session")
def press(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Archives of presses p0 to p4."""
    folder = tmp_path_factory.mktemp("press")
    for number in range(5):
        write_press(folder, f"p{number}", seed=number)
    return folder


@pytest.fixture(scope="session")
def press_run(press: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Trained on p0 to p2 with all of lsskd; p3 is its dev group, p4 its test group."""
    config = press_config(
        press,
        tmp_path_factory.mktemp("runs") / "press",
        split={"by": "machine", "dev": ["p3"], "test": ["p4"]},
        method={"name": "lsskd"},
        training={"steps": 60, "batch_size": 16},
        alarm={"normal": ["ok"], "raise_count": 2, "raise_within": 3, "budget": 500.0},
    )
    return train_run(config)


@pytest.fixture(scope="session")
def press_bundle(press_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ships of it, for a plant of CALM shares. Exporting takes seconds: one bundle serves all tests."""
    folder = tmp_path_factory.mktemp("bundles") / "press"
    config = press_run.config.model_copy(update={"deployment_prior": CALM})
    export_run(dataclasses.replace(press_run, config=config), folder)
    return folder
