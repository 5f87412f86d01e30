"""Random numbers that are a function of place: a hash of a seed and a lattice point, and smooth noise built on it.

Nothing is drawn in order, so any block of an endless field comes out the same, alone or on any number of threads.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

_WEYL_SEED = np.uint64(0x9E3779B97F4A7C15)
_WEYL_Z = np.uint64(0xD1342543DE82EF95)
_WEYL_Y = np.uint64(0xA24BAED4963EE407)
_WEYL_X = np.uint64(0x9FB21C651E98DF25)
_MULTIPLY_1 = np.uint64(0xBF58476D1CE4E5B9)
_MULTIPLY_2 = np.uint64(0x94D049BB133111EB)
_S11, _S27, _S30, _S31, _S32 = np.uint64(11), np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(32)
_LOW_32 = np.uint64(0xFFFFFFFF)
_UNIT_53 = 2.0**-53
_UNIT_32 = 2.0**-32

VALUE_NOISE_SD = math.sqrt(1 / 3) * (26 / 35) ** 1.5
"""Standard deviation of `value_noise`: uniform values, averaged by cubic steps along three axes."""


@njit(nogil=True, cache=True)
def mix_bits(state: np.uint64) -> np.uint64:
    """SplitMix64's mixing function: 64 random bits that depend on nothing but the state."""
    state = (state ^ (state >> _S30)) * _MULTIPLY_1
    state = (state ^ (state >> _S27)) * _MULTIPLY_2
    return state ^ (state >> _S31)


@njit(nogil=True, cache=True)
def mix_seed(seed: int, stream: int) -> int:
    """A seed of its own for each stream (texture, white noise of a step, ...) of one seed."""
    return int(np.int64(mix_bits(mix_bits(np.uint64(seed) + _WEYL_SEED) + np.uint64(stream) * _WEYL_X)))


@njit(nogil=True, cache=True)
def hash_lattice(seed: int, iz: int, iy: int, ix: int) -> np.uint64:
    """64 random bits of a lattice point; any int64 will do for each argument.

    The seed should come from `mix_seed`: seeds that differ by little would else share shifted fields.
    """
    return mix_bits(
        np.uint64(seed) + np.uint64(iz) * _WEYL_Z + np.uint64(iy) * _WEYL_Y + np.uint64(ix) * _WEYL_X
    )  # fmt: skip


@njit(nogil=True, cache=True)
def hash_uniform(seed: int, iz: int, iy: int, ix: int) -> float:
    """A number from [0, 1) of a lattice point."""
    return float(np.int64(hash_lattice(seed, iz, iy, ix) >> _S11)) * _UNIT_53


@njit(nogil=True, cache=True)
def hash_gaussian(seed: int, iz: int, iy: int, ix: int) -> float:
    """A Gaussian deviate (mean 0, sd 1) of a lattice point, by Box and Muller from the two halves of its hash."""
    bits = hash_lattice(seed, iz, iy, ix)
    radius = float(np.int64(bits >> _S32) + 1) * _UNIT_32
    angle = float(np.int64(bits & _LOW_32)) * _UNIT_32
    return math.sqrt(-2.0 * math.log(radius)) * math.cos(2.0 * math.pi * angle)


@njit(nogil=True, cache=True)
def _lattice_value(state: np.uint64) -> float:
    """A number from [-1, 1) of a lattice point's state; lighter than `mix_bits`: only the top bits count."""
    state = (state ^ (state >> _S32)) * _MULTIPLY_1
    return float(np.int64((state ^ (state >> _S30)) * _MULTIPLY_2)) * 2.0**-63


@njit(nogil=True, cache=True, error_model="numpy")
def value_noise(z_um: float, y_um: float, x_um: float, cell_um: float, seed: int) -> float:
    """Smooth noise in [-1, 1] (sd VALUE_NOISE_SD, 0.37) of a material point.

    Uniform values on a lattice of `cell_um`, joined by cubic steps: once continuously differentiable. The lattice is
    turned, so that none of its planes, which one can see, lies along the axes.
    """
    scale = 1.0 / (3.0 * cell_um)
    z = (2.0 * z_um + 2.0 * y_um + x_um) * scale
    y = (y_um - 2.0 * z_um + 2.0 * x_um) * scale
    x = (z_um - 2.0 * y_um + 2.0 * x_um) * scale
    iz, iy, ix = math.floor(z), math.floor(y), math.floor(x)
    tz, ty, tx = z - iz, y - iy, x - ix
    tz *= tz * (3.0 - 2.0 * tz)
    ty *= ty * (3.0 - 2.0 * ty)
    tx *= tx * (3.0 - 2.0 * tx)
    s000 = np.uint64(seed) + np.uint64(iz) * _WEYL_Z + np.uint64(iy) * _WEYL_Y + np.uint64(ix) * _WEYL_X
    s010 = s000 + _WEYL_Y
    s100 = s000 + _WEYL_Z
    s110 = s010 + _WEYL_Z
    v000, v001 = _lattice_value(s000), _lattice_value(s000 + _WEYL_X)
    v010, v011 = _lattice_value(s010), _lattice_value(s010 + _WEYL_X)
    v100, v101 = _lattice_value(s100), _lattice_value(s100 + _WEYL_X)
    v110, v111 = _lattice_value(s110), _lattice_value(s110 + _WEYL_X)
    v00, v01 = v000 + tx * (v001 - v000), v010 + tx * (v011 - v010)
    v10, v11 = v100 + tx * (v101 - v100), v110 + tx * (v111 - v110)
    v0, v1 = v00 + ty * (v01 - v00), v10 + ty * (v11 - v10)
    return v0 + tz * (v1 - v0)
