"""Seeded fields for the report: a swelling electrode with a noisy corner, suspect, filled, failed and masked nodes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from voltome.fields import DeformationField, NodeStatus, StrainField
from voltome.grid import regular_nodes
from voltome.report import render_correlation_report

SHAPE = (60, 84, 108)


def make_slices(shape: tuple[int, int, int] = SHAPE, seed: int = 1) -> dict[str, tuple[int, np.ndarray]]:
    """Speckle on the three central slices."""
    rng = np.random.default_rng(seed)
    out = {}
    for axis, name in enumerate("zyx"):
        plane = [n for a, n in enumerate(shape) if a != axis]
        noise = np.fft.rfft2(rng.normal(size=plane))
        frequency = np.hypot(np.fft.fftfreq(plane[0])[:, None], np.fft.rfftfreq(plane[1])[None])
        speckle = np.fft.irfft2(noise * np.exp(-((frequency / 0.09) ** 2)), s=plane)
        out[name] = (shape[axis] // 2, (100 + 40 * speckle / speckle.std()).astype(np.float32))
    return out


def make_field(spacing_vox: int = 12, seed: int = 2, swelling: float = 0.03) -> DeformationField:
    """Axial swelling with a noisy, suspect corner, one failed block and masked margins."""
    rng = np.random.default_rng(seed)
    positions, grid_shape = regular_nodes(SHAPE, spacing_vox)
    n, unit = len(positions), positions / np.array(SHAPE)
    z, y, x = unit.T
    field = DeformationField.from_phi(positions, grid_shape=grid_shape)
    phi = field.phi.copy()
    phi[:, 0, 3] = 1.5 + swelling * SHAPE[0] * (z - 0.5) * (1 + 0.5 * np.cos(3 * x)) + rng.normal(0, 0.01, n)
    phi[:, 1, 3] = -0.6 + 0.4 * (y - 0.5) + rng.normal(0, 0.01, n)
    phi[:, 2, 3] = 0.2 + 0.3 * (x - 0.5) * z + rng.normal(0, 0.01, n)
    noisy = (x > 0.62) & (y > 0.5)
    phi[noisy, :3, 3] += rng.normal(0, 0.8, (int(noisy.sum()), 3))
    status = np.full(n, NodeStatus.CONVERGED, dtype=np.int32)
    status[(x < 0.2) & (y < 0.5)] = NodeStatus.MASKED
    status[(x < 0.42) & (y > 0.7) & (z > 0.5)] = NodeStatus.ITERATIONS_SPENT
    status[(x < 0.42) & (y > 0.55) & (y < 0.7) & (z < 0.45)] = NodeStatus.SINGULAR
    phi[(status == NodeStatus.MASKED) | (status == NodeStatus.SINGULAR)] = np.nan
    run = status != NodeStatus.MASKED
    sd = np.where(noisy, 0.03, 0.006) * rng.lognormal(0, 0.3, n)
    covariance = np.einsum("n,ij->nij", sd**2, np.diag([0.003, 0.003, 0.003, 1] * 3))
    covariance[~run] = np.nan
    zncc = np.where(noisy, 0.55, 0.975) + rng.normal(0, 0.008, n)
    return field.with_values(
        phi=phi,
        status=status,
        iterations=np.where(run, rng.integers(4, 12, n) + 20 * noisy, 0).astype(np.int32),
        zncc=np.where(run, zncc, np.nan),
        suspect=(noisy & (status == NodeStatus.CONVERGED)).astype(np.uint8),
        covariance=covariance.astype(np.float32),
    )


def fill_field(field: DeformationField) -> DeformationField:
    """Nodes that failed with a number, and suspect ones, replaced by the median of the trusted ones."""
    replaced = (field.status == NodeStatus.ITERATIONS_SPENT) | (field.suspect != 0)
    phi = field.phi.copy()
    if field.trusted.any():
        phi[replaced] = np.median(phi[field.trusted], axis=0)
    return field.with_values(phi=phi, filled=replaced.astype(np.uint8), suspect=np.where(replaced, 0, field.suspect))


def make_strain(field: DeformationField, filtered: DeformationField) -> StrainField:
    """Strain at the nodes by central differences, with the share of trusted neighbours behind each."""
    assert field.grid_shape is not None
    spacing = field.node_spacing_vox
    assert spacing is not None
    u = filtered.displacement_vox.reshape(*field.grid_shape, 3)
    gradient = np.zeros((*field.grid_shape, 3, 3))
    trusted = field.trusted.reshape(field.grid_shape)
    behind = trusted.astype(float)
    for axis in range(3):
        if field.grid_shape[axis] > 1:
            gradient[..., axis] = np.gradient(u, spacing[axis], axis=axis)
            for step in (-1, 1):
                behind = np.minimum(behind, np.where(np.roll(trusted, step, axis), 1.0, 0.8))
    f = gradient.reshape(-1, 3, 3) + np.eye(3)
    strain = 0.5 * (f + f.transpose(0, 2, 1)) - np.eye(3)
    trace = np.trace(strain, axis1=1, axis2=2)
    deviator = strain - trace[:, None, None] * np.eye(3) / 3
    return StrainField(
        positions_vox=field.positions_vox,
        grid_shape=field.grid_shape,
        measure="small",
        deformation_gradient=f,
        strain=strain,
        stretch=strain + np.eye(3),
        rotation=np.tile(np.eye(3), (len(field), 1, 1)),
        volumetric=np.where(np.isfinite(f).all(axis=(1, 2)), np.linalg.det(np.nan_to_num(f)) - 1, np.nan),
        deviatoric=np.sqrt(2 / 3 * np.einsum("nij,nij->n", deviator, deviator)),
        measured=behind.ravel(),
        strain_sd=np.full(f.shape, 1e-3),
        volumetric_sd=np.full(len(f), 2e-3),
    )


def make_summary() -> dict[str, Any]:
    """What the pipeline writes to summary.json, but for the nodes, which the report counts itself."""
    phi = np.eye(4)
    phi[:3, :3] *= 1.003
    phi[:3, 3] = (1.5, -0.6, 0.2)
    return {
        "version": "0.1.0",
        "registration": {"phi": phi.tolist(), "status": 2, "zncc": 0.94},
        "seconds": {"registration": 1.84, "correlation": 12.3, "filtering": 0.2, "strain": 0.05},
        "peak_memory_bytes": 412_000_000,
        "medians": {"zncc": 0.9751, "iterations": 7.0},
        "parameters": {"node_spacing_vox": 12, "half_window_vox": 12, "pyramid": [24, 12], "interpolation": "cubic"},
        "warnings": ["the reference has 3 saturated slices"],
        "skipped_levels": [100, 70],
    }


@dataclass(frozen=True)
class Case:
    """All that a report needs."""

    field: DeformationField
    filtered: DeformationField
    strain: StrainField
    slices: dict[str, tuple[int, np.ndarray]]
    summary: dict[str, Any]

    def with_field(self, field: DeformationField) -> Case:
        """The same with another field, filtered and differentiated anew, on one slice."""
        filtered = fill_field(field)
        strain = make_strain(field, filtered)
        return replace(self, field=field, filtered=filtered, strain=strain, slices={"y": self.slices["y"]})

    def render(self, **options: Any) -> str:
        return render_correlation_report(self.field, self.filtered, self.strain, self.slices, self.summary, **options)


@pytest.fixture(scope="session")
def case() -> Case:
    field = make_field()
    filtered = fill_field(field)
    return Case(field, filtered, make_strain(field, filtered), make_slices(), make_summary())
