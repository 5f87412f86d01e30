"""Filtered backprojection against ellipses, and against a slow sum over pixels and angles."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.reconstruction import FourierReconstructor, find_directions, make_response

from .analytic import Ellipse, project_ellipses, render_ellipses, scatter_grains

COLUMNS = 96
BODY = (
    Ellipse(0.0, 0.0, 38.0, 27.0, 0.3, 0.5),
    Ellipse(10.0, -17.0, 6.0, 4.0, 1.0, 0.4),
    Ellipse(-8, 12, 9, 9, 0, -0.3),
)


def make_turn(count: int, span: float = np.pi) -> np.ndarray:
    return np.arange(count) * span / count


def inside(shape: tuple[int, int], radius: float) -> np.ndarray:
    y, x = (np.arange(n) - (n - 1) / 2 for n in shape)
    return np.hypot(y[:, None], x) < radius


def reconstruct(sinogram, angles, axis_px, **options) -> np.ndarray:
    options = {"padding": "zero"} | options
    made = FourierReconstructor(angles, sinogram.shape[1], axis_px=axis_px, **options)
    return made.reconstruct(sinogram[None])[0]


def backproject_slowly(sinogram, angles, axis_px, padded: int) -> np.ndarray:
    """Each pixel sums, over angles, the filtered row's trigonometric polynomial at its own u."""
    columns = sinogram.shape[1]
    response = make_response("ramp", padded)
    response[padded // 2] = 0
    spectra = np.fft.fft(sinogram, padded, axis=1) * response
    place = np.arange(columns) - (columns - 1) / 2
    out = np.zeros((columns, columns))
    directions = find_directions(angles)
    for members, weight in zip(directions.members[:, 0], directions.weights_rad, strict=True):
        u = place * np.cos(angles[members]) + (place * np.sin(angles[members]))[:, None] + axis_px
        waves = np.exp(2j * np.pi * np.fft.fftfreq(padded)[:, None] * u.ravel())
        out += weight * (spectra[members] @ waves).real.reshape(out.shape) / padded
    return out


def test_agrees_with_a_slow_backprojection():
    angles = np.sort(np.random.default_rng(2).uniform(0, np.pi, 41))
    sinogram = project_ellipses([Ellipse(3, -4, 9, 6, 0.2, 1.0), Ellipse(-5, 5, 2, 2, 0, 0.7)], angles, 32, 14.6)
    fast = reconstruct(sinogram, angles, 14.6)
    assert np.abs(fast - backproject_slowly(sinogram, angles, 14.6, 64)).max() < 3e-4


@pytest.mark.parametrize("shape", [(96, 96), (97, 97), (81, 104), (120, 50)])
@pytest.mark.parametrize("axis_px", [47.5, 44.3])
def test_ellipses_come_back_at_their_place_and_value(shape, axis_px):
    angles = make_turn(180)
    found = reconstruct(project_ellipses(BODY, angles, COLUMNS, axis_px), angles, axis_px, shape_vox=shape)
    error = (found - render_ellipses(BODY, shape))[inside(shape, 43)]
    assert np.sqrt(np.mean(error**2)) < 0.016
    assert abs(error.mean()) < 1e-3


def test_a_point_is_reconstructed_at_its_pixel():
    angles, shape = make_turn(200), (70, 91)
    dot = Ellipse(20 - 34.5, 66 - 45.0, 0.5, 0.5, 0.0, 1.0)
    found = reconstruct(project_ellipses([dot], angles, COLUMNS, 47.5), angles, 47.5, shape_vox=shape)
    assert np.unravel_index(found.argmax(), shape) == (20, 66)
    near = found[17:24, 63:70]
    place = np.arange(7) - 3
    assert abs((near.sum(axis=1) @ place) / near.sum()) < 0.02
    assert abs((near.sum(axis=0) @ place) / near.sum()) < 0.02


def test_a_full_turn_gives_what_half_a_turn_gives():
    full, axis_px = make_turn(360, 2 * np.pi), 45.5
    sinogram = project_ellipses(BODY, full, COLUMNS, axis_px)
    both, half = reconstruct(sinogram, full, axis_px), reconstruct(sinogram[:180], full[:180], axis_px)
    circle = inside(both.shape, 43)  # what one side does not see, as the axis is off the middle, the other does
    assert np.sqrt(np.mean((both - half)[circle] ** 2)) < 0.006
    odd = make_turn(361, 2 * np.pi)
    uneven_pairs = reconstruct(project_ellipses(BODY, odd, COLUMNS, axis_px), odd, axis_px)
    assert np.abs(both - uneven_pairs)[circle].max() < 0.02


def test_the_second_half_turn_alone_gives_the_same():
    angles, axis_px = make_turn(180) + np.pi, 47.5
    first = reconstruct(project_ellipses(BODY, angles - np.pi, COLUMNS, axis_px), angles - np.pi, axis_px)
    second = reconstruct(project_ellipses(BODY, angles, COLUMNS, axis_px), angles, axis_px)
    assert np.abs(first - second).max() < 1e-3


@pytest.mark.parametrize("kind", ["jittered", "golden", "random", "shuffled", "doubled"])
def test_uneven_angles_are_weighted(kind):
    random, count = np.random.default_rng(4), 300
    angles = {
        "jittered": (np.arange(count) + random.uniform(-0.5, 0.5, count)) * np.pi / count,
        "golden": np.arange(count) * np.pi * (np.sqrt(5) - 1) / 2,
        "random": random.uniform(0, 2 * np.pi, 3 * count),
        "shuffled": random.permutation(make_turn(count, 2 * np.pi)),
        "doubled": np.concatenate([make_turn(count), make_turn(count)[:100]]),
    }[kind]
    found = reconstruct(project_ellipses(BODY, angles, COLUMNS, 46.2), angles, 46.2)
    error = (found - render_ellipses(BODY, found.shape))[inside(found.shape, 43)]
    assert np.sqrt(np.mean(error**2)) < 0.02
    assert abs(error.mean()) < 8e-3


def test_a_limited_range_is_reconstructed_without_a_made_up_part():
    angles = make_turn(180)[:130]
    found = reconstruct(project_ellipses(BODY, angles, COLUMNS, 47.5), angles, 47.5)
    assert np.isfinite(found).all()
    assert found[inside(found.shape, 15)].mean() < render_ellipses(BODY, found.shape)[inside(found.shape, 15)].mean()


def test_two_slices_of_one_transform_do_not_mix():
    angles = make_turn(150)
    sinogram = project_ellipses(BODY, angles, COLUMNS, 47.5)
    made = FourierReconstructor(angles, COLUMNS, axis_px=47.5, padding="zero")
    full, empty = made.reconstruct(np.stack([sinogram, np.zeros_like(sinogram)]))
    assert np.abs(empty[inside(empty.shape, 47)]).max() < 1e-4
    alone = made.reconstruct(sinogram[None])[0]
    assert np.abs(full - alone).max() < 1e-6


def test_edge_padding_keeps_an_interior_flat_where_zeros_make_a_bowl():
    angles, axis_px = make_turn(240), 46.0
    grains = scatter_grains(110.0, 250, seed=5)
    sinogram = project_ellipses(grains, angles, COLUMNS, axis_px)
    truth = render_ellipses(grains, (COLUMNS, COLUMNS))
    circle = inside(truth.shape, 44)
    spread = {}
    for padding in ("edge", "zero"):
        error = (reconstruct(sinogram, angles, axis_px, padding=padding) - truth)[circle]
        spread[padding] = error.std()  # an offset is unknown to interior tomography
    assert spread["edge"] < 0.06
    assert spread["zero"] > 5 * spread["edge"]
    assert FourierReconstructor(make_turn(4), 2048, axis_px=1000.0).padded_columns == 3072


def test_another_axis_needs_no_other_plan():
    angles = make_turn(180)
    sinogram = project_ellipses(BODY, angles, COLUMNS, 44.3)
    made = FourierReconstructor(angles, COLUMNS, axis_px=50.0, padding="zero")
    moved = made.reconstruct(sinogram[None], axis_px=44.3)[0]
    assert np.abs(moved - reconstruct(sinogram, angles, 44.3)).max() < 1e-4
    assert np.abs(moved - made.reconstruct(sinogram[None])[0]).max() > 0.1


def test_threads_inside_and_outside_give_the_same():
    angles = make_turn(60)
    random = np.random.default_rng(6)
    sinograms = random.normal(size=(7, 60, COLUMNS)).astype(np.float32)
    expected = FourierReconstructor(angles, COLUMNS, axis_px=47.0).reconstruct(sinograms)
    made = FourierReconstructor(angles, COLUMNS, axis_px=47.0, threads=3)
    assert np.array_equal(made.reconstruct(sinograms), expected)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(made.reconstruct, [sinograms] * 8))
    assert all(np.array_equal(answer, expected) for answer in answers)


