"""Sums over the cells of a node grid: each voxel is read and sampled once, however many windows hold it.

Windows of 50 % overlap share every voxel eight times. So the block is cut, along each axis, at the edges of all
windows and halfway between nodes; what lies between such cuts is a cell, and a window is a box of whole cells. A cell
is sampled with the Phi of the node that is nearest to it. Its sums are those that Gauss-Newton needs, as moments about
the cell's first voxel; `grid_newton` brings them together window by window.

Sums run down columns of constant x: rows are added to rows, sixteen columns at a time, with powers of y folded in for
each row and powers of z for each plane; only at a cell's end is anything summed along x.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voltome.kernels.compilation import compiled
from voltome.kernels.moments import ROWS, Window, add_at, response_terms, sample_rows, whole_groups
from voltome.kernels.partition import Partition, piece_stop, weigh_row, whole_rows
from voltome.kernels.sampling import TAIL, line_size
from voltome.kernels.vector import LANES, load

_f4 = np.float32
_Ints = NDArray[np.int64]
_Floats = NDArray[np.float64]

PRODUCTS, LINEAR, TOTALS, SAMPLED = 80, 32, 3, 21
"""Numbers that a cell keeps, all weighted.

For each of 1 z y x zz zy zx yy yx xx: g_r g_s (zz zy zx yy yx xx) and two zeros. For each of z y x 1: g_r, g_r f and
two zeros. 1, f, f^2. And of the deformed volume for each of z y x 1: g_r g and a zero; then g, g^2, f g, f_x g_x,
f_x^2.
The zeros fill up SIMD registers.
"""

_REFERENCE_PLANE = 6 * 3 + 6 * 2 + 3
_REFERENCE_SLAB = 6 * 6 + 6 * 3 + 3
_DEFORMED_PLANE = 3 * 2 + 5
_DEFORMED_SLAB = 3 * 3 + 5
RESPONSE_STEP = 4
"""The response is measured on every fourth row: a ratio of two sums needs no more."""
_COLUMNS = 1 + _REFERENCE_PLANE + _REFERENCE_SLAB


class CellSums(NamedTuple):
    """Sums of all cells, (cells, ...) with cells in order z, y, x; see `PRODUCTS`."""

    products: _Floats
    linear: _Floats
    totals: _Floats
    sampled: _Floats


class Columns(NamedTuple):
    """Memory of one thread: sampled rows, the two steps' scratch, columns of sums, and a piece of a row."""

    values: NDArray[np.float32]
    line: NDArray[np.float32]
    sums: NDArray[np.float32]
    piece: _Ints


