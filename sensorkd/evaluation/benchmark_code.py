"""Which code a cell was run by: a benchmark may be gone on with after an update, and its rows then mix.

Code is told by what it does: comments, docstrings and the number of a release are no other version of it.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import sys
import warnings
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path

__all__ = ["LEFT_OUT", "UNKNOWN", "code_digest"]

UNKNOWN = "unknown"
OWN = "sensorkd"
# What no cell depends on: names of files and folders in the package, as they begin.
LEFT_OUT = (
    "_version", "checks/", "cli/", "edge/", "export/", "images/", "testing/",
    "evaluation/alarm_", "evaluation/evaluate", "evaluation/pictures", "evaluation/predict",
    "evaluation/report", "evaluation/tables", "evaluation/update", "evaluation/worth",
    "evaluation/benchmark_differences", "evaluation/benchmark_intervals", "evaluation/benchmark_judged",
    "evaluation/benchmark_notes", "evaluation/benchmark_pictures", "evaluation/benchmark_results",
    "evaluation/benchmark_scores", "evaluation/benchmark_summary", "evaluation/benchmark_table",
)  # fmt: skip
Defining = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def code_digest(used: Iterable[type] = ()) -> str:
    """Tells one version of the code from another, released or not: 12 hexadecimal digits.

    sensorkd counts as it was when this module was imported, other packages as they were when they were first
    asked for: what lies on the disk hours later was not run.

    Args:
        used: classes that results depend on, as adapters; of those from outside sensorkd, the whole top-level
            package counts.
    """
    names = {kind.__module__.partition(".")[0] for kind in used} - {OWN}
    content = hashlib.blake2b(digest_size=6)
    for name in (OWN, *sorted(names)):
        content.update(f"{name} {_of_package(name)}\n".encode())
    return content.hexdigest()


@functools.cache
def _of_package(name: str) -> str:
    """By its sources; by its version where these cannot be read, as in an archive or of compiled code."""
    try:
        sources = list(_sources(name))
        told = [f"{place} {_of_source(path)}" for place, path in sources]
    except OSError:
        told = []
    return "\n".join(told) or _version_of(name)


def _sources(name: str) -> Iterator[tuple[str, Path]]:
    """Files of a package that was imported, with their places in it; of a module, the one it is."""
    module = sys.modules.get(name)
    spec = None if module is None else module.__spec__
    if spec is None:
        return
    if spec.submodule_search_locations is None:
        if spec.origin is not None and spec.origin.endswith(".py"):
            yield "", Path(spec.origin)
        return
    for root in map(Path, spec.submodule_search_locations):
        for path in sorted(root.rglob("*.py")):
            place = path.relative_to(root).as_posix()
            if name != OWN or not place.startswith(LEFT_OUT):
                yield place, path


def _of_source(path: Path) -> str:
    content = path.read_bytes()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(content)
        for node in ast.walk(tree):
            if isinstance(node, Defining) and ast.get_docstring(node, clean=False) is not None:
                del node.body[0]
        content = ast.dump(tree).encode()
    except (SyntaxError, ValueError, RecursionError):
        pass  # a template, or code of another Python: as it stands
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _version_of(name: str) -> str:
    try:
        return version(packages_distributions()[name][0])
    except (KeyError, PackageNotFoundError):
        return UNKNOWN


_of_package(OWN)
