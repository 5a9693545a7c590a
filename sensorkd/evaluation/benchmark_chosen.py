"""The overrides that `--tune` has chosen, read from the file that a benchmark names in `tuned`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from sensorkd.errors import ConfigError, nearest
from sensorkd.evaluation.benchmark_config import BenchmarkConfig
from sensorkd.evaluation.benchmark_entries import TuneConfig, same_trials
from sensorkd.evaluation.benchmark_overrides import check_methods_own, flattened

__all__ = ["chosen_overrides"]


def chosen_overrides(
    config: BenchmarkConfig, path: Path
) -> tuple[dict[str, Mapping[str, Any]], tuple[str, ...]]:
    """By label what was chosen, and the groups it was chosen on, from `tuned.yaml` or a copy of it.

    Raises:
        ConfigError: it is no such file, of other methods or trials than the benchmark's, or without a choice
            for one of them.
    """
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
        methods, dev = dict(tree["methods"]), tuple(tree["dev"])
        tried = {name: [dict(trial["set"]) for trial in trials] for name, trials in tree["trials"].items()}
    except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            "no overrides that were chosen",
            file=path,
            inside="tuned",
            found=repr(error),
            expected="tuned.yaml, as --tune writes it",
            mend="run `sensorkd benchmark CONFIG --tune` first, or take `tuned` out",
        ) from error
    names = [entry.name for entry in config.methods]
    for name in methods:
        if name not in names:
            raise ConfigError(
                f"{name!r} is tuned, and no method here",
                file=path,
                found=names,
                mend=nearest(name, names) or None,
            )
        check_methods_own(flattened(methods[name]), f"tuned: methods.{name}")
    failed = [name for name in tried if name not in methods]
    if failed:
        raise ConfigError(
            "nothing could be chosen for some of the methods",
            file=path,
            inside="methods",
            found=f"none of {failed}",
            expected="overrides of every method that was tried",
            mend="run `sensorkd benchmark CONFIG --tune` again, once their trials go through",
        )
    if config.tune is not None:
        _check_trials(config.tune, tried, path)
    return methods, dev


def _check_trials(tune: TuneConfig, tried: Mapping[str, list[dict[str, Any]]], path: Path) -> None:
    """What was chosen must have been chosen among the trials that the benchmark tells.

    Raises:
        ConfigError: naming the methods that were tried with others.
    """
    unlike = {
        name: (tried.get(name), tune.trials.get(name))
        for name in {**tune.trials, **tried}
        if name not in tried or name not in tune.trials or not same_trials(tried[name], tune.trials[name])
    }
    if unlike:
        name, (found, expected) = next(iter(unlike.items()))
        raise ConfigError(
            f"chosen among other trials than `tune` tells, of {list(unlike)}",
            file=path,
            inside=f"trials.{name}",
            found="none" if found is None else found,
            expected="none" if expected is None else [dict(changes) for changes in expected],
            mend="run `sensorkd benchmark CONFIG --tune` again, or put `tune` back as it was",
        )
