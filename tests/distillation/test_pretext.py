from __future__ import annotations

import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorkd.distillation.pretext import (
    FLIPS,
    FLUCTUATION,
    KNOWN,
    OSCILLATION,
    ROTATIONS,
    SPECTRAL,
    chosen_family,
    transform_all,
)
from sensorkd.models.spectrum import LogSpectrum

SIGNALS = {"oscillation": OSCILLATION, "fluctuation": FLUCTUATION, "spectral": SPECTRAL}
FRAMES = {"flips": FLIPS, "rotations": ROTATIONS}
FAMILIES = {**SIGNALS, **FRAMES}


def example(name, seed=0):
    shape = (2, 3, 10) if name in SIGNALS else (2, 2, 4, 6, 6)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) + 0.7


@pytest.mark.parametrize("name", FAMILIES)
def test_transforms_keep_shape_and_begin_with_the_identity(name):
    x = example(name)
    assert FAMILIES[name][0].name == "identity"
    assert torch.equal(FAMILIES[name][0].apply(x), x)
    for transform in FAMILIES[name]:
        assert transform.apply(x).shape == x.shape, transform.name


@pytest.mark.parametrize("name", FAMILIES)
def test_transforms_of_a_family_can_be_told_apart(name):
    x = example(name)
    results = [transform.apply(x) for transform in FAMILIES[name]]
    for i, one in enumerate(results):
        for other in results[:i]:
            assert not torch.allclose(one, other, atol=1e-3)
    assert len({transform.name for transform in FAMILIES[name]}) == len(FAMILIES[name])


@pytest.mark.parametrize("name", FAMILIES)
def test_transforms_do_not_change_what_they_are_given(name):
    x = example(name)
    before = x.clone()
    for transform in FAMILIES[name]:
        transform.apply(x)
        assert torch.equal(x, before), transform.name


@pytest.mark.parametrize("name", ["oscillation", "fluctuation", "flips"])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000))
def test_these_families_are_klein_groups(name, seed):
    """Each transform undoes itself, and any two of the three make the other."""
    x, (_, a, b, c) = example(name, seed), FAMILIES[name]
    for t in (a, b, c):
        assert torch.allclose(t.apply(t.apply(x)), x, atol=1e-5)
    for first, second, third in ((a, b, c), (b, c, a), (c, a, b)):
        assert torch.allclose(first.apply(second.apply(x)), third.apply(x), atol=1e-5)
        assert torch.allclose(second.apply(first.apply(x)), third.apply(x), atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), steps=st.integers(40, 90))
def test_log_spectra_tell_the_spectral_family_apart(seed, steps):
    x = torch.randn((2, 3, steps), generator=torch.Generator().manual_seed(seed))
    spectra = [LogSpectrum(frame=16, bands=8)(transform.apply(x)) for transform in SPECTRAL]
    for i, one in enumerate(spectra):
        for other in spectra[:i]:
            assert (one - other).abs().mean() > 0.1


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), steps=st.integers(40, 90))
def test_to_log_spectra_the_spectral_family_is_a_klein_group(seed, steps):
    """Sample by sample an even number of them comes back with its sign turned, which no spectrum shows."""
    x, spectrum = torch.randn((2, 3, steps), generator=torch.Generator().manual_seed(seed)), LogSpectrum
    seen = spectrum(frame=16, bands=8)
    _, a, b, c = SPECTRAL
    for t in (a, b, c):
        assert torch.allclose(seen(t.apply(t.apply(x))), seen(x), atol=1e-4)
    for first, second, third in ((a, b, c), (b, c, a), (c, a, b)):
        assert torch.allclose(seen(first.apply(second.apply(x))), seen(third.apply(x)), atol=1e-3)
    assert torch.equal(b.apply(b.apply(x)), x)


def test_a_mirrored_spectrum_holds_low_sounds_where_high_ones_were():
    """Bin k of a frame of n samples becomes bin n / 2 - k."""
    low = torch.sin(2 * torch.pi * 3 / 32 * torch.arange(256)).reshape(1, 1, -1)
    high = torch.sin(2 * torch.pi * 13 / 32 * torch.arange(256)).reshape(1, 1, -1)
    spectrum = LogSpectrum(frame=32, bands=5)
    mirrored = spectrum(SPECTRAL[2].apply(low))
    assert torch.allclose(mirrored.exp(), spectrum(high).exp(), atol=1e-4)


def test_a_sign_would_be_invisible_to_spectra():
    x = example("oscillation")
    spectrum = LogSpectrum(frame=8, bands=4)
    assert torch.equal(spectrum(OSCILLATION[2].apply(x)), spectrum(x))


def test_quarter_turns_are_a_cycle():
    x = example("rotations")
    _, quarter, half, three = ROTATIONS
    assert torch.equal(quarter.apply(quarter.apply(x)), half.apply(x))
    assert torch.equal(quarter.apply(half.apply(x)), three.apply(x))
    assert torch.equal(quarter.apply(three.apply(x)), x)


def test_a_quarter_turn_turns_every_frame_alike():
    x = torch.zeros(1, 1, 3, 4, 4)
    x[..., 0, 1] = 1
    turned = ROTATIONS[1].apply(x)
    assert turned[0, 0, :, 2, 0].tolist() == [1, 1, 1]
    assert turned.sum() == 3


@pytest.mark.parametrize("index", [1, 3])
def test_quarter_turns_of_frames_that_are_not_square_are_refused(index):
    with pytest.raises(ValueError, match="4x6; use the flips family"):
        ROTATIONS[index].apply(torch.zeros(1, 1, 2, 4, 6))


def test_a_mirrored_window_keeps_its_mean():
    x = example("fluctuation")
    assert torch.allclose(FLUCTUATION[2].apply(x).mean(2), x.mean(2), atol=1e-6)


def test_all_modalities_take_the_same_index_each_modulo_its_own_family():
    prepared = {"signal": example("oscillation"), "video": example("flips")}
    families = {"signal": OSCILLATION, "video": FLIPS[:3]}
    rows = transform_all(prepared, families, [0, 3, 2])
    for view, j in enumerate([0, 3, 2]):
        here = slice(2 * view, 2 * view + 2)
        assert torch.equal(rows["signal"][here], OSCILLATION[j].apply(prepared["signal"]))
        assert torch.equal(rows["video"][here], FLIPS[j % 3].apply(prepared["video"]))


@pytest.mark.parametrize("name", FAMILIES)
def test_families_can_be_pickled(name):
    assert pickle.loads(pickle.dumps(FAMILIES[name])) == FAMILIES[name]


@pytest.mark.parametrize("axes", [1, 3])
def test_every_transform_that_can_be_named_is_one_of_such_samples(axes):
    x = example("flips" if axes == 3 else "oscillation")
    family = chosen_family([name for name in KNOWN[axes] if name != "identity"], axes=axes)
    assert family[0].name == "identity"
    assert {item.name for item in family} == set(KNOWN[axes])
    assert all(item.apply(x).shape == x.shape for item in family)


def test_transforms_come_in_the_order_they_were_named_in():
    names = ["sign flip", "time reversal"]
    assert [item.name for item in chosen_family(names, axes=1)] == ["identity", *names]
    assert chosen_family(["identity", *names], axes=1) == chosen_family(names, axes=1)
    assert [item.name for item in chosen_family([], axes=3)] == ["identity"]


@pytest.mark.parametrize("names", [["half turn"], ["sign flop"], ["sign flip", "sign flip"]])
def test_a_transform_of_other_samples_is_refused(names):
    with pytest.raises(KeyError):
        chosen_family(names, axes=1)
