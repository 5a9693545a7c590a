"""The loader's share of a training step on real recordings."""

from __future__ import annotations

import json
import os
import statistics
from pathlib import Path
from typing import Any

from window_parts.measuring import alone, peak, tell

CONFIGS = Path(__file__).parents[2] / "examples" / "configs"


def training(folder: Path, quick: bool) -> dict[str, Any]:
    """Left out without SENSORKD_DATA."""
    result: dict[str, Any] = {}
    if not os.environ.get("SENSORKD_DATA"):
        print("training: left out, SENSORKD_DATA is not set\n")
        return result
    names, modes = (
        (["utd_mhad"], ["cache"]) if quick else (["utd_mhad", "femto"], ["memory", "cache", "direct"])
    )
    for name in names:
        for mode in modes:
            result[f"{name} {mode}"] = alone(train_share, (name, mode, folder, 4 if quick else 60))
    tell("training", result)
    return result


def train_share(task: tuple[str, str, Path, int]) -> dict[str, float]:
    """In a child: train for some steps, and the share of the time for which the loop waited for windows."""
    import torch

    from sensorkd.runs import load_config, train_run

    torch.set_num_threads(1)
    name, mode, out, steps = task
    changes = [
        f"training.max_steps={steps}",
        f"training.epoch_steps={max(2, steps // 4)}",
        f"out={out / f'{name}_{mode}'}",
    ]
    changes += [f"cache.mode={mode}", f"cache.folder={out / 'cache'}"]
    before = peak()
    run = train_run(load_config(CONFIGS / f"{name}.yaml", changes))
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    epochs = [line for line in lines if "waited" in line]
    step = statistics.median(line["seconds"] for line in epochs) / max(2, steps // 4)
    return {
        "milliseconds_a_step": step * 1e3,
        "share_waited": statistics.median(line["waited"] / line["seconds"] for line in epochs),
        "peak_mb": (peak() - before) / 2**20,
    }
