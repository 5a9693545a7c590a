"""A bundle without training: a graph of a few operations, written by hand.

logits = presence-weighted sums of means, so that expected numbers can be worked out in NumPy.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from sensorkd.edge.bundle import BundleDescription, sha256_of
from sensorkd.encoding import InputEncoding

CLASSES = ("calm", "rough", "hot")
COMMON: dict[str, Any] = {"offset": 0.0, "rate": 10.0, "span": 400_000_000, "resampling": "linear"}
ENCODINGS = {
    "shake": InputEncoding(
        modality="acceleration",
        dtype="float32",
        unit="m/s2",
        scale=1.0,
        sample_shape=(2,),
        channels=("x", "y"),
        steps=4,
        valid_range=(-50.0, 50.0),
        **COMMON,
    ),
    "heat": InputEncoding(
        modality="temperature",
        dtype="int16",
        unit="degC",
        scale=0.1,
        sample_shape=(1,),
        channels=("t",),
        steps=4,
        valid_range=(-90.0, 300.0),
        **COMMON,
    ),
}
WEIGHTS = np.array([[1.0, -2.0, 0.5], [-1.0, 0.25, 1.5]], np.float32)
BIAS = np.array([0.1, 0.2, -0.3], np.float32)


def expected(inputs, presence):
    """(logits, embedding) of the graph: repaired means, weighed by presence."""
    shake = np.where(np.abs(inputs["shake"]) <= 50, inputs["shake"], 0.0).mean((1, 2))
    heat = (inputs["heat"] * np.float32(0.1)).mean((1, 2))
    embedding = np.stack([shake, heat], axis=1).astype(np.float32) * presence
    return embedding @ WEIGHTS + BIAS, embedding


def write_model(path: Path, weights=WEIGHTS, names=("shake", "heat"), output="logits") -> None:
    first, second = names
    node = helper.make_node
    nodes = [
        node("Abs", [first], ["size"]),
        node("LessOrEqual", ["size", "limit"], ["usable"]),
        node("Where", ["usable", first, "zero"], ["repaired"]),
        node("ReduceMean", ["repaired", "axes"], ["shake_mean"], keepdims=0),
        node("Cast", [second], ["heat_float"], to=TensorProto.FLOAT),
        node("Mul", ["heat_float", "tenth"], ["physical"]),
        node("ReduceMean", ["physical", "axes"], ["heat_mean"], keepdims=0),
        node("Unsqueeze", ["shake_mean", "last"], ["shake_column"]),
        node("Unsqueeze", ["heat_mean", "last"], ["heat_column"]),
        node("Concat", ["shake_column", "heat_column"], ["both"], axis=1),
        node("Mul", ["both", "presence"], ["embedding"]),
        node("Gemm", ["embedding", "weights", "bias"], [output]),
    ]
    constants = {
        "limit": np.float32(50),
        "zero": np.float32(0),
        "tenth": np.float32(0.1),
        "axes": np.array([1, 2], np.int64),
        "last": np.array([1], np.int64),
        "weights": weights,
        "bias": BIAS[: weights.shape[1]],
    }
    graph = helper.make_graph(
        nodes,
        "by hand",
        [
            helper.make_tensor_value_info(first, TensorProto.FLOAT, ["batch", 4, 2]),
            helper.make_tensor_value_info(second, TensorProto.INT16, ["batch", 4, 1]),
            helper.make_tensor_value_info("presence", TensorProto.FLOAT, ["batch", 2]),
        ],
        [
            helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", weights.shape[1]]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", 2]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), path)


def samples(count=5, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "shake": rng.normal(0, 3, (count, 4, 2)).astype(np.float32),
        "heat": rng.integers(0, 60, (count, 4, 1)).astype(np.int16),
    }


def describe(folder: Path, **changes: Any) -> None:
    """Write `bundle.json` with the hashes of the files as they are now."""
    description = BundleDescription(
        sensorkd="0.1.0",
        target="state",
        classes=CLASSES,
        inputs=ENCODINGS,
        hop=0.4,
        embedding=2,
        tolerance=1e-4,
        parameters=9,
        macs=6,
        files={name: sha256_of(folder / name) for name in ("model.onnx", "golden.npz")},
    )
    (folder / "bundle.json").write_text(json.dumps({**description.to_json(), **changes}))


def write_golden(folder: Path, **changes: Any) -> None:
    inputs, presence = samples(), np.array([[1, 1], [1, 0], [0, 1], [1, 1], [1, 1]], np.float32)
    logits, embedding = expected(inputs, presence)
    arrays = {f"input.{name}": values for name, values in inputs.items()}
    arrays |= {"presence": presence, "logits": logits, "embedding": embedding, **changes}
    np.savez(folder / "golden.npz", **{name: value for name, value in arrays.items() if value is not None})


@pytest.fixture
def bundle_folder(tmp_path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    write_model(folder / "model.onnx")
    write_golden(folder)
    describe(folder)
    return folder


@pytest.fixture
def rewrite_golden(bundle_folder) -> Callable[..., None]:
    """Another golden batch, vouched for by its hash."""

    def rewrite(**changes: Any) -> None:
        write_golden(bundle_folder, **changes)
        describe(bundle_folder)

    return rewrite


@pytest.fixture
def rewrite_model(bundle_folder) -> Callable[..., None]:
    """Another model, vouched for by its hash."""

    def rewrite(**changes: Any) -> None:
        write_model(bundle_folder / "model.onnx", **changes)
        describe(bundle_folder)

    return rewrite


@pytest.fixture
def redescribe(bundle_folder) -> Callable[..., None]:
    """Another description of the same files."""

    def rewrite(**changes: Any) -> None:
        describe(bundle_folder, **changes)

    return rewrite


@pytest.fixture
def make_samples():
    return samples


@pytest.fixture
def by_hand():
    return expected
