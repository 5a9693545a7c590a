"""The whole road from Python: archives, training, evaluation, a sealed bundle, verdicts.

Run `sensorkd demo --quick` first; it leaves simulated archives in demo-out/plant.
"""

import sys
from pathlib import Path

import sensorkd

HERE = Path(__file__).parent


def main(out: Path, overrides: list[str]) -> None:
    recordings = sensorkd.open_recordings("demo-out/plant")
    print(len(recordings), "recordings; the first:", dict(recordings[0].identity))

    config = sensorkd.load_config(HERE / "configs" / "plant.yaml", [*overrides, f"out={out / 'run'}"])
    run = sensorkd.train_run(config, on_note=print)
    result = sensorkd.evaluate_run(run)
    print(f"accuracy on {config.split.test}: {result.overall.accuracy:.3f}")
    for sensors, metrics in result.subsets.items():
        print(f"  with {sensors}: {metrics.accuracy:.3f}")

    comparison = sensorkd.export_run(run, out / "bundle")
    print(f"exported; outputs within {comparison.largest_difference:.1g} of the trained model")
    predictor = sensorkd.EdgePredictor(sensorkd.EdgeBundle.open(out / "bundle"))
    print(predictor.verify().told())


if __name__ == "__main__":
    main(Path("runs/example-01"), sys.argv[1:])
