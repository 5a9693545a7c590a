from __future__ import annotations

import numpy as np
import pytest

from sensorkd.edge import EdgeBundle, EdgePredictor
from sensorkd.errors import BundleError, GateError


@pytest.fixture
def predictor(bundle_folder):
    return EdgePredictor(EdgeBundle.open(bundle_folder))


def test_verdicts_are_those_of_the_graph(predictor, make_samples, by_hand):
    inputs = make_samples(6)
    found = predictor.predict(inputs)
    logits, embedding = by_hand(inputs, np.ones((6, 2)))
    np.testing.assert_allclose(found.logits, logits, atol=1e-5)
    np.testing.assert_allclose(found.embedding, embedding, atol=1e-5)
    np.testing.assert_allclose(found.probabilities.sum(1), 1, rtol=1e-6)
    exponents = np.exp(logits)
    np.testing.assert_allclose(found.probabilities, exponents / exponents.sum(1, keepdims=True), rtol=1e-4)
    assert found.verdicts == [("calm", "rough", "hot")[k] for k in logits.argmax(1)]
    assert found.missing == [""] * 6


def test_an_input_that_is_left_out_is_absent(predictor, make_samples, by_hand):
    inputs = make_samples(3)
    found = predictor.predict({"heat": inputs["heat"]})
    expected, _ = by_hand(inputs, np.array([[0, 1]] * 3))
    np.testing.assert_allclose(found.logits, expected, atol=1e-5)
    assert found.presence.tolist() == [[0, 1]] * 3
    assert found.missing == ["shake"] * 3


def test_what_is_given_as_absent_stays_absent(predictor, make_samples, by_hand):
    inputs, presence = make_samples(3), np.array([[1, 1], [0, 1], [0, 0]])
    found = predictor.predict(inputs, presence)
    np.testing.assert_allclose(found.logits, by_hand(inputs, presence)[0], atol=1e-5)
    assert found.missing == ["", "shake", "shake+heat"]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 51.0])
def test_an_input_of_unusable_samples_is_absent(predictor, make_samples, by_hand, bad):
    inputs = make_samples(3)
    inputs["shake"][1] = bad
    found = predictor.predict(inputs, np.ones((3, 2)))
    assert found.presence.tolist() == [[1, 1], [0, 1], [1, 1]]
    assert np.isfinite(found.logits).all()
    np.testing.assert_allclose(found.logits, by_hand(inputs, found.presence)[0], atol=1e-5)


def test_one_dead_axis_makes_a_sensor_absent(predictor, make_samples):
    inputs = make_samples(1)
    inputs["shake"][0, :, 1] = np.nan
    assert predictor.predict(inputs).missing == ["shake"]


def test_few_enough_unusable_samples_are_repaired(redescribe, bundle_folder, make_samples, by_hand):
    description = EdgeBundle.open(bundle_folder).description.to_json()
    description["inputs"]["shake"]["min_coverage"] = 0.7
    redescribe(inputs=description["inputs"])
    inputs = make_samples(1)
    inputs["shake"][0, 2] = np.nan
    found = EdgePredictor(EdgeBundle.open(bundle_folder)).predict(inputs)
    assert found.presence.tolist() == [[1, 1]]
    np.testing.assert_allclose(found.logits, by_hand(inputs, np.ones((1, 2)))[0], atol=1e-5)


def test_an_unknown_input_names_the_nearest(predictor, make_samples):
    with pytest.raises(BundleError, match="no input 'shakes'") as caught:
        predictor.predict({"shakes": make_samples()["shake"]})
    assert "did you mean 'shake'" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "found", "wanted"),
    [
        (lambda x: {"shake": x["shake"][:, :3]}, r"float32 \(W, 3, 2\)", r"float32 \(W, 4, 2\)"),
        (lambda x: {"shake": x["shake"].astype(np.float64)}, "float64", "float32"),
        (lambda x: {"heat": x["heat"].astype(np.int32)}, "int32", "int16"),
        (lambda x: {"heat": x["heat"][..., 0]}, r"int16 \(W, 4\)", r"int16 \(W, 4, 1\)"),
        (lambda x: {"heat": x["heat"][0]}, r"int16 \(W, 1\)", r"int16 \(W, 4, 1\)"),
    ],
)
def test_another_shape_or_dtype_is_refused(predictor, make_samples, change, found, wanted):
    with pytest.raises(BundleError, match="not what the model expects") as caught:
        predictor.predict(change(make_samples()))
    for text in (found, wanted):
        assert __import__("re").search(text, str(caught.value))


