"""What a student costs on a device is what its exported file costs."""

from __future__ import annotations

import dataclasses
import json
import shutil

import pytest
import torch

from sensorkd.edge import EdgeBundle
from sensorkd.errors import GateError
from sensorkd.export import footprint
from sensorkd.export.footprint import footprint_of, torch_latency
from sensorkd.models.cost import cost_of
from sensorkd.runs.build import example_inputs


@pytest.fixture
def once(press_bundle, monkeypatch):
    """The file that was exported already: exporting takes seconds."""
    monkeypatch.setattr(
        footprint,
        "export_onnx",
        lambda student, encodings, path: shutil.copy(press_bundle / "model.onnx", path),
    )


def test_a_footprint_is_that_of_the_exported_file_and_of_the_student(press_run, press_bundle):
    """Exported anew, and as large as what was sealed: the shares it answers for weigh nothing."""
    found = footprint_of(press_run)
    cost = cost_of(press_run.student(), example_inputs(press_run.encodings))
    assert found.onnx_bytes == (press_bundle / "model.onnx").stat().st_size
    assert (found.parameters, found.macs) == (cost.parameters, cost.macs)
    description = EdgeBundle.open(press_bundle).description
    assert (found.parameters, found.macs) == (description.parameters, description.macs)


def test_latencies_are_positive_and_in_order(press_run, once):
    found = footprint_of(press_run)
    assert 0 < found.onnx_p50_ms <= found.onnx_p99_ms
    assert 0 < found.torch_p50_ms < 10_000


def test_a_footprint_as_plain_values(press_run, once):
    found = footprint_of(press_run)
    tree = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert tree == dataclasses.asdict(found)
    assert set(tree) == {"parameters", "macs", "onnx_bytes", "torch_p50_ms", "onnx_p50_ms", "onnx_p99_ms"}


def test_measuring_leaves_the_students_mode_and_torchs_threads_alone(press_run):
    student, threads = press_run.student(), torch.get_num_threads()
    before = student.training
    assert torch_latency(student, example_inputs(press_run.encodings)) > 0
    assert torch.get_num_threads() == threads
    assert student.training == before


def test_threads_come_back_when_the_student_fails(press_run, monkeypatch):
    seen = []
    monkeypatch.setattr(torch, "set_num_threads", seen.append)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    student, example = press_run.student(), example_inputs(press_run.encodings)
    del example["heat"]
    with pytest.raises(KeyError):
        torch_latency(student, example)
    assert seen == [1, 3]


def test_what_cannot_be_exported_has_no_footprint(press_run, monkeypatch):
    def refuse(*arguments):
        raise GateError("the model cannot be exported to ONNX")

    monkeypatch.setattr(footprint, "export_onnx", refuse)
    with pytest.raises(GateError, match="cannot be exported"):
        footprint_of(press_run)
