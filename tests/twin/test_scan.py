"""The scan: seams, resolution, noise, grey values, and the electrons of lithiated silicon."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.twin.configuration import TwinSettings, make_settings
from voltome.twin.scan import DECREMENT_UNIT, find_contrast, halo_vox, image_block, oversampling, silicon_delta

FAR = 400  # a plane that the collector's scattering does not reach
ELECTROLYTE, SILICON = 2.8, 5.51


def settings_with(size: str, **scan) -> TwinSettings:
    """Settings of a size with another scan group."""
    settings = make_settings(size)
    return settings.model_copy(update={"scan": settings.scan.model_copy(update=scan)})


def quiet(size: str) -> TwinSettings:
    """Settings without noise, clouds and rings."""
    return settings_with(size, noise=0.0, cloud=0.0, ring=0.0)


def sub_positions(start: int, count: int, halo: int, step: int) -> NDArray[np.float64]:
    """Centres, in voxels, of the sub-voxels of a block with halo along one axis."""
    return start - halo + (np.arange(step * (count + 2 * halo)) + 0.5) / step - 0.5


def image_object(settings: TwinSettings, start, shape, evaluate, *, seed: int = 5) -> NDArray[np.uint16]:
    """Image a block of an object that is a function of z, y, x in voxels."""
    step, halo = oversampling(settings), halo_vox(settings, first_plane=start[0])
    axes = [sub_positions(a, n, halo, step) for a, n in zip(start, shape, strict=True)]
    decrements = evaluate(*np.meshgrid(*axes, indexing="ij")).astype(np.float32)
    return image_block(decrements, start, settings, seed=seed)


def plain(value: float):
    return lambda z, y, x: np.full(z.shape, value)


def to_decrement(grey: NDArray[np.uint16], settings: TwinSettings) -> NDArray[np.float64]:
    """Decrements (1e-7) that grey values stand for."""
    black, white = settings.scan.black_delta / DECREMENT_UNIT, settings.scan.white_delta / DECREMENT_UNIT
    return black + (white - black) * (grey / 65535.0)


def rough(z, y, x):
    """An object with detail at every voxel."""
    return 3 + 2 * np.sin(1.7 * z + 0.4 * y) * np.cos(1.1 * y - 0.8 * x) + np.sin(2.9 * x)


@pytest.mark.parametrize(
    ("size", "start", "shape"), [("small", (41, 3, -2), (18, 13, 21)), ("paper", (146, 0, 8), (21, 10, 17))]
)
def test_blocks_agree_in_every_bit_however_the_volume_is_cut(size, start, shape):
    settings = make_settings(size)
    near = [halo_vox(settings, first_plane=z) for z in (start[0], start[0] + shape[0])]
    assert near[0] > near[1]  # the collector's reach ends inside
    whole = image_object(settings, start, shape, rough)
    cuts = [(0, 3, shape[0] - 5, shape[0]), (0, 1, 8, shape[1]), (0, 9, shape[2])]
    for axis_cuts in (cuts, [(0, n) for n in shape[:2]] + [(0, 5, 6, 10, shape[2])]):
        for z0, z1 in zip(axis_cuts[0][:-1], axis_cuts[0][1:], strict=True):
            for y0, y1 in zip(axis_cuts[1][:-1], axis_cuts[1][1:], strict=True):
                for x0, x1 in zip(axis_cuts[2][:-1], axis_cuts[2][1:], strict=True):
                    corner = (start[0] + z0, start[1] + y0, start[2] + x0)
                    piece = image_object(settings, corner, (z1 - z0, y1 - y0, x1 - x0), rough)
                    np.testing.assert_array_equal(piece, whole[z0:z1, y0:y1, x0:x1])


def measure_edge_fwhm(settings: TwinSettings, start, shape, *, tilt: float = 0.13) -> float:
    """FWHM, in metres, of the derivative of the grey profile across a straight edge between two phases."""
    middle = start[2] + (shape[2] - 1) / 2

    def distance(z, y, x):
        return (x - middle + tilt * (y - start[1]) + 0.5 * tilt * (z - start[0])) / np.sqrt(1 + 1.25 * tilt**2)

    grey = image_object(settings, start, shape, lambda z, y, x: np.where(distance(z, y, x) > 0, ELECTROLYTE, SILICON))
    axes = np.meshgrid(*(a + np.arange(n) for a, n in zip(start, shape, strict=True)), indexing="ij")
    order = np.argsort(distance(*axes), axis=None)
    place = distance(*axes).ravel()[order]
    profile = to_decrement(grey, settings).ravel()[order]
    bins = np.arange(place[0] + 3, place[-1] - 3, 0.2)
    which = np.digitize(place, bins)
    centre = np.array([place[which == i].mean() for i in range(1, len(bins))])
    mean = np.array([profile[which == i].mean() for i in range(1, len(bins))])
    slope = -np.diff(mean) / np.diff(centre)
    at = (centre[1:] + centre[:-1]) / 2
    # moments of the slope where it counts: the FWHM of the Gaussian that it is
    weight = np.clip(slope, 0, None)
    mid = (at * weight).sum() / weight.sum()
    sigma = np.sqrt(((at - mid) ** 2 * weight).sum() / weight.sum())
    return float(2.3548 * sigma * settings.voxel_size_m)


@pytest.mark.parametrize("size", ["tiny", "small", "paper"])
def test_an_edges_derivative_has_the_resolution_as_its_fwhm(size):
    settings = quiet(size)
    width = measure_edge_fwhm(settings, (FAR, 10, 20), (12, 24, 40))
    assert width == pytest.approx(settings.image_fwhm_m, rel=0.03)
    assert settings.image_fwhm_m == max(300e-9, 2 * settings.voxel_size_m)


def test_an_edge_near_the_collector_is_blurred_more_and_less_so_with_depth():
    settings = quiet("paper")
    face = round(settings.collector_m / settings.voxel_size_m)
    widths = [measure_edge_fwhm(settings, (face + d, 10, 20), (1, 24, 90)) for d in (0, 20, 60, 110)]
    assert widths[0] == pytest.approx(np.hypot(300e-9, 600e-9), rel=0.05)
    assert widths[0] > widths[1] > widths[2] > widths[3]
    assert widths[3] == pytest.approx(300e-9, rel=0.03)


@pytest.mark.parametrize("size", ["tiny", "small", "paper"])
def test_sub_voxels_are_as_fine_as_the_point_spread_needs(size):
    settings = make_settings(size)
    step, need = oversampling(settings), 0.45 * settings.image_fwhm_m
    assert settings.voxel_size_m / step <= need * (1 + 1e-9)
    assert step == 1 or settings.voxel_size_m / (step - 1) > need


@pytest.mark.parametrize(("size", "correlation_vox"), [("small", 2.0), ("paper", 3.0)])
def test_noise_has_its_sd_and_correlation(size, correlation_vox):
    settings = settings_with(size, cloud=0.0, ring=0.0)
    noise = (
        to_decrement(image_object(settings, (FAR, 0, 0), (12, 128, 128), plain(ELECTROLYTE)), settings) - ELECTROLYTE
    )
    expected = 0.12 * find_contrast(settings) / DECREMENT_UNIT
    assert noise.std() == pytest.approx(expected, rel=0.02)
    assert abs(noise.mean()) < 0.02 * expected
    assert (noise**4).mean() / noise.std() ** 4 == pytest.approx(3, abs=0.1)
    along_x = [(noise[..., k:] * noise[..., : 128 - k]).mean() / noise.var() for k in range(5)]
    half = next(k for k in range(5) if along_x[k] < 0.5)
    fwhm = 2 * (half - 1 + (along_x[half - 1] - 0.5) / (along_x[half - 1] - along_x[half]))
    assert fwhm == pytest.approx(correlation_vox, rel=0.1)
    along_z = (noise[1:] * noise[:-1]).mean() / noise.var()
    assert 0.01 < along_z < 0.6 * along_x[1]


def test_noise_in_a_slice_rises_like_a_ramp_and_is_cut_off():
    settings = settings_with("paper", cloud=0.0, ring=0.0)
    noise = image_object(settings, (FAR, 0, 0), (24, 160, 160), plain(ELECTROLYTE)).astype(float)
    power = (np.abs(np.fft.fft2(noise - noise.mean())) ** 2).mean(axis=0)
    f = np.fft.fftfreq(160)
    radius = np.hypot(f[:, None], f[None, :])

    def band(low: float, high: float) -> float:
        return float(power[(radius >= low) & (radius < high)].mean())

    peak = max(band(g, g + 0.02) for g in np.arange(0.02, 0.48, 0.02))
    assert band(0.005, 0.015) < 0.3 * peak
    assert band(0.055, 0.065) / band(0.025, 0.035) == pytest.approx(2.0, rel=0.3)
    assert band(0.4, 0.5) < 0.02 * peak


def test_noise_is_stronger_at_the_collector():
    settings = settings_with("paper", cloud=0.0, ring=0.0)
    near, far = (image_object(settings, (z, 0, 0), (6, 64, 64), plain(ELECTROLYTE)).std() for z in (40, FAR))
    assert near / far == pytest.approx(2.0, rel=0.1)


def test_clouds_and_rings_have_their_sd():
    for group, rel in (
        ({"noise": 0.0, "cloud": 0.0}, 0.1),
        ({"noise": 0.0, "ring": 0.0, "cloud_length_m": 0.5e-6}, 0.1),
    ):
        settings = settings_with("small", **group)
        grey = image_object(settings, (FAR, 0, 0), (40, 96, 90), plain(ELECTROLYTE))
        assert to_decrement(grey, settings).std() == pytest.approx(
            0.03 * find_contrast(settings) / DECREMENT_UNIT, rel=rel
        )


def test_rings_are_round_about_the_volumes_axis_and_stay_from_scan_to_scan():
    settings = settings_with("small", noise=0.0, cloud=0.0)
    size = 41
    start = (FAR, *(n // 2 - size // 2 for n in settings.shape[1:]))
    first, second = (image_object(settings, start, (2, size, size), plain(4.0), seed=seed) for seed in (1, 2))
    np.testing.assert_array_equal(first, second)
    # the axis lies between two voxels: point reflection maps the plane onto itself
    inner = first[:, : size - 1, : size - 1]
    np.testing.assert_array_equal(inner, inner[:, ::-1, ::-1])
    assert first.std() > 0


def test_another_scan_has_other_noise():
    settings = settings_with("small", ring=0.0, cloud=0.0)
    first, second = (
        image_object(settings, (FAR, 0, 0), (6, 64, 64), plain(ELECTROLYTE), seed=seed).astype(float) for seed in (1, 2)
    )
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.05


def test_silicon_is_the_darkest_phase_of_the_electrode_and_nothing_is_clipped():
    settings = make_settings("small")
    scan = settings.scan
    values = [scan.binder_delta, float(silicon_delta(3.75, scan.energy_kev)), scan.electrolyte_delta, 0.0]
    silicon = image_object(settings, (FAR, 0, 0), (4, 40, 40), plain(SILICON))
    assert silicon.min() > 0
    for value in values:
        grey = image_object(settings, (FAR, 0, 0), (4, 40, 40), plain(value / DECREMENT_UNIT))
        assert grey.mean() > silicon.mean()
        assert grey.max() < 65535
    copper = image_object(settings, (5, 0, 0), (4, 40, 40), plain(scan.copper_delta / DECREMENT_UNIT))
    assert (copper == 0).mean() < 0.01


def test_a_grey_value_says_its_decrement():
    settings = quiet("small")
    grey = image_object(settings, (FAR, 0, 0), (2, 3, 4), plain(ELECTROLYTE))
    assert to_decrement(grey, settings) == pytest.approx(np.full((2, 3, 4), ELECTROLYTE), abs=1e-4)


def test_without_a_collector_nothing_is_blurred_by_copper():
    settings = make_settings("small").model_copy(update={"collector_m": 0.0})
    assert halo_vox(settings, first_plane=0) == halo_vox(settings, first_plane=FAR)


def test_silicons_decrement_follows_from_its_electrons():
    assert silicon_delta([0, 3.75], 29.6) * 1e7 == pytest.approx([5.51, 2.61], abs=0.01)
    assert silicon_delta(0.0, 14.8) == pytest.approx(4 * silicon_delta(0.0, 29.6))


def test_bad_input_is_refused_in_one_line():
    settings = make_settings("small")
    halo = halo_vox(settings, first_plane=FAR)
    good = np.zeros((2 * (2 * halo + 3),) * 3, np.float32)
    assert image_block(good, (FAR, 0, 0), settings, seed=1).shape == (3, 3, 3)
    for block in (good.astype(np.float64), good[:-1], good[: 4 * halo], good[0]):
        with pytest.raises(InputError, match="halo"):
            image_block(block, (FAR, 0, 0), settings, seed=1)
    with pytest.raises(InputError, match="energy_kev"):
        silicon_delta(0.0, 0.0)
