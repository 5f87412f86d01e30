"""Features of voxels: the grey value, and at each scale what a Gaussian's derivatives say of the surroundings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.grid import Block, Shape3, VolumeSource, make_block
from voltome.segmentation.grey_scale import GreyScale

Singles = NDArray[np.float32]

SCALES = (1.0, 2.0, 4.0, 8.0)
"""Sigma of the Gaussians, in voxels. On slices of a rock (docs/accuracy.md) a scale of 0.7 gained 0.001 of Dice, one of
16 nothing, and leaving out 8 lost 0.005."""

_CUT = 2.5  # sigma at which a Gaussian ends; 3 gave the same labels and a larger halo
_TENSOR_SCALE = 0.5  # of the structure tensor's own Gaussian, over that of the gradients; a quarter or 1 are no better
_LARGEST = 32.0

_TILE_PLANES, _TILE_ROWS = 16, 32
BOXES: dict[int, Shape3] = {3: (64, 256, 256), 2: (8, 512, 512)}
"""Voxels that are filtered in one go, by the number of dimensions: what memory is bounded by."""
_SCRIBBLE_BOXES: dict[int, Shape3] = {3: (64, 128, 128), 2: (1, 512, 512)}


@dataclass(frozen=True, eq=False)
class FeaturePlan:
    """Which features there are, and what is to be computed for them.

    Parameters
    ----------
    scales : tuple of float
        Sigma in voxels, ascending.
    dimensions : {2, 3}
        2: each plane z is an image by itself.
    blurs : tuple of float32 arrays
        Weights that lead from the scale before to each scale.
    tensors : tuple of float32 arrays
        Weights of the structure tensor at each scale.
    margins : tuple of int
        Voxels beyond what is wanted that are needed of each scale.
    reach : int
        Voxels around a voxel that decide on its features.
    """

    scales: tuple[float, ...]
    dimensions: int
    blurs: tuple[Singles, ...]
    tensors: tuple[Singles, ...]
    margins: tuple[int, ...]
    reach: int

    @property
    def names(self) -> tuple[str, ...]:
        """Of the features, in order."""
        values = range(1, self.dimensions + 1)
        names = ["grey value"]
        for scale in self.scales:
            names += [f"{what} {scale:g}" for what in ("Gaussian", "gradient", "Laplacian")]
            names += [f"{what} {scale:g} value {i}" for what in ("Hessian", "structure tensor") for i in values]
        return tuple(names)

    @property
    def halo_vox(self) -> Shape3:
        """Voxels around a block that decide on it."""
        return (self.reach if self.dimensions == 3 else 0, self.reach, self.reach)


def plan_features(scales: Sequence[float] = SCALES, dimensions: int = 3) -> FeaturePlan:
    """Weights of all filters, and how far they reach.

    Each scale is reached from the one before it: the squares of sigma add up.

    Parameters
    ----------
    scales : sequence of float
        Sigma in voxels.
    dimensions : {2, 3}

    Returns
    -------
    FeaturePlan

    Raises
    ------
    InputError
        If there is no scale, they do not ascend from 0.5 to 32, or dimensions are neither 2 nor 3.
    """
    sigmas = tuple(float(scale) for scale in scales)
    if dimensions not in (2, 3):
        raise InputError(f"dimensions must be 2 or 3 (got {dimensions}): 2 takes each plane by itself")
    if not sigmas or any(not b > a for a, b in zip((0.0, *sigmas), sigmas, strict=False)):
        listed = ", ".join(f"{sigma:g}" for sigma in sigmas)
        raise InputError(f"scales must be voxels in ascending order (got {listed or 'none'}): give such as 1,2,4,8")
    if sigmas[0] < 0.5 or not sigmas[-1] <= _LARGEST:
        raise InputError(
            f"scales must be 0.5 to {_LARGEST:g} voxels (got {sigmas[0]:g} to {sigmas[-1]:g}): for larger ones reduce "
            "the volume"
        )
    blurs = tuple(_make_weights(math.sqrt(b * b - a * a)) for a, b in zip((0.0, *sigmas), sigmas, strict=False))
    tensors = tuple(_make_weights(_TENSOR_SCALE * sigma) for sigma in sigmas)
    margins, reach = [], 0
    for blur, tensor in zip(reversed(blurs), reversed(tensors), strict=True):
        reach = max(reach, len(tensor))  # its reach, and one voxel of the gradient
        margins.append(reach)
        reach += len(blur) - 1
    return FeaturePlan(sigmas, dimensions, blurs, tensors, tuple(reversed(margins)), reach)


def _make_weights(sigma: float) -> Singles:
    """Half of a Gaussian, from its middle on."""
    reach = max(1, math.ceil(_CUT * sigma))
    weights = np.exp(-0.5 * (np.arange(reach + 1) / sigma) ** 2)
    out: Singles = (weights / (weights[0] + 2 * weights[1:].sum())).astype(np.float32)
    return out


def count_features(scales: Sequence[float] = SCALES, dimensions: int = 3) -> int:
    """How many features a voxel has.

    Parameters
    ----------
    scales, dimensions
        As of `plan_features`.

    Returns
    -------
    int

    Raises
    ------
    InputError
        As of `plan_features`.

    Examples
    --------
    >>> count_features((1, 2, 4, 8), 3), count_features((1, 2, 4, 8), 2)
    (37, 29)
    """
    return len(plan_features(scales, dimensions).names)


def measure_tiles(
    block: Singles, plan: FeaturePlan, wanted: NDArray[np.bool_] | None = None
) -> Iterator[tuple[Block, Singles]]:
    """Features of a block, tile by tile.

    Parameters
    ----------
    block : (z, y, x) float32
        With `plan.halo_vox` voxels of context on every side; finite.
    plan : FeaturePlan
    wanted : bool array, optional
        Without the halo: tiles that hold nothing wanted are left out.

    Yields
    ------
    place : three slices
        Of the block without its halo; as long as `WIDTH` along x, or as the block.
    features : (F, z, y, WIDTH) float32
        Along x what lies beyond `place` means nothing.
    """
    from voltome.kernels.pixel_features import SLOTS, WIDTH, blur_products, measure_derivatives, measure_tensor

    nz, ny, nx = (n - 2 * halo for n, halo in zip(block.shape, plan.halo_vox, strict=True))
    if nx < WIDTH:
        block = np.pad(block, ((0, 0), (0, 0), (0, WIDTH - nx)), mode="edge")
    levels = _smooth(np.ascontiguousarray(block), plan)
    axes, per = plan.dimensions, 3 + 2 * plan.dimensions
    reaches = [len(weights) - 1 for weights in plan.tensors]
    scratch = np.empty(
        max(SLOTS * WIDTH, 6 * (_TILE_ROWS + 2 * max(reaches) + 1) * WIDTH + 12 * max(reaches)), np.float32
    )
    for z, y, x in _tile_corners((nz, ny, nx), WIDTH):
        place = make_block((z, y, x), (min(z + _TILE_PLANES, nz), min(y + _TILE_ROWS, ny), min(x + WIDTH, nx)))
        if wanted is not None and not wanted[place].any():
            continue
        planes, rows = place[0].stop - z, place[1].stop - y
        tile = np.array([planes, rows, axes])
        features = np.empty((1 + per * len(levels), planes, rows, WIDTH), dtype=np.float32)
        hz, hy, hx = plan.halo_vox
        features[0] = block[z + hz : z + hz + planes, y + hy : y + hy + rows, x + hx : x + hx + WIDTH]
        flat = features.reshape(-1)
        for i, (level, margin, weights) in enumerate(zip(levels, plan.margins, plan.tensors, strict=True)):
            source, shape = level.reshape(-1), np.array(level.shape)
            corner = np.array([z + margin if axes == 3 else z, y + margin, x + margin])
            deep = planes + 2 * reaches[i] if axes == 3 else planes
            blurred = np.empty((6 if axes == 3 else 3) * deep * rows * WIDTH, dtype=np.float32)
            measure_derivatives(source, shape, corner, tile, scratch, flat, 1 + i * per)
            blur_products(source, shape, corner, tile, weights, scratch, blurred)
            measure_tensor(blurred, tile, weights, scratch, flat, 1 + i * per + 3 + axes)
        yield place, features


def _tile_corners(shape: Shape3, width: int) -> Iterator[Shape3]:
    """First voxels of tiles; the last ones along x end with the block, so that all are equally wide."""
    for z in range(0, shape[0], _TILE_PLANES):
        for y in range(0, shape[1], _TILE_ROWS):
            for x in range(0, shape[2], width):
                yield z, y, max(0, min(x, shape[2] - width))


def _smooth(block: Singles, plan: FeaturePlan) -> list[Singles]:
    """The block at each scale, smaller by what its filter needed."""
    from voltome.kernels.pixel_features import blur_depth, blur_planes

    levels, source = [], block
    for weights in plan.blurs:
        nz, ny, nx = source.shape
        cut = 2 * (len(weights) - 1)
        level = np.empty((nz, ny - cut, nx - cut), dtype=np.float32)
        row = np.empty(nx, dtype=np.float32)
        blur_planes(source.reshape(-1), np.array(source.shape), weights, row, level.reshape(-1))
        if plan.dimensions == 3:
            flat, level = level, np.empty((nz - cut, *level.shape[1:]), dtype=np.float32)
            blur_depth(flat.reshape(-1), np.array(flat.shape), weights, level.reshape(-1))
        levels.append(level)
        source = level
    return levels


def find_features(
    image: VolumeSource,
    *,
    scales: Sequence[float] = SCALES,
    dimensions: int = 3,
    at: NDArray[np.integer] | None = None,
    grey: GreyScale | None = None,
    threads: int = 1,
    on_box: Callable[[int, int], None] | None = None,
) -> Singles:
    """Features of some voxels: grey value, and per scale Gaussian, gradient, Laplacian, Hessian and structure tensor.

    Only boxes around these voxels are read and filtered. Voxels are taken as cubes; beyond its faces the volume is
    mirrored.

    Parameters
    ----------
    image : array or Volume
        (z, y, x).
    scales, dimensions
        As of `plan_features`.
    at : (N, 3) int array, optional
        Voxels (z, y, x), each once; all by default, x fastest.
    grey : GreyScale, optional
        Puts grey values on a model's scale first.
    threads : int
        Boxes that are worked at once.
    on_box : callable, optional
        Called with (done, total) boxes.

    Returns
    -------
    (N, F) float32
        Grey value, then for each scale: Gaussian, gradient magnitude, Laplacian, eigenvalues of the Hessian and of the
        structure tensor, largest first.

    Raises
    ------
    InputError
        If scales or dimensions break a rule, the image is no volume, a voxel lies outside, or grey values around one
        are not finite.
    """
    plan = plan_features(scales, dimensions)
    shape = tuple(int(n) for n in image.shape)
    if len(shape) != 3:
        raise InputError(f"a volume must have three axes z, y, x (got shape {shape}): give an image as (1, y, x)")
    voxels = np.argwhere(np.ones(shape, dtype=bool)) if at is None else np.asarray(at).reshape(-1, 3)
    if len(voxels) and (voxels.min() < 0 or (voxels >= shape).any()):
        raise InputError(f"voxels must lie within the volume of shape {shape}: give (z, y, x) from 0")
    out = np.empty((len(voxels), len(plan.names)), dtype=np.float32)

    def measure(rows: NDArray[np.int64]) -> None:
        _measure_box(image, plan, grey, voxels, rows, out)

    boxes = _group(voxels, _SCRIBBLE_BOXES[dimensions])
    with ThreadPoolExecutor(threads) as pool:
        for done, _ in enumerate(pool.map(measure, boxes), 1):
            if on_box is not None:
                on_box(done, len(boxes))
    return out


def _group(voxels: NDArray[np.integer], size: Shape3) -> list[NDArray[np.int64]]:
    """Numbers of the voxels that lie in each box of a grid."""
    if not len(voxels):
        return []
    box = voxels // np.array(size)
    number = np.ravel_multi_index(tuple(box.T), tuple(box.max(axis=0) + 1))
    order = np.argsort(number, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(number[order])) + 1)


def _measure_box(
    image: VolumeSource,
    plan: FeaturePlan,
    grey: GreyScale | None,
    voxels: NDArray[np.integer],
    rows: NDArray[np.int64],
    out: Singles,
) -> None:
    """Fill the rows of voxels that lie together."""
    inside = voxels[rows]
    low, high = inside.min(axis=0), inside.max(axis=0) + 1
    block = _read_mirrored(image, make_block(low, high), plan.halo_vox, grey)
    if not np.isfinite(block).all():
        ranges = ", ".join(f"{axis} {a} to {b - 1}" for axis, a, b in zip("zyx", low, high, strict=True))
        raise InputError(
            f"grey values within {plan.reach} voxels of {ranges} hold NaN or infinity: crop the volume, fill them, or "
            "label nothing near them"
        )
    number = np.full(high - low, -1, dtype=np.int64)
    number[tuple((inside - low).T)] = rows
    for place, features in measure_tiles(block, plan, number >= 0):
        here = number[place]
        known = here >= 0
        out[here[known]] = features[..., : here.shape[2]][:, known].T


def _read_mirrored(image: VolumeSource, block: Block, halo_vox: Shape3, grey: GreyScale | None) -> Singles:
    """A block with its halo, mirrored where the volume ends."""
    wide, pads = [], []
    for edge, halo, n in zip(block, halo_vox, image.shape, strict=True):
        start, stop = edge.start - halo, edge.stop + halo
        wide.append(slice(max(start, 0), min(stop, n)))
        pads.append((max(-start, 0), max(stop - n, 0)))
    values = image[wide[0], wide[1], wide[2]]
    scaled = values.astype(np.float32) if grey is None else grey.scale(values)
    return np.pad(scaled, pads, mode="symmetric")