def test_numbers_of_windows_must_agree(predictor, make_samples):
    with pytest.raises(BundleError, match="different numbers of windows"):
        predictor.predict({"shake": make_samples(3)["shake"], "heat": make_samples(2)["heat"]})
    with pytest.raises(BundleError, match="or there are none"):
        predictor.predict({})
    with pytest.raises(BundleError, match="presence has another shape"):
        predictor.predict(make_samples(3), np.ones((2, 2)))


def test_no_windows_give_no_verdicts(predictor, make_samples):
    found = predictor.predict(make_samples(0))
    assert found.verdicts == []
    assert found.rows() == []
    assert found.probabilities.shape == (0, 3)


def test_presence_may_be_of_any_numbers(predictor, make_samples):
    given = predictor.predict(make_samples(2), np.array([[True, False], [True, True]]))
    assert given.presence.dtype == np.float32
    assert given.presence.tolist() == [[1, 0], [1, 1]]


def test_rows_tell_verdict_probability_and_what_was_missing(predictor, make_samples):
    found = predictor.predict({"heat": make_samples(2)["heat"]})
    row = found.rows()[0]
    assert list(row) == ["verdict", "probability", "missing", "unknown", "p.calm", "p.rough", "p.hot"]
    assert row["probability"] == max(row["p.calm"], row["p.rough"], row["p.hot"])
    assert row[f"p.{row['verdict']}"] == row["probability"]
    assert row["missing"] == "shake"


def test_the_golden_batch_verifies(predictor):
    result = predictor.verify(repeats=3)
    assert result.windows == 5
    assert result.largest_difference <= 1e-4
    assert 0 < result.p50_ms <= result.p99_ms
    assert "5 golden windows" in result.told()


@pytest.mark.parametrize("shift", [0.01, np.nan])
def test_tampered_golden_logits_do_not_verify(rewrite_golden, bundle_folder, shift):
    golden = EdgeBundle.open(bundle_folder).golden()
    golden["logits"][2, 1] += shift
    rewrite_golden(logits=golden["logits"])
    predictor = EdgePredictor(EdgeBundle.open(bundle_folder))
    with pytest.raises(GateError, match="does not say here what it said") as caught:
        predictor.verify(repeats=1)
    assert caught.value.exit_code == 1


def test_a_tampered_model_does_not_verify(rewrite_model, bundle_folder):
    rewrite_model(weights=np.array([[1.0, -2.0, 0.5], [-1.0, 0.25, 1.6]], np.float32))
    with pytest.raises(GateError):
        EdgePredictor(EdgeBundle.open(bundle_folder)).verify(repeats=1)


def test_golden_logits_of_other_windows_are_told(rewrite_golden, bundle_folder):
    rewrite_golden(logits=np.zeros((2, 3), np.float32))
    with pytest.raises(BundleError, match="of other windows or classes"):
        EdgePredictor(EdgeBundle.open(bundle_folder)).verify(repeats=1)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"names": ("shake", "warmth")}, "'warmth'"),
        ({"output": "scores"}, "'scores'"),
        ({"weights": np.ones((2, 2), np.float32)}, "2 logits"),
    ],
)
def test_a_model_that_is_not_the_described_one_is_refused(rewrite_model, bundle_folder, changes, told):
    rewrite_model(**changes)
    with pytest.raises(BundleError) as caught:
        EdgePredictor(EdgeBundle.open(bundle_folder))
    assert told in str(caught.value)


def test_bytes_that_are_no_model_are_refused(bundle_folder, redescribe):
    (bundle_folder / "model.onnx").write_bytes(b"not a model")
    redescribe()
    with pytest.raises(BundleError, match="cannot be loaded"):
        EdgePredictor(EdgeBundle.open(bundle_folder))
