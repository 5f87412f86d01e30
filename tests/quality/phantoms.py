"""Volumes whose edges, greys and rings are known."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import ndtr

SILICON, BINDER, ELECTROLYTE = 5.51e-7, 3.5e-7, 2.8e-7
CONTRAST = SILICON - ELECTROLYTE
FWHM_PER_SIGMA = 2.3548


def draw_noise(shape, sd, *, seed=0) -> np.ndarray:
    return (sd * np.random.default_rng([7, seed]).standard_normal(shape)).astype(np.float32)


def draw_ball(shape, radius_vox, fwhm_vox) -> np.ndarray:
    """1 inside, 0 outside; its edge is an error function whose derivative has the FWHM given."""
    centre = (np.array(shape) - 1) / 2 + np.array([0.3, -0.2, 0.4])
    axes = np.meshgrid(*[np.arange(n) - c for n, c in zip(shape, centre, strict=True)], indexing="ij", sparse=True)
    radius = np.sqrt(sum(a**2 for a in axes))
    return ndtr((radius_vox - radius) * FWHM_PER_SIGMA / fwhm_vox).astype(np.float32)


def draw_electrode(shape=(88, 96, 104), *, fwhm_vox=4.0, seed=0) -> np.ndarray:
    """Decrement of silicon and electrolyte with some binder between, blurred."""
    rng = np.random.default_rng([8, seed])
    coarse, fine = (gaussian_filter(rng.standard_normal(shape), sigma) for sigma in (9, 3))
    silicon = coarse > np.quantile(coarse, 0.45)
    binder = (fine > np.quantile(fine, 0.8)) & ~silicon
    values = np.where(silicon, SILICON, np.where(binder, BINDER, ELECTROLYTE))
    return gaussian_filter(values, fwhm_vox / FWHM_PER_SIGMA).astype(np.float32)
