"""A cross-section between two scans: exact at the scans, monotonic in between."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.report.electrode_findings import AxialMap
from voltome.report.morphing import State, blend_states, find_matter, lay_state, make_lattice, rest_state

SHAPE = (80, 60)
LATTICE = make_lattice(SHAPE)


def make_image(seed: int = 5) -> np.ndarray:
    """Speckle that is smooth over a few pixels."""
    noise = np.fft.rfft2(np.random.default_rng(seed).normal(size=SHAPE))
    low = np.exp(-((np.hypot(np.fft.fftfreq(SHAPE[0])[:, None], np.fft.rfftfreq(SHAPE[1])[None]) / 0.06) ** 2))
    image = np.fft.irfft2(noise * low, s=SHAPE)
    return (100 + 20 * image / image.std()).astype(np.float32)


def make_map(stretch: float, *, down_px: float = 0.0, pixel_m: float = 1e-7) -> AxialMap:
    """Nodes every 6 pixels in the middle; matter is stretched from row 20 on."""
    z, x = np.arange(20.0, 62, 6), np.arange(9.0, 52, 6)
    u = (down_px + stretch * (z - 20))[:, None] + 0 * x
    strain = np.full(u.shape, stretch)
    return AxialMap(z * pixel_m, x * pixel_m, u * pixel_m, 0 * u, strain, np.ones(u.shape, dtype=bool))


def lay(image: np.ndarray, axial: AxialMap) -> State:
    return lay_state(image, axial, pixel_m=1e-7, lattice=LATTICE)


def blend(before: State, after: State, part: float) -> tuple[np.ndarray, ...]:
    return blend_states(before, after, part, lattice=LATTICE, shape=SHAPE)


@pytest.mark.parametrize("stretch", [-0.6, 0.3, 2.0])
def test_matter_is_found_where_displacement_has_taken_it(stretch):
    z, x = np.meshgrid(LATTICE.rows_px, LATTICE.columns_px, indexing="ij")
    shift = np.array([3 + stretch * (z - 40), 0.02 * (x - 30) - 1.5])
    found = find_matter(shift, LATTICE)
    inside = (np.abs(found[0] - 40) < 38) & (np.abs(found[1] - 30) < 28)
    assert inside.sum() > 800
    np.testing.assert_allclose((40 + (z - 3 - 40) / (1 + stretch))[inside], found[0][inside], atol=1e-5)
    np.testing.assert_allclose(((x + 1.5 + 0.6) / 1.02)[inside], found[1][inside], atol=1e-5)


def test_matter_beyond_the_slice_moves_as_its_edge_does():
    shift = np.zeros((2, len(LATTICE.rows_px), len(LATTICE.columns_px)))
    shift[0] = 12.0
    np.testing.assert_allclose(find_matter(shift, LATTICE)[0], LATTICE.rows_px[:, None] - 12 + 0 * shift[0], atol=1e-4)


def test_each_scan_is_shown_as_it_was_taken():
    first, second = make_image(5), make_image(6)
    before, after = lay(first, make_map(0.2)), lay(second, make_map(0.7, down_px=4))
    np.testing.assert_allclose(blend(before, after, 0.0)[0], first, atol=0.05)
    np.testing.assert_allclose(blend(before, after, 1.0)[0], second, atol=0.05)


def test_half_way_a_shift_is_half_of_it():
    image = make_image()
    after = lay(np.roll(image, 6, axis=0), make_map(0.0, down_px=6))
    grey = blend(rest_state(image, after), after, 0.5)[0]
    np.testing.assert_allclose(grey[8:-8], np.roll(image, 3, axis=0)[8:-8], atol=0.5)


def test_half_way_strain_is_half_of_it_and_stands_where_matter_is():
    after = lay(make_image(), make_map(0.8))
    _, strain, cover = blend(rest_state(make_image(), after), after, 0.5)
    np.testing.assert_allclose(strain[cover > 0], 0.4, atol=1e-6)
    covered = np.flatnonzero(cover[:, 30] > 0.5)
    assert abs(covered[0] - (20 - 3)) <= 1  # half a node spacing before the first node, where nothing moves
    assert abs(covered[-1] - (20 + 1.4 * 36 + 3)) <= 2


def test_nodes_without_strain_are_bare_and_untrusted_ones_are_lighter():
    axial = make_map(0.3)
    axial.strain[:3] = np.nan
    axial.displacement_z_m[0, 0] = np.nan
    axial.trusted[:, :3] = False
    state = lay(make_image(), axial)
    row = {at: int(np.argmin(np.abs(LATTICE.rows_px - at))) for at in (26, 50)}
    column = {at: int(np.argmin(np.abs(LATTICE.columns_px - at))) for at in (12, 45)}
    assert state.cover[row[26], column[45]] == 0
    assert state.cover[row[50], column[45]] == 1
    assert 0 < state.cover[row[50], column[12]] < 0.5
    assert np.isfinite(state.shift_px).all() and np.isfinite(state.strain).all()


def test_a_map_without_any_strain_covers_nothing():
    axial = make_map(0.3)
    for values in (axial.strain, axial.displacement_z_m, axial.displacement_x_m):
        values[:] = np.nan
    image = make_image()
    image[:5] = np.nan
    grey, _, cover = blend(lay(image, axial), lay(image, axial), 0.5)
    assert not cover.any() and np.isfinite(grey).all()


def test_what_only_one_slice_reaches_is_shown_from_that_one():
    image = np.broadcast_to(np.linspace(0, 100, SHAPE[0], dtype=np.float32)[:, None], SHAPE).copy()
    after = lay(np.full(SHAPE, 50, np.float32), make_map(0.0, down_px=-20))
    grey = blend(rest_state(image, after), after, 0.5)[0]
    np.testing.assert_allclose(grey[-8:], 50, atol=0.1)  # the slice before ends ten pixels above
