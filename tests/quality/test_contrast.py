"""Contrast, and bias of the grey scale that is put in."""

from __future__ import annotations

import math

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.quality import PhaseGrey, find_contrast_to_noise, measure_grey, measure_grey_bias

from .phantoms import BINDER, CONTRAST, ELECTROLYTE, SILICON, draw_electrode, draw_noise

SHAPE = (88, 96, 104)
ANCHORS = (SILICON, ELECTROLYTE)


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    values = draw_electrode(SHAPE)
    values[20:60, 30:70, 40:80] = ELECTROLYTE + np.repeat(np.linspace(0, 1, 5), 8)[:, None, None] * CONTRAST
    return values


def test_greys_of_a_mask_have_their_mean_and_sd():
    volume = 1e4 + draw_noise((140, 30, 40), 3.0).astype(np.float64)
    mask = np.zeros(volume.shape, dtype=bool)
    mask[100:139, 3:20, 5:] = True
    grey = measure_grey(volume, mask)
    assert grey.mean == pytest.approx(volume[mask].mean(), rel=1e-9)
    assert grey.sd == pytest.approx(volume[mask].std(), rel=1e-6)
    assert grey.voxels == mask.sum()
    with pytest.raises(InputError, match="the mask must hold voxels"):
        measure_grey(volume, np.zeros_like(mask))
    volume[110, 10, 10] = np.nan
    with pytest.raises(InputError, match="finite inside the mask"):
        measure_grey(volume, mask)


def test_contrast_to_noise_is_the_step_over_the_rms_sd():
    assert find_contrast_to_noise(PhaseGrey(5, 3, 9), PhaseGrey(15, 4, 9)) == pytest.approx(10 / math.sqrt(12.5))
    assert find_contrast_to_noise(PhaseGrey(5, 0, 9), PhaseGrey(15, 0, 9)) == math.inf


@pytest.mark.parametrize("plain_only", [True, False])
def test_a_straight_scale_has_no_bias(truth, plain_only):
    volume = 0.8 * truth + 2e-7 + draw_noise(SHAPE, 0.05 * CONTRAST)
    bias = measure_grey_bias(volume, truth, anchors=ANCHORS, plain_only=plain_only)
    assert bias.worst < 0.006
    assert bias.gain == pytest.approx(0.8, rel=0.005)
    assert bias.offset == pytest.approx(2e-7, abs=0.01 * CONTRAST)


def test_a_bend_of_the_scale_is_found(truth):
    level = (truth - ELECTROLYTE) / CONTRAST
    bent = truth + 0.04 * CONTRAST * 4 * level * (1 - level)
    bias = measure_grey_bias(bent + draw_noise(SHAPE, 0.05 * CONTRAST), truth, anchors=ANCHORS)
    assert bias.worst == pytest.approx(0.04, abs=0.008)
    binder = np.nanargmin(np.abs(bias.truth - BINDER))
    x = (bias.truth[binder] - ELECTROLYTE) / CONTRAST
    assert bias.bias[binder] == pytest.approx(0.16 * x * (1 - x), abs=0.006)
    assert bias.sd[binder] == pytest.approx(0.05, rel=0.2)


def test_noise_that_hides_the_bias_leaves_no_number(truth):
    bias = measure_grey_bias(truth + draw_noise(SHAPE, 30 * CONTRAST), truth, anchors=ANCHORS)
    assert math.isnan(bias.worst)


def test_anchors_that_are_not_in_the_truth_are_refused(truth):
    with pytest.raises(InputError, match="each anchor needs >= 200 voxels"):
        measure_grey_bias(truth, truth, anchors=(19e-7, ELECTROLYTE))
    with pytest.raises(InputError, match="the anchors must differ"):
        measure_grey_bias(truth, truth, anchors=(1.0, 1.0))
    with pytest.raises(InputError, match="one shape"):
        measure_grey_bias(truth, truth[1:], anchors=ANCHORS)
    with pytest.raises(InputError, match="must have contrast"):
        measure_grey_bias(np.ones(SHAPE), truth, anchors=ANCHORS)
