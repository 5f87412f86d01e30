"""The numbers of a report."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from voltome.report.measures import (
    STATUS_MEANINGS,
    decompose_phi,
    find_warnings,
    robust_range,
    summarise_fields,
    symmetric_range,
    trusted_strain,
)


def make_phi(rotvec_zyx_deg: tuple[float, float, float], stretch: np.ndarray) -> np.ndarray:
    rotation_xyz = Rotation.from_rotvec(rotvec_zyx_deg[::-1], degrees=True).as_matrix()
    phi = np.eye(4)
    phi[:3, :3] = rotation_xyz[::-1, ::-1] @ stretch
    phi[:3, 3] = (3.0, -2.0, 1.0)
    return phi


def test_phi_is_taken_apart_into_what_it_was_made_of() -> None:
    stretch = np.array([[1.02, 0.004, 0], [0.004, 0.99, 0], [0, 0, 1.0]])
    parts = decompose_phi(make_phi((2.0, -1.0, 0.5), stretch))
    assert parts is not None
    np.testing.assert_allclose(parts.rotation_deg, (2.0, -1.0, 0.5), atol=1e-9)
    np.testing.assert_allclose(parts.axial, np.diagonal(stretch), atol=1e-12)
    np.testing.assert_allclose(parts.translation_vox, (3, -2, 1))
    np.testing.assert_allclose(parts.volume_ratio, np.linalg.det(stretch))
    assert parts.magnification is None


def test_rotation_about_z_turns_x_towards_y() -> None:
    phi = np.eye(4)
    angle = np.deg2rad(3.0)
    phi[1, 1] = phi[2, 2] = np.cos(angle)
    phi[1, 2], phi[2, 1] = np.sin(angle), -np.sin(angle)  # the x axis gains a y component
    parts = decompose_phi(phi)
    assert parts is not None
    np.testing.assert_allclose(parts.rotation_deg, (3.0, 0, 0), atol=1e-9)


@pytest.mark.parametrize("phi", [np.full((4, 4), np.nan), np.diag([1.0, 1, -1, 1]), np.diag([1.0, 0, 1, 1])])
def test_what_is_no_deformation_is_not_taken_apart(phi: np.ndarray) -> None:
    assert decompose_phi(phi) is None


def test_an_isotropic_stretch_is_told_as_a_magnification(case: Any) -> None:
    found = summarise_fields(case.field, case.filtered, case.strain)
    parts = decompose_phi(make_phi((1, 0, 0), np.diag([1.0031, 1.003, 1.0029])))
    assert any("+0.30 %" in text for text in find_warnings(found, {}, parts))
    swelling = decompose_phi(make_phi((1, 0, 0), np.diag([1.05, 1.0, 1.0])))
    assert not any("magnification" in text for text in find_warnings(found, {}, swelling))


def test_suspect_nodes_enter_no_number(case: Any) -> None:
    before = summarise_fields(case.field, case.filtered, case.strain)
    suspect = case.field.suspect != 0
    phi = case.field.phi.copy()
    phi[suspect, :3, 3] = 1e6
    volumetric = np.where(trusted_strain(case.strain), case.strain.volumetric, 1e6)
    after = summarise_fields(
        case.field.with_values(phi=phi), case.filtered, replace(case.strain, volumetric=volumetric)
    )
    assert before.kinds["suspect"] == suspect.sum() > 0
    assert after.displacement == before.displacement
    assert (after.volumetric_mean, after.volumetric_spread) == (before.volumetric_mean, before.volumetric_spread)


def test_every_node_is_counted_once(case: Any) -> None:
    found = summarise_fields(case.field, case.filtered, case.strain)
    assert sum(found.kinds.values()) == found.total == len(case.field)
    assert all(found.kinds.values()), "the phantom should hold every kind"
    assert found.replaced == (case.filtered.filled != 0).sum()
    assert found.gauge_length_vox == 12


def test_few_trusted_nodes_are_warned_of(case: Any) -> None:
    status = np.where(np.arange(len(case.field)) % 4 == 0, 2, 1).astype(np.int32)
    field = case.field.with_values(status=status)
    text = " ".join(find_warnings(summarise_fields(field, field, case.strain), {}, None))
    assert "of the nodes inside the mask may be trusted" in text


def test_warnings_of_the_run_come_with_the_others(case: Any) -> None:
    found = summarise_fields(case.field, case.filtered, case.strain)
    summary = {"warnings": ["dim"], "skipped_levels": [100], "registration": {"status": 1}}
    out = find_warnings(found, summary, None)
    assert out[-1] == "dim"
    assert any("100" in text for text in out)
    assert any("did not converge (status 1)" in text for text in out)


def test_ranges_are_never_empty() -> None:
    for values in (np.array([]), np.array([np.nan]), np.array([2.0]), np.zeros(5)):
        for low, high in (robust_range(values), symmetric_range(values)):
            assert low < high


def test_a_diverging_range_is_symmetric_and_ignores_the_wildest() -> None:
    values = np.r_[np.linspace(-1, 0.5, 1000), 50.0]
    low, high = symmetric_range(values)
    assert low == -high
    assert 0.9 < high < 1.0


def test_every_status_has_a_meaning() -> None:
    assert set(STATUS_MEANINGS) == {2, 1, 0, -1, -2, -3, -4, -5, -7}
