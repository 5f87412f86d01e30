"""Compiled loops of the scan: convolutions whose bits do not depend on the block, noise, grey values.

Every output voxel sums its taps in the same order, one multiplication and one addition each. So nothing here may be
compiled with fast mathematics: a fused or reordered sum would differ between the body and the end of a vector loop.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from voltome.twin.noise_loops import VALUE_NOISE_SD, hash_lattice, value_noise
from voltome.twin.silicon import LITHIUM_VOLUME_A3, SILICON_VOLUME_A3

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Greys = NDArray[np.uint16]

_EVEN_BYTES = np.uint64(0x00FF00FF00FF00FF)
_ADD_QUARTERS = np.uint64(0x0001000100010001)
_S8, _S48 = np.uint64(8), np.uint64(48)
_WHITE_MEAN = np.int64(8 * 255 // 2)
_WHITE_SCALE = np.float32(1.0 / math.sqrt(8 * (256.0**2 - 1.0) / 12.0))


@njit(nogil=True, cache=True)
def electron_density(x: Any) -> Any:
    """Electrons per A^3 of LixSi; x is a number or an array."""
    return (14.0 + 3.0 * x) / (SILICON_VOLUME_A3 + x * LITHIUM_VOLUME_A3)


@njit(nogil=True, cache=True)
def _add_row(row: Singles, weight: np.float32, source: Singles) -> None:
    for x in range(row.size):
        row[x] += weight * source[x]


@njit(nogil=True, cache=True)
def blur_z(source: Singles, weights: Singles, stride: int) -> Singles:
    """Weighted sums along z; output plane i starts at source plane i * stride."""
    planes = (source.shape[0] - weights.size) // stride + 1
    out = np.zeros((planes, source.shape[1], source.shape[2]), np.float32)
    for z in range(planes):
        for y in range(source.shape[1]):
            for k in range(weights.size):
                _add_row(out[z, y], weights[k], source[z * stride + k, y])
    return out


@njit(nogil=True, cache=True)
def blur_y(source: Singles, weights: Singles, stride: int) -> Singles:
    """Weighted sums along y; output row i starts at source row i * stride."""
    rows = (source.shape[1] - weights.size) // stride + 1
    out = np.zeros((source.shape[0], rows, source.shape[2]), np.float32)
    for z in range(source.shape[0]):
        for y in range(rows):
            for k in range(weights.size):
                _add_row(out[z, y], weights[k], source[z, y * stride + k])
    return out


@njit(nogil=True, cache=True)
def blur_x(source: Singles, weights: Singles, stride: int) -> Singles:
    """Weighted sums along x; output column i starts at source column i * stride."""
    columns = (source.shape[2] - weights.size) // stride + 1
    out = np.zeros((source.shape[0], source.shape[1], columns), np.float32)
    thinned = np.empty(source.shape[2] // stride + 1, np.float32)
    for z in range(source.shape[0]):
        for y in range(source.shape[1]):
            for p in range(stride):  # taps of one phase lie side by side once the row is thinned
                for x in range((source.shape[2] - p + stride - 1) // stride):
                    thinned[x] = source[z, y, p + x * stride]
                for k in range(p, weights.size, stride):
                    _add_row(out[z, y], weights[k], thinned[k // stride :])
    return out


@njit(nogil=True, cache=True)
def blur(source: Singles, weights: Singles, stride: int) -> Singles:
    """Separable convolution: the same weights along z, y and x, one output for `stride` inputs."""
    return blur_x(blur_y(blur_z(source, weights, stride), weights, stride), weights, stride)


@njit(nogil=True, cache=True)
def draw_white(seed: int, z0: int, y0: int, x0: int, out: Singles) -> None:
    """Fill a block, whose first voxel is z0, y0, x0, with white noise: mean 0, sd 1.

    A deviate is the sum of eight uniform ones, the bytes of a hash; the filter that follows makes it Gaussian.
    """
    for z in range(out.shape[0]):
        for y in range(out.shape[1]):
            row = out[z, y]
            for x in range(row.size):
                bits = hash_lattice(seed, z0 + z, y0 + y, x0 + x)
                pairs = (bits & _EVEN_BYTES) + ((bits >> _S8) & _EVEN_BYTES)
                total = (pairs * _ADD_QUARTERS) >> _S48
                row[x] = np.float32(np.int64(total) - _WHITE_MEAN) * _WHITE_SCALE


@njit(nogil=True, cache=True)
def _draw_rings(seed: int, z: int, width_vox: float, out: Floats) -> None:
    """Rings of plane z, sd 1: fill out with a value for each half voxel of radius."""
    for r in range(out.size):
        out[r] = value_noise(float(z), 0.5 * r, 0.0, width_vox, seed) / VALUE_NOISE_SD


class Shading(NamedTuple):
    """What is laid over the blurred object; standard deviations and offsets in the object's unit, 1e-7.

    copper_noise and copper_haze are what the collector adds: to the noise as a factor, to the grey as an offset.
    axis_y, axis_x: rotation axis, the centre of the rings. grey = (value - black) * scale.
    """

    noise_sd: float
    copper_noise: float
    copper_haze: float
    cloud_sd: float
    cloud_vox: float
    cloud_seed: int
    ring_sd: float
    ring_vox: float
    ring_seed: int
    axis_y: float
    axis_x: float
    black: float
    scale: float


@njit(nogil=True, cache=True)
def shade(
    image: Singles, wide: Singles, noise: Singles, copper: Floats, start: Integers, shading: Shading, out: Greys
) -> None:
    """Fill out with grey values: noise, clouds and rings over the image, which gives way to `wide` near the collector.

    copper (planes,) weighs the collector's influence; wide holds the planes where that is above 0, which come first.
    start: first voxel of the block.
    """
    planes, rows, columns = image.shape
    corner = max(abs(start[1] - shading.axis_y), abs(start[1] + rows - shading.axis_y)) + max(
        abs(start[2] - shading.axis_x), abs(start[2] + columns - shading.axis_x)
    )
    rings = np.zeros(2 * int(corner) + 4)
    cloud = shading.cloud_sd / VALUE_NOISE_SD
    for z in range(planes):
        noise_sd = shading.noise_sd * (1.0 + shading.copper_noise * copper[z])
        if shading.ring_sd > 0.0:
            _draw_rings(shading.ring_seed, start[0] + z, shading.ring_vox, rings)
        for y in range(rows):
            dy = start[1] + y - shading.axis_y
            for x in range(columns):
                value = float(image[z, y, x])
                if copper[z] > 0.0:
                    value += copper[z] * (wide[z, y, x] - value + shading.copper_haze)
                value += noise_sd * noise[z, y, x]
                if cloud > 0.0:
                    value += cloud * value_noise(
                        float(start[0] + z), float(start[1] + y), float(start[2] + x), shading.cloud_vox,
                        shading.cloud_seed,
                    )  # fmt: skip
                if shading.ring_sd > 0.0:
                    dx = start[2] + x - shading.axis_x
                    radius = 2.0 * math.sqrt(dy * dy + dx * dx)
                    k = int(radius)
                    value += shading.ring_sd * (rings[k] + (radius - k) * (rings[k + 1] - rings[k]))
                grey = (value - shading.black) * shading.scale + 0.5
                out[z, y, x] = np.uint16(min(max(grey, 0.0), 65535.0))
