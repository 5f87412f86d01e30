"""Where the electrode's surface is found, and when it cannot be seen."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.electrode import find_surface
from voltome.errors import InputError

from .layer import FACE_PX, SHAPE, VOXEL_M, Layer

FACE = np.full(SHAPE[1:], FACE_PX)
UM = VOXEL_M * 1e6


def find(slab, face=FACE):
    return find_surface(slab, face, pixel_m=VOXEL_M)


def offset_um(layer: Layer, **drawn) -> float:
    return UM * float((find(layer.draw(**drawn)).z_px - layer.truth_px).mean())


@pytest.fixture(scope="module")
def layer():
    return Layer(2)


@pytest.fixture(scope="module")
def slab(layer):
    return layer.draw()


@pytest.fixture(scope="module")
def found(slab):
    return find(slab)


def test_the_map_follows_the_ripples_of_the_surface(layer, found):
    apart = found.z_px - layer.truth_px
    assert UM * apart.std() < 0.2
    assert UM * apart.std() < 0.6 * UM * layer.truth_px.std()
    assert np.corrcoef(found.z_px.ravel(), layer.truth_px.ravel())[0, 1] > 0.85


def test_grains_cut_by_the_surface_seem_a_blur_higher(layer, found):
    """Greys change over a blur and a smoothing: what is cut sharply seems to end 0.2 to 0.4 um above the cut."""
    assert 0.1 < UM * (found.z_px - layer.truth_px).mean() < 0.4
    assert 0 < UM * found.sd_px < 0.15


def test_a_rise_is_found_within_0_15_um():
    before, after = Layer(3), Layer(5, thickness_px=46.0, slope=0.03)
    assert offset_um(after) == pytest.approx(offset_um(before), abs=0.1)


@pytest.mark.parametrize("drawn", [{"shade": 1500.0}, {"noise": 3000.0}], ids=str)
def test_shades_and_noise_move_it_by_less_than_0_1_um(drawn, layer, found):
    assert UM * abs(float((find(layer.draw(**drawn)).z_px - found.z_px).mean())) < 0.05


def test_noise_scatters_the_mean_height_by_what_is_stated(layer, found):
    means = [find(layer.draw(noise_seed=seed)).z_px.mean() for seed in (1, 2, 3)]
    assert 0.2 < np.std([*means, found.z_px.mean()]) / found.noise_px < 3.0


def test_gain_does_not_move_it(slab, found):
    assert find(np.float32(0.25) * slab).z_px == pytest.approx(found.z_px, abs=0.02)


def test_an_inverted_polarity_gives_the_same_surface(slab, found):
    assert UM * np.abs(find(65535 - slab).z_px - found.z_px).mean() < 0.03


def test_what_lies_below_the_face_does_not_count(slab, found):
    """Copper of another grey, up to two pixels below the face."""
    other = slab.copy()
    other[: int(FACE_PX) - 2] = 60e3
    assert UM * np.abs(find(other).z_px - found.z_px).mean() < 0.03


def test_columns_where_the_electrode_leaves_the_field_have_no_height():
    layer = Layer(2, thickness_px=52.0, slope=0.25)
    found = find(layer.draw())
    out = layer.truth_px > SHAPE[0]
    assert 0.01 < out.mean() < 0.2
    assert np.isnan(found.z_px[out]).mean() > 0.85
    seen = layer.truth_px < SHAPE[0] - 12
    assert np.isfinite(found.z_px[seen]).all()
    assert UM * abs(float((found.z_px - layer.truth_px)[seen].mean())) < 0.4


@pytest.mark.parametrize(
    ("slab", "why"),
    [
        (Layer(0, thickness_px=58.0).draw(), r"reaches the end of the field \(\d+ % of the columns"),
        (Layer(0, thickness_px=80.0).draw(), "reaches the end of the field, or has no more texture"),
        (30e3 + 500 * np.random.default_rng(0).standard_normal(SHAPE, dtype=np.float32), "no more texture"),
        (np.full(SHAPE, 7.0, dtype=np.float32), "no more texture"),
        (Layer(0).draw()[:15], "no plane above the collector"),
    ],
    ids=["mostly out", "out", "noise", "plain", "collector alone"],
)
def test_a_surface_that_is_not_seen_is_refused_in_one_line(slab, why):
    with pytest.raises(InputError, match=why) as caught:
        find(slab)
    assert "\n" not in str(caught.value)
