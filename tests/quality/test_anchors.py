"""Anchors and the window that stands on them."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.quality import (
    GreyWindow,
    equalise_for_the_eye,
    find_anchors,
    find_equalisation,
    make_grey_window,
    spread_grey_window,
)

from .phantoms import CONTRAST, ELECTROLYTE, SILICON, draw_electrode, draw_noise

SHAPE = (88, 96, 104)


@pytest.fixture(scope="module")
def electrode() -> np.ndarray:
    return draw_electrode(SHAPE)


@pytest.mark.parametrize("noise", [0.05, 0.15, 0.3])
def test_anchors_are_the_bulk_values(electrode, noise):
    anchors = find_anchors(electrode + draw_noise(SHAPE, noise * CONTRAST))
    assert anchors.silicon.mean == pytest.approx(SILICON, abs=0.03 * CONTRAST)
    assert anchors.electrolyte.mean == pytest.approx(ELECTROLYTE, abs=0.06 * CONTRAST)
    assert anchors.silicon.sd == pytest.approx(noise * CONTRAST, rel=0.12)
    assert anchors.contrast_to_noise == pytest.approx(1 / noise, rel=0.15)
    assert anchors.valley < 0.3


def test_anchors_follow_gain_and_offset(electrode):
    volume = electrode + draw_noise(SHAPE, 0.1 * CONTRAST)
    plain, moved = find_anchors(volume), find_anchors((2.0 * volume + 1e-6).astype(np.float32))
    assert moved.silicon.mean == pytest.approx(2.0 * plain.silicon.mean + 1e-6, abs=0.01 * CONTRAST)
    assert moved.contrast == pytest.approx(2.0 * plain.contrast, rel=0.01)


def test_a_mask_leaves_the_collector_out(electrode):
    volume = electrode + draw_noise(SHAPE, 0.1 * CONTRAST)
    volume[:30] = 19e-7
    mask = np.ones(SHAPE, dtype=bool)
    mask[:34] = False
    assert find_anchors(volume).silicon.mean == pytest.approx(19e-7, rel=0.05)
    assert find_anchors(volume, mask=mask).silicon.mean == pytest.approx(SILICON, abs=0.03 * CONTRAST)


def test_modes_that_cannot_be_told_apart_are_refused(electrode):
    with pytest.raises(InputError, match=r"cannot be told apart by their greys .* give the grey window"):
        find_anchors(electrode + draw_noise(SHAPE, 5 * CONTRAST))
    with pytest.raises(InputError, match="must hold two materials"):
        find_anchors(np.ones((30, 30, 30), np.float32))
    with pytest.raises(InputError, match="the mask must hold voxels"):
        find_anchors(electrode, mask=np.zeros(SHAPE, dtype=bool))
    assert spread_grey_window(electrode).low < ELECTROLYTE


def test_anchors_stand_at_fixed_greys_whatever_the_scale(electrode):
    for gain, offset in ((1.0, 0.0), (0.5, 3e-7)):
        anchors = find_anchors((gain * electrode + offset).astype(np.float32))
        values = np.array([anchors.silicon.mean, anchors.electrolyte.mean])
        assert make_grey_window(anchors).apply(values).tolist() == [20792, 36938]
        bright = make_grey_window(anchors, polarity="silicon-brightest")
        assert bright.apply(values).tolist() == [44743, 28597]
        assert make_grey_window(anchors).find_clipped(gain * electrode + offset) == 0.0


def test_true_anchors_give_the_window_of_the_twin():
    from voltome.quality import Anchors, PhaseGrey
    from voltome.twin.configuration import make_settings

    scan = make_settings("tiny").scan
    window = make_grey_window(Anchors(PhaseGrey(SILICON, 0, 1), PhaseGrey(ELECTROLYTE, 0, 1), 0.0))
    assert window.black == pytest.approx(scan.black_delta)
    assert window.white == pytest.approx(scan.white_delta)


def test_greys_give_their_values_back():
    for polarity in ("silicon-darkest", "silicon-brightest"):
        window = GreyWindow(-2e-7, 9e-7, polarity)
        values = np.linspace(-2e-7, 9e-7, 1001)
        np.testing.assert_allclose(window.restore(window.apply(values)), values, atol=0.6 * 11e-7 / 65535)
    assert window.apply(np.array([-1.0, 1.0])).tolist() == [0, 65535]
    assert window.find_clipped(np.array([-1.0, 0.0, 0.0, 0.0])) == 0.25


def test_a_window_without_anchors_holds_nearly_all(electrode):
    volume = electrode + draw_noise(SHAPE, 0.1 * CONTRAST)
    window = spread_grey_window(volume)
    assert window.find_clipped(volume) == 0.0
    assert window.high - window.low < 5 * np.ptp(np.quantile(volume, [0.005, 0.995]))


def test_windows_that_make_no_sense_are_refused():
    with pytest.raises(InputError, match="low must be < high"):
        GreyWindow(1.0, 1.0)
    with pytest.raises(InputError, match="polarity must be"):
        GreyWindow(0.0, 1.0, "dark")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="must not be NaN"):
        GreyWindow(0.0, 1.0).apply(np.array([0.5, np.nan]))
    with pytest.raises(InputError, match="more than one value"):
        spread_grey_window(np.ones((20, 20, 20), np.float32))


def test_equalisation_spreads_greys_and_keeps_their_order(electrode):
    greys = GreyWindow(-2e-7, 9e-7).apply(electrode + draw_noise(SHAPE, 0.1 * CONTRAST))
    full = find_equalisation(greys, limit=float("inf"))
    assert (np.diff(full.astype(int)) >= 0).all()
    np.testing.assert_allclose(np.quantile(full[greys], [0.25, 0.5, 0.75]), [64, 128, 191], atol=3)
    identity = find_equalisation(greys, limit=1.0)
    np.testing.assert_allclose(identity[::4096], np.arange(0, 65536, 4096) / 257, atol=1)
    table = find_equalisation(greys, limit=3.0)
    steps = np.diff(table[:: 65536 // 64].astype(int)) / (255 / 64)
    assert steps.max() < 3.4
    block = equalise_for_the_eye(greys[10:20], table=table)
    np.testing.assert_array_equal(block, equalise_for_the_eye(greys, table=table)[10:20])
    assert equalise_for_the_eye(greys).dtype == np.uint8
    with pytest.raises(InputError, match="must be uint16"):
        equalise_for_the_eye(electrode)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="limit must be >= 1"):
        find_equalisation(greys, limit=0.5)
