"""A cross-section on its way from one scan to the next: slices, displacement and strain between two moments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from voltome.report.electrode_findings import AxialMap

Floats = NDArray[np.float64]

_COLUMNS = 144
"""Of the lattice on which motion and strain are worked out before they are drawn out to pixels."""

_UNTRUSTED = 0.4
_FAR_PX = 1e5


@dataclass(frozen=True)
class Lattice:
    """Points in material coordinates, the first scan's, evenly over a slice.

    Parameters
    ----------
    rows_px, columns_px : (nz,), (nx,) float64
        In pixels of the slice.
    """

    rows_px: Floats
    columns_px: Floats


@dataclass(frozen=True)
class State:
    """A slice at a scan.

    Parameters
    ----------
    image : (rows, columns) float32
    shift_px : (2, nz, nx) float64
        Displacement (z, x) at the points of the lattice.
    strain : (nz, nx) float64
        Without gaps: where there is none, that of the nearest node.
    cover : (nz, nx) float64
        1 where strain is trusted, 0 where there is none, in between where it is not trusted and at edges.
    """

    image: NDArray[np.float32]
    shift_px: Floats
    strain: Floats
    cover: Floats


def make_lattice(shape: tuple[int, int]) -> Lattice:
    """A lattice fine enough for nodes, coarse enough to be quick.

    Parameters
    ----------
    shape : (int, int)
        Of the slice in pixels.

    Returns
    -------
    Lattice
        Its points are the centres of equal cells that fill the slice.
    """
    longest = max(shape)
    counts = [max(2, round(n * min(_COLUMNS, longest) / longest)) for n in shape]
    rows, columns = (_spread_centres(count, n) for count, n in zip(counts, shape, strict=True))
    return Lattice(rows, columns)


def _spread_centres(count: int, length: int) -> Floats:
    """Centres of equal cells over so many pixels, whose own centres are at integers."""
    return (np.arange(count) + 0.5) * length / count - 0.5


def lay_state(image: NDArray[np.float32], axial: AxialMap, *, pixel_m: float, lattice: Lattice) -> State:
    """A scan's displacement and strain on the lattice, its slice without gaps.

    Parameters
    ----------
    image : (rows, columns) float32
        NaN is drawn in the slice's median.
    axial : AxialMap
        Displacement that is not known is taken from the nearest node.
    pixel_m : float
        Edge of the slice's pixels.
    lattice : Lattice

    Returns
    -------
    State
    """
    from scipy import ndimage

    z, x = np.meshgrid(
        _index_nodes(axial.z_m / pixel_m, lattice.rows_px),
        _index_nodes(axial.x_m / pixel_m, lattice.columns_px),
        indexing="ij",
    )

    def read(values: Floats, mode: str = "edge") -> Floats:
        padded = np.pad(np.asarray(values, dtype=np.float64), 1, mode=mode)  # type: ignore[call-overload]
        return np.asarray(ndimage.map_coordinates(padded, (z, x), order=1, mode="nearest"))

    known = np.isfinite(axial.strain)
    edge = np.clip(3.0 * (read(known, "constant") - 0.5) + 0.5, 0.0, 1.0)  # half-way to the next node without strain
    trust = read(_fill_gaps(np.where(known, np.where(axial.trusted, 1.0, _UNTRUSTED), np.nan)))
    shift = [read(_fill_gaps(u / pixel_m)) for u in (axial.displacement_z_m, axial.displacement_x_m)]
    return State(_fill_image(image), np.array(shift), read(_fill_gaps(axial.strain)), edge * trust)


def rest_state(image: NDArray[np.float32], later: State) -> State:
    """The first scan, where nothing has moved yet.

    Parameters
    ----------
    image : (rows, columns) float32
    later : State
        Of a later scan, which says where there is strain.

    Returns
    -------
    State
    """
    return State(_fill_image(image), np.zeros_like(later.shift_px), np.zeros_like(later.strain), later.cover)


def _fill_image(image: NDArray[np.float32]) -> NDArray[np.float32]:
    known = np.isfinite(image)
    grey = np.where(known, image, np.median(image[known]) if known.any() else 0.0)
    return np.asarray(grey, dtype=np.float32)


def _index_nodes(nodes: Floats, at: Floats) -> Floats:
    """Index into nodes that have one more on either side."""
    first, last = (nodes[1] - nodes[0], nodes[-1] - nodes[-2]) if len(nodes) > 1 else (_FAR_PX, _FAR_PX)
    wider = np.concatenate(([nodes[0] - first], nodes, [nodes[-1] + last]))
    return np.interp(at, wider, np.arange(len(wider), dtype=np.float64))


def _fill_gaps(values: Floats) -> Floats:
    """Each NaN gets the value nearest to it; zeros where there is none at all."""
    from scipy import ndimage

    gaps = ~np.isfinite(values)
    if gaps.all():
        return np.zeros_like(values)
    nearest = ndimage.distance_transform_edt(gaps, return_distances=False, return_indices=True)
    return np.asarray(values[tuple(nearest)])


def blend_states(
    before: State, after: State, part: float, *, lattice: Lattice, shape: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """What the slice looks like on the way between two scans.

    Displacement and strain of matter are interpolated linearly; both slices are moved to where matter then is, and
    faded. Where only one of them reaches, that one is shown.

    Parameters
    ----------
    before, after : State
    part : float
        0 at the scan before, 1 at the one after.
    lattice : Lattice
    shape : (int, int)
        Of the pictures to make, in pixels.

    Returns
    -------
    grey, strain, cover : (rows, columns) float32
        At the deformed position.
    """
    from scipy import ndimage

    shift = (1.0 - part) * before.shift_px + part * after.shift_px
    at = _index_lattice(lattice, find_matter(shift, lattice))

    def read(values: Floats) -> Floats:
        return np.asarray(ndimage.map_coordinates(values, at, order=1, mode="nearest"))

    def mix(first: Floats, second: Floats) -> NDArray[np.float32]:
        return _draw_out(read((1.0 - part) * first + part * second), shape)

    grey, seen = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32)
    for state, weight in ((before, 1.0 - part), (after, part)):
        if weight:
            back = [_draw_out(read(state.shift_px[axis] - shift[axis]), shape) for axis in (0, 1)]
            values, inside = _sample(state.image, back)
            share = np.float32(weight) * np.where(inside, np.float32(1.0), np.float32(1e-4))
            grey += share * values
            seen += share
    return grey / seen, mix(before.strain, after.strain), mix(before.cover, after.cover)


def _sample(
    image: NDArray[np.float32], back_px: list[NDArray[np.float32]]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The slice at pixels of the picture, each moved by so much; whether it reaches there."""
    from scipy import ndimage

    shape = back_px[0].shape
    rows, columns = (_spread_centres(n, length) for n, length in zip(shape, image.shape, strict=True))
    at = (back_px[0] + rows[:, None].astype(np.float32), back_px[1] + columns.astype(np.float32))
    values = ndimage.map_coordinates(image, at, order=1, mode="nearest", output=np.float32)
    inside = [(a >= -0.5) & (a <= n - 0.5) for a, n in zip(at, image.shape, strict=True)]
    return np.asarray(values), inside[0] & inside[1]


