"""Patches on a device: installed as a whole or not at all, never twice, and taken back."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from sensorkd.edge import EdgeBundle, EdgePredictor
from sensorkd.edge.classifier import Correction, Prototypes
from sensorkd.edge.patch import Patch, digest_of
from sensorkd.edge.versions import KEPT, Versions, locked_folder
from sensorkd.errors import BundleError

KEY = b"0123456789abcdef-operator"
CLASSES = ("calm", "rough", "hot")


def correction(bias, classes=CLASSES):
    """One that adds `bias` to the first class."""
    row = np.zeros(len(classes), np.float32)
    row[0] = bias
    return Correction(classes, np.zeros((len(classes), 2), np.float32), row, Prototypes.none(2))


@pytest.fixture
def versions(learning_folder):
    return Versions(EdgeBundle.open(learning_folder))


def install(versions, bias, **changes):
    content = versions.patch_of(correction(bias), KEY, **changes)
    versions.install(content, KEY)
    return content


def in_force(versions):
    """What is added to the first class, by a predictor that opens the bundle anew; 0 for nothing."""
    learned = EdgePredictor(EdgeBundle.open(versions.bundle.folder)).learned
    return 0.0 if learned is None else float(learned.bias[0])


def files(versions):
    return {item.name: item.read_bytes() for item in versions.folder.glob("*") if item.name != "lock"}


def test_a_bundle_without_patches_is_as_it_was_trained(versions):
    assert in_force(versions) == 0.0
    assert versions.state().active == ()
    assert not versions.folder.exists()


def test_a_patch_is_in_force_from_the_next_start(versions, make_samples):
    inputs = make_samples(5)
    before = EdgePredictor(versions.bundle).predict(inputs).logits
    install(versions, 0.5)
    after = EdgePredictor(EdgeBundle.open(versions.bundle.folder)).predict(inputs)
    assert np.allclose(after.logits - before, [0.5, 0, 0], atol=1e-6)
    assert np.allclose(after.probabilities.sum(axis=1), 1, atol=1e-6)


def test_the_golden_batch_is_that_of_the_trained_model(versions):
    install(versions, 0.5)
    assert EdgePredictor(EdgeBundle.open(versions.bundle.folder)).verify(repeats=1).largest_difference < 1e-4


def test_rolling_back_goes_to_the_one_before_then_to_none(versions):
    install(versions, 0.25)
    install(versions, 0.5)
    assert in_force(versions) == 0.5
    versions.rollback()
    assert in_force(versions) == 0.25
    versions.rollback()
    assert in_force(versions) == 0.0
    with pytest.raises(BundleError, match="nothing to roll back"):
        versions.rollback()


def test_rolling_back_to_what_was_trained_takes_one_step(versions):
    for bias in (0.25, 0.5, 0.75):
        install(versions, bias)
    versions.rollback(to_trained=True)
    assert in_force(versions) == 0.0
    assert list(files(versions)) == ["state.json"]


def test_fault_49_a_patch_is_never_taken_twice(versions):
    first = install(versions, 0.25)
    for _ in range(2):
        with pytest.raises(BundleError, match="installed before") as caught:
            versions.install(first, KEY)
        assert "counter 1" in str(caught.value)
        assert in_force(versions) in (0.25, 0.0)
        if versions.state().active:
            versions.rollback()
    install(versions, 0.5)
    assert versions.state().counter == 2


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"base": "ab" * 32}, "of another bundle"),
        ({"previous": "ab" * 32}, "on top of another one"),
        ({"previous": ""}, "on top of another one"),
        ({"counter": 1}, "installed before"),
        ({"correction": correction(np.nan)}, "NaN"),
        ({"correction": correction(1e4)}, "too far"),
        ({"correction": correction(0.1, ("calm", "hot", "rough"))}, "other classes"),
    ],
)
def test_fault_49_what_does_not_belong_here_leaves_all_as_it_was(versions, changes, told):
    install(versions, 0.25)
    before = files(versions)
    fields = {"counter": 2, "base": versions.base, "previous": versions.state().current, **changes}
    content = Patch(**{"correction": correction(0.5), **fields}).to_bytes(KEY)
    with pytest.raises(BundleError, match=told):
        versions.install(content, KEY)
    assert files(versions) == before
    assert in_force(versions) == 0.25


def test_a_patch_by_a_stranger_is_refused(versions):
    with pytest.raises(BundleError, match="not signed with this key"):
        versions.install(versions.patch_of(correction(0.5), b"a stranger's own key"), KEY)
    assert in_force(versions) == 0.0


def test_a_huge_patch_is_refused_at_start_whoever_put_it_there(versions):
    """As if somebody had the key, or had written into the folder."""
    install(versions, 0.25)
    bad = Patch(2, versions.base, "", correction(1e4)).to_bytes(KEY)
    (versions.folder / f"{digest_of(bad)}.patch").write_bytes(bad)
    state = json.loads((versions.folder / "state.json").read_text())
    (versions.folder / "state.json").write_text(json.dumps({**state, "active": [digest_of(bad)]}))
    with pytest.raises(BundleError, match="too far"):
        in_force(versions)


def test_a_patch_that_changed_on_the_disk_is_told_and_can_be_left(versions):
    install(versions, 0.25)
    install(versions, 0.5)
    path = versions.folder / f"{versions.state().current}.patch"
    content = bytearray(path.read_bytes())
    content[-40] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match="not the one that was installed") as caught:
        in_force(versions)
    assert "rollback" in str(caught.value)
    versions.rollback()
    assert in_force(versions) == 0.25


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"schema": "update-2.0"}', "[" * 100_000])
def test_a_state_that_cannot_be_read_is_told(versions, text):
    install(versions, 0.25)
    (versions.folder / "state.json").write_text(text)
    with pytest.raises(BundleError, match="state of updates cannot be read"):
        in_force(versions)


@pytest.mark.parametrize(
    "changes", [{"active": ["../../../etc/passwd"]}, {"counter": -1}, {"counter": "9"}, {"surprise": 1}]
)
def test_a_state_that_makes_no_sense_is_told(versions, changes):
    install(versions, 0.25)
    tree = json.loads((versions.folder / "state.json").read_text())
    (versions.folder / "state.json").write_text(json.dumps({**tree, **changes}))
    with pytest.raises(BundleError, match="state of updates cannot be read"):
        in_force(versions)


def test_patches_do_not_follow_into_another_bundle(versions):
    install(versions, 0.25)
    tree = json.loads((versions.bundle.folder / "bundle.json").read_text())
    (versions.bundle.folder / "bundle.json").write_text(json.dumps({**tree, "extra": {"line": 9}}))
    with pytest.raises(BundleError, match="of another bundle"):
        in_force(versions)


def test_old_patches_and_what_a_killed_update_left_are_cleared_away(versions):
    versions.folder.mkdir()
    (versions.folder / ".state.json.part").write_text("half")
    for turn in range(KEPT + 3):
        install(versions, 0.01 * (turn + 1))
    assert len(files(versions)) == KEPT + 1
    assert in_force(versions) == pytest.approx(0.01 * (KEPT + 3))


def test_two_at_once_are_refused_and_the_lock_goes_with_its_process(versions):
    install(versions, 0.25)
    content = versions.patch_of(correction(0.5), KEY)
    hold = "import sys, time; from pathlib import Path; from sensorkd.edge.versions import locked_folder\n"
    hold += "with locked_folder(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(versions.folder)], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        for act in (lambda: versions.install(content, KEY), versions.rollback):
            with pytest.raises(BundleError, match="another process is updating"):
                act()
        assert in_force(versions) == 0.25
        other.kill()
    versions.install(content, KEY)
    assert in_force(versions) == 0.5
    with locked_folder(versions.folder), pytest.raises(BundleError, match="another process"):
        versions.rollback()


# Installs and rolls back without end, and tells of each that is done.
BUSY = """
import sys
from tests.edge.test_versions import EdgeBundle, KEY, Versions, correction
versions = Versions(EdgeBundle.open(sys.argv[1]))
while True:
    turn = versions.state().counter + 1
    versions.install(versions.patch_of(correction(turn / 1000), KEY), KEY)
    print(turn, flush=True)
    if turn % 3 == 0:
        versions.rollback()
