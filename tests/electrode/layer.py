"""Greys of an electrode under a separator, drawn from formulas: dark grains up to a surface that is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

VOXEL_M = 0.2e-6
SHAPE = (76, 66, 78)
FACE_PX = 12.0
COPPER, SILICON, BINDER, ELECTROLYTE, FIBRE = 16e3, 20.8e3, 32.8e3, 36.9e3, 39.3e3
NOISE = 1900.0
BLUR_PX = 0.7


@dataclass(frozen=True)
class Layer:
    """An electrode of mean thickness `thickness_px`, whose surface ripples and slopes."""

    seed: int = 0
    thickness_px: float = 38.0
    ripple_px: float = 2.0
    slope: float = 0.0

    def surface_at(self, y, x) -> np.ndarray:
        rng = np.random.default_rng([1, self.seed])
        waves, phases = rng.uniform(-1, 1, (6, 2)) * 2 * np.pi / 30, rng.uniform(0, 2 * np.pi, 6)
        ripple = sum(np.sin(a * y + b * x + p) for (a, b), p in zip(waves, phases, strict=True)) / np.sqrt(3)
        return FACE_PX + self.thickness_px + self.ripple_px * ripple + self.slope * (x - (SHAPE[2] - 1) / 2)

    @property
    def truth_px(self) -> np.ndarray:
        y, x = np.meshgrid(*[np.arange(n) for n in SHAPE[1:]], indexing="ij")
        return self.surface_at(y, x)

    def draw(self, *, noise: float = NOISE, noise_seed: int = 0, shade: float = 0.0, gain: float = 1.0) -> np.ndarray:
        from scipy.special import ndtr

        rng = np.random.default_rng([2, self.seed])
        low, high = np.array([FACE_PX - 8, -8, -8]), np.array([SHAPE[0] + 8, SHAPE[1] + 8, SHAPE[2] + 8])
        count = round(np.prod(high - low) / 150)
        grains = scatter(rng.uniform(low, high, (count, 3)), rng.uniform(2.0, 4.0, count))
        fibres = scatter(rng.uniform(low, high, (count, 3)), np.full(count, 1.3))
        silicon, binder = (
            ndtr((grains - level) / (0.15 * grains.std())) for level in np.quantile(grains, [0.45, 0.34])
        )
        inside = ELECTROLYTE + (BINDER - ELECTROLYTE) * binder + (SILICON - BINDER) * silicon
        beyond = ELECTROLYTE + (FIBRE - ELECTROLYTE) * ndtr((fibres - np.median(fibres)) / (0.2 * fibres.std()))
        z, y, x = np.meshgrid(*[np.arange(n, dtype=float) for n in SHAPE], indexing="ij", sparse=True)
        above_face = ndtr((z - FACE_PX) / BLUR_PX)
        above = ndtr((z - self.surface_at(y, x)) / BLUR_PX)
        grey = COPPER + (inside + (beyond - inside) * above - COPPER) * above_face
        slow = np.sin(2.2 * y / SHAPE[1] + 0.4) + 1.3 * np.cos(2.8 * x / SHAPE[2] - 0.7)
        grey = gain * (grey + shade * slow) + noise * gain * np.random.default_rng(
            [3, self.seed, noise_seed]
        ).standard_normal(SHAPE)
        return grey.astype(np.float32)


def scatter(centres, sizes) -> np.ndarray:
    """Sum of Gaussian spots of height one."""
    out = np.zeros(SHAPE)
    for centre, size in zip(centres, sizes, strict=True):
        low = np.clip(np.floor(centre - 3.5 * size), 0, SHAPE).astype(int)
        high = np.clip(np.ceil(centre + 3.5 * size) + 1, 0, SHAPE).astype(int)
        if (low < high).all():
            a, b, c = (
                np.exp(-0.5 * ((np.arange(i, j) - m) / size) ** 2) for i, j, m in zip(low, high, centre, strict=True)
            )
            out[low[0] : high[0], low[1] : high[1], low[2] : high[2]] += np.multiply.outer(np.multiply.outer(a, b), c)
    return out
