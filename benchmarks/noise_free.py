"""Noise-free affine motion: what is left of the error without noise, and where it comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from judge import Errors, inner_nodes, measure_errors
from numpy.typing import NDArray
from pages import Section, Target, make_table
from scipy import ndimage

from voltome.dvc import correlate_local
from voltome.twin import SpecklePair, SpeckleTexture, make_affine_motion, make_speckle_pair

SHAPE = (180, 150, 160)
SPACING, HALF_WINDOW = 20, 12
MOTION = make_affine_motion(
    [[1.03, 0.010, 0.004], [-0.006, 0.985, 0.008], [0.005, -0.003, 1.01]],
    displacement_vox=(1.3, -2.4, 0.7),
    centre_vox=(np.asarray(SHAPE) - 1) / 2,
)
TEXTURES = ((1.5, 2.4, 4.0), (2.4, 4.0))
U_TARGET, F_TARGET = 5e-4, 2e-5
_EVERY = 6
_STEPS = 3
_DIFFERENCE = np.array([-1, 9, -45, 0, 45, -9, 1]) / 60

Floats = NDArray[np.float64]
Sampler = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Windows:
    """Windows of a pair for the reference solution: their nodes, their truth, and the volumes in double precision."""

    nodes: NDArray[np.int64]
    truth: Floats
    reference: Floats
    gradients: list[Floats]
    offsets: Floats


def _make_windows(pair: SpecklePair, nodes: NDArray[np.int64], truth: Floats) -> Windows:
    reference = pair.reference.astype(np.float64)
    steps = np.arange(-HALF_WINDOW, HALF_WINDOW + 1)
    offsets = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.float64)
    gradients = [ndimage.correlate1d(reference, _DIFFERENCE, axis=axis) for axis in range(3)]
    return Windows(nodes, truth, reference, gradients, offsets)


def _solve(windows: Windows, index: int, sample: Sampler) -> Floats:
    """Phi of a window by inverse-compositional Gauss-Newton in double precision, from the truth, voxel by voxel."""
    node, offsets = windows.nodes[index], windows.offsets
    block = tuple(slice(n - HALF_WINDOW, n + HALF_WINDOW + 1) for n in node)
    f = windows.reference[block].ravel()
    f = f - f.mean()
    size = np.linalg.norm(f)
    columns = [g[block].ravel() * part for g in windows.gradients for part in (*offsets.T, np.ones(len(offsets)))]
    jacobian = np.stack(columns, axis=1)
    jacobian -= jacobian.mean(axis=0)
    jacobian -= np.outer(f, f @ jacobian) / size**2
    hessian = jacobian.T @ jacobian
    phi = windows.truth[index].copy()
    for _ in range(_STEPS):
        g = sample(node + phi[:3, 3] + offsets @ phi[:3, :3].T)
        g = g - g.mean()
        step = np.eye(4)
        step[:3] -= np.linalg.solve(hessian, jacobian.T @ (f - g * (size / np.linalg.norm(g)))).reshape(3, 4)
        phi = phi @ np.linalg.inv(step)
    return np.asarray(phi, dtype=np.float64)


def _make_samplers(pair: SpecklePair, texture: SpeckleTexture) -> dict[str, Sampler]:
    volume = pair.deformed.astype(np.float64)

    def spline(order: int) -> Sampler:
        coefficients = ndimage.spline_filter(volume, order)
        return lambda points: ndimage.map_coordinates(coefficients, points.T, order=order, prefilter=False)

    return {
        "same windows, NumPy double precision, cubic": spline(3),
        "same windows, NumPy double precision, quintic": spline(5),
        "same windows, NumPy, the object instead of an interpolation": lambda points: texture.evaluate(
            MOTION.inverse(points)
        ),
    }


def measure_texture(widths_vox: tuple[float, ...]) -> dict[str, Errors]:
    """Errors of `correlate_local` on one texture, and of reference solutions on every sixth of its nodes."""
    texture = SpeckleTexture(11, widths_vox=widths_vox)
    pair = make_speckle_pair(SHAPE, MOTION, texture=texture)
    field = correlate_local(pair.reference, pair.deformed, node_spacing_vox=SPACING, half_window_vox=HALF_WINDOW).field
    truth = np.tile(np.eye(4), (len(field), 1, 1))
    truth[:, :3, :3] = MOTION.gradient(field.positions_vox)
    truth[:, :3, 3] = MOTION.displacement(field.positions_vox)
    use = inner_nodes(field.positions_vox, truth, HALF_WINDOW, SHAPE) & field.trusted
    some = np.flatnonzero(use)[::_EVERY]
    chosen = np.zeros(len(use), dtype=bool)
    chosen[some] = True
    found = {
        "voltome": measure_errors(field.phi, truth, use),
        "same windows, voltome": measure_errors(field.phi, truth, chosen),
    }
    windows = _make_windows(pair, field.positions_vox[some].astype(np.int64), truth[some])
    everything = np.ones(len(some), dtype=bool)
    for name, sample in _make_samplers(pair, texture).items():
        phi = np.stack([_solve(windows, index, sample) for index in range(len(some))])
        found[name] = measure_errors(phi, truth[some], everything)
    return found


HEADER = ("widths of the speckle, voxels", "windows solved by", "nodes", "u rms", "F rms")

TEXT = """## Noise-free affine motion

{shape} voxels, spacing {spacing}, half window {half}, strains up to 3 %, no noise; registration and local
correlation at their defaults. The speckle is a sum of blobs with the curvature of Gaussians of the given sd.

{table}

"Same windows" solves every {every}th of them again in NumPy, from the truth: with a cubic and with a quintic B-spline
in double precision, and with the object itself sampled where the window's voxels land. What the object leaves is the
rounding of its float32 voxels; what the cubic B-spline leaves beyond that is its interpolation error, which falls with
the width of the finest speckle. voltome's kernels interpolate with a cubic B-spline in single precision.
"""


def measure_noise_free() -> Section:
    """Section of the page and its two targets, one for each texture."""
    rows, targets = [], []
    for widths in TEXTURES:
        label = ", ".join(f"{w:g}" for w in widths)
        found = measure_texture(widths)
        rows += [[label, name, str(e.nodes), f"{e.u_rms:.1e}", f"{e.f_rms:.1e}"] for name, e in found.items()]
        ours = found["voltome"]
        targets.append(
            Target(
                f"noise-free affine, {SPACING} / {HALF_WINDOW}, speckle {label}",
                f"u <= {U_TARGET:g} voxel, F <= {F_TARGET:g}",
                f"u rms {ours.u_rms:.1e}, F rms {ours.f_rms:.1e}",
                ours.u_rms <= U_TARGET and ours.f_rms <= F_TARGET,
            )
        )
    table = make_table(HEADER, rows)
    print(table, flush=True)
    text = TEXT.format(shape=" x ".join(map(str, SHAPE)), spacing=SPACING, half=HALF_WINDOW, every=_EVERY, table=table)
    return Section(text, targets)


if __name__ == "__main__":
    print(measure_noise_free().text)