"""


def test_fault_k9_killed_at_any_point_the_old_or_the_new_is_there(versions):
    rng, seen = random.Random(0), set()
    for _ in range(25):
        with subprocess.Popen(
            [sys.executable, "-c", BUSY, str(versions.bundle.folder)], stdout=subprocess.PIPE, text=True
        ) as busy:
            told = int(busy.stdout.readline())
            time.sleep(rng.uniform(0, 0.03))
            busy.send_signal(signal.SIGKILL)
            later = [
                int(line) for line in busy.stdout.read().splitlines() if line.endswith(tuple("0123456789"))
            ]
        told = max([told, *later])
        state, found = versions.state(), in_force(versions)
        # The one that was told of last, the next one, or the one before where it was being rolled back.
        assert state.counter in (told, told + 1)
        assert round(found * 1000) in (told - 1, told, told + 1)
        assert digest_of((versions.folder / f"{state.current}.patch").read_bytes()) == state.current
        seen.add(found)
    assert len(seen) > 5


def test_a_full_disk_leaves_the_old_one(versions, monkeypatch):
    install(versions, 0.25)
    content = versions.patch_of(correction(0.5), KEY)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sensorkd.durable.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        versions.install(content, KEY)
    monkeypatch.undo()
    assert in_force(versions) == 0.25
    versions.install(content, KEY)
    assert in_force(versions) == 0.5


def test_a_copied_folder_keeps_its_patches(versions, tmp_path):
    install(versions, 0.25)
    shutil.copytree(versions.bundle.folder, tmp_path / "copy")
    copied = Versions(EdgeBundle.open(tmp_path / "copy"))
    assert in_force(copied) == 0.25
    assert copied.rollback().active == ()
