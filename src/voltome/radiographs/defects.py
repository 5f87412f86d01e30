"""A detector's defective pixels: found on dark and flat, filled from their neighbours."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError

Singles = NDArray[np.float32]
Mask = NDArray[np.bool_]

REACH_PX = 12
"""Neighbours are looked for up to here: a cluster that is wider is refused."""

_MEDIAN_PX = 5
_NOISE_SDS = 8.0
_HOT_SHARE = 0.05  # of the local flat: a pixel that is a little warm is set right by its dark
_UNSTEADY = 5.0
_ENOUGH = 4  # neighbours
_UNLIT_SHARE = 1e-3


@dataclass(frozen=True, eq=False)
class Defects:
    """Pixels that tell nothing, and the neighbours that stand in for each.

    Parameters
    ----------
    shape : (rows, columns)
    pixels : (m,) int64
        Flat indices, rising.
    starts : (m,) int64
        Where each one's neighbours begin.
    neighbours : (k,) int64
        Flat indices.
    weights : (k,) float32
        Of the neighbours; they sum to 1 for each pixel.
    hot, dead, unsteady : int
        How many are above their neighbours' dark, answer to light less than half or more than twice as much as
        their neighbours, or are far noisier. A pixel may be several of these.
    """

    shape: tuple[int, int]
    pixels: NDArray[np.int64]
    starts: NDArray[np.int64]
    neighbours: NDArray[np.int64]
    weights: Singles
    hot: int = 0
    dead: int = 0
    unsteady: int = 0

    @property
    def share(self) -> float:
        """Defective pixels over all."""
        return self.pixels.size / max(1, self.shape[0] * self.shape[1])

    @property
    def mask(self) -> Mask:
        """(rows, columns) bool, true at defects."""
        mask = np.zeros(self.shape, dtype=np.bool_)
        mask.ravel()[self.pixels] = True
        return mask

    def crop(self, rows: slice, cols: slice) -> Defects:
        """Defects of a part of the frame: those whose neighbours all lie in it.

        Parameters
        ----------
        rows, cols : slice
            With start and stop. A part that is `REACH_PX` larger on each side than what is wanted has all it needs.

        Returns
        -------
        Defects
            Of the part's shape; the counts of kinds stay those of the frame.
        """
        top, left = rows.start, cols.start
        shape = rows.stop - top, cols.stop - left

        def shift(flat: NDArray[np.int64]) -> tuple[NDArray[np.int64], Mask]:
            row, col = np.divmod(flat, self.shape[1])
            row, col = row - top, col - left
            return row * shape[1] + col, (row >= 0) & (row < shape[0]) & (col >= 0) & (col < shape[1])

        pixels, inside = shift(self.pixels)
        neighbours, near = shift(self.neighbours)
        if self.pixels.size:
            inside &= np.logical_and.reduceat(near, self.starts)
        counts = np.diff(np.append(self.starts, self.neighbours.size))
        taken = np.repeat(inside, counts)
        starts = np.cumsum(counts[inside]) - counts[inside]
        return replace(
            self,
            shape=shape,
            pixels=pixels[inside],
            starts=starts,
            neighbours=neighbours[taken],
            weights=self.weights[taken],
        )


def plan_repair(mask: Mask) -> Defects:
    """Neighbours that stand in for defective pixels.

    The nearest good pixels in a square around the defect that holds at least four of them (three pixels wide where
    it stands alone), weighted by the inverse square of their distance.

    Parameters
    ----------
    mask : (rows, columns) bool
        True at defects.

    Returns
    -------
    Defects

    Raises
    ------
    InputError
        If a cluster is so wide that a pixel has no good one within `REACH_PX`.
    """
    shape = mask.shape[0], mask.shape[1]
    pixels = np.flatnonzero(mask)
    parts: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = []
    left = np.arange(pixels.size)
    for reach in range(1, REACH_PX + 1):
        if not left.size:
            break
        steps = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1)
        steps = steps[:, np.any(steps != 0, axis=0)]
        row, col = np.divmod(pixels[left], shape[1])
        rows, cols = row[:, None] + steps[0], col[:, None] + steps[1]
        good = (rows >= 0) & (rows < shape[0]) & (cols >= 0) & (cols < shape[1])
        flat = np.where(good, rows * shape[1] + cols, 0)
        good &= ~mask.ravel()[flat]
        count = good.sum(axis=1)
        done = (count >= _ENOUGH) | ((count > 0) & (reach == REACH_PX))
        good &= done[:, None]
        weight = np.broadcast_to(1.0 / (steps**2).sum(axis=0), good.shape)
        owner = np.broadcast_to(left[:, None], good.shape)
        parts.append((owner[good], flat[good], weight[good]))
        left = left[~done]
    if left.size:
        where = divmod(int(pixels[left[0]]), shape[1])
        raise InputError(
            f"clusters of defective pixels must be < {2 * REACH_PX} px wide (one at row {where[0]}, column "
            f"{where[1]} is wider): crop the frames, or give a mask without that region"
        )
    return _join(shape, pixels, parts)


def _join(
    shape: tuple[int, int],
    pixels: NDArray[np.int64],
    parts: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]],
) -> Defects:
    """Neighbours of all defects in the order of the defects, with weights that sum to 1."""
    if not parts:
        none = np.zeros(0, dtype=np.int64)
        return Defects(shape, none, none, none, np.zeros(0, dtype=np.float32))
    owner, neighbours, weights = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(owner, kind="stable")
    owner, neighbours, weights = owner[order], neighbours[order], weights[order]
    weights = weights / np.bincount(owner, weights, pixels.size)[owner]
    starts = np.searchsorted(owner, np.arange(pixels.size)).astype(np.int64)
    return Defects(shape, pixels, starts, neighbours, weights.astype(np.float32))


def repair_pixels(frames: Singles, defects: Defects) -> None:
    """Fill defective pixels with the weighted mean of their good neighbours, in place.

    Parameters
    ----------
    frames : (..., rows, columns) float32
        Contiguous; changed.
    defects : Defects

    Returns
    -------
    None
        The frames are changed when this returns.

    Raises
    ------
    InputError
        If the frames have another shape than the defects.
    """
    if frames.shape[-2:] != defects.shape:
        raise InputError(
            f"frames must have the defects' shape {defects.shape} (got {frames.shape[-2:]}): crop the defects alike"
        )
    if not defects.pixels.size:
        return
    flat = frames.reshape(-1, defects.shape[0] * defects.shape[1])
    if not np.shares_memory(flat, frames):
        raise InputError("frames must be contiguous (got a strided view): pass a copy and take it back")
    for frame in flat:
        frame[defects.pixels] = np.add.reduceat(frame[defects.neighbours] * defects.weights, defects.starts)


def find_defects(dark: Singles, flat: Singles, *, flat_sd: Singles | None = None, most_share: float = 0.05) -> Defects:
    """Dead, hot, stuck and unsteady pixels: each is held against the median of the 5 x 5 pixels around it.

    Only what no flat field can mend is a defect: a dark level above the neighbours' by 5 % of the local light (and
    eight robust standard deviations), an answer to light below half or above twice the neighbours' (dead; a stuck
    pixel answers to none), a scatter over repeated flats of five times the neighbours'.

    Parameters
    ----------
    dark : (rows, columns) float32
        Mean of the dark frames.
    flat : (rows, columns) float32
        Mean of the flat frames less the dark.
    flat_sd : (rows, columns) float32, optional
        Scatter of each pixel over flats, in any unit.
    most_share : float
        More defects than this mean that darks or flats are no such.

    Returns
    -------
    Defects
        Pixels that are not finite in either are defects too. Where less than a thousandth of the typical light
        arrives, an answer cannot be judged and is not.

    Raises
    ------
    InputError
        If shapes differ, if more than `most_share` are defective, or a cluster is too wide to be filled.
    """
    if dark.shape != flat.shape or dark.ndim != 2:
        raise InputError(f"dark and flat must be images of one shape (got {dark.shape} and {flat.shape}): crop them")
    broken = ~(np.isfinite(dark) & np.isfinite(flat))
    dark, flat = (np.where(broken, np.float32(0), image).astype(np.float32) for image in (dark, flat))
    light = _local_median(flat)
    lit = light > _UNLIT_SHARE * np.median(light)
    excess = dark - _local_median(dark)
    scale = np.maximum(_HOT_SHARE * np.maximum(light, 0.0), _NOISE_SDS * _robust_sd(excess))
    hot = excess > np.maximum(scale, np.finfo(np.float32).tiny)
    answer = flat - light
    dead = lit & ((flat < 0.5 * light) | (flat > 2.0 * light)) & (np.abs(answer) > _NOISE_SDS * _robust_sd(answer))
    dead |= broken
    unsteady = np.zeros(dark.shape, dtype=np.bool_)
    if flat_sd is not None:
        usual = _local_median(np.nan_to_num(flat_sd.astype(np.float32)))
        unsteady = lit & (flat_sd > _UNSTEADY * usual) & (usual > 0)
    mask = hot | dead | unsteady
    if mask.mean() > most_share:
        raise InputError(
            f"defective pixels must be <= {100 * most_share:g} % (got {100 * mask.mean():.3g} %: {hot.sum()} hot, "
            f"{dead.sum()} dead, {unsteady.sum()} unsteady): check that darks are darks and flats are flats"
        )
    return replace(plan_repair(mask), hot=int(hot.sum()), dead=int(dead.sum()), unsteady=int(unsteady.sum()))


def _local_median(image: Singles) -> Singles:
    from scipy.ndimage import median_filter

    out: Singles = median_filter(image, size=_MEDIAN_PX, mode="reflect")
    return out


def _robust_sd(values: Singles) -> float:
    """Standard deviation from the median absolute value."""
    return 1.4826 * float(np.median(np.abs(values)))
