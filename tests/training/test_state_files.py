"""The newest state may be damaged: the one before it goes on, and nothing begins anew in silence."""

from __future__ import annotations

import os
import shutil

import pytest
import torch

from sensorkd.errors import RunError
from sensorkd.training import state_files
from sensorkd.training.checkpoint import load_tensors, save_tensors
from sensorkd.training.log import TrainingLog
from sensorkd.training.state_files import BEFORE, STATE, keep_before, sound_state


@pytest.fixture
def log(tmp_path):
    return TrainingLog(tmp_path / "metrics.jsonl")


def reach(folder, log, epoch):
    keep_before(folder)
    save_tensors(folder / STATE, {"weight": torch.full((3,), float(epoch))}, {"epoch": epoch})
    if epoch:
        log.write({"epoch": epoch, "step": 10 * epoch})


def flip(path):
    content = bytearray(path.read_bytes())
    content[-2] ^= 8
    # In a new file: the older state may be another name of the same one.
    path.unlink()
    path.write_bytes(content)


def empty(path):
    path.unlink()
    path.touch()


def cut(path):
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])


def test_a_run_without_a_state_has_not_begun(tmp_path, log):
    assert not sound_state(tmp_path, log)
    log.write({"teacher": {"seconds": 3.0}})
    assert not sound_state(tmp_path, log), "it was cut off after its teacher"


def test_a_sound_state_is_gone_on_from(tmp_path, log):
    for epoch in range(3):
        reach(tmp_path, log, epoch)
    notes = []
    assert sound_state(tmp_path, log, notes.append)
    assert notes == []
    assert [record["epoch"] for record in log.records()] == [1, 2]
    assert load_tensors(tmp_path / BEFORE)[1] == {"epoch": 1}


@pytest.mark.parametrize("damage", [flip, empty, cut, os.unlink])
def test_a_damaged_state_gives_way_to_the_one_before(tmp_path, log, damage):
    for epoch in range(4):
        reach(tmp_path, log, epoch)
    damage(tmp_path / STATE)
    notes = []
    assert sound_state(tmp_path, log, notes.append)
    tensors, about = load_tensors(tmp_path / STATE)
    assert about == {"epoch": 2} and tensors["weight"].tolist() == [2.0, 2.0, 2.0]
    assert [record["epoch"] for record in log.records()] == [1, 2], "the third epoch will be told again"
    (note,) = notes
    assert str(tmp_path / STATE) in note and "the one before" in note
    reach(tmp_path, log, 3)
    assert sound_state(tmp_path, log, notes.append) and len(notes) == 1


def test_nothing_begins_anew_where_no_state_is_whole(tmp_path, log):
    for epoch in range(3):
        reach(tmp_path, log, epoch)
    flip(tmp_path / BEFORE)
    flip(tmp_path / STATE)
    before = log.path.read_bytes()
    with pytest.raises(RunError, match="cannot be read") as caught:
        sound_state(tmp_path, log)
    assert caught.value.file == str(tmp_path / STATE) and "new folder" in str(caught.value.mend)
    (tmp_path / STATE).unlink()
    (tmp_path / BEFORE).unlink()
    with pytest.raises(RunError, match="the state of this run is gone"):
        sound_state(tmp_path, log)
    assert log.path.read_bytes() == before


def test_the_one_before_is_kept_where_files_cannot_have_two_names(tmp_path, log, monkeypatch):
    def refuse(*_):
        raise OSError("operation not supported")

    monkeypatch.setattr(state_files.os, "link", refuse)
    for epoch in range(3):
        reach(tmp_path, log, epoch)
    assert load_tensors(tmp_path / BEFORE)[1] == {"epoch": 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == [BEFORE, STATE, "metrics.jsonl"]


def test_a_copy_that_was_cut_off_is_made_anew(tmp_path, log):
    for epoch in range(2):
        reach(tmp_path, log, epoch)
    (tmp_path / f".{BEFORE}.part").write_bytes(b"half")
    shutil.copy(tmp_path / STATE, tmp_path / "kept")
    reach(tmp_path, log, 2)
    assert (tmp_path / BEFORE).read_bytes() == (tmp_path / "kept").read_bytes()
