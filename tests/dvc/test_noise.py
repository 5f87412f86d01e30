"""Noise from repeat pairs of known noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from voltome import dvc, twin
from voltome.dvc import noise
from voltome.dvc.power_law import fit_power_law
from voltome.dvc.repeat import Smoothness
from voltome.dvc.windows import prepare_pair
from voltome.errors import InputError
from voltome.grid import regular_nodes

SHAPE = (106, 98, 102)
HALF_WINDOWS = (8, 11, 14, 20)
SHIFT = np.eye(4)
SHIFT[:3, 3] = (0.3, -0.2, 0.4)


def measure(correlation_vox, sd=0.05, motion=None, phi=SHIFT, half_windows=HALF_WINDOWS):
    motion = motion or twin.make_rigid_motion(displacement_vox=SHIFT[:3, 3])
    pair = twin.make_speckle_pair(SHAPE, motion, noise=sd, noise_correlation_vox=correlation_vox, seed=5)
    prepared = prepare_pair(pair.reference, pair.deformed)
    return [noise.measure_window_noise(prepared, half, phi) for half in half_windows]


@pytest.fixture(scope="module")
def white():
    return measure(0.0)


def test_white_noise_follows_the_power_laws_of_three_dimensions(white):
    half = np.array(HALF_WINDOWS)
    sides = (2 * half + 1) / 2
    for name, exponent in (("u", -1.5), ("f", -2.5)):
        sd = np.array([getattr(row, "mean_u_vox" if name == "u" else "mean_f") for row in white])
        relative = np.array([getattr(row, f"relative_error_{name}") for row in white])
        law = fit_power_law(sides, sd, sd * relative)
        assert abs(law.exponent - exponent) < max(3 * law.exponent_sd, 0.1)
        assert law.exponent_sd < 0.15


@pytest.mark.parametrize("correlation_vox", [0.0, 0.7])
def test_predicted_and_measured_sd_agree(white, correlation_vox):
    rows = white if correlation_vox == 0 else measure(correlation_vox, half_windows=(11, 14))
    ratio_u = np.array([row.mean_u_vox / noise.root_mean_square(row.predicted_u_vox) for row in rows])
    ratio_f = np.array([row.mean_f / noise.root_mean_square(row.predicted_f) for row in rows])
    error = np.array([row.relative_error_u for row in rows])
    assert (np.abs(ratio_u - 1) < 0.2 + 2 * error).all()
    assert (np.abs(ratio_f - 1) < 0.25).all()


def test_the_sd_is_that_of_many_pairs():
    """The scatter over nodes of one pair against the scatter over pairs at fixed nodes."""
    row = measure(0.0, half_windows=(11,))[0]
    motion = twin.make_rigid_motion(displacement_vox=SHIFT[:3, 3])
    clean = twin.make_speckle_pair((48, 50, 52), motion, seed=5)
    rng, found = np.random.default_rng(1), []
    for _ in range(12):
        volumes = [v + rng.normal(0, 0.05 * v.std(), v.shape).astype("f4") for v in (clean.reference, clean.deformed)]
        nodes = np.array([[z, y, x] for z in (15, 32) for y in (15, 34) for x in (16, 35)])
        start = np.tile(SHIFT, (8, 1, 1))
        found.append(noise.correlate_windows(prepare_pair(*volumes), nodes, start, 11).displacement_vox)
    assert row.mean_u_vox == pytest.approx(np.sqrt(np.var(found, axis=0, ddof=1).mean()), rel=0.25)


def test_a_drift_is_found_and_is_no_noise(white):
    turn = twin.make_rigid_motion(displacement_vox=(2.3, -1.2, 0.4), rotation_rad=(2e-3, 0, 0), centre_vox=(53, 49, 51))
    motion = turn + twin.make_affine_motion(1.001 * np.eye(3), centre_vox=(53, 49, 51))
    phi = np.eye(4)
    phi[:3, 3] = (2.3, -1.2, 0.4)
    row = measure(0.0, motion=motion, phi=phi, half_windows=(11,))[0]
    drift = row.drift
    truth = motion.displacement(drift.centre_vox[None])[0]
    assert (np.abs(drift.translation_vox - truth) < 4 * drift.translation_sd_vox + 1e-3).all()
    assert abs(drift.rotation_rad[0] - 2e-3) < 4 * drift.rotation_sd_rad[0]
    assert abs(drift.magnification - 1e-3) < 4 * drift.magnification_sd
    assert row.mean_u_vox == pytest.approx(white[1].mean_u_vox, rel=0.25)
    assert noise.judge_motion([row])[2] == ()


def test_one_image_twice_has_no_noise():
    volume = twin.make_speckle_pair((60, 62, 64), twin.make_rigid_motion()).reference
    for other in (volume, np.roll(volume, 1, axis=0)):
        phi = np.eye(4)
        phi[0, 3] = 0.0 if other is volume else 1.0
        with pytest.raises(InputError, match="a volume compared with itself has no noise"):
            noise.measure_window_noise(prepare_pair(volume, other), 8, phi)


def test_a_pair_that_is_strained_unevenly_is_refused():
    motion = twin.make_affine_motion(np.diag([1.02, 0.995, 1.0]), centre_vox=(53, 49, 51))
    pair = twin.make_speckle_pair(SHAPE, motion, noise=0.05)
    phi = dvc.register_affine(pair.reference, pair.deformed).phi
    row = noise.measure_window_noise(prepare_pair(pair.reference, pair.deformed), 11, phi)
    with pytest.raises(InputError, match=r"^these are no repeat scans: .* times the noise \(uneven strain 1\.9 %\)"):
        noise.judge_motion([row])


@pytest.mark.parametrize("amplitude", [0.05, 0.4])
def test_matter_that_moved_smoothly_is_said_and_much_of_it_refused(amplitude):
    motion = twin.make_sine_motion(amplitude, 70.0, component=0, along=1)
    rows = measure(0.0, motion=motion, phi=np.eye(4), half_windows=(8,))
    if amplitude > 0.1:
        with pytest.raises(InputError, match="these are no repeat scans: beyond drift"):
            noise.judge_motion(rows)
    else:
        warnings = noise.judge_motion(rows)[2]
        assert len(warnings) == 1 and "vary smoothly over the volume (half window 8): not noise" in warnings[0]


def test_other_samples_are_no_repeat_scans():
    volumes = [twin.make_speckle_pair((60, 62, 64), twin.make_rigid_motion(), seed=s, noise=0.05) for s in (1, 2)]
    with pytest.raises(InputError, match=r"no repeat scans: at half window 8 only \d+ of 27 windows can be trusted"):
        noise.measure_window_noise(prepare_pair(volumes[0].reference, volumes[1].reference), 8, np.eye(4))


def test_windows_in_one_plane_cannot_tell_a_drift():
    pair = twin.make_speckle_pair((60, 80, 82), twin.make_rigid_motion(), noise=0.05)
    mask = np.zeros(pair.shape, dtype=np.float32)
    mask[:24] = 1
    with pytest.raises(InputError, match="trusted windows must span the volume"):
        noise.measure_window_noise(prepare_pair(pair.reference, pair.deformed, mask), 8, np.eye(4))


def test_little_uneven_strain_is_a_warning(white):
    row = white[0]
    drift = replace(row.drift, distortion=5e-4, distortion_sd=1e-5, distortion_vox=0.02)
    quiet = replace(row, drift=drift, smoothness=Smoothness(row.mean_u_vox, 0.0, 0.0))
    warnings = noise.judge_motion([quiet])[2]
    assert len(warnings) == 1 and "strained unevenly by 0.05 %" in warnings[0]


def test_the_sd_of_strain_is_that_of_neighbours_half_a_window_apart():
    """Against the scatter of differences in fields at 50 % overlap."""
    predicted = noise.predict_strain_sd(10, np.array([0.02, 0.02, 0.02]))
    assert predicted[0] == pytest.approx(0.02 * np.sqrt(2 * (1 - 1 / 21)) / 20, rel=1e-4)
    assert predicted[1] == pytest.approx(np.sqrt(3) * predicted[0], rel=1e-3)
    assert regular_nodes((31, 31, 31), 10)[1] == (3, 3, 3)


def test_default_windows_are_those_of_which_eight_fit():
    assert noise.choose_half_windows((60, 60, 60)) == (8, 12)
    assert noise.choose_half_windows((400, 45, 45)) == (8,)
    assert noise.choose_half_windows((60, 60, 60), (10, 8)) == (8, 10)


@pytest.mark.parametrize(
    ("shape", "wanted", "rule"),
    [((30, 60, 60), None, "must hold 8 windows of half window 8 side by side"),
     ((60, 60, 60), (8, 30), "got half window 30 for shape"), ((60, 60, 60), (8, 8), "different whole numbers >= 4"),
     ((60, 60, 60), (3, 8), "different whole numbers >= 4"), ((60, 60, 60), (), "different whole numbers >= 4")],
)  # fmt: skip
def test_windows_that_do_not_fit_are_refused(shape, wanted, rule):
    with pytest.raises(InputError, match=rule):
        noise.choose_half_windows(shape, wanted)


def test_the_margin_follows_the_motion_and_leaves_room():
    assert noise.choose_margin((100, 100, 100), np.eye(4)) == 4
    phi = np.eye(4)
    phi[0, 3] = -3.2
    assert noise.choose_margin((100, 100, 100), phi) == 8
    phi[0, 3] = 40
    assert noise.choose_margin((100, 100, 100), phi) == 12