def find_matter(shift_px: Floats, lattice: Lattice) -> Floats:
    """Which matter lies at the points of the lattice after a displacement.

    Undone along x first, then along z, each time by a monotonic curve: that holds for strains beyond 1 as well, where
    fixed-point iterations run away.

    Parameters
    ----------
    shift_px : (2, nz, nx) float64
        Displacement of the points of the lattice.
    lattice : Lattice

    Returns
    -------
    (2, nz, nx) float64
        Rows and columns in material coordinates; beyond the lattice displacement is that of its edge.
    """
    rows, columns = lattice.rows_px, lattice.columns_px
    back_x, moved_z, out = np.empty(shift_px.shape[1:]), np.empty(shift_px.shape[1:]), np.empty(shift_px.shape)
    for i in range(len(rows)):
        back_x[i] = _undo(columns, shift_px[1, i])
        moved_z[i] = np.interp(back_x[i], columns, shift_px[0, i])
    for j in range(len(columns)):
        out[0, :, j] = _undo(rows, moved_z[:, j])
        out[1, :, j] = np.interp(out[0, :, j], rows, back_x[:, j])
    return out


def _undo(points: Floats, shift: Floats) -> Floats:
    """Where, along one line, lay what now lies at the points; folds are flattened."""
    moved = np.maximum.accumulate(points + shift) + 1e-9 * np.arange(len(points))
    ends = (points[0] - _FAR_PX, points[-1] + _FAR_PX)
    moved = np.concatenate(([moved[0] - _FAR_PX], moved, [moved[-1] + _FAR_PX]))
    return np.interp(points, moved, np.concatenate(([ends[0]], points, [ends[1]])))


def _index_lattice(lattice: Lattice, at_px: Floats) -> Floats:
    axes = (lattice.rows_px, lattice.columns_px)
    return np.array([(at - points[0]) / (points[1] - points[0]) for at, points in zip(at_px, axes, strict=True)])


def _draw_out(values: Floats, shape: tuple[int, int]) -> NDArray[np.float32]:
    """From the lattice to the pixels of a picture."""
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    return np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.BILINEAR))
