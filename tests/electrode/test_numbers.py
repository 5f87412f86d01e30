"""Numbers of a scan, and what each cause adds to their error."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from voltome.alignment.similarity import make_jacobian
from voltome.electrode import Frame, Layer, NodeErrors, StateErrors, describe_state, fit_motion
from voltome.electrode.motion import make_terms

VOXEL_M = 0.2e-6
FRAME = Frame(np.array([12.0, 0.0, 0.0]), np.array([39.5, 45.5]), np.array([40.0, 46.0]), 50.0)
CENTRE = np.array([6.0, 39.5, 45.5])
RNG = np.random.default_rng(1)
PLACES = RNG.uniform([0.1, -1, -1], [0.95, 1, 1], (500, 3))
TOP = np.column_stack([RNG.uniform(0.95, 1.05, 120), RNG.uniform(-1, 1, (120, 2))])
RISE = np.array([1.2, 0.0, 0.0])
CAUSES = ("noise", "lost nodes", "window shape", "contrast loss", "alignment", "magnification", "surface")


def displace(places, lift=0.0):
    """u_z = 10 d + 8 d^2, u_y and u_x a little."""
    d, y, x = places.T
    return np.column_stack([10 * d + 8 * d**2 + lift, 0.4 * d * y, -0.3 * d * x])


def positions(places):
    return np.column_stack([12 + 50 * places[:, 0], FRAME.middle_vox + places[:, 1:] * FRAME.half_vox])


def jacobian(layered):
    parts = [make_jacobian(positions(PLACES) + displace(PLACES) - CENTRE)]
    if layered:
        parts.append(make_jacobian(positions(TOP * [0, 1, 1]) - CENTRE))
    return np.concatenate(parts)


def fit(layered, change=0.0, raised=0.0):
    layer = Layer(TOP, displace(TOP)[:, 0] + raised) if layered else None
    noise = 0.05 * np.random.default_rng(2).standard_normal(PLACES.shape)
    return fit_motion(PLACES, displace(PLACES) + noise + change, FRAME, layer=layer)


def make_errors(layered=True, **changes):
    covariance = np.diag([0.05, 0.08, 0.08, 1e-3, 8e-4, 8e-4, 5e-4]) ** 2
    nodes = NodeErrors(np.array([0.05, 0.06, 0.07]), np.array([0.1, 0.08, 0.08]), 0.1, 8.0)
    return replace(StateErrors(nodes, jacobian(layered), covariance, 0.3, 0.4, 0.2), **changes)


def describe(motion=None, errors=None, *, layered=True, voxel_size_m=VOXEL_M):
    motion = motion or fit(layered)
    errors = errors or make_errors(layered)
    found = describe_state("T3", motion, TOP, errors, voxel_size_m=voxel_size_m, layered=layered)
    return {m.label: m for m in found}


@pytest.fixture(scope="module")
def motion():
    return fit(True)


@pytest.fixture(scope="module")
def plain(motion):
    return describe(motion)


def test_the_numbers_are_those_of_the_motion(plain):
    before, top = 50 * TOP[:, 0].mean(), displace(TOP)[:, 0].mean()
    assert plain["thickness"].value == pytest.approx((before + top) * VOXEL_M, abs=0.02 * VOXEL_M)
    assert plain["expansion"].value == pytest.approx(top / before, abs=1e-3)
    assert plain["axial_strain"].value == pytest.approx(top / before, abs=2e-3)
    assert plain["in_plane_strain_yy"].value == pytest.approx(0.005, abs=1e-3)
    assert plain["volumetric_strain_collector_side"].value < plain["volumetric_strain_separator_side"].value


def test_units_are_si(plain):
    assert plain["thickness"].unit == "m"
    assert {m.unit for label, m in plain.items() if label != "thickness"} == {"1"}
    assert {m.scan for m in plain.values()} == {"T3"}
    assert not any(label.startswith("in_plane") and "side" in label for label in plain)


@pytest.mark.parametrize("label", ["thickness", "expansion", "volumetric_strain", "in_plane_strain_xx"])
def test_every_cause_is_named_once(label, plain):
    assert sorted(share.cause for share in plain[label].shares) == sorted(CAUSES)
    kinds = {share.cause: share.kind for share in plain[label].shares}
    assert [kinds[cause] for cause in CAUSES] == [
        "random", "random", "bias", "bias", "random", "random", "bias",
    ]  # fmt: skip


def scaled(nodes=None, **changes):
    errors = make_errors()
    if nodes:
        changes["nodes"] = replace(errors.nodes, **nodes)
    return replace(errors, **changes)


def covariance_times(rotation, scale):
    covariance = make_errors().alignment_covariance
    factors = np.array([rotation] * 6 + [scale])
    return covariance * np.outer(factors, factors)


@pytest.mark.parametrize(
    ("cause", "errors", "factor"),
    [
        ("noise", scaled({"noise_vox": 2 * make_errors().nodes.noise_vox}), 2.0),
        ("window shape", scaled({"shape_vox": 3 * make_errors().nodes.shape_vox}), 3.0),
        ("lost nodes", scaled({"lost": 0.4}), 2.0),
        ("lost nodes", scaled({"lost": 0.0}), 0.0),
        ("alignment", scaled(alignment_covariance=covariance_times(2, 1)), 2.0),
        ("magnification", scaled(alignment_covariance=covariance_times(1, 3)), 3.0),
    ],
    ids=["noise", "shape", "lost", "none lost", "alignment", "magnification"],
)
def test_each_cause_scales_its_own_share_alone(cause, errors, factor, motion, plain):
    found = describe(motion, errors)
    for label, measurement in found.items():
        for other in CAUSES:
            wanted = plain[label].share(other) * (factor if other == cause else 1.0)
            assert measurement.share(other) == pytest.approx(wanted, rel=1e-9, abs=1e-15), (label, other)


def test_nodes_that_share_windows_count_for_less(motion, plain):
    found = describe(motion, scaled({"shared": 32.0}))
    for cause in ("noise", "lost nodes", "window shape"):
        assert found["volumetric_strain"].share(cause) == pytest.approx(2 * plain["volumetric_strain"].share(cause))
    assert found["volumetric_strain"].share("alignment") == plain["volumetric_strain"].share("alignment")


def test_contrast_lost_is_a_share_of_the_axial_strain(plain):
    whole, side = plain["volumetric_strain"], plain["volumetric_strain_separator_side"]
    assert 0.002 < whole.share("contrast loss") / whole.value < 0.03
    assert whole.share("contrast loss") / whole.value < side.share("contrast loss") / side.value
    assert plain["in_plane_strain_xx"].share("contrast loss") == 0.0


def test_a_scan_that_is_not_aligned_has_no_random_error(motion):
    found = describe(motion, scaled(alignment_covariance=None))
    for measurement in found.values():
        assert math.isnan(measurement.share("alignment")) and math.isnan(measurement.share("magnification"))
        assert math.isnan(measurement.sd_random) and measurement.sd_bias > 0
        assert measurement.sd == measurement.sd_bias


@pytest.mark.parametrize("layered", [True, False])
@pytest.mark.parametrize("parameter", [0, 2, 4, 5, 6])
def test_an_error_of_alignment_changes_the_numbers_by_its_share(parameter, layered):
    """All displacements, and the surface where it is seen, as a wrong alignment would leave them."""
    step = [0.05, 0.05, 0.05, 1e-3, 1e-3, 1e-3, 1e-3][parameter]
    covariance = np.zeros((7, 7))
    covariance[parameter, parameter] = step**2
    errors = make_errors(layered, alignment_covariance=covariance)
    motion = fit(layered)
    wrong = -jacobian(layered)[:, :, parameter] * step
    layer = Layer(TOP, displace(TOP)[:, 0] + wrong[500:, 0]) if layered else None
    noise = 0.05 * np.random.default_rng(2).standard_normal(PLACES.shape)
    moved = fit_motion(PLACES, displace(PLACES) + noise + wrong[:500], FRAME, layer=layer)
    cause = "magnification" if parameter == 6 else "alignment"
    before, after = describe(motion, errors, layered=layered), describe(moved, errors, layered=layered)
    for label in ("thickness", "volumetric_strain", "axial_strain_separator_side", "in_plane_strain_xx"):
        change = abs(after[label].value - before[label].value)
        floor = 1e-3 * VOXEL_M if label == "thickness" else 2e-5
        assert before[label].share(cause) == pytest.approx(change, rel=0.1, abs=floor), label


def test_magnification_alone_adds_as_much_to_each_in_plane_strain(motion):
    """A scale wrong by 1e-3 is an in-plane strain wrong by about 1e-3."""
    covariance = np.zeros((7, 7))
    covariance[6, 6] = 1e-6
    found = describe(motion, scaled(alignment_covariance=covariance))
    assert found["in_plane_strain_yy"].share("magnification") == pytest.approx(1e-3, rel=0.5)


def test_a_surface_seen_too_high_raises_the_thickness_by_its_share(motion, plain):
    """The nodes hold against it: the number moves by less than the surface."""
    still = scaled(first_surface_vox=0.0, face_vox=0.0, surface_vox=0.05)
    lifted = describe(fit(True, raised=0.05))["thickness"].value - plain["thickness"].value
    stated = describe(motion, still)["thickness"].share("surface")
    assert stated == pytest.approx(lifted, rel=0.15)
    assert 0.2 * 0.05 * VOXEL_M < stated < 0.05 * VOXEL_M


def test_the_face_and_the_first_surface_count_even_where_this_scans_surface_is_not_seen():
    motion = fit(False)
    errors = make_errors(False, surface_vox=math.nan)
    found = describe(motion, errors, layered=False)
    standing = math.hypot(0.2, 0.3)
    assert found["thickness"].share("surface") == pytest.approx(standing * VOXEL_M)
    growth = found["expansion"].value
    assert found["expansion"].share("surface") == pytest.approx(growth * standing / (50 * TOP[:, 0].mean()))


def test_errors_without_causes_are_zero(motion):
    nodes = NodeErrors(np.zeros(3), np.zeros(3), 0.0, 1.0)
    errors = StateErrors(nodes, jacobian(True), np.zeros((7, 7)), 0.0, 0.0, 0.0)
    for measurement in describe(motion, errors).values():
        assert measurement.sd_random == 0.0
        assert measurement.sd_bias == measurement.share("contrast loss")


def test_voxels_set_the_scale_of_lengths_and_of_nothing_else(motion, plain):
    found = describe(motion, voxel_size_m=2 * VOXEL_M)
    assert found["thickness"].value == 2 * plain["thickness"].value
    assert found["thickness"].sd_bias == pytest.approx(2 * plain["thickness"].sd_bias)
    assert found["expansion"] == plain["expansion"]


def test_a_collector_at_high_z_gives_the_same_numbers(plain):
    frame = replace(FRAME, face_vox=np.array([88.0, 0, 0]), side=-1.0)
    noise = 0.05 * np.random.default_rng(2).standard_normal(PLACES.shape)
    mirror = np.array([-1.0, 1, 1])
    motion = fit_motion(
        PLACES, (displace(PLACES) + noise) * mirror, frame, layer=Layer(TOP, -displace(TOP)[:, 0])
    )  # fmt: skip
    found = describe(motion)
    for label in ("thickness", "expansion", "volumetric_strain", "axial_strain_collector_side"):
        assert found[label].value == pytest.approx(plain[label].value, rel=1e-9)
        assert found[label].share("noise") == pytest.approx(plain[label].share("noise"), rel=1e-9)


def test_noise_of_nodes_scatters_the_numbers_by_its_share():
    errors = make_errors(False)
    errors = replace(errors, nodes=replace(errors.nodes, noise_vox=np.full(3, 0.3), shared=1.0))
    drawn = []
    for seed in range(60):
        noise = 0.3 * np.random.default_rng(seed).standard_normal(PLACES.shape)
        drawn.append(fit_motion(PLACES, displace(PLACES) + noise, FRAME))
    stated = describe(drawn[0], errors, layered=False)
    at = make_terms(TOP).mean(axis=0)
    heights = np.array([at @ motion.coefficients[:, 0] for motion in drawn])
    assert heights.std() * VOXEL_M == pytest.approx(stated["thickness"].share("noise"), rel=0.3)
