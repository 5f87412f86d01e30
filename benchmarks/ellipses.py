"""Objects made of ellipses: exact sinograms and areas, for the benchmarks of reconstruction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]

_PARTS = 4


@dataclass(frozen=True)
class Ellipses:
    """Centres (y, x) from the axis, half axes, turns and values per pixel, one row each: (n, 6)."""

    table: NDArray[np.float64]

    def project(self, angles_rad: NDArray[np.float64], columns: int, axis_px: float) -> Image:
        """Line integrals averaged over each pixel, (angles, columns)."""
        out = np.zeros((len(angles_rad), columns * _PARTS), dtype=np.float32)
        for y, x, a, b, turn, value in self.table:
            width = (a * np.cos(angles_rad - turn)) ** 2 + (b * np.sin(angles_rad - turn)) ** 2
            middle = axis_px + x * np.cos(angles_rad) + y * np.sin(angles_rad)
            for row, centre, square in zip(out, middle, width, strict=True):
                half = np.sqrt(square)
                first = max(0, int((centre - half + 0.5) * _PARTS))
                last = min(columns * _PARTS, int((centre + half + 0.5) * _PARTS) + 1)
                if first < last:
                    u = (np.arange(first, last) + 0.5) / _PARTS - 0.5 - centre
                    row[first:last] += 2 * value * a * b / square * np.sqrt(np.clip(square - u * u, 0, None))
        return out.reshape(len(out), columns, _PARTS).mean(axis=2)

    def render(self, size: int) -> Image:
        """Mean over each pixel of a square slice about the axis."""
        place = (np.arange(size * _PARTS) + 0.5) / _PARTS - 0.5 - (size - 1) / 2
        out = np.zeros((size * _PARTS, size * _PARTS), dtype=np.float32)
        for y, x, a, b, turn, value in self.table:
            reach = max(a, b) + 1
            near_y, near_x = (np.flatnonzero(np.abs(place - middle) < reach) for middle in (y, x))
            if not (len(near_y) and len(near_x)):
                continue
            block = slice(near_y[0], near_y[-1] + 1), slice(near_x[0], near_x[-1] + 1)
            down, along = place[block[0]][:, None] - y, place[block[1]] - x
            cos, sin = np.cos(turn), np.sin(turn)
            inside = ((along * cos + down * sin) / a) ** 2 + ((down * cos - along * sin) / b) ** 2 <= 1
            out[block] += value * inside
        return out.reshape(size, _PARTS, size, _PARTS).mean(axis=(1, 3))


def make_head(size: int, *, grains: int = 40, seed: int = 0) -> Ellipses:
    """Shepp and Logan's head in contrast of one, with grains; it fits into a field of `size`."""
    s = 0.46 * size
    rows = [
        (0, 0, 0.897 * s, 0.92 * s, 0, 1.0),
        (-0.0184 * s, 0, 0.861 * s, 0.874 * s, 0, -0.8),
        (0, 0.22 * s, 0.11 * s, 0.31 * s, -0.314, -0.2),
        (0, -0.22 * s, 0.16 * s, 0.41 * s, 0.314, 0.2),
        (0.35 * s, 0, 0.21 * s, 0.25 * s, 0, 0.1),
        (0.1 * s, 0, 0.046 * s, 0.046 * s, 0, 0.1),
        (-0.605 * s, -0.08 * s, 0.046 * s, 0.023 * s, 0, 0.1),
    ]
    random = np.random.default_rng(seed)
    for _ in range(grains):
        radius, distance, angle = random.uniform(1.5, 8), s * random.uniform(0.45, 0.75), random.uniform(0, 2 * np.pi)
        rows.append((distance * np.sin(angle), distance * np.cos(angle) * 0.9, radius, radius, 0, 0.3))
    return Ellipses(np.array(rows))


def make_electrode(size: int, *, wider: float = 1.6, seed: int = 0) -> Ellipses:
    """A disc `wider` times the field, full of grains."""
    reach, random = wider * size / 2, np.random.default_rng(seed)
    rows = [(0.06 * reach, -0.04 * reach, 1.1 * reach, 0.9 * reach, 0.4, 0.3)]
    for _ in range(int(80 * wider**2)):
        distance, angle = reach * np.sqrt(random.uniform(0, 0.9)), random.uniform(0, 2 * np.pi)
        long = size / 256 * random.uniform(2, 9)
        place = distance * np.sin(angle), distance * np.cos(angle)
        rows.append((*place, long, long * random.uniform(0.6, 1), random.uniform(0, np.pi), random.choice([-0.3, 0.5])))
    return Ellipses(np.array(rows))
