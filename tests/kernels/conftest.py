"""An analytic texture, volumes made of it in both forms (flat float32 for kernels, float64 arrays for their twins)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from numba.core.registry import CPUDispatcher
from numpy.typing import NDArray

from voltome.kernels import filters, gauss_newton, moments, reference, sampling, small_matrices, warping, weights
from voltome.kernels.sampling import TAIL

Array = NDArray[np.float64]
NOTHING = np.zeros(0, dtype=np.float32)
RIM = filters.SPLINE_REACH + 3


@pytest.fixture(params=["compiled", "Python source"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Runs a test with the kernels as they are compiled, and once more with their Python source.

    For kernels without vectors: those exist only where they are compiled.
    """
    if request.param == "Python source":
        for module in (filters, gauss_newton, moments, sampling, small_matrices, warping):
            for name, value in list(vars(module).items()):
                if isinstance(value, CPUDispatcher):
                    monkeypatch.setattr(module, name, value.py_func)
    return request.param


def texture(points: Array) -> Array:
    """Grey value at points (..., 3): plane waves of 7 to 16 voxels and three Gaussian blobs, about 0 +- 1."""
    random = np.random.default_rng(7)
    out = np.zeros(points.shape[:-1])
    for _ in range(24):
        direction = random.normal(size=3)
        wave = 2 * np.pi / random.uniform(7, 16) * direction / np.linalg.norm(direction)
        out += 0.25 * np.cos(points @ wave + random.uniform(0, 2 * np.pi))
    for _ in range(3):
        distance = points - random.uniform(8, 24, 3)
        out += random.choice([-1, 1]) * np.exp(-np.square(distance).sum(axis=-1) / (2 * random.uniform(2.5, 4) ** 2))
    return out


def flatten(volume: Array) -> NDArray[np.float32]:
    """A volume as the kernels take it."""
    return np.concatenate([volume.ravel(), np.zeros(TAIL)]).astype(np.float32)


@dataclass(frozen=True, repr=False)
class Pair:
    """Two volumes in both forms. Positions are those of the reference volume, which is one block."""

    kernel_reference: moments.Reference
    kernel_deformed: moments.Deformed
    weighting: weights.Weighting
    reference: reference.ReferenceVolume
    deformed: reference.DeformedVolume

    def correlate(self, window: reference.Window, start: Array, rules: gauss_newton.Rules) -> reference.NodeResult:
        """Run the kernel on one node."""
        phi = np.array(start, dtype=np.float64)[None]
        status, numbers = np.zeros(1, dtype=np.int32), np.full((1, 7), np.nan)
        hessian, cells = np.zeros((1, 12, 12)), np.zeros((1, gauss_newton.CELLS**3, 9))
        gauss_newton.correlate_nodes(
            self.kernel_reference,
            self.kernel_deformed,
            self.weighting,
            rules,
            window.node[None].copy(),
            window.low[None].copy(),
            window.high[None].copy(),
            phi,
            status,
            numbers,
            hessian,
            cells,
        )
        return reference.NodeResult(int(status[0]), phi[0], numbers[0], hessian[0], cells[0])

    def correlate_twin(self, window: reference.Window, start: Array, rules: gauss_newton.Rules) -> reference.NodeResult:
        return reference.correlate_node(self.reference, self.deformed, rules, window, start)


def build_pair(
    f: Array,
    g: Array,
    *,
    read: tuple[tuple[int, int, int], tuple[int, int, int]] | None = None,
    cubic: bool = True,
    weights_f: Array | None = None,
    weights_g: Array | None = None,
    rim: float = 0.0,
) -> Pair:
    """Pair of volumes; the deformed one is read from read[0] to read[1], mirrored where that leaves it.

    `weights_f` has the reference's shape, `weights_g` that of what is read. `rim` voxels at the deformed volume's
    faces do not belong to it: the mirrored spline is inexact there.
    """
    shape = np.array(g.shape)
    first, stop = read if read is not None else (np.full(3, -RIM), shape + RIM)
    first, stop = np.asarray(first), np.asarray(stop)
    low, high = np.maximum(first, 0), np.minimum(stop, shape)
    z, y, x = (slice(a, b) for a, b in zip(low, high, strict=True))
    block = np.pad(g[z, y, x], list(zip(low - first, stop - high, strict=True)), mode="reflect")
    f, block = f.astype(np.float32).astype(np.float64), block.astype(np.float32).astype(np.float64)

    flats = [np.zeros(f.size + TAIL, dtype=np.float32) for _ in range(3)]
    views = [flat[: f.size].reshape(f.shape) for flat in flats]
    filters.gradient_planes(f.astype(np.float32), *views, 0, len(f))
    samples = block.astype(np.float32)
    if cubic:
        filters.prefilter_planes(samples, 0, samples.shape[0])
        filters.prefilter_z(samples, 0, samples.shape[1])
    reach = filters.SPLINE_REACH if cubic else 1
    size = np.array(block.shape, dtype=np.int64)
    shift = -first.astype(np.float64)
    inside = np.stack([shift + rim, shift + shape - 1.0 - rim], axis=1)
    readable = np.stack([np.full(3, float(reach)), size - 1.0 - reach], axis=1)
    ones = np.ones(f.shape[2] + 2 * TAIL, dtype=np.float32)
    return Pair(
        moments.Reference(flatten(f), *flats, np.array(f.shape, dtype=np.int64)),
        moments.Deformed(flatten(samples), size, shift, inside, readable, cubic),
        weights.Weighting(*(NOTHING if w is None else flatten(w) for w in (weights_f, weights_g)), ones),
        reference.ReferenceVolume(f, reference.gradient(f), weights_f),
        reference.DeformedVolume(
            reference.prefilter(block) if cubic else block, shift, inside, readable, cubic, weights_g
        ),
    )


@pytest.fixture(scope="session")
def make_pair() -> Callable[..., Pair]:
    return build_pair


@pytest.fixture(scope="session")
def deform_texture() -> Callable[..., Array]:
    """The texture in a volume, deformed by phi (3, 4) about a node: exact, nothing is interpolated."""

    def deform(shape: tuple[int, int, int], phi: Array | None = None, node: tuple[int, int, int] = (0, 0, 0)) -> Array:
        points = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).astype(np.float64)
        if phi is not None:
            points = (points - np.add(node, phi[:, 3])) @ np.linalg.inv(phi[:, :3]).T + node
        return texture(points)

    return deform


@pytest.fixture(scope="session")
def make_window() -> Callable[..., reference.Window]:
    """Window of a half width, cut three voxels inside a volume's faces where a shape is given."""

    def make(node: tuple[int, int, int], half: int, shape: tuple[int, int, int] | None = None) -> reference.Window:
        centre, low, high = np.array(node), np.full(3, -half), np.full(3, half + 1)
        if shape is not None:
            low = np.maximum(low, filters.GRADIENT_REACH - centre)
            high = np.minimum(high, np.array(shape) - filters.GRADIENT_REACH - centre)
        return reference.Window(centre, low, high)

    return make
