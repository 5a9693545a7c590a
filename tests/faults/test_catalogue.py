"""Every numbered thing that goes wrong with archives, signals, clocks and bundles has a test of its own."""

from __future__ import annotations

import re
from pathlib import Path


def test_faults_1_to_49_each_have_a_test() -> None:
    text = "\n".join(path.read_text("utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    tested = {int(number) for number in re.findall(r"def test_fault_(\d\d)_", text)}
    assert tested >= set(range(1, 50)), sorted(set(range(1, 50)) - tested)


def test_a_full_disk_and_a_killed_logger_have_tests() -> None:
    text = "\n".join(path.read_text("utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    assert "def test_fault_k3_" in text and "def test_fault_k7_" in text
