"""The camera, its beam and where the sample stands."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.twin.beamline import (
    FULL_COUNTS,
    Camera,
    draw_beam,
    draw_shifts,
    expose_frame,
    make_camera,
    make_sampling,
    sample_image,
    see_light,
)
from voltome.twin.radiograph_settings import RadiographSettings

SHAPE = (60, 84)
SETTINGS = RadiographSettings(ring_fraction=0.01, bad_fraction=0.004)


@pytest.fixture(scope="module")
def camera() -> Camera:
    return make_camera(SETTINGS, SHAPE, seed=4)


def find_middle(row: np.ndarray) -> float:
    return float((row * np.arange(len(row))).sum() / row.sum())


@pytest.mark.parametrize("pitch", [1.0, 1.04, 1.5])
def test_pixels_see_a_sample_where_it_lies_and_as_wide_as_their_point_spread(pitch: float) -> None:
    image = np.zeros((3, 200), np.float32)
    image[:, 90:103] = 1  # middle at 96
    rows = make_sampling(3, 3, centre=1.0, pitch=1.0, psf_px=0.5)
    columns = make_sampling(100, 200, centre=99.5 - 4.3, pitch=pitch, psf_px=1.3)
    seen = sample_image(image, rows, columns)
    assert seen.shape == (3, 100)
    assert seen.sum(axis=1) == pytest.approx(13 / pitch, rel=1e-3)
    assert find_middle(seen[1]) == pytest.approx(49.5 + (96 - 95.2) / pitch, abs=2e-3)
    spread = ((np.arange(100) - find_middle(seen[1])) ** 2 * seen[1]).sum() / seen[1].sum()
    sigma = 1.3 / 2.3548
    assert spread == pytest.approx((13**2 - 1) / 12 / pitch**2 + sigma**2 + 1 / 12, rel=0.01)


def test_an_even_image_stays_even_to_the_edges() -> None:
    rows, columns = (make_sampling(n, m, centre=3.0, pitch=1.2, psf_px=1.3) for n, m in ((20, 15), (31, 40)))
    np.testing.assert_allclose(sample_image(np.full((15, 40), 0.7, np.float32), rows, columns), 0.7, rtol=1e-5)


def test_light_has_mean_one_stripes_and_a_drift(camera: Camera) -> None:
    light = see_light(camera, SETTINGS, np.zeros(2))
    assert light.mean() == pytest.approx(1, abs=0.03)
    assert light.mean(axis=1).std() > 2 * light.mean(axis=0).std()
    moved = see_light(camera, SETTINGS, np.array([2.0, 0.0]))
    np.testing.assert_allclose(moved[2:], light[:-2], rtol=1e-4)


def test_counts_have_the_photons_mean_and_their_noise(camera: Camera) -> None:
    good = ~(camera.dead | camera.hot) & (camera.ring == 0)
    frames = np.array(
        [expose_frame(camera, SETTINGS, np.full(SHAPE, 0.5, np.float32), (1, 0, 0, i)) for i in range(60)]
    )
    photons = 0.5 * 1e12 * 0.02 / 2048**2 * 0.5
    counts = (frames[:, good] - camera.offset[good]) / camera.gain[good] / SETTINGS.counts_per_photon
    assert counts.mean() == pytest.approx(photons, rel=1e-3)
    assert counts.var(axis=0).mean() == pytest.approx(photons, rel=0.03)


def test_darks_have_the_offset_and_read_noise_alone(camera: Camera) -> None:
    good = ~(camera.dead | camera.hot)
    frames = np.array([expose_frame(camera, SETTINGS, None, (1, 0, 0, i)) for i in range(40)], dtype=np.float64)
    np.testing.assert_allclose(frames.mean(axis=0)[good], camera.offset[good], atol=2.0)
    assert frames.mean(axis=0)[good].mean() == pytest.approx(SETTINGS.dark_counts, abs=0.2)
    rounding = 1 / 12
    assert frames.var(axis=0)[good].mean() == pytest.approx(SETTINGS.read_noise_counts**2 + rounding, rel=0.05)


def test_dead_pixels_give_nothing_and_hot_ones_all(camera: Camera) -> None:
    assert camera.dead.any() and camera.hot.any()
    frame = expose_frame(camera, SETTINGS, np.ones(SHAPE, np.float32), (1, 0, 0, 0))
    assert (frame[camera.dead] == 0).all() and (frame[camera.hot] == FULL_COUNTS).all()
    assert FULL_COUNTS not in frame[~camera.hot]


def test_flats_do_not_remove_what_ring_pixels_add(camera: Camera) -> None:
    bright = RadiographSettings(photons_per_s=1e16, counts_per_photon=8e-4, ring_fraction=0.01, bad_fraction=0)
    own = make_camera(bright, SHAPE, seed=4)

    def expose(light: float) -> np.ndarray:
        frame = expose_frame(own, bright, np.full(SHAPE, light, np.float32), (1, 0, 0, 0))
        return frame - own.offset

    error = expose(0.5) / expose(1.0) - 0.5
    ringing = own.ring != 0
    assert 0.005 < ringing.mean() < 0.02
    assert np.abs(error[~ringing]).max() < 1e-3
    assert np.abs(error[ringing]).mean() > 5e-3


def test_the_same_key_gives_the_same_frame_and_any_other_key_another(camera: Camera) -> None:
    light = np.ones(SHAPE, np.float32)
    frames = [expose_frame(camera, SETTINGS, light, key) for key in [(1, 0, 0, 0)] * 2 + [(1, 0, 0, 1), (1, 1, 0, 0)]]
    assert np.array_equal(frames[0], frames[1])
    assert not np.array_equal(frames[0], frames[2]) and not np.array_equal(frames[0], frames[3])


def test_the_first_distance_jitters_and_others_drift_from_it() -> None:
    first, second = (draw_shifts(SETTINGS, 2000, 7, 0, distance) for distance in (0, 1))
    assert first.std(axis=0) == pytest.approx(SETTINGS.jitter_px, rel=0.05)
    assert np.abs(first.mean(axis=0)).max() < 0.03
    smooth = second.reshape(50, 40, 2).mean(axis=1)
    drift = np.ptp(smooth, axis=0)
    assert (drift > SETTINGS.drift_px / 2).all() and (drift < 2 * SETTINGS.drift_px + 0.3).all()
    limit = SETTINGS.drift_px + SETTINGS.misalignment_px + 0.2
    assert np.abs(smooth).max() < limit
    quiet = RadiographSettings(jitter_px=0, drift_px=0, misalignment_px=0)
    assert not draw_shifts(quiet, 10, 7, 0, 1).any()


def test_the_current_decays_and_the_pattern_moves_slowly() -> None:
    beam = draw_beam(SETTINGS, 900, 7, 0, 0)
    assert beam.current_a[:50].mean() == pytest.approx(0.2, rel=1e-3)
    assert beam.current_a[-50:].mean() == pytest.approx(0.2 * 0.99, rel=1e-3)
    assert np.abs(np.diff(beam.shifts_px, axis=0)).max() < 0.05
    assert (np.abs(beam.shifts_px) <= 2 * SETTINGS.beam_drift_px).all()
    assert not np.allclose(beam.shifts_px, draw_beam(SETTINGS, 900, 7, 1, 0).shifts_px)
