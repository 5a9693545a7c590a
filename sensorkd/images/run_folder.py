"""The folder of an image run: which run it holds, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sensorkd.durable import write_whole
from sensorkd.errors import RunError
from sensorkd.images.config import ImageRunConfig

__all__ = ["LOG", "begin", "finish", "finished_run", "is_described", "result_of", "run_in"]

CONFIG, LOG, RESULT = "config.json", "metrics.jsonl", "result.json"
# In the configuration: what its methods came to. Runs of earlier versions were not told it.
NUMBERS = "numbers"
# What a resumed run may change: weights do not depend on it.
FREE = {"out", "threads"}

Tree = dict[str, Any]


def begin(config: ImageRunConfig) -> None:
    """Describe the run in its folder."""
    told = {**config.model_dump(mode="json"), NUMBERS: config.numbers}
    _write(Path(config.out) / CONFIG, told)


def is_described(config: ImageRunConfig) -> bool:
    """Whether its folder holds this run, which need not have begun to train.

    Raises:
        RunError: it holds another run.
    """
    path = Path(config.out) / CONFIG
    if not path.exists():
        return False
    before, numbers = _read(path)
    now = _told(config, config.numbers)
    # A method is its numbers, not its name: with another version these may have changed.
    was = _told(before, before.numbers if numbers is None else numbers)
    differing = [key for key in {**was, **now} if now.get(key) != was.get(key)]
    if differing:
        raise RunError(
            "the folder holds a run with another configuration",
            file=path,
            found={key: was.get(key) for key in differing},
            expected={key: now.get(key) for key in differing},
            mend="name another folder, or go on with the configuration it was begun with; numbers that came "
            "with another version of sensorkd can be set in `method`",
        )
    return True


def finished_run(config: ImageRunConfig) -> Tree | None:
    """The result of a run, where it is finished.

    Raises:
        RunError: the folder holds another run.
    """
    is_described(config)
    return result_of(Path(config.out))


def run_in(folder: Path) -> ImageRunConfig:
    """The configuration of the run that a folder holds, wherever that lies now.

    Raises:
        RunError: there is none, or it is damaged.
    """
    if not (folder / CONFIG).exists():
        raise RunError("not the folder of an image run", file=folder, expected=f"{CONFIG} in it")
    return _read(folder / CONFIG)[0].model_copy(update={"out": str(folder)})


def result_of(folder: Path) -> Tree | None:
    """What a run came to; None where it is not finished.

    Raises:
        RunError: it is damaged.
    """
    path = folder / RESULT
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None
    except (ValueError, TypeError) as error:
        raise RunError(
            "the result of the run is damaged",
            file=path,
            found=error,
            mend="remove it: the same command judges the run again",
        ) from error


def finish(config: ImageRunConfig, result: Mapping[str, Any]) -> None:
    """Keep what the run came to."""
    _write(Path(config.out) / RESULT, result)


def _read(path: Path) -> tuple[ImageRunConfig, Tree | None]:
    """The configuration, and the numbers of its methods if they were told."""
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        numbers = tree.pop(NUMBERS, None)
        # Through the model, so that an option which came since stands there at its default.
        return ImageRunConfig.model_validate_json(json.dumps(tree)), numbers
    except (ValueError, AttributeError) as error:
        raise RunError("the run is damaged", file=path, found=error, mend="remove it") from error


def _told(config: ImageRunConfig, numbers: Tree) -> Tree:
    """All that weights depend on."""
    # Where no teacher is trained, its network is an offer that nobody takes up.
    idle = {"teacher_student"} if config.teacher_method is None else set()
    told = config.model_dump(mode="json", exclude={*FREE, *idle, "method"})
    return {**told, "teacher_run": config.method.teacher_run, **numbers}


def _write(path: Path, content: Mapping[str, Any]) -> None:
    write_whole(path, (json.dumps(content, indent=2) + "\n").encode())
