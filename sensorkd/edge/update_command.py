"""`python -m sensorkd.edge update|install|rollback`: a device learns from labelled windows, and goes back."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from sensorkd.edge.bundle import EdgeBundle
from sensorkd.edge.examples import examples_of, statistics_for
from sensorkd.edge.patch import KEY_VARIABLE, read_key, read_patch
from sensorkd.edge.predictor import EdgePredictor
from sensorkd.edge.update import MOST_LOST, learn
from sensorkd.edge.versions import UpdateState, Versions
from sensorkd.edge.window_files import load_windows
from sensorkd.errors import BundleError

__all__ = ["add_update_verbs", "write_patch"]


def add_update_verbs(verbs: Any) -> None:
    """Add them to the sub-parsers of the device's entry."""
    update = verbs.add_parser("update", help="learn from a few labelled windows, gated and signed")
    update.add_argument("bundle", type=Path)
    update.add_argument("windows", type=Path, help=".npz that `sensorkd windows` wrote")
    update.add_argument(
        "--labels",
        type=Path,
        required=True,
        help="text, a class a line in the order of the windows; empty: unknown",
    )
    _add_key(update)
    update.add_argument(
        "--new-class", action="append", default=[], metavar="NAME", help="of the labels; may repeat"
    )
    update.add_argument(
        "--most-lost", type=float, default=MOST_LOST, help="share of kept windows (default %(default)s)"
    )
    update.add_argument(
        "--out", type=Path, help="write the patch there, for `install`, and change nothing here"
    )
    update.set_defaults(run=_update)
    install = verbs.add_parser("install", help="put a patch in force, or leave all as it is")
    install.add_argument("bundle", type=Path)
    install.add_argument("patch", type=Path)
    _add_key(install)
    install.set_defaults(run=_install)
    rollback = verbs.add_parser("rollback", help="back to what was in force before")
    rollback.add_argument("bundle", type=Path)
    rollback.add_argument("--to-trained", action="store_true", help="back to the bundle as it was trained")
    rollback.set_defaults(run=_rollback)


def write_patch(path: Path, content: bytes) -> None:
    """Write a new file.

    Raises:
        BundleError: it exists.
    """
    try:
        with path.open("xb") as handle:
            handle.write(content)
    except FileExistsError as error:
        raise BundleError("the patch exists already", file=path, mend="name a new one") from error


def _add_key(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--key", type=Path, help=f"file with the operator's key; default: {KEY_VARIABLE} is the key"
    )


def _update(options: argparse.Namespace) -> int:
    bundle, key = EdgeBundle.open(options.bundle), read_key(options.key)
    predictor, arrays = EdgePredictor(bundle), load_windows(options.windows)
    inputs = {name[len("input.") :]: values for name, values in arrays.items() if name.startswith("input.")}
    examples = examples_of(
        predictor, inputs, arrays.get("presence"), _labels(options.labels), new_classes=options.new_class
    )
    learned = learn(
        statistics_for(predictor),
        bundle.description.classes,
        examples,
        current=predictor.learned,
        most_lost=options.most_lost,
    )
    versions = Versions(bundle)
    content = versions.patch_of(learned.correction, key)
    print(learned.told())
    if options.out is None:
        print(_told(versions.install(content, key)))
    else:
        write_patch(options.out, content)
        print(f"wrote {options.out}: {len(content)} bytes")
    return 0


def _install(options: argparse.Namespace) -> int:
    versions = Versions(EdgeBundle.open(options.bundle))
    print(_told(versions.install(read_patch(options.patch), read_key(options.key))))
    return 0


def _rollback(options: argparse.Namespace) -> int:
    versions = Versions(EdgeBundle.open(options.bundle))
    print(_told(versions.rollback(to_trained=options.to_trained)))
    return 0


def _labels(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise BundleError(
            "the labels cannot be read", file=path, found=error, expected="text, a class a line"
        ) from error


def _told(state: UpdateState) -> str:
    if not state.active:
        return f"in force: the bundle as it was trained; the last patch had counter {state.counter}"
    return (
        f"in force: patch {state.current[:16]}, {len(state.active)} installed; last counter {state.counter}"
    )
