"""Filtering of deformation fields: unmeasured nodes filled from measured neighbours, optional smoothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voltome.dvc.interpolation import interpolate_field
from voltome.errors import InputError
from voltome.fields import DeformationField, FloatArray, NodeStatus

_WIDEST = 20


def fill_field(
    field: DeformationField, *, neighbours: int = 8, replace: NDArray[np.bool_] | None = None
) -> DeformationField:
    """Replace what was not measured by interpolation from measured neighbours; inverse-distance weighting.

    The paper (10.1039/D5EB00193E) replaces nodes that did not converge by their eight neighbours; here suspect nodes
    are replaced too, because a converged node across a crack is no measurement either.

    Parameters
    ----------
    field : DeformationField
    neighbours : int
        Measured nodes that take part in each replaced one.
    replace : (N,) bool, optional
        Nodes to replace: those that are not trusted by default, masked ones (status -5) left out.

    Returns
    -------
    DeformationField
        Replaced nodes have `filled` 1, no covariance and no ZNCC; masked nodes have Phi NaN.

    Raises
    ------
    InputError
        If no node was measured.
    """
    masked = (field.status == NodeStatus.MASKED) | (field.status == NodeStatus.NOT_RUN)
    masked &= ~np.isfinite(field.zncc) | (field.status == NodeStatus.MASKED)
    chosen = (~field.trusted & ~masked) if replace is None else replace
    sources = field.trusted & ~chosen
    if not sources.any():
        raise InputError("no node was measured (0 converged and not suspect): widen the window or give a mask")
    phi, covariance, zncc = field.phi.copy(), field.covariance.copy(), field.zncc.copy()
    if chosen.any():
        phi[chosen] = interpolate_field(field, field.positions_vox[chosen], neighbours=neighbours, use=sources)
    phi[masked & ~chosen] = np.nan
    covariance[chosen] = np.nan
    zncc[chosen] = np.nan
    filled = field.filled.copy()
    filled[chosen] = 1
    return field.with_values(phi=phi, covariance=covariance, zncc=zncc, filled=filled)


def smooth_field(field: DeformationField, *, median_radius: int = 0, gaussian_sigma: float = 0.0) -> DeformationField:
    """Median, then Gaussian smoothing of Phi over a regular grid, component by component; NaN nodes stay out.

    Smoothing lowers the random error and blurs real gradients; the standard deviations are not changed, so that they
    remain those of the measurement.

    Parameters
    ----------
    field : DeformationField
        On a regular grid.
    median_radius : int
        Half width of the median's cube in nodes; 0 for none.
    gaussian_sigma : float
        Sigma in nodes; 0 for none.

    Returns
    -------
    DeformationField

    Raises
    ------
    InputError
        If the nodes are scattered, or a parameter is negative.
    """
    check_smoothing(median_radius, gaussian_sigma)
    if median_radius == 0 and gaussian_sigma == 0:
        return field
    if field.grid_shape is None:
        raise InputError("smoothing needs nodes on a regular grid (got scattered nodes): leave it out")
    values = field.phi[:, :3, :].reshape(*field.grid_shape, 12)
    if median_radius:
        values = _median(values, median_radius)
    if gaussian_sigma:
        values = _gaussian(values, gaussian_sigma)
    phi = field.phi.copy()
    phi[:, :3, :] = values.reshape(len(field), 3, 4)
    return field.with_values(phi=phi)


def check_smoothing(median_radius: int, gaussian_sigma: float) -> None:
    """Rules for the widths of smoothing.

    Parameters
    ----------
    median_radius : int
    gaussian_sigma : float
        Both in nodes, 0 for none.

    Returns
    -------
    None
        Both can be used when this returns.

    Raises
    ------
    InputError
        If one is negative, not finite or absurdly wide.
    """
    if not (0 <= median_radius <= _WIDEST and 0 <= gaussian_sigma <= _WIDEST):
        raise InputError(
            f"smoothing must be 0 to {_WIDEST} nodes wide (got median {median_radius}, Gaussian {gaussian_sigma}): "
            f"use 0 for none"
        )


def _median(values: FloatArray, radius: int) -> FloatArray:
    """Median over a cube of nodes; NaN in, NaN out, ignored as neighbours."""
    padded = np.pad(values, [(radius, radius)] * 3 + [(0, 0)], constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * radius + 1,) * 3, axis=(0, 1, 2))
    out = np.full_like(values, np.nan)
    there = np.isfinite(values).all(axis=-1)
    out[there] = np.nanmedian(windows[there], axis=(-3, -2, -1))
    return out


def _gaussian(values: FloatArray, sigma: float) -> FloatArray:
    """Gaussian mean of the nodes that are there (normalised convolution)."""
    from scipy.ndimage import gaussian_filter

    there = np.isfinite(values).all(axis=-1)
    weight = gaussian_filter(there.astype(np.float64), sigma, mode="constant")
    out = np.full_like(values, np.nan)
    for k in range(values.shape[-1]):
        total = gaussian_filter(np.where(there, values[..., k], 0.0), sigma, mode="constant")
        out[there, k] = total[there] / weight[there]
    return out