def make_columns(partition: Partition) -> Columns:
    """Scratch for the cells of a partition.

    Parameters
    ----------
    partition : Partition

    Returns
    -------
    Columns
    """
    width = -(-int(partition.edge_x[-1] - partition.edge_x[0]) // LANES) * LANES
    return Columns(
        np.zeros(ROWS * (width + TAIL) + TAIL, dtype=np.float32),
        np.zeros(ROWS * line_size.py_func(width), dtype=np.float32),
        np.zeros(_COLUMNS * (width + TAIL), dtype=np.float32),
        np.zeros((3, 3), dtype=np.int64),
    )


@compiled()
def _clear(sums, first, stop):
    for i in range(first, stop):
        sums[i] = _f4(0.0)


@compiled(fastmath=True, inline="always")
def _add_linear(sums, at, width, value, y):
    """Add a value to the column's sums of 1 and y; returns where the next sums stand."""
    add_at(sums, at, value)
    add_at(sums, at + width, value * y)
    return at + 2 * width


@compiled(fastmath=True, inline="always")
def _add_quadratic(sums, at, width, value, y):
    """Add a value to the column's sums of 1, y and y^2; returns where the next sums stand."""
    at = _add_linear(sums, at, width, value, y)
    add_at(sums, at, value * (y * y))
    return at + width


@compiled(fastmath=True)
def _reference_row(reference, w, k, width, y, plane):
    """Add a row to the plane's columns: g_r g_s (1, y, y^2), g_r (1, y), g_r f (1, y), 1, f, f^2."""
    f, gz, gy, gx = reference.grey, reference.gradient_z, reference.gradient_y, reference.gradient_x
    for i in range(0, width, LANES):
        weight, grey = load(w, i), load(f, k + i)
        a, b, c = load(gz, k + i), load(gy, k + i), load(gx, k + i)
        wa, wb, wc, wf = weight * a, weight * b, weight * c, weight * grey
        at = _add_quadratic(plane, i, width, wa * a, y)
        at = _add_quadratic(plane, at, width, wa * b, y)
        at = _add_quadratic(plane, at, width, wa * c, y)
        at = _add_quadratic(plane, at, width, wb * b, y)
        at = _add_quadratic(plane, at, width, wb * c, y)
        at = _add_quadratic(plane, at, width, wc * c, y)
        at = _add_linear(plane, at, width, wa, y)
        at = _add_linear(plane, at, width, wb, y)
        at = _add_linear(plane, at, width, wc, y)
        at = _add_linear(plane, at, width, wf * a, y)
        at = _add_linear(plane, at, width, wf * b, y)
        at = _add_linear(plane, at, width, wf * c, y)
        add_at(plane, at, weight)
        add_at(plane, at + width, wf)
        add_at(plane, at + 2 * width, wf * grey)


@compiled(fastmath=True)
def _fold_plane(plane, slab, width, z, quadratic, linear, plain):
    """Add a plane's columns to the slab's: 1 z y zz zy yy from 1 y yy, 1 z y from 1 y."""
    for i in range(0, width, LANES):
        here, there = i, i
        for _ in range(quadratic):
            p0, p1, p2 = load(plane, here), load(plane, here + width), load(plane, here + 2 * width)
            add_at(slab, there, p0)
            add_at(slab, there + width, p0 * z)
            add_at(slab, there + 2 * width, p1)
            add_at(slab, there + 3 * width, p0 * (z * z))
            add_at(slab, there + 4 * width, p1 * z)
            add_at(slab, there + 5 * width, p2)
            here += 3 * width
            there += 6 * width
        for _ in range(linear):
            p0, p1 = load(plane, here), load(plane, here + width)
            add_at(slab, there, p0)
            add_at(slab, there + width, p0 * z)
            add_at(slab, there + 2 * width, p1)
            here += 2 * width
            there += 3 * width
        for _ in range(plain):
            add_at(slab, there, load(plane, here))
            here += width
            there += width


@compiled()
def _reduce_quadratic(slab, at, width, first, stop, out, k):
    """Moments 1 z y x zz zy zx yy yx xx of a cell from its columns (x from its first voxel): every eighth of out."""
    for j in range(10):
        out[8 * j + k] = 0.0
    for i in range(first, stop):
        x = float(i - first)
        s, z, y = float(slab[at + i]), float(slab[at + width + i]), float(slab[at + 2 * width + i])
        out[k] += s
        out[8 + k] += z
        out[16 + k] += y
        out[24 + k] += x * s
        out[32 + k] += float(slab[at + 3 * width + i])
        out[40 + k] += float(slab[at + 4 * width + i])
        out[48 + k] += x * z
        out[56 + k] += float(slab[at + 5 * width + i])
        out[64 + k] += x * y
        out[72 + k] += x * x * s


@compiled()
def _reduce_linear(slab, at, width, first, stop, out, k, step):
    """Moments z y x 1 of a cell from its columns: every `step`-th from out[k]."""
    for j in range(4):
        out[step * j + k] = 0.0
    for i in range(first, stop):
        s = float(slab[at + i])
        out[k] += float(slab[at + width + i])
        out[step + k] += float(slab[at + 2 * width + i])
        out[2 * step + k] += float(i - first) * s
        out[3 * step + k] += s


@compiled()
def _reduce_plain(slab, at, width, first, stop, count, out):
    for j in range(count):
        total = 0.0
        for i in range(first, stop):
            total += float(slab[at + j * width + i])
        out[j] = total


@compiled()
def _is_wanted(partition, wanted, oz, oy):
    """Whether any node of this row of the grid is to be worked."""
    row = (oz * len(partition.node_y) + oy) * len(partition.node_x)
    for k in range(len(partition.node_x)):
        if wanted[row + k]:
            return True
    return False


@compiled(cache=True)
def sum_reference_cells(reference, deformed, weighting, partition, base, wanted, first_z, stop_z, columns, sums):
    """Sums of the reference over the cells first_z..stop_z (along z) that belong to wanted nodes.

    Parameters
    ----------
    reference : Reference
    deformed : Deformed
        Only its limits are used.
    weighting : Weighting
    partition : Partition
    base : float64 (N, 3, 4)
        Phi that decides which voxels are mapped outside the deformed volume.
    wanted : uint8 (N,)
    first_z, stop_z : int
        Cells along z.
    columns : Columns
        Scratch.
    sums : CellSums
        `products`, `linear` and `totals` of the cells are set.
    """
    first_x = partition.edge_x[0]
    width = whole_groups(partition.edge_x[-1] - first_x)
    w, plane = columns.sums[:width], columns.sums[width : (1 + _REFERENCE_PLANE) * width]
    slab = columns.sums[(1 + _REFERENCE_PLANE) * width :]
    cells_y, cells_x = len(partition.owner_y), len(partition.owner_x)
    for iz in range(first_z, stop_z):
        oz, z0 = partition.owner_z[iz], partition.edge_z[iz]
        for iy in range(cells_y):
            oy, y0 = partition.owner_y[iy], partition.edge_y[iy]
            if oz < 0 or oy < 0 or not _is_wanted(partition, wanted, oz, oy):
                continue
            _clear(slab, 0, _REFERENCE_SLAB * width)
            whole = whole_rows(deformed, weighting, partition, base, oz, oy, iz, iy, w)
            for z in range(z0, partition.edge_z[iz + 1]):
                _clear(plane, 0, _REFERENCE_PLANE * width)
                for y in range(y0, partition.edge_y[iy + 1]):
                    if not whole:
                        weigh_row(reference, deformed, weighting, partition, base, oz, oy, z, y, w)
                    k = (z * reference.shape[1] + y) * reference.shape[2] + first_x
                    _reference_row(reference, w, k, width, _f4(y - y0), plane)
                _fold_plane(plane, slab, width, _f4(z - z0), 6, 6, 3)
            for ix in range(cells_x):
                ox = partition.owner_x[ix]
                if ox < 0 or not wanted[(oz * len(partition.node_y) + oy) * len(partition.node_x) + ox]:
                    continue
                a, b, cell = partition.edge_x[ix] - first_x, partition.edge_x[ix + 1] - first_x, 0
                cell = (iz * cells_y + iy) * cells_x + ix
                for j in range(6):
                    _reduce_quadratic(slab, 6 * j * width, width, a, b, sums.products[cell], j)
                for j in range(6):
                    _reduce_linear(slab, (36 + 3 * j) * width, width, a, b, sums.linear[cell], j, 8)
                _reduce_plain(slab, 54 * width, width, a, b, 3, sums.totals[cell])


@compiled(fastmath=True)
def _deformed_row(reference, w, k, values, first, width, y, plane):
    """Add a sampled row to the plane's columns: g_r g (1, y), g, g^2, f g."""
    f, gz, gy, gx = reference.grey, reference.gradient_z, reference.gradient_y, reference.gradient_x
    for i in range(0, width, LANES):
        v = load(values, first + i)
        wv = load(w, i) * v
        at = _add_linear(plane, i, width, load(gz, k + i) * wv, y)
        at = _add_linear(plane, at, width, load(gy, k + i) * wv, y)
        at = _add_linear(plane, at, width, load(gx, k + i) * wv, y)
        add_at(plane, at, wv)
        add_at(plane, at + width, wv * v)
        add_at(plane, at + 2 * width, wv * load(f, k + i))


@compiled(fastmath=True)
def _response_row(reference, w, k, values, first, n, width, plane, at):
    """Add f_x g_x and f_x^2 to two of the plane's columns, see `moments.response_row`."""
    for i in range(0, n - 6, LANES):
        slope, weighted, gx = response_terms(reference, w, i, k + i, values, first + i, n - i)
        add_at(plane, at + i + 3, weighted * slope)
        add_at(plane, at + width + i + 3, weighted * gx)


@compiled()
def _sample_cells(deformed, partition, phi, oz, oy, z, first_y, rows, columns, length):
    """Sample some rows of a plane, each piece with the Phi of the node that owns it."""
    node, low, high = columns.piece[0], columns.piece[1], columns.piece[2]
    node[0], node[1], k = partition.node_z[oz], partition.node_y[oy], 0
    while k < len(partition.owner_x):
        stop, ox = piece_stop(partition.owner_x, k), partition.owner_x[k]
        if ox >= 0:
            node[2] = partition.node_x[ox]
            low[2], high[2] = partition.edge_x[k] - node[2], partition.edge_x[stop] - node[2]
            own = phi[(oz * len(partition.node_y) + oy) * len(partition.node_x) + ox]
            window = Window(node, low, high, columns.sums, 0)
            at = partition.edge_x[k] - partition.edge_x[0]
            sample_rows(
                deformed,
                window,
                own,
                z - node[0],
                first_y - node[1],
                1,
                rows,
                columns.values[at:],
                length,
                columns.line,
            )
        k = stop


@compiled(cache=True)
def sum_deformed_cells(reference, deformed, weighting, partition, base, phi, first_z, stop_z, columns, sums):
    """Sums of the warped deformed volume over the cells first_z..stop_z (along z).

    Parameters
    ----------
    reference : Reference
    deformed : Deformed
    weighting : Weighting
    partition : Partition
    base, phi : float64 (N, 3, 4)
        Phi that decides on weights, and Phi that samples.
    first_z, stop_z : int
        Cells along z.
    columns : Columns
        Scratch.
    sums : CellSums
        `sampled` of the cells is set.
    """
    first_x = partition.edge_x[0]
    n = partition.edge_x[-1] - first_x
    width = whole_groups(n)
    length = width + TAIL
    w, plane = columns.sums[:width], columns.sums[width : (1 + _DEFORMED_PLANE) * width]
    slab = columns.sums[(1 + _DEFORMED_PLANE) * width :]
    cells_y, cells_x = len(partition.owner_y), len(partition.owner_x)
    for iz in range(first_z, stop_z):
        oz, z0 = partition.owner_z[iz], partition.edge_z[iz]
        for iy in range(cells_y):
            oy, y0, y1 = partition.owner_y[iy], partition.edge_y[iy], partition.edge_y[iy + 1]
            if oz < 0 or oy < 0:
                continue
            _clear(slab, 0, _DEFORMED_SLAB * width)
            whole = whole_rows(deformed, weighting, partition, base, oz, oy, iz, iy, w)
            batch = (y1 - y0 + (y1 - y0 + ROWS - 1) // ROWS - 1) // ((y1 - y0 + ROWS - 1) // ROWS)
            for z in range(z0, partition.edge_z[iz + 1]):
                _clear(plane, 0, _DEFORMED_PLANE * width)
                for first in range(y0, y1, batch):
                    rows = min(batch, y1 - first)
                    _sample_cells(deformed, partition, phi, oz, oy, z, first, rows, columns, length)
                    for j in range(rows):
                        y = first + j
                        if not whole:
                            weigh_row(reference, deformed, weighting, partition, base, oz, oy, z, y, w)
                        k = (z * reference.shape[1] + y) * reference.shape[2] + first_x
                        _deformed_row(reference, w, k, columns.values, j * length, width, _f4(y - y0), plane)
                        if (z + y) % RESPONSE_STEP == 0:
                            _response_row(reference, w, k, columns.values, j * length, n, width, plane, 9 * width)
                _fold_plane(plane, slab, width, _f4(z - z0), 0, 3, 5)
            for ix in range(cells_x):
                a, b = partition.edge_x[ix] - first_x, partition.edge_x[ix + 1] - first_x
                out = sums.sampled[(iz * cells_y + iy) * cells_x + ix]
                for j in range(3):
                    _reduce_linear(slab, 3 * j * width, width, a, b, out, j, 4)
                _reduce_plain(slab, 9 * width, width, a, b, 5, out[16:])
