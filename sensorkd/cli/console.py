"""What verbs say and how: text for people, one JSON object for programs, progress on a terminal only."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sensorkd.errors import ConfigError, SensorkdError

__all__ = ["AsJson", "check_out", "console", "emit", "end", "note", "reading_bar", "training_bar"]

AsJson = Annotated[
    bool,
    typer.Option(
        "--json",
        help="One JSON object on standard output, nothing else; if a verb cannot begin, there is none.",
    ),
]

# Notes and bars go to standard error, so that results can be piped.
console = Console(stderr=True, soft_wrap=True, highlight=False)


def emit(result: Mapping[str, Any], text: str, *, as_json: bool) -> None:
    """The result of a verb: an object for programs, or text for people."""
    print(json.dumps(result) if as_json else text)


def note(text: str) -> None:
    """Something a user should know that is not the result."""
    console.print(text, markup=False)


def end(failed: Sequence[SensorkdError]) -> None:
    """Tell what could not be used, and leave with 1 if there is any: the others went on.

    Raises:
        typer.Exit: with exit code 1.
    """
    for error in failed:
        note(f"error: {error}")
    if failed:
        raise typer.Exit(1)


def check_out(path: Path) -> None:
    """Refuse a file that could not be written before the work for it is done.

    Raises:
        ConfigError: its folder does not exist.
    """
    if not path.parent.is_dir():
        raise ConfigError(
            "the folder to write into does not exist",
            file=path,
            found=f"no folder {path.parent}",
            expected="a folder that exists",
            mend="make it first, or correct --out",
        )


def _bar(*columns: Any) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        *columns,
        console=console,
        disable=not sys.stderr.isatty(),
    )


@contextmanager
def reading_bar(what: str = "reading windows") -> Iterator[Callable[[int, int], None]]:
    """A bar for `progress(done, total)`."""
    with _bar() as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def training_bar(name: str) -> Iterator[Callable[[int, int, Mapping[str, float]], None]]:
    """A bar for `on_step(step, steps, terms)`, with the loss: its terms would not fit beside it."""
    with _bar(TextColumn("{task.fields[loss]}")) as bar:
        task = bar.add_task(name, total=None, loss="")

        def update(step: int, steps: int, terms: Mapping[str, float]) -> None:
            bar.update(task, completed=step, total=steps, loss=f"loss {terms['loss']:.3f}")

        yield update
