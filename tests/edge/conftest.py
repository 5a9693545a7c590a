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
from sensorkd.edge.statistics import Kept, Statistics
from sensorkd.edge.unknown_rule import UnknownRule
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


# Where the windows of each class lie in the embedding: mean of the shaking, mean of the heat.
PLACES = {"calm": (3.0, -3.0), "rough": (-3.0, 0.0), "hot": (1.0, 4.0)}


def steady(places, seed=0):
    """Windows (W, ...) that lie at some places (W, 2) of the embedding, up to the step of the heat."""
    rng = np.random.default_rng(seed)
    at = np.asarray(places, float).reshape(-1, 2)
    shake = at[:, None, :1] + rng.normal(0, 0.01, (len(at), 4, 2))
    heat = np.rint(at[:, 1, None, None] / 0.1) * np.ones((len(at), 4, 1))
    return {"shake": shake.astype(np.float32), "heat": heat.astype(np.int16)}


def near(names, seed=1, spread=0.3):
    """A place (W, 2) near that of each named class."""
    rng = np.random.default_rng(seed)
    return np.array([PLACES[name] for name in names]) + rng.normal(0, spread, (len(names), 2))


def statistics(kept=6) -> Statistics:
    """Of the graph by hand, as if it had been trained on windows near those places."""
    subsets = np.array([[1, 1], [1, 0], [0, 1]], np.float32)
    names = [name for name in CLASSES for _ in range(2 * kept)]
    embedding = near(names).astype(np.float32)
    labels = np.array([CLASSES.index(name) for name in names])
    return Statistics(
        subsets=subsets,
        means=np.stack([np.array([PLACES[name] for name in CLASSES]) * row for row in subsets]).astype(
            np.float32
        ),
        counts=np.full(len(CLASSES), 40),
        covariance=np.repeat(0.09 * np.eye(2, dtype=np.float32)[None], 3, axis=0),
        weight=WEIGHTS.T,
        bias=BIAS,
        kept=Kept(embedding, labels, np.arange(len(labels)) % 2 == 1),
    )


RULE = UnknownRule(0.01, (4.0, 4.0, None), ("shake+heat", "shake", "heat"), (100, 100, 0), ("m3",))


@pytest.fixture
def learning_folder(bundle_folder, vouch) -> Path:
    """A bundle that knows where its windows lie."""
    statistics().save(bundle_folder / "statistics.npz")
    vouch(bundle_folder)
    return bundle_folder


@pytest.fixture
def vouch() -> Callable[[Path], None]:
    """Hashes anew, of a bundle with statistics."""

    def write(folder: Path) -> None:
        files = {n: sha256_of(folder / n) for n in ("model.onnx", "golden.npz", "statistics.npz")}
        describe(folder, files=files, unknown=RULE.to_json())

    return write


@pytest.fixture
def made_statistics() -> Statistics:
    return statistics()


@pytest.fixture
def windows_at():
    return steady


@pytest.fixture
def places_near():
    return near
