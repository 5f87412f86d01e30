"""Radiographs of the twin: where things are filmed, and the object that is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import fft

from voltome.errors import InputError
from voltome.frames import DARK, FLAT, PROJECTION
from voltome.grid import make_block
from voltome.twin.configuration import TwinSettings, make_settings
from voltome.twin.experiment import ElectrodeTwin
from voltome.twin.phases import PHASES
from voltome.twin.radiographs import RadiographMaker, find_excess_absorption, plan_radiographs
from voltome.twin.refraction import refract_planes
from voltome.twin.render import render_block
from voltome.twin.setting_mapping import parse_settings


def quiet_settings(**more: object) -> TwinSettings:
    """Tiny, with so many photons that noise is nothing, and an even camera."""
    own = {"photons_per_s": 1e17, "counts_per_photon": 8e-5, "ring_fraction": 0, "bad_fraction": 0, "delta_beta": 1}
    return parse_settings({"size": "tiny", "radiographs": own | more})


def test_distances_fields_and_angles_are_those_of_the_beamline() -> None:
    plan = plan_radiographs(make_settings("paper"))
    first, *_, last = plan.geometries
    assert first.pixel_m == pytest.approx(50e-9) and last.pixel_m == pytest.approx(75e-9)
    assert first.magnification == pytest.approx(13) and first.source_sample_m == pytest.approx(0.72 / 13)
    for place in plan.geometries:
        assert place.source_sample_m + place.sample_detector_m == pytest.approx(0.72)
    assert plan.frame_shape == (768, 726) and len(plan.angles_rad) == 886  # 1.22 a column, as 2505 of 2048
    assert plan.angles_rad[1] * 886 == pytest.approx(2 * np.pi)
    assert plan.wave_shape[0] > 768 * 1.5 and plan.wave_shape[1] > 2 * 726
    assert plan.axis_px == pytest.approx(725 / 2 + 3.3)


def test_frames_come_as_darks_flats_projections_flats() -> None:
    plan = plan_radiographs(make_settings("tiny"))
    kinds = plan.kinds.tolist()
    assert kinds == [DARK] * 21 + [FLAT] * 10 + [PROJECTION] * 112 + [FLAT] * 10
    np.testing.assert_array_equal(plan.frame_angles_rad[31:143], plan.angles_rad)


def test_voxels_that_put_the_sample_behind_the_detector_are_refused() -> None:
    settings = make_settings("tiny").model_copy(update={"voxel_size_m": 5e-7})
    with pytest.raises(InputError, match=r"voxel_size_m must be < .* = 4.333e-07.*\(got 5e-07\)"):
        plan_radiographs(settings)


@pytest.mark.parametrize(("distance", "angle", "behind"), [(0, 3, False), (1, 5, False), (3, 60, True)])
def test_a_blob_is_filmed_where_axis_shift_and_magnification_say(distance: int, angle: int, behind: bool) -> None:
    plan = plan_radiographs(quiet_settings())
    maker = RadiographMaker(plan, 1)
    (rows, columns), ratio = plan.frame_shape, (1, 1.04, 1.2, 1.5)[distance]
    z, u, sigma = 58.0, -13.0, 5.0
    up = np.arange(rows)[:, None] - z
    across = np.arange(plan.wave_shape[1]) - (plan.wave_shape[1] - 1) / 2 - u
    lines = (0.5 * np.exp(-(up**2 + across**2) / (2 * sigma**2))).astype(np.float32)
    wave = maker.make_wave(lines, np.zeros((0, lines.shape[1]), np.float32), behind=behind)
    seen = maker.film(fft.fft2(wave), distance, angle) - maker.camera.offset
    empty = maker.film(fft.fft2(np.ones_like(wave)), distance, angle) - maker.camera.offset
    shadow = 1 - seen / empty
    found = [float((shadow * places).sum() / shadow.sum()) for places in np.indices(shadow.shape)]
    shift = maker.shifts_px[distance][angle]
    side = -u if behind else u
    assert found[0] == pytest.approx((rows - 1) / 2 + (z - (rows - 1) / 2 + shift[0]) / ratio, abs=0.06)
    assert found[1] == pytest.approx((columns - 1) / 2 + (side + 3.3 + shift[1]) / ratio, abs=0.06)


def test_copper_passes_as_much_along_a_diameter_as_is_said() -> None:
    plan = plan_radiographs(make_settings("tiny"))
    maker = RadiographMaker(plan, 0)
    none = np.zeros(plan.frame_shape[:1] + plan.wave_shape[1:], np.float32)
    copper = np.full((10, plan.wave_shape[1]), find_excess_absorption(plan) * plan.diameter_vox, np.float32)
    wave = maker.make_wave(none, copper, behind=False)
    passed = np.abs(wave) ** 2
    assert passed[plan.top_vox : plan.top_vox + 10] == pytest.approx(2e-5, rel=1e-3)
    assert passed[: plan.top_vox] == pytest.approx(2e-5, rel=1e-3)  # copper goes on above the volume
    assert passed[plan.top_vox + 10 : plan.top_vox + plan.frame_shape[0]] == pytest.approx(1)


def test_the_wave_begins_as_it_ends() -> None:
    plan = plan_radiographs(make_settings("tiny"))
    random = np.random.default_rng(2)
    lines = random.uniform(0, 300, (plan.frame_shape[0], plan.wave_shape[1])).astype(np.float32)
    wave = RadiographMaker(plan, 0).make_wave(lines, np.zeros((0, lines.shape[1]), np.float32), behind=False)
    assert wave.shape == plan.wave_shape
    np.testing.assert_allclose(wave[-1], wave[0], atol=0.01)
    below = plan.top_vox + plan.frame_shape[0]
    np.testing.assert_allclose(wave[below : below + 20], wave[below - 20 : below][::-1], rtol=1e-5)


def test_the_object_is_the_one_that_the_scan_shows(tiny: ElectrodeTwin) -> None:
    planes = refract_planes(tiny, 1, 4, 30)
    block = make_block((4, 0, 0), (30, 64, 64))
    grey, phases, _ = render_block(tiny, 1, block)
    assert planes.decrement.shape == (26, 64, 64)
    assert np.corrcoef(planes.decrement[8:].ravel(), grey[8:].ravel())[0, 1] < -0.7
    inside = phases == PHASES["collector"]
    assert planes.share[inside].mean() > 0.9 and planes.share[~inside].mean() < 0.05
    np.testing.assert_allclose(planes.copper[planes.share == 1], planes.decrement[planes.share == 1], rtol=1e-5)
    for name, value in (("silicon", 5.51), ("pore", 2.8)):
        assert np.median(planes.decrement[phases == PHASES[name]]) == pytest.approx(value, abs=0.05)


def test_pieces_of_the_object_are_the_whole(tiny: ElectrodeTwin) -> None:
    whole, part = refract_planes(tiny, 1, 5, 11), refract_planes(tiny, 1, 7, 9)
    for values, all_values in zip(part, whole, strict=True):
        np.testing.assert_array_equal(values, all_values[2:4])
