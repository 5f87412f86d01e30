"""Volumes deformed by a measured field, and what is left after it, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from voltome.dvc.blocks import GreyScale, check_pair, prefilter, read_normalised, run_slabs
from voltome.dvc.interpolation import interpolate_field
from voltome.dvc.workers import thread_pool
from voltome.errors import InputError
from voltome.fields import DeformationField, FloatArray
from voltome.grid import Block, VolumeSource, make_block
from voltome.kernels import filters, warping
from voltome.kernels.sampling import TAIL

_BLOCK = 192
_EDGE_VOX = 0.5
_LEAST_DETERMINANT = 0.01


class DeformedVolume:
    """A volume that is deformed while it is read (`voltome.grid.VolumeSource`, float32).

    With `inverse` (see `deform_volume`) the value at x is the source's at the point that the field moves to x, without
    it the source's at x + u(x).
    """

    def __init__(
        self,
        source: VolumeSource,
        field: DeformationField,
        *,
        inverse: bool,
        interpolation: str,
        pool: ThreadPoolExecutor,
        fill: float = 0.0,
    ) -> None:
        if interpolation not in ("cubic", "linear"):
            raise InputError(f"interpolation must be cubic or linear (got {interpolation!r}): choose one of them")
        field = _complete_field(field)
        _check_field(field, source.shape)
        self.source = source
        self.shape = source.shape
        self.dtype = np.dtype(np.float32)
        self.fill = fill
        self._pool = pool
        self._inverse = inverse
        self._cubic = interpolation == "cubic"
        self._phi, self._origin, self._spacing = _regular_grid(field, source.shape)

    def __getitem__(self, block: Block) -> NDArray[np.float32]:
        start = np.array([s.start for s in block], dtype=np.int64)
        stop = np.array([s.stop for s in block], dtype=np.int64)
        out = np.empty(stop - start, dtype=np.float32)
        corners = self._reach(start, stop)
        reach = filters.SPLINE_REACH if self._cubic else 2
        shape = np.asarray(self.shape, dtype=np.int64)
        low = np.clip(corners[0] - reach, -reach, shape - 1).astype(np.int64)
        high = np.clip(corners[1] + reach, low + 2, shape + reach).astype(np.int64)
        flat = read_normalised(self.source, low, high, GreyScale(0.0, 1.0))
        values = flat[: flat.size - TAIL]
        if not np.isfinite(values).all():
            values[~np.isfinite(values)] = 0.0
        if self._cubic:
            prefilter(self._pool, flat, high - low)
        limits = np.stack([-_EDGE_VOX - low, shape - 1 + _EDGE_VOX - low], axis=1).astype(np.float64)
        limits[:, 0] = np.maximum(limits[:, 0], 1.0)
        limits[:, 1] = np.minimum(limits[:, 1], high - low - 3.0)
        run_slabs(
            self._pool,
            lambda first, last: warping.warp_planes(
                flat,
                high - low,
                (start - low).astype(np.float64),
                limits,
                self._phi,
                self._origin - start,
                self._spacing,
                self._inverse,
                self._cubic,
                np.float32(self.fill),
                out,
                first,
                last,
            ),
            len(out),
        )
        return out

    def _reach(self, start: NDArray[np.int64], stop: NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
        """Box of the source that a block of the output may need: displacements of the nodes around the block."""
        counts = np.asarray(self._phi.shape[:3])
        first = np.floor((start - self._origin) / self._spacing).astype(int) - 1
        last = np.ceil((stop - self._origin) / self._spacing).astype(int) + 2
        if self._inverse:  # the point that moves here may lie as far away as anything moves
            first, last = np.zeros(3, dtype=int), counts
        first, last = np.clip(first, 0, counts - 1), np.clip(last, 1, counts)
        nodes = self._phi[first[0] : last[0], first[1] : last[1], first[2] : last[2]].reshape(-1, 3, 4)
        nodes = nodes[np.isfinite(nodes).all(axis=(1, 2))]
        if not len(nodes):
            return start.astype(np.float64), stop.astype(np.float64)
        margin = np.abs(nodes[:, :, :3]).max(axis=0) @ self._spacing
        low, high = nodes[:, :, 3].min(axis=0) - margin, nodes[:, :, 3].max(axis=0) + margin
        if self._inverse:
            low, high = -high, -low
        return start + low - 1, stop + high + 1


def _regular_grid(field: DeformationField, shape: tuple[int, ...]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """F - I and u on a regular grid, its first node and its spacing; scattered nodes are interpolated onto a grid."""
    spacing = field.node_spacing_vox
    if field.grid_shape is not None and spacing is not None:
        phi, grid_shape, origin = field.phi, field.grid_shape, field.positions_vox[0]
    else:
        counts = np.maximum(2, np.round(np.asarray(shape) * (len(field) / np.prod(shape)) ** (1 / 3)).astype(int))
        axes = [np.linspace(0, n - 1, count) for n, count in zip(shape, counts, strict=True)]
        positions = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        use = np.asarray(np.isfinite(field.phi).all(axis=(1, 2)))
        phi, grid_shape, origin = interpolate_field(field, positions, use=use), tuple(counts), positions[0]
        spacing = np.array([axis[1] - axis[0] for axis in axes])
    out = phi[:, :3, :].copy()
    out[:, :, :3] -= np.eye(3)
    spacing = np.where(np.isfinite(spacing), spacing, 1.0)
    return np.ascontiguousarray(out.reshape(*grid_shape, 3, 4)), np.asarray(origin, dtype=np.float64), spacing


def _complete_field(field: DeformationField) -> DeformationField:
    """The field with nodes that failed replaced by their measured or filled neighbours; NaN stays NaN."""
    finite = np.isfinite(field.phi).all(axis=(1, 2))
    use = np.asarray(finite & (field.converged | (field.filled == 1)))
    failed = finite & ~use
    if not use.any() or not failed.any():
        return field
    phi = field.phi.copy()
    phi[failed] = interpolate_field(field, field.positions_vox[failed], use=use)
    return field.with_values(phi=phi)


def _check_field(field: DeformationField, shape: tuple[int, ...]) -> None:
    """Rules for a field that is to deform a volume."""
    finite = np.isfinite(field.phi).all(axis=(1, 2))
    if not finite.any():
        raise InputError("the field holds no finite Phi (0 nodes): correlate first, or fill the field")
    phi = field.phi[finite]
    far = np.abs(phi[:, :3, 3]).max()
    if far > 10.0 * max(shape):
        raise InputError(f"Phi must not move a node by more than ten volumes (got {far:g} voxels): check the table")
    determinant = np.linalg.det(phi[:, :3, :3])
    if not (determinant.min() > _LEAST_DETERMINANT and determinant.max() < 1.0 / _LEAST_DETERMINANT):
        raise InputError(
            f"det F of each node must be {_LEAST_DETERMINANT:g} to {1 / _LEAST_DETERMINANT:g} (got "
            f"{determinant.min():g} to {determinant.max():g}): check the table"
        )


def iterate_blocks(shape: tuple[int, ...], side: int = _BLOCK) -> Iterator[Block]:
    """Blocks of at most side^3 voxels that cover a volume, x fastest.

    Parameters
    ----------
    shape : tuple of int
    side : int

    Returns
    -------
    iterator of Block
    """
    z, y, x = ([slice(a, min(a + side, n)) for a in range(0, n, side)] for n in shape)
    return ((a, b, c) for a in z for b in y for c in x)


def deform_volume(
    volume: VolumeSource,
    field: DeformationField,
    *,
    interpolation: str = "cubic",
    threads: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Deform a reference volume by a field, so that it looks like the deformed one.

    The value at x is the reference's at X with X + u(X) = x, found by fixed-point iteration to 1e-3 voxel; u between
    nodes is the trilinear blend of their affine predictions, so that an affine field is reproduced exactly.

    Parameters
    ----------
    volume : VolumeSource
        Reference (z, y, x).
    field : DeformationField
        Phi from the reference to the deformed state; nodes with NaN leave voxels at 0.
    interpolation : str
        "cubic" or "linear".
    threads : int, optional
    on_progress : callable, optional
        Called with blocks done and blocks in all.

    Returns
    -------
    (z, y, x) float32
        0 where the point lies outside the reference.

    Raises
    ------
    InputError
        For an unknown interpolation, or a field without a finite Phi.
    """
    out = np.empty(volume.shape, dtype=np.float32)
    blocks = list(iterate_blocks(volume.shape))
    with thread_pool(threads) as pool:
        deformed = DeformedVolume(volume, field, inverse=True, interpolation=interpolation, pool=pool)
        for done, block in enumerate(blocks, start=1):
            out[block] = deformed[block]
            if on_progress is not None:
                on_progress(done, len(blocks))
    return out


