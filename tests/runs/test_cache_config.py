"""Where windows are kept does not change what is learned from them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sensorkd.errors import RunError
from sensorkd.runs import Run, RunConfig, train_run
from sensorkd.runs.cache_config import CacheConfig
from tests.plant_run import same_weights
from tests.press_run import press_config

TRAINING = {"steps": 12, "batch_size": 16}
SPLIT = {"by": "machine", "dev": ["p3"], "test": ["p4"]}


@pytest.fixture(scope="module")
def from_memory(press: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train_run(press_config(press, tmp_path_factory.mktemp("memory"), training=TRAINING, split=SPLIT))


def told(folder: Path, **cache: Any) -> dict[str, Any]:
    return {"cache": {"folder": str(folder), "jobs": 2, **cache}, "training": TRAINING, "split": SPLIT}


@pytest.mark.parametrize(
    "changes", [{"mode": "cache"}, {"mode": "direct"}, {"memory": 1e-6}, {"isolated": True}], ids=str
)
def test_weights_are_the_same_bit_for_bit_wherever_windows_are_kept(
    press: Path, tmp_path: Path, from_memory: Run, changes: dict[str, Any]
) -> None:
    notes: list[str] = []
    isolated = changes.pop("isolated", False)
    config = press_config(press, tmp_path / "run", isolated=isolated, **told(tmp_path / "cache", **changes))
    run = train_run(config, on_note=notes.append)
    assert same_weights(run.folder, from_memory.folder)
    assert (run.windows, run.health, run.stats) == (
        from_memory.windows,
        from_memory.health,
        from_memory.stats,
    )
    assert any("making a cache of" in note and str(tmp_path / "cache") in note for note in notes)


def test_a_run_is_resumed_from_another_place_and_ends_the_same(
    press: Path, tmp_path: Path, from_memory: Run
) -> None:
    def die(step: int, *_: object) -> None:
        if step == 10:
            raise KeyboardInterrupt

    out = tmp_path / "cut"
    with pytest.raises(KeyboardInterrupt):
        train_run(press_config(press, out, **told(tmp_path / "cache", mode="cache")), on_step=die)
    train_run(press_config(press, out, training=TRAINING, split=SPLIT), resume=True)
    assert same_weights(out, from_memory.folder)


def test_a_run_is_not_resumed_with_other_windows_from_a_cache(press: Path, tmp_path: Path) -> None:
    shutil.copytree(press, tmp_path / "press")
    config = press_config(tmp_path / "press", tmp_path / "run", **told(tmp_path / "cache", mode="cache"))
    train_run(config)
    (tmp_path / "press" / "p1.h5").write_bytes(b"")
    with pytest.raises(RunError, match="not those the run was begun with"):
        train_run(config, resume=True)


def test_defaults_are_today_s_and_the_folder_is_that_of_the_user(
    configured: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = configured().cache
    settings = config.settings(isolated=False)
    assert (settings.mode, settings.memory, settings.cache.limit) == ("auto", 8 << 30, 64 << 30)
    assert settings.cache.jobs >= 1 and settings.cache.limits is None
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert config.place == tmp_path / "sensorkd"
    assert CacheConfig(folder="$XDG_CACHE_HOME/mine").place == tmp_path / "mine"
    assert CacheConfig(folder="~/mine").place == Path.home() / "mine"


@pytest.mark.parametrize(
    "bad", [{"limit": 0}, {"jobs": 0}, {"mode": "fast"}, {"memory": float("inf")}, {"x": 1}]
)
def test_what_is_no_cache_is_refused(refused: Callable[..., str], bad: dict[str, Any]) -> None:
    assert f"cache.{next(iter(bad))}" in refused(cache=bad)
