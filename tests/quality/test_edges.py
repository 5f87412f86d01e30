"""Widths of edges that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.quality import measure_edges
from voltome.quality.profiles import WINDOW, find_width, fit_error_function, fit_quadratic

from .phantoms import CONTRAST, FWHM_PER_SIGMA, draw_ball, draw_electrode, draw_noise

VOXEL_M = 50e-9
SHAPE = (108, 112, 118)
BALL_3_UM = 30.0  # radius in voxels


@pytest.mark.parametrize("fwhm_vox", [3.0, 6.0, 8.0])
def test_a_ball_of_3_um_gives_its_edge(fwhm_vox):
    edges = measure_edges(draw_ball(SHAPE, BALL_3_UM, fwhm_vox), voxel_size_m=VOXEL_M, most_edges=400)
    numbers = edges.summarise()
    assert len(edges) > 100
    for name in ("quadratic_m", "gaussian_m", "mean_edge_m", "axial_m", "lateral_m"):
        assert numbers[name] == pytest.approx(fwhm_vox * VOXEL_M, rel=0.05), name
    assert numbers["quadratic_q3_m"] - numbers["quadratic_q1_m"] < 0.02 * fwhm_vox * VOXEL_M
    np.testing.assert_allclose(edges.contrast, 1.0, atol=0.03)


@pytest.mark.parametrize(("fwhm_vox", "noise"), [(3.0, 0.15), (6.0, 0.1), (6.0, 0.2)])
def test_noise_changes_the_edge_by_less_than_a_tenth(fwhm_vox, noise):
    volume = draw_ball(SHAPE, BALL_3_UM, fwhm_vox) + draw_noise(SHAPE, noise)
    edges = measure_edges(volume, voxel_size_m=VOXEL_M, most_edges=400)
    numbers = edges.summarise()
    for name in ("quadratic_m", "gaussian_m", "mean_edge_m"):
        assert numbers[name] == pytest.approx(fwhm_vox * VOXEL_M, rel=0.1), name
    assert 0 < numbers["quadratic_sd_m"] < 0.05 * fwhm_vox * VOXEL_M


def test_normals_and_middles_are_those_of_the_ball():
    edges = measure_edges(draw_ball(SHAPE, BALL_3_UM, 4.0), voxel_size_m=VOXEL_M, most_edges=400)
    arms = edges.positions_vox - ((np.array(SHAPE) - 1) / 2 + np.array([0.3, -0.2, 0.4]))
    radius = np.linalg.norm(arms, axis=1)
    np.testing.assert_allclose(radius, BALL_3_UM, atol=0.3)
    assert (np.einsum("nk,nk->n", arms / radius[:, None], edges.normals) < -0.995).all()
    middle = len(edges.offsets_vox) // 2
    np.testing.assert_allclose(edges.profiles[:, middle], 0.5, atol=0.05)


def test_gain_and_offset_do_not_matter():
    ball = draw_ball((70, 74, 80), 20.0, 4.0)
    plain = measure_edges(ball, voxel_size_m=VOXEL_M, most_edges=400)
    greys = measure_edges((30000 - 8000 * ball).astype(np.float32), voxel_size_m=VOXEL_M, contrast=8000.0)
    assert greys.resolution_m == pytest.approx(plain.resolution_m, rel=0.01)


def test_many_particles_give_their_blur():
    volume = draw_electrode(fwhm_vox=4.0) + draw_noise((88, 96, 104), 0.05 * CONTRAST)
    edges = measure_edges(volume, voxel_size_m=VOXEL_M, contrast=CONTRAST)
    # the edges are those of voxels, a box of 1 across: sqrt(4^2 + (1 / 0.6)^2) at most
    assert 4.0 * VOXEL_M * 0.97 < edges.resolution_m < 4.4 * VOXEL_M
    assert 50 < len(edges) < edges.candidates
    assert (edges.contrast > 0.6 * CONTRAST).all()


def test_noise_alone_has_no_edges():
    edges = measure_edges(draw_noise((50, 50, 60), 1.0), voxel_size_m=VOXEL_M, most_edges=400)
    assert len(edges) < 0.02 * edges.candidates
    assert math.isnan(edges.resolution_m)
    flat = measure_edges(np.ones((40, 40, 40), np.float32), voxel_size_m=VOXEL_M, most_edges=400)
    assert len(flat) == flat.candidates == 0
    assert math.isnan(flat.summarise()["mean_edge_m"])


def test_the_window_makes_the_quadratic_of_a_gaussian_its_own_width():
    offsets = np.arange(-60, 61) * 0.1
    from scipy.special import ndtr

    for fwhm in (1.5, 3.0, 5.0):
        profile = ndtr(offsets * FWHM_PER_SIGMA / fwhm)
        assert find_width(offsets, profile) == pytest.approx(fwhm, rel=0.005)
        assert fit_error_function(offsets, profile, width_vox=2.0) == pytest.approx((fwhm, 0.0), abs=1e-3)
        narrow, _ = fit_quadratic(offsets, profile[None], window_vox=np.array([0.1 * fwhm]), middle_vox=np.zeros(1))
        wide, _ = fit_quadratic(offsets, profile[None], window_vox=np.array([fwhm]), middle_vox=np.zeros(1))
        assert narrow[0] == pytest.approx(2 / FWHM_PER_SIGMA * fwhm, rel=0.03)
        assert wide[0] == pytest.approx(1.30 * fwhm, rel=0.02)
    assert 0.5 < WINDOW < 0.6


def test_a_quadratic_slope_is_found_exactly():
    offsets = np.arange(-80, 81) * 0.05
    length, middle = 2.0, 0.3
    profile = (offsets - middle) - (offsets - middle) ** 3 / (3 * length**2)
    width, vertex = fit_quadratic(offsets, profile[None], window_vox=np.array([1.5]), middle_vox=np.array([0.1]))
    assert width[0] == pytest.approx(math.sqrt(2) * length, rel=1e-3)
    assert vertex[0] == pytest.approx(middle, abs=1e-3)


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="each side of the volume must be >= 32"):
        measure_edges(np.zeros((20, 40, 40), np.float32), voxel_size_m=VOXEL_M, most_edges=400)
    with pytest.raises(InputError, match="contrast must be > 0"):
        measure_edges(np.zeros((40, 40, 40), np.float32), voxel_size_m=VOXEL_M, contrast=-1.0)
    volume = draw_ball((40, 40, 40), 10.0, 3.0)
    volume[20, 20, 20] = np.nan
    with pytest.raises(InputError, match="must be finite"):
        measure_edges(volume, voxel_size_m=VOXEL_M, most_edges=400)
