from __future__ import annotations

import random
import subprocess
import sys

import pytest
import torch
from safetensors import SafetensorError

from sensorkd.errors import RunError
from sensorkd.training import checkpoint
from sensorkd.training.checkpoint import (
    load_tensors,
    optimiser_tensors,
    prefixed,
    restore_optimiser,
    save_tensors,
    without_prefix,
)

TENSORS = {
    "weights": torch.randn(4, 3),
    "transposed": torch.randn(3, 5).T,
    "count": torch.tensor(7),
    "nothing": torch.zeros(0, 2),
    "mask": torch.tensor([True, False]),
}


def test_what_was_saved_is_loaded(tmp_path):
    about = {"epoch": 3, "name": 'a "quoted" name', "best": None}
    save_tensors(tmp_path / "a.safetensors", TENSORS, about)
    tensors, told = load_tensors(tmp_path / "a.safetensors")
    assert told == about
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], value) for name, value in TENSORS.items())
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(RunError, match="no such weights"):
        load_tensors(tmp_path / "none.safetensors")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path, share):
    path = tmp_path / "a.safetensors"
    save_tensors(path, TENSORS, {})
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(RunError, match="cannot be read") as caught:
        load_tensors(path)
    assert str(path) in str(caught.value)


def test_a_flipped_bit_anywhere_is_refused_or_harmless(tmp_path):
    path = tmp_path / "a.safetensors"
    save_tensors(path, TENSORS, {"epoch": 3})
    content = path.read_bytes()
    refused = 0
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << random.Random(place).randrange(8)
        path.write_bytes(flipped)
        try:
            tensors, about = load_tensors(path)
        except RunError:
            refused += 1
        else:
            assert about == {"epoch": 3}
            assert all(torch.equal(tensors[name], value) for name, value in TENSORS.items())
    assert refused > 0.9 * len(content)


def test_a_flipped_weight_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    save_tensors(path, {"w": torch.randn(100)}, {})
    content = bytearray(path.read_bytes())
    content[-37] ^= 4
    path.write_bytes(content)
    with pytest.raises(RunError, match="not what was written"):
        load_tensors(path)


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    save_tensors(path, TENSORS, {"epoch": 1})

    def full(tensors, part, metadata):
        part.write_bytes(b"half of it")
        raise SafetensorError("No space left on device (os error 28)")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(RunError, match="cannot be written") as caught:
        save_tensors(path, TENSORS, {"epoch": 2})
    assert "No space left" in str(caught.value) and caught.value.file == str(path)
    assert load_tensors(path)[1] == {"epoch": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_runs_that_were_killed_leave_one_part_at_most(tmp_path):
    (tmp_path / ".a.safetensors.part").write_bytes(b"half of it")
    save_tensors(tmp_path / "a.safetensors", TENSORS, {})
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


KILLS = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from sensorkd.training.checkpoint import load_tensors, save_tensors

path = Path(sys.argv[1])
torch.set_num_threads(1)  # threads do not survive a fork

def write(first):
    for value in range(first, first + 10_000):
        tensors = {str(i): torch.full((40_000,), float(value)) for i in range(8)}
        save_tensors(path, tensors, {"value": value})

save_tensors(path, {str(i): torch.zeros(40_000) for i in range(8)}, {"value": 0})
for attempt in range(12):
    writer = os.fork()
    if writer == 0:
        write(attempt * 10_000)
    time.sleep(random.Random(attempt).uniform(0.01, 0.08))
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
    tensors, about = load_tensors(path)
    assert len(tensors) == 8
    assert all((tensor == about["value"]).all() for tensor in tensors.values())
print(about["value"])
"""


def test_a_killed_writer_leaves_the_old_or_the_new(tmp_path):
    arguments = [sys.executable, "-W", "ignore", "-c", KILLS, str(tmp_path / "state.safetensors")]
    result = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > 0


def test_an_optimiser_goes_on_as_if_nothing_had_happened():
    def network():
        torch.manual_seed(0)
        return torch.nn.Linear(3, 2)

    def step(module, optimiser, value):
        optimiser.zero_grad()
        (module(torch.full((1, 3), value)).square().sum()).backward()
        optimiser.step()

    one = network()
    optimiser = torch.optim.AdamW(one.parameters(), lr=0.1)
    step(one, optimiser, 1.0)
    other = network()
    other.load_state_dict(one.state_dict())
    restored = torch.optim.AdamW(other.parameters(), lr=0.1)
    restore_optimiser(restored, {name: x.clone() for name, x in optimiser_tensors(optimiser).items()})
    step(one, optimiser, 2.0)
    step(other, restored, 2.0)
    assert torch.equal(one.weight, other.weight)


def test_sets_share_a_file_under_their_prefixes():
    joined = {**prefixed("a", {"x": torch.ones(1)}), **prefixed("ab", {"x": torch.zeros(1)})}
    assert without_prefix("a", joined) == {"x": torch.ones(1)}
    assert without_prefix("ab", joined) == {"x": torch.zeros(1)}
