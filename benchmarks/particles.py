"""Discrete correlation of rigid synthetic particles in a straining matrix: errors of rotation and translation, cost.

    python benchmarks/particles.py

`make_rows` gives the table's rows, `HEADER` their names.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pages import make_table

from voltome.dvc import correlate_local, correlate_particles, interpolate_field
from voltome.dvc.particle_motion import nearest_rotation, rotation_vectors
from voltome.twin import ParticlePair, make_particle_pair, make_rigid_motion, make_smooth_motion

SHAPE = (150, 140, 145)
COUNT = 80
CLASSES = ((6.0, 8.0), (8.0, 10.0), (10.0, 12.5))
CASES = (("no texture", 0.05), ("a quarter of the particles'", 0.25), ("as strong as the particles'", 1.0))

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Errors:
    """Errors of a way to measure particles: displacement (voxels) and rotation (degrees), (N, 3) each, nan: no result;
    and their stated standard deviations, or None."""

    displacement: Floats
    rotation: Floats
    displacement_sd: Floats | None = None
    rotation_sd: Floats | None = None


def measure_errors(phi: Floats, truth: Floats, sd: tuple[Floats, Floats] | None = None) -> Errors:
    """Errors of Phi (N, 4, 4) about the particles' centroids."""
    found, turned = nearest_rotation(phi), nearest_rotation(truth)
    turn = np.einsum("nij,nkj->nik", found[:, :3, :3], turned[:, :3, :3])
    return Errors((phi - truth)[:, :3, 3], np.degrees(rotation_vectors(turn)), *(sd or (None, None)))


def run_case(matrix_texture: float, noise: float) -> tuple[ParticlePair, NDArray[np.bool_], float, dict[str, Errors]]:
    """Pair, trusted particles, CPU seconds a particle, and the errors of each way to measure."""
    centre = (np.asarray(SHAPE) - 1) / 2
    motion = make_rigid_motion(displacement_vox=(1.3, -2.4, 0.7), centre_vox=centre) + make_smooth_motion(
        SHAPE, strain=0.04, swelling=0.03, seed=4
    )
    pair = make_particle_pair(SHAPE, motion, count=COUNT, noise=noise, matrix_texture=matrix_texture, seed=1)
    field = correlate_local(pair.reference, pair.deformed, node_spacing_vox=15, half_window_vox=14).field
    clock = time.process_time()
    result = correlate_particles(pair.reference, pair.deformed, pair.labels, field)
    cpu_s = (time.process_time() - clock) / len(result)
    centroids = result.particles.centroids_vox
    truth = pair.evaluate_phi(centroids)
    stated = (result.field.sd[:, 3::4], np.degrees(result.rotation_sd_rad))
    return (
        pair,
        result.field.trusted,
        cpu_s,
        {
            "windows of 29": measure_errors(interpolate_field(field, centroids), truth),
            "particles": measure_errors(result.field.phi, truth, stated),
        },
    )


HEADER = (
    "texture of the matrix", "measured by", "diameter", "trusted", "u rms", "u p95", "u max",
    "rotation rms, degrees", "p95", "max", "z of u / rotation", "CPU ms a particle",
)  # fmt: skip


def _in_numbers(error: Floats, digits: int) -> list[str]:
    size = np.abs(error)
    return [f"{v:.{digits}f}" for v in (np.sqrt(np.mean(size**2)), np.percentile(size, 95), size.max())]


def _score(error: Floats, sd: Floats) -> str:
    return f"{np.sqrt(np.mean((error / sd) ** 2)):.2f}"


def make_rows(*, noise: float = 0.05) -> list[list[str]]:
    """Rows of the table; errors are per component (z, y, x)."""
    rows = []
    for name, texture in CASES:
        pair, trusted, cpu_s, ways = run_case(texture, noise)
        radius = pair.semi_axes_vox.mean(axis=1)
        for way, errors in ways.items():
            for low, high in (*CLASSES, (0.0, np.inf)):
                use = trusted & (radius >= low) & (radius < high)
                if not use.any() or (way != "particles" and low > 0):
                    continue
                u, w = errors.displacement[use], errors.rotation[use]
                scores, cost = "none given", "none"
                if errors.displacement_sd is not None and errors.rotation_sd is not None:
                    scores = f"{_score(u, errors.displacement_sd[use])} / {_score(w, errors.rotation_sd[use])}"
                    cost = f"{1000 * cpu_s:.0f}"
                diameter = "all" if low == 0 else f"{2 * low:.0f} to {2 * high:.0f}"
                rows.append([name, way, diameter, str(use.sum()), *_in_numbers(u, 4), *_in_numbers(w, 3), scores, cost])
    return rows


if __name__ == "__main__":
    print(make_table(HEADER, make_rows()))
