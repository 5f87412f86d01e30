"""Strain of the electrode and of its two sides: means of F over the matter that was there at the first scan.

The sides are parted by the plane half way up at the first scan, which moves with the material.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voltome.electrode.motion import SmoothMotion, make_terms

Floats = NDArray[np.float64]

LAYERS = 32
REGIONS = ("whole", "collector side", "separator side")
STRAINS = ("volumetric_strain", "axial_strain", "in_plane_strain_yy", "in_plane_strain_xx")


@dataclass(frozen=True, eq=False)
class MeanStrain:
    """A mean strain, and how it answers to the motion's coefficients.

    Parameters
    ----------
    name, region : str
    value : float
    slope : (TERMS, 3) float64
        Derivative by the coefficients.
    """

    name: str
    region: str
    value: float
    slope: Floats


def measure_strains(motion: SmoothMotion, top: Floats) -> list[MeanStrain]:
    """Mean strains of the whole electrode and of its sides.

    Parameters
    ----------
    motion : SmoothMotion
    top : (M, 3) float64
        Places of the surface in the motion's frame, evenly spread over the field.

    Returns
    -------
    list of MeanStrain
        `STRAINS` of each of `REGIONS`: det F - 1, and F - 1 along z, y and x.
    """
    depths = (np.arange(LAYERS) + 0.5) / LAYERS
    places = np.repeat(top[None], LAYERS, axis=0)
    places[..., 0] *= depths[:, None]
    weights = np.broadcast_to(top[:, 0], (LAYERS, len(top)))
    out = []
    for region, use in zip(REGIONS, (slice(None), slice(0, LAYERS // 2), slice(LAYERS // 2, LAYERS)), strict=True):
        share = weights[use].ravel() / weights[use].sum()
        out += _average(motion, places[use].reshape(-1, 3), share, region)
    return out


def measure_part(motion: SmoothMotion, top: Floats, z_vox: Floats, name: str) -> MeanStrain | None:
    """Mean volumetric strain of what lies between two heights of the first scan.

    Parameters
    ----------
    motion : SmoothMotion
    top : (M, 3) float64
        Places of the surface in the motion's frame, evenly spread over the part.
    z_vox : (2,) float64
        Lowest and highest z.
    name : str
        What the part is called.

    Returns
    -------
    MeanStrain or None
        None where nothing of the electrode lies there.
    """
    frame = motion.frame
    places = np.repeat(top[None], LAYERS, axis=0)
    places[..., 0] *= ((np.arange(LAYERS) + 0.5) / LAYERS)[:, None]
    face = frame.face_vox[0] + (top[:, 1:] * frame.half_vox) @ frame.face_vox[1:]
    z = face + frame.side * places[..., 0] * frame.thickness_vox
    use = (z >= z_vox[0]) & (z < z_vox[1])
    if not use.any():
        return None
    weights = np.broadcast_to(top[:, 0], use.shape)[use]
    return _average(motion, places[use], weights / weights.sum(), name)[0]


def _average(motion: SmoothMotion, places: Floats, share: Floats, region: str) -> list[MeanStrain]:
    slopes = np.stack([make_terms(places, along=axis) for axis in range(3)], axis=-1) / motion.frame.scale_vox
    gradient = np.eye(3) + np.einsum("ntj,ti->nij", slopes, motion.coefficients)
    stretch = np.linalg.det(gradient)
    turned = np.linalg.inv(gradient)
    slope = np.einsum("n,njc,ntj->tc", share * stretch, turned, slopes, optimize=True)
    out = [MeanStrain(STRAINS[0], region, float(share @ stretch) - 1.0, slope)]
    for axis, name in enumerate(STRAINS[1:]):
        slope = np.zeros_like(motion.coefficients)
        slope[:, axis] = share @ slopes[..., axis]
        out.append(MeanStrain(name, region, float(share @ gradient[:, axis, axis]) - 1.0, slope))
    return out
