"""`python -m sensorkd.edge verify|predict`: the device's own entry, with argparse only."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sensorkd.edge.bundle import EdgeBundle, load_arrays
from sensorkd.edge.precision import PRECISIONS
from sensorkd.edge.predictor import EdgePredictor
from sensorkd.edge.runtime import RUNTIMES
from sensorkd.errors import BundleError, SensorkdError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb; returns the exit code: 0 done, 1 the gate was not met, 2 unusable input."""
    parser = argparse.ArgumentParser(prog="python -m sensorkd.edge", description=__doc__)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verify = verbs.add_parser("verify", help="repeat the golden batch on this device")
    verify.add_argument("bundle", type=Path)
    verify.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    verify.add_argument("--precision", choices=PRECISIONS, default="fp32", help="which form of the model")
    verify.add_argument("--runtime", choices=RUNTIMES, default="onnxruntime", help="what runs it")
    predict = verbs.add_parser("predict", help="judge windows that `sensorkd windows` wrote")
    predict.add_argument("bundle", type=Path)
    predict.add_argument("windows", type=Path, help=".npz with input.<name> and, if known, presence")
    predict.add_argument("--out", type=Path, help=".csv or .jsonl; default: CSV on standard output")
    options = parser.parse_args(arguments)
    try:
        if options.verb == "verify":
            _verify(options)
        else:
            _predict(options.bundle, options.windows, options.out)
    except (SensorkdError, OSError) as error:
        if options.debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, SensorkdError) else 2
    return 0


def _verify(options: argparse.Namespace) -> None:
    bundle = EdgeBundle.open(options.bundle)
    result = EdgePredictor(bundle, precision=options.precision, runtime=options.runtime).verify()
    print(json.dumps(dataclasses.asdict(result)) if options.json else result.told())


def _predict(folder: Path, windows: Path, out: Path | None) -> None:
    predictor = EdgePredictor(EdgeBundle.open(folder))
    arrays = load_windows(windows)
    inputs = {name[len("input.") :]: values for name, values in arrays.items() if name.startswith("input.")}
    rows = predictor.predict(inputs, arrays.get("presence")).rows()
    for name in ("t_ref", "recording"):
        if name in arrays:
            if len(arrays[name]) != len(rows):
                raise BundleError(
                    f"{name!r} is not of these windows",
                    file=windows,
                    found=f"{len(arrays[name])} values",
                    expected=f"{len(rows)}, one a window",
                )
            rows = [{name: value, **row} for row, value in zip(rows, arrays[name].tolist(), strict=True)]
    if out is None:
        _write_csv(rows, sys.stdout)
        return
    with out.open("w", newline="", encoding="utf-8") as handle:
        if out.suffix == ".jsonl":
            handle.writelines(json.dumps(row) + "\n" for row in rows)
        else:
            _write_csv(rows, handle)


def _write_csv(rows: Sequence[dict[str, Any]], handle: Any) -> None:
    if rows:
        writer = csv.DictWriter(handle, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def load_windows(path: Path) -> dict[str, Any]:
    """Arrays of an .npz, never a pickle.

    Raises:
        BundleError: it is none, or holds no input.
    """
    loaded = load_arrays(path, mend="write it with `sensorkd windows`")
    if not any(name.startswith("input.") for name in loaded):
        raise BundleError("no windows in this file", file=path, found=sorted(loaded), expected="input.<name>")
    return loaded


if __name__ == "__main__":
    sys.exit(main())