def test_a_smooth_filter_lowers_noise():
    angles = make_turn(120)
    noise = np.random.default_rng(7).normal(size=(120, COLUMNS))
    scatter = [reconstruct(noise, angles, 47.5, filter_name=name).std() for name in ("ramp", "shepp-logan", "hann")]
    assert scatter[0] > scatter[1] > 1.5 * scatter[2]
    assert reconstruct(noise, angles, 47.5, filter_name="hann", cutoff=0.3).std() < 0.3 * scatter[2]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"axis_px": -1.0}, "axis_px"),
        ({"axis_px": np.nan}, "axis_px"),
        ({"padding": "mirror"}, "padding"),
        ({"padding_factor": 0.5}, "padding_factor"),
        ({"filter_name": "cosine"}, "filter"),
        ({"eps": 1e-9}, "eps"),
        ({"shape_vox": (0, 5)}, "shape_vox"),
        ({"threads": 0}, "threads"),
    ],
)
def test_bad_options_are_refused(options, said):
    with pytest.raises(InputError, match=said):
        FourierReconstructor(make_turn(10), 32, **({"axis_px": 15.5} | options))


def test_bad_sinograms_are_refused():
    made = FourierReconstructor(make_turn(10), 32, axis_px=15.5)
    with pytest.raises(InputError, match="shape"):
        made.reconstruct(np.zeros((1, 11, 32)))
    holed = np.zeros((4, 10, 32), dtype=np.float32)
    holed[2, 3, 4] = np.nan
    with pytest.raises(InputError, match="sinogram 2"):
        made.reconstruct(holed)
