"""Filters: the ramp against its kernel, windows against their formulas."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.reconstruction import FILTERS, make_response


def test_ramp_is_the_transform_of_its_kernel():
    kernel = np.fft.ifft(make_response("ramp", 64)).real
    assert kernel[0] == pytest.approx(0.25)
    assert kernel[1] == pytest.approx(-1 / np.pi**2)
    assert kernel[-3] == pytest.approx(-1 / (3 * np.pi) ** 2)
    assert np.abs(kernel[2:32:2]).max() < 1e-15


def test_ramp_approaches_the_frequency_and_keeps_the_mean():
    response = make_response("ramp", 4096)
    assert np.abs(response - np.abs(np.fft.fftfreq(4096))).max() < 1e-4
    assert response[0] > 0


def test_windows_are_those_of_their_names():
    frequency, ramp = np.fft.fftfreq(1000), make_response("ramp", 1000)
    low = np.abs(frequency) <= 0.3
    shepp = make_response("shepp-logan", 1000, cutoff=0.6)
    hann = make_response("hann", 1000, cutoff=0.6)
    assert np.allclose(shepp[low], (ramp * np.sinc(frequency / 0.6))[low])
    assert np.allclose(hann[low], (ramp * (0.5 + 0.5 * np.cos(np.pi * frequency / 0.3)))[low])
    assert np.all(shepp[~low] == 0) and np.all(hann[~low] == 0)
    assert np.all(make_response("none", 10) == 1)


@pytest.mark.parametrize("name", FILTERS)
def test_responses_are_even(name):
    for length in (31, 32):
        response = make_response(name, length, cutoff=0.8)
        assert np.allclose(response[1:], response[:0:-1])


@pytest.mark.parametrize(
    ("name", "length", "cutoff", "said"),
    [("cosine", 8, 1.0, "filter"), ("ramp", 1, 1.0, "length"), ("hann", 8, 1.2, "cutoff"), ("hann", 8, 0.0, "cutoff")],
)
def test_bad_filters_are_refused(name, length, cutoff, said):
    with pytest.raises(InputError, match=said):
        make_response(name, length, cutoff=cutoff)
