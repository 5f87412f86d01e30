"""The surroundings of a voxel at one scale: derivatives, and eigenvalues of Hessian and structure tensor.

Every kernel reads a block that holds the context of what it writes, so that none knows of edges: `blur_planes` and
`blur_depth` give a block that is smaller by the reach of their weights; the others fill a tile of `WIDTH` voxels along
x, whose features lie one behind another.

Strategy: sums over neighbours are written in vectors of sixteen voxels. Eigenvalues take roots and quotients, which
vectors lack: they are worked in place on rows of `WIDTH` voxels (slots of a scratch buffer), a constant that lets LLVM
see that slots do not overlap. In 3D their invariants are formed in float64: of two that are nearly equal float32 would
lose half of the digits.

A tile is described by its planes, its rows, and the number of axes: with 2 each plane is an image by itself.
"""

from __future__ import annotations

import math

import numpy as np

from voltome.kernels.compilation import compiled
from voltome.kernels.vector import LANES, load, store

WIDTH = 64
"""Voxels of a tile along x."""

SLOTS = 8
"""Rows of scratch that `measure_derivatives` and `measure_tensor` need."""

_f4, _f8 = np.float32, np.float64
_COUNT = np.uint64(WIDTH)
_S1, _S2, _S3, _S4, _S5, _S6 = (np.uint64(slot * WIDTH) for slot in range(1, 7))
_SQUARE, _LAPLACE = 6 * WIDTH, 7 * WIDTH

_F, _I = "float32[::1]", "int64[::1]"

_C0, _C1, _C2, _C3, _C4, _C5, _C6 = (
    _f4(c)
    for c in (
        0.5000001788139343, 0.40823641419410706, -0.05541152134537697, 0.018224937841296196, -0.006634554360061884,
        0.0018779076635837555, -0.00026793102733790874,
    )
)  # fmt: skip


@compiled(fastmath=True, inline="always")
def _third_angle(t):
    """cos(acos(t^2 - 1) / 3) for t from 0 to the root of 2, to 2e-7 (a Chebyshev fit)."""
    return _C0 + t * (_C1 + t * (_C2 + t * (_C3 + t * (_C4 + t * (_C5 + t * _C6)))))


@compiled(fastmath=True, inline="always")
def _blur_row(source, start, stride, weights, out, at, count):
    """Weighted sum of neighbours `stride` apart; the last sixteen voxels are aligned to the row's end."""
    for i in range(0, count, LANES):
        j = min(i, count - LANES)
        k = start + j
        total = load(source, k) * weights[0]
        for r in range(1, len(weights)):
            total = total + (load(source, k - r * stride) + load(source, k + r * stride)) * weights[r]
        store(out, at + j, total)


@compiled(inline="always")
def _copy_row(source, start, out, at):
    for i in range(0, WIDTH, LANES):
        store(out, at + i, load(source, start + i))


@compiled(f"void({_F}, {_I}, {_F}, {_F}, {_F})", cache=True)
def blur_planes(source, shape, weights, row, out):
    """Symmetric filter along y and x.

    Parameters
    ----------
    source : float32
        Block (z, y, x).
    shape : int64 (3,)
        Its sides; y and x at least 16 more than twice the reach.
    weights : float32 (reach + 1,)
        Of the voxel itself, of its next neighbours, and so on.
    row : float32 (x,)
        Scratch.
    out : float32
        (z, y - 2 reach, x - 2 reach).
    """
    nz, ny, nx = shape[0], shape[1], shape[2]
    reach = len(weights) - 1
    rows, columns = ny - 2 * reach, nx - 2 * reach
    for z in range(nz):
        for y in range(rows):
            _blur_row(source, (z * ny + y + reach) * nx, nx, weights, row, 0, nx)
            _blur_row(row, reach, 1, weights, out, (z * rows + y) * columns, columns)


@compiled(f"void({_F}, {_I}, {_F}, {_F})", cache=True)
def blur_depth(source, shape, weights, out):
    """Symmetric filter along z; `out` is (z - 2 reach, y, x), the rest as of `blur_planes`."""
    nz, ny, nx = shape[0], shape[1], shape[2]
    reach = len(weights) - 1
    plane = ny * nx
    for y in range(ny):  # down z at one y: the rows that are summed stay in the cache
        for z in range(nz - 2 * reach):
            _blur_row(source, (z + reach) * plane + y * nx, plane, weights, out, z * plane + y * nx, nx)


