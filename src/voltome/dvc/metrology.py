"""Bias and spatial resolution from images that were deformed by a known motion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voltome.fields import DeformationField, FloatArray

LOSS = 0.1
"""Part of an amplitude whose loss sets the spatial resolution."""

_LEAST_LOSS = 1e-4


@dataclass(frozen=True)
class Bias:
    """Mean error of windows of one size.

    Parameters
    ----------
    nodes : int
        Windows behind it.
    u_vox, u_error_vox : (3,) float64
        Mean error of displacement and its standard deviation, z, y, x.
    f, f_error : (3, 3) float64
        Likewise of F.
    """

    nodes: int
    u_vox: FloatArray
    u_error_vox: FloatArray
    f: FloatArray
    f_error: FloatArray


def measure_bias(plain: DeformationField, deformed: DeformationField, motion_phi: FloatArray) -> Bias:
    """Mean error of a virtual deformation against its truth.

    The plain field, of the same windows before the deformation, is taken out: it holds what really moved between the
    scans, and most of their noise. It also holds its own bias, that of its fraction of a voxel, which two scans alone
    cannot tell from a drift: the mean error of u is that of the virtual motion less that of the plain pair.

    Parameters
    ----------
    plain, deformed : DeformationField
        On the same N nodes.
    motion_phi : (N, 4, 4) float64
        The motion where the plain field takes each node.

    Returns
    -------
    Bias
        NaN where fewer than two windows can be trusted.
    """
    use = plain.trusted & deformed.trusted
    n = int(use.sum())
    if n < 2:
        return Bias(n, *[np.full(shape, np.nan) for shape in ((3,), (3,), (3, 3), (3, 3))])
    u = (deformed.displacement_vox - plain.displacement_vox - motion_phi[:, :3, 3])[use]
    f = (deformed.deformation_gradient - motion_phi[:, :3, :3] @ plain.deformation_gradient)[use]
    scale = 1 / np.sqrt(n)
    return Bias(n, u.mean(axis=0), u.std(axis=0, ddof=1) * scale, f.mean(axis=0), f.std(axis=0, ddof=1) * scale)


def measure_response(
    plain: DeformationField, deformed: DeformationField, waves: NDArray[np.float64]
) -> tuple[FloatArray, FloatArray]:
    """How much of the amplitude of plane waves a correlation recovers.

    Parameters
    ----------
    plain, deformed : DeformationField
        Of the same windows, before and after the virtual deformation.
    waves : (M, 7) float64
        Amplitude (3; one component alone), wave vector (3), phase of each wave, as in `twin.AnalyticMotion`.

    Returns
    -------
    response, error : (M,) float64
        1 where nothing is lost, by least squares over the nodes of all waves of a component together; NaN where too
        few windows can be trusted.
    """
    use = plain.trusted & deformed.trusted
    moved = (deformed.displacement_vox - plain.displacement_vox)[use]
    at = (plain.positions_vox + plain.displacement_vox)[use]
    response, error = np.full(len(waves), np.nan), np.full(len(waves), np.nan)
    for component in range(3):
        mine = np.flatnonzero(waves[:, component])
        if not len(mine) or len(at) <= len(mine) + 1:
            continue
        columns = np.sin(at @ waves[mine, 3:6].T + waves[mine, 6]) * waves[mine, component]
        normal = columns.T @ columns
        if np.linalg.cond(normal) > 1e8:
            continue
        inverse = np.linalg.inv(normal)
        response[mine] = inverse @ columns.T @ moved[:, component]
        rest = moved[:, component] - columns @ response[mine]
        error[mine] = np.sqrt(np.diag(inverse) * (rest @ rest) / (len(at) - len(mine)))
    return response, error


def find_resolution(period_vox: NDArray[np.floating], response: FloatArray, *, loss: float = LOSS) -> float:
    """Shortest period of which no more than a part of the amplitude is lost.

    Parameters
    ----------
    period_vox, response : (M,) float64
        NaN is left out.
    loss : float
        The part; a tenth by custom (Grediac, Blaysat and Sur 2017, 10.1007/s11340-017-0279-x).

    Returns
    -------
    float
        Period in voxels, between the two that bracket it, linear in log(loss) against log(period): a window loses with
        the inverse square of the period. NaN where the periods do not bracket it.

    Examples
    --------
    >>> period = np.array([50.0, 100.0, 200.0])
    >>> round(find_resolution(period, 1 - (30 / period) ** 2), 3)
    94.868
    """
    known = np.isfinite(response)
    order = np.argsort(period_vox[known])
    x = np.log(period_vox[known][order])
    lost = 1.0 - response[known][order]
    above = np.flatnonzero(lost > loss)
    if not len(above) or above[-1] + 1 == len(lost):
        return float("nan")
    k = int(above[-1])
    y = np.log(np.maximum(lost[k : k + 2], _LEAST_LOSS))
    part = (np.log(loss) - y[0]) / (y[1] - y[0])
    return float(np.exp(x[k] + part * (x[k + 1] - x[k])))