class ResidualVolume:
    """Deformed volume, warped back onto the reference and matched in grey, minus the reference; read block by block."""

    def __init__(self, reference: VolumeSource, warped: DeformedVolume, gain: float, offset: float) -> None:
        self.reference = reference
        self.warped = warped
        self.gain = gain
        self.offset = offset
        self.shape = reference.shape
        self.dtype = np.dtype(np.float32)

    def __getitem__(self, block: Block) -> NDArray[np.float32]:
        back = self.warped[block]
        out = self.gain * back + np.float32(self.offset) - np.asarray(self.reference[block], dtype=np.float32)
        out[~np.isfinite(back)] = 0.0
        return out.astype(np.float32, copy=False)


def open_residual(
    reference: VolumeSource,
    deformed: VolumeSource,
    field: DeformationField,
    *,
    interpolation: str = "cubic",
    pool: ThreadPoolExecutor,
) -> ResidualVolume:
    """Residual of a pair as a volume that is computed while it is read; see `subtract_deformed`.

    Parameters
    ----------
    reference, deformed : VolumeSource
    field : DeformationField
        Phi from reference to deformed.
    interpolation : str
        "cubic" or "linear".
    pool : ThreadPoolExecutor
        Has to live as long as the volume is read.

    Returns
    -------
    ResidualVolume

    Raises
    ------
    InputError
        If the shapes differ or the field holds no finite Phi.
    """
    check_pair(reference, deformed)
    warped = DeformedVolume(deformed, field, inverse=False, interpolation=interpolation, pool=pool, fill=np.nan)
    gain, offset = _match_grey(reference, warped)
    return ResidualVolume(reference, warped, gain, offset)