@compiled(fastmath=True, error_model="numpy")
def _values_of_nine(s):
    """Eigenvalues, largest first, of the tensors zz yy xx zy zx yx in slots 0 to 5; they go to slots 0 to 2."""
    for i in range(_COUNT):
        a, b, c = _f8(s[i]), _f8(s[_S1 + i]), _f8(s[_S2 + i])
        d, e, f = _f8(s[_S3 + i]), _f8(s[_S4 + i]), _f8(s[_S5 + i])
        mean = (a + b + c) * (1.0 / 3.0)
        a -= mean
        b -= mean
        c -= mean
        square = (a * a + b * b + c * c + 2.0 * (d * d + e * e + f * f)) * (1.0 / 6.0)
        inverse = 1.0 / math.sqrt(square + 1e-60)
        determinant = a * (b * c - f * f) - d * (d * c - e * f) + e * (d * f - b * e)
        r = min(max(0.5 * determinant * inverse * inverse * inverse, -1.0), 1.0)
        span, middle = _f4(2.0 * square * inverse), _f4(mean)
        high = middle + span * _third_angle(math.sqrt(_f4(1.0 + r)))
        low = middle - span * _third_angle(math.sqrt(_f4(1.0 - r)))
        s[i], s[_S1 + i], s[_S2 + i] = high, _f4(3.0) * middle - high - low, low


@compiled(fastmath=True, error_model="numpy")
def _values_of_four(s):
    """Eigenvalues, largest first, of the tensors yy xx yx in slots 0 to 2; they go to slots 0 and 1."""
    for i in range(_COUNT):
        middle, half = _f4(0.5) * (s[i] + s[_S1 + i]), _f4(0.5) * (s[i] - s[_S1 + i])
        span = math.sqrt(half * half + s[_S2 + i] * s[_S2 + i])
        s[i], s[_S1 + i] = middle + span, middle - span


@compiled(fastmath=True, error_model="numpy")
def _root(s):
    for i in range(_COUNT):
        s[_S6 + i] = math.sqrt(s[_S6 + i])


@compiled(fastmath=True)
def _stencil_of_nine(g, k, sy, sz, s):
    """Hessian of a row into slots 0 to 5, squared gradient and Laplacian into 6 and 7."""
    quarter, two = _f4(0.25), _f4(2.0)
    for i in range(0, WIDTH, LANES):
        j = k + i
        middle = load(g, j) * two
        x0, x1, y0, y1 = load(g, j - 1), load(g, j + 1), load(g, j - sy), load(g, j + sy)
        z0, z1 = load(g, j - sz), load(g, j + sz)
        gz, gy, gx = z1 - z0, y1 - y0, x1 - x0
        zz, yy, xx = z0 + z1 - middle, y0 + y1 - middle, x0 + x1 - middle
        zy = load(g, j - sz - sy) + load(g, j + sz + sy) - load(g, j - sz + sy) - load(g, j + sz - sy)
        zx = load(g, j - sz - 1) + load(g, j + sz + 1) - load(g, j - sz + 1) - load(g, j + sz - 1)
        yx = load(g, j - sy - 1) + load(g, j + sy + 1) - load(g, j - sy + 1) - load(g, j + sy - 1)
        store(s, i, zz)
        store(s, WIDTH + i, yy)
        store(s, 2 * WIDTH + i, xx)
        store(s, 3 * WIDTH + i, zy * quarter)
        store(s, 4 * WIDTH + i, zx * quarter)
        store(s, 5 * WIDTH + i, yx * quarter)
        store(s, _SQUARE + i, (gz * gz + gy * gy + gx * gx) * quarter)
        store(s, _LAPLACE + i, zz + yy + xx)


@compiled(fastmath=True)
def _stencil_of_four(g, k, sy, s):
    """The same of an image: its Hessian has slots 0 to 2."""
    quarter, two = _f4(0.25), _f4(2.0)
    for i in range(0, WIDTH, LANES):
        j = k + i
        middle = load(g, j) * two
        x0, x1, y0, y1 = load(g, j - 1), load(g, j + 1), load(g, j - sy), load(g, j + sy)
        gy, gx = y1 - y0, x1 - x0
        yy, xx = y0 + y1 - middle, x0 + x1 - middle
        yx = load(g, j - sy - 1) + load(g, j + sy + 1) - load(g, j - sy + 1) - load(g, j + sy - 1)
        store(s, i, yy)
        store(s, WIDTH + i, xx)
        store(s, 2 * WIDTH + i, yx * quarter)
        store(s, _SQUARE + i, (gy * gy + gx * gx) * quarter)
        store(s, _LAPLACE + i, yy + xx)


