"""`python -m sensorkd.edge VERB`: the device's own entry, with argparse only."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from sensorkd.edge.bundle import EdgeBundle
from sensorkd.edge.lines import LINE_BYTES
from sensorkd.edge.precision import PRECISIONS
from sensorkd.edge.predictor import EdgePredictor
from sensorkd.edge.runtime import RUNTIMES
from sensorkd.edge.serving import numbers_of, serve
from sensorkd.edge.update_command import add_update_verbs
from sensorkd.edge.window_files import predict_file
from sensorkd.errors import SensorkdError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb; returns the exit code: 0 done, 1 a gate was not met or lines were bad, 2 unusable input."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (SensorkdError, OSError) as error:
        if options.debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, SensorkdError) else 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sensorkd.edge", description=__doc__)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verify = verbs.add_parser("verify", help="repeat the golden batch on this device")
    _add_bundle(verify)
    verify.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    verify.set_defaults(run=_verify)
    predict = verbs.add_parser("predict", help="judge windows that `sensorkd windows` wrote")
    _add_bundle(predict)
    predict.add_argument("windows", type=Path, help=".npz with input.<name> and, if known, presence")
    predict.add_argument("--out", type=Path, help=".csv or .jsonl; default: CSV on standard output")
    predict.set_defaults(run=_predict)
    stream = verbs.add_parser("stream", help="judge JSON lines on standard input, a verdict a line")
    _add_bundle(stream)
    for name, unit in (("--rate", "NAME=HZ"), ("--lateness", "NAME=S")):
        stream.add_argument(name, action="append", default=[], metavar=unit, help="in place of the bundle's")
    stream.add_argument("--state", type=Path, help="remembers across restarts what was judged, and the alarm")
    stream.add_argument("--longest", type=int, default=LINE_BYTES, help="bytes of a line (%(default)s)")
    stream.set_defaults(run=_stream)
    add_update_verbs(verbs)
    return parser


def _add_bundle(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("bundle", type=Path)
    verb.add_argument("--precision", choices=PRECISIONS, default="fp32", help="which form of the model")
    verb.add_argument("--runtime", choices=RUNTIMES, default="onnxruntime", help="what runs it")


def _predictor(options: argparse.Namespace) -> EdgePredictor:
    bundle = EdgeBundle.open(options.bundle)
    return EdgePredictor(bundle, precision=options.precision, runtime=options.runtime)


def _verify(options: argparse.Namespace) -> int:
    result = _predictor(options).verify()
    print(json.dumps(dataclasses.asdict(result)) if options.json else result.told())
    return 0


def _predict(options: argparse.Namespace) -> int:
    predict_file(_predictor(options), options.windows, options.out)
    return 0


def _stream(options: argparse.Namespace) -> int:
    bad = serve(
        _predictor(options),
        sys.stdin.buffer,
        sys.stdout,
        tell=lambda text: print(text, file=sys.stderr),
        rates=numbers_of(options.rate, "--rate"),
        lateness=numbers_of(options.lateness, "--lateness"),
        state=options.state,
        limit=options.longest,
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
