"""Objects made of ellipses, whose projections and areas are known exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ellipse:
    """Centre (y, x) from the axis, half axes along x' and y', turn of x' from x, value per pixel."""

    y: float
    x: float
    a: float
    b: float
    turn_rad: float
    value: float


def project_ellipses(
    ellipses: Sequence[Ellipse], angles_rad: Floats, columns: int, axis_px: float, *, parts: int = 4
) -> Floats:
    """Exact line integrals, averaged over each pixel: (n, columns)."""
    u = (np.arange(columns * parts) + 0.5) / parts - 0.5 - axis_px
    out = np.zeros((len(angles_rad), columns))
    angle = np.asarray(angles_rad)[:, None]
    for e in ellipses:
        width = (e.a * np.cos(angle - e.turn_rad)) ** 2 + (e.b * np.sin(angle - e.turn_rad)) ** 2
        distance = u - (e.x * np.cos(angle) + e.y * np.sin(angle))
        chord = 2 * e.value * e.a * e.b / width * np.sqrt(np.clip(width - distance**2, 0, None))
        out += chord.reshape(len(angle), columns, parts).mean(axis=2)
    return out


def render_ellipses(ellipses: Sequence[Ellipse], shape: tuple[int, int], *, parts: int = 4) -> Floats:
    """Mean of the object over each pixel, the axis at ((ny - 1) / 2, (nx - 1) / 2)."""
    y, x = ((np.arange(n * parts) + 0.5) / parts - 0.5 - (n - 1) / 2 for n in shape)
    out = np.zeros((shape[0] * parts, shape[1] * parts))
    for e in ellipses:
        cos, sin = np.cos(e.turn_rad), np.sin(e.turn_rad)
        along, across = np.add.outer((y - e.y) * sin, (x - e.x) * cos), np.add.outer((y - e.y) * cos, -(x - e.x) * sin)
        out += e.value * ((along / e.a) ** 2 + (across / e.b) ** 2 <= 1)
    return out.reshape(shape[0], parts, shape[1], parts).mean(axis=(1, 3))


def scatter_grains(reach: float, count: int, *, seed: int, radius: tuple[float, float] = (2.0, 9.0)) -> list[Ellipse]:
    """A body of half the reach's width and more, with grains everywhere in it."""
    random = np.random.default_rng(seed)
    grains = [Ellipse(0.06 * reach, -0.04 * reach, 1.1 * reach, 0.9 * reach, 0.4, 0.3)]
    for _ in range(count):
        distance, angle = reach * np.sqrt(random.uniform(0, 0.9)), random.uniform(0, 2 * np.pi)
        long = random.uniform(*radius)
        grains.append(
            Ellipse(distance * np.sin(angle), distance * np.cos(angle), long, long * random.uniform(0.6, 1.0),
                    random.uniform(0, np.pi), random.choice([-0.3, 0.5]))
        )  # fmt: skip
    return grains
