"""Bundles of a press: in int8, and for some of its sensors."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from sensorkd.edge import EdgeBundle, EdgePredictor
from sensorkd.errors import ConfigError
from sensorkd.export.seal import export_run, held_out_windows
from sensorkd.export.subset import student_for


@pytest.fixture(scope="module")
def bundle(press_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("int8") / "bundle"
    export_run(press_run, folder, int8=True)
    return EdgeBundle.open(folder)


@pytest.fixture(scope="module")
def small(press_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("small") / "bundle"
    export_run(press_run, folder, sensors=["shake"])
    return EdgeBundle.open(folder)


@pytest.fixture(scope="module")
def windows(press_run):
    """Those in which both sensors are there: the first lie before the temperature has filled its span."""
    arrays = held_out_windows(press_run)
    return arrays.select(np.flatnonzero(arrays.presence.all(axis=1)))


def test_int8_ships_beside_float_with_what_it_costs(bundle):
    int8 = bundle.description.int8
    assert int8.side == "dev"
    assert int8.layers > 10
    assert abs(int8.fp32.accuracy - int8.int8.accuracy) <= 0.005 or int8.int8.accuracy > int8.fp32.accuracy
    assert int8.divergence <= 0.005
    size = {name: (bundle.folder / name).stat().st_size for name in ("model.onnx", "model.int8.onnx")}
    assert size["model.int8.onnx"] < 0.5 * size["model.onnx"]
    assert int8.told() in (bundle.folder / "README.md").read_text()
    assert EdgePredictor(bundle, precision="int8").verify(repeats=2).largest_difference <= int8.tolerance


BROKEN = {
    "one NaN": lambda x: x[3:4].fill(np.nan),
    "all NaN": lambda x: x.fill(np.nan),
    "infinite": lambda x: x[2:5].fill(-np.inf),
    "1254 degC": lambda x: x[1:2].fill(1254.0),
    "1e30": lambda x: x.fill(1e30),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_bad_samples_are_judged_alike_in_both_precisions(bundle, windows, broken):
    inputs = {name: values.copy() for name, values in windows.inputs.items()}
    for row in range(0, len(windows), 2):
        BROKEN[broken](inputs["heat"][row])
    whole, small = (
        EdgePredictor(bundle, precision=precision).predict(inputs, windows.presence)
        for precision in ("fp32", "int8")
    )
    assert np.array_equal(whole.presence, small.presence)
    assert whole.presence[1::2, 1].all()
    if broken in ("all NaN", "1e30"):
        assert not whole.presence[::2, 1].any()
    assert np.isfinite(small.logits).all()
    ranked = np.sort(whole.logits, axis=1)
    clear = ranked[:, -1] - ranked[:, -2] > bundle.description.int8.tolerance
    assert clear.sum() > len(windows) / 2
    assert np.array_equal(whole.logits.argmax(axis=1)[clear], small.logits.argmax(axis=1)[clear])


def test_what_is_no_number_never_reaches_the_integers(bundle, windows):
    """A few bad samples are repaired in the graph: what they hold makes no difference at all."""
    predictor = EdgePredictor(bundle, precision="int8")
    answers = []
    for bad in (np.nan, np.inf, -np.inf, 1e30, 5000.0):
        inputs = {name: values.copy() for name, values in windows.inputs.items()}
        inputs["heat"][:, 2] = bad
        answers.append(predictor.predict(inputs, windows.presence))
    assert answers[0].presence[:, 1].all()
    for answer in answers[1:]:
        assert np.array_equal(answer.logits, answers[0].logits)


def test_a_bundle_for_one_sensor_says_what_the_whole_says_without_the_other(bundle, small, windows):
    assert list(small.description.inputs) == ["shake"]
    shake = {"shake": windows.inputs["shake"]}
    whole, part = (EdgePredictor(item).predict(shake) for item in (bundle, small))
    np.testing.assert_allclose(part.logits, whole.logits, atol=1e-4)
    np.testing.assert_allclose(part.embedding, whole.embedding, atol=1e-4)
    assert part.verdicts == whole.verdicts
    assert EdgePredictor(small).verify(repeats=2).windows > 0


def test_a_bundle_for_one_sensor_is_smaller(bundle, small):
    assert small.description.macs < bundle.description.macs
    assert small.description.parameters < bundle.description.parameters
    assert len(small.model) < 0.7 * len(bundle.model)
    assert b"heat" not in small.model


@pytest.mark.parametrize(
    ("sensors", "told"), [(["shakes"], "did you mean 'shake'"), ([], "no sensor is named")]
)
def test_sensors_that_are_not_there_are_refused(press_run, tmp_path, sensors, told):
    with pytest.raises(ConfigError) as caught:
        export_run(press_run, tmp_path / "bundle", sensors=sensors)
    assert told in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_sensor_whose_bursts_end_windows_cannot_be_left_out(press_run):
    kind = press_run.config.windows.model_copy(update={"segment_of": "shake", "hop": None})
    run = dataclasses.replace(press_run, config=press_run.config.model_copy(update={"windows": kind}))
    with pytest.raises(ConfigError, match="would be left out"):
        student_for(run, ["heat"])
    assert student_for(run, ["shake"])[0].modalities == ("shake",)