@compiled(f"void({_F}, {_I}, {_I}, {_I}, {_F}, {_F}, int64)", cache=True)
def measure_derivatives(smooth, shape, corner, tile, scratch, out, first):
    """Grey value, gradient magnitude, Laplacian, and eigenvalues of the Hessian, largest first.

    Parameters
    ----------
    smooth : float32
        Block (z, y, x), already smoothed.
    shape : int64 (3,)
        Its sides.
    corner : int64 (3,)
        First voxel of the tile in the block; one voxel around the tile is read.
    tile : int64 (3,)
        Planes, rows, and axes: 3 or 2.
    scratch : float32 (SLOTS * WIDTH,)
    out : float32
        Features (F, planes, rows, WIDTH); 3 + axes of them are written.
    first : int
        Number of the first one.
    """
    sy, sz = shape[2], shape[1] * shape[2]
    axes = tile[2]
    count = tile[0] * tile[1] * WIDTH
    at = first * count
    for z in range(tile[0]):
        for y in range(tile[1]):
            k = (corner[0] + z) * sz + (corner[1] + y) * sy + corner[2]
            if axes == 3:
                _stencil_of_nine(smooth, k, sy, sz, scratch)
                _values_of_nine(scratch)
            else:
                _stencil_of_four(smooth, k, sy, scratch)
                _values_of_four(scratch)
            _root(scratch)
            _copy_row(smooth, k, out, at)
            _copy_row(scratch, _SQUARE, out, at + count)
            _copy_row(scratch, _LAPLACE, out, at + 2 * count)
            for j in range(axes):
                _copy_row(scratch, j * WIDTH, out, at + (3 + j) * count)
            at += WIDTH


@compiled(fastmath=True)
def _products_of_row(g, k, sy, sz, axes, rows, length):
    """Products of the gradient's components: zz yy xx zy zx yx, or yy xx yx, one row of `length` voxels each."""
    half = _f4(0.5)
    for i in range(0, length, LANES):
        h = min(i, length - LANES)
        j = k + h
        y, x = (load(g, j + sy) - load(g, j - sy)) * half, (load(g, j + 1) - load(g, j - 1)) * half
        at = h
        if axes == 3:
            z = (load(g, j + sz) - load(g, j - sz)) * half
            store(rows, at, z * z)
            store(rows, at + 3 * length, z * y)
            store(rows, at + 4 * length, z * x)
            store(rows, at + 5 * length, y * x)
            at += length
        else:
            store(rows, at + 2 * length, y * x)
        store(rows, at, y * y)
        store(rows, at + length, x * x)


@compiled(f"void({_F}, {_I}, {_I}, {_I}, {_F}, {_F}, {_F})", cache=True)
def blur_products(smooth, shape, corner, tile, weights, scratch, out):
    """Products of the gradient's components, filtered along y and x: a structure tensor before its filter along z.

    Parameters
    ----------
    smooth, shape, corner, tile
        As of `measure_derivatives`; one voxel more than the reach of the weights is read around the tile.
    weights : float32 (reach + 1,)
    scratch : float32
        6 (rows + 2 reach + 1) WIDTH + 12 reach elements.
    out : float32
        (6, planes + 2 reach, rows, WIDTH); of images (3, planes, rows, WIDTH).
    """
    reach = len(weights) - 1
    sy, sz = shape[2], shape[1] * shape[2]
    axes = tile[2]
    products = 6 if axes == 3 else 3
    above = reach if axes == 3 else 0
    planes, wide, length = tile[0] + 2 * above, tile[1] + 2 * reach, WIDTH + 2 * reach
    rows = scratch[products * wide * WIDTH :]
    for z in range(planes):
        k = (corner[0] + z - above) * sz + (corner[1] - reach) * sy + corner[2] - reach
        for y in range(wide):
            _products_of_row(smooth, k + y * sy, sy, sz, axes, rows, length)
            for c in range(products):
                _blur_row(rows, c * length + reach, 1, weights, scratch, (c * wide + y) * WIDTH, WIDTH)
        for c in range(products):
            for y in range(tile[1]):
                at = ((c * planes + z) * tile[1] + y) * WIDTH
                _blur_row(scratch, (c * wide + y + reach) * WIDTH, WIDTH, weights, out, at, WIDTH)


@compiled(f"void({_F}, {_I}, {_F}, {_F}, {_F}, int64)", cache=True)
def measure_tensor(blurred, tile, weights, scratch, out, first):
    """Eigenvalues of the structure tensor, largest first.

    Parameters
    ----------
    blurred : float32
        What `blur_products` gave.
    tile, weights
        As there.
    scratch, out, first
        As of `measure_derivatives`; as many features as axes are written.
    """
    axes = tile[2]
    reach = len(weights) - 1 if axes == 3 else 0
    products = 6 if axes == 3 else 3
    plane = tile[1] * WIDTH
    size, count = (tile[0] + 2 * reach) * plane, tile[0] * plane
    for y in range(tile[1]):
        for z in range(tile[0]):
            at = z * plane + y * WIDTH
            for c in range(products):
                k = c * size + at + reach * plane
                if axes == 3:
                    _blur_row(blurred, k, plane, weights, scratch, c * WIDTH, WIDTH)
                else:
                    _copy_row(blurred, k, scratch, c * WIDTH)
            if axes == 3:
                _values_of_nine(scratch)
            else:
                _values_of_four(scratch)
            for j in range(axes):
                _copy_row(scratch, j * WIDTH, out, (first + j) * count + at)
