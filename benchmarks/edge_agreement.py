"""Does the device say what torch says? Every window of the named archives, in an environment without torch.

    python -m venv edge && edge/bin/pip install '.[edge]'
    python benchmarks/edge_agreement.py RUN BUNDLE edge/bin/python PATH...

Windows whose two largest logits differ by at most 1e-4 have no clear verdict; they are counted and left out.
Exit code 1 when a clear verdict differs.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from sensorkd.evaluation.run_windows import windows_for
from sensorkd.runs import Run
from sensorkd.training.inference import predict_logits

MARGIN = 1e-4
INSTALLED = "import importlib.metadata as m; print(*sorted(d.name for d in m.distributions()))"


def main(folder: str, bundle: str, python: str, *paths: str) -> int:
    run = Run.load(folder)
    windows = windows_for(run, paths)
    logits = predict_logits(run.student(), windows.dataset)
    with tempfile.TemporaryDirectory() as place:
        arrays, verdicts = Path(place) / "windows.npz", Path(place) / "verdicts.csv"
        windows.arrays.save(arrays)
        subprocess.run(
            [python, "-m", "sensorkd.edge", "predict", bundle, arrays, "--out", verdicts], check=True
        )
        with verdicts.open(encoding="utf-8") as handle:
            rows = list(csv.DictReader(handle))
    installed = subprocess.run([python, "-c", INSTALLED], check=True, capture_output=True, text=True)
    ranked = np.sort(logits, axis=1)
    clear = ranked[:, -1] - ranked[:, -2] > MARGIN
    expected = [run.classes[index] for index in logits.argmax(axis=1)]
    same = np.array([row["verdict"] == name for row, name in zip(rows, expected, strict=True)])
    exponent = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = exponent / exponent.sum(axis=1, keepdims=True)
    found = np.array([[float(row[f"p.{name}"]) for name in run.classes] for row in rows])
    result = {
        "windows": len(rows),
        "excluded": int((~clear).sum()),
        "agree": int((same & clear).sum()),
        "differ": int((~same & clear).sum()),
        "largest_probability_difference": float(np.abs(found - probabilities).max()),
        "installed_on_the_device": installed.stdout.split(),
    }
    print(json.dumps(result, indent=1))
    return 1 if result["differ"] else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
