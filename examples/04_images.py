"""The paper's own ground: plain images through the same loop.

    python examples/04_images.py examples/images/cifar100_small.yaml method.name=ce --out runs/ce

A run that was cut off goes on where it was; one that is finished tells its result again.
"""

import argparse
import json
import sys

from sensorkd.errors import SensorkdError
from sensorkd.images.config_file import load_image_config
from sensorkd.images.run import run_images


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Train and judge a student of plain images.")
    parser.add_argument("config", help="a YAML file, such as those in examples/images")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument("--out", help="folder of the run")
    asked = parser.parse_args(arguments)
    overrides = [*asked.overrides, *([f"out={asked.out}"] if asked.out else [])]

    def tell(step: int, steps: int, values: object) -> None:
        if step % 100 == 0 or step == steps:
            print(f"\r{step}/{steps}", end="", flush=True)

    def note(text: str) -> None:
        print(f"note: {text}", file=sys.stderr)

    try:
        result = run_images(load_image_config(asked.config, overrides), on_note=note, on_step=tell)
    except SensorkdError as error:
        print(error)
        return error.exit_code
    print(f"\n{json.dumps(result, indent=2)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
