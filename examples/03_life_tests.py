"""Bursts, dying thermometers, life stages and alarms, on simulated life tests.

    python examples/03_life_tests.py [training.steps=200 ...]

Writes twelve simulated machines that run to failure into life-out/, trains on six, chooses the alarm's
threshold on two, judges four, and leaves a report.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sensorkd import load_config, train_run, write_report
from sensorkd.testing.plant import write_life_tests

OUT = Path("life-out")
CONFIG = Path(__file__).parent / "configs" / "plant_life.yaml"


def main() -> None:
    if not (OUT / "plant").exists():
        write_life_tests(OUT / "plant", machines=12)
    overrides = [f"data=[{OUT / 'plant'}]", f"out={OUT / 'run'}", *sys.argv[1:]]
    run = train_run(load_config(CONFIG, overrides))
    judged = write_report(run, OUT / "report.html")
    for name, metrics in judged.subsets.items():
        print(
            f"{name:25} macro-F1 {metrics.macro_f1:.3f}, there in {judged.reached[name]:.0%} of the windows"
        )
    for name, health in judged.health.items():
        print(f"{name}: {health.told()}")
    assert judged.alarms is not None
    print("\n".join(judged.alarms.lines()))
    print(f"report: {OUT / 'report.html'}")


if __name__ == "__main__":
    main()