def _match_grey(reference: VolumeSource, warped: DeformedVolume) -> tuple[float, float]:
    """Gain and offset of the deformed volume by least squares over up to 27 blocks of 48^3 voxels."""
    side = 48
    axes = [np.unique(np.linspace(0, max(n - side, 0), 3).astype(int)) for n in reference.shape]
    sums = np.zeros(5)
    for z in axes[0]:
        for y in axes[1]:
            for x in axes[2]:
                corner = np.array([z, y, x])
                block = make_block(corner, np.minimum(corner + side, reference.shape))
                f, g = np.asarray(reference[block], dtype=np.float64), warped[block].astype(np.float64)
                use = np.isfinite(f) & np.isfinite(g)
                f, g = f[use], g[use]
                sums += np.array([f.size, f.sum(), g.sum(), (g * g).sum(), (f * g).sum()])
    n = max(sums[0], 1.0)
    variance = sums[3] / n - (sums[2] / n) ** 2
    covariance = sums[4] / n - sums[1] * sums[2] / n**2
    gain = covariance / variance if variance > 0 and covariance > 0 else 1.0
    return float(gain), float(sums[1] / n - gain * sums[2] / n)


def subtract_deformed(
    reference: VolumeSource,
    deformed: VolumeSource,
    field: DeformationField,
    *,
    interpolation: str = "cubic",
    threads: int | None = None,
) -> NDArray[np.float32]:
    """Residual of a pair: the deformed volume, warped back and matched in grey, minus the reference.

    Parameters
    ----------
    reference, deformed : VolumeSource
        (z, y, x), same shape.
    field : DeformationField
        Phi from reference to deformed.
    interpolation : str
        "cubic" or "linear".
    threads : int, optional

    Returns
    -------
    (z, y, x) float32
        In the reference's grey values; 0 where the deformed volume has nothing. Gain and offset are matched by least
        squares, because scans differ in grey gain.

    Raises
    ------
    InputError
        If the shapes differ or the field holds no finite Phi.
    """
    out = np.empty(reference.shape, dtype=np.float32)
    with thread_pool(threads) as pool:
        residual = open_residual(reference, deformed, field, interpolation=interpolation, pool=pool)
        for block in iterate_blocks(reference.shape):
            out[block] = residual[block]
    return out
