"""The numbers of an electrode at a scan: thickness and mean strains, with what each cause adds to their error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voltome.electrode.motion import SmoothMotion, make_terms
from voltome.electrode.regions import MeanStrain, measure_strains
from voltome.measurement import Measurement, Share

Floats = NDArray[np.float64]

CONTRAST_LOSS = {"whole": 0.011, "collector side": 0.011, "separator side": 0.021}
"""Error for the loss of contrast, over strain: what hiding it changes on the twin (docs/electrode.md), by region."""


@dataclass(frozen=True, eq=False)
class NodeErrors:
    """Errors of the displacement of single nodes, and how they add up in a mean.

    Parameters
    ----------
    noise_vox, shape_vox : (3,) float64
        Root mean squares over the nodes of the standard deviations for grey noise, and beyond it.
    lost : float
        Share of the electrode's nodes that do not count.
    shared : float
        Nodes whose windows overlap so that they know no more than one.
    """

    noise_vox: Floats
    shape_vox: Floats
    lost: float
    shared: float


@dataclass(frozen=True, eq=False)
class StateErrors:
    """What the numbers of a scan may err by.

    Parameters
    ----------
    nodes : NodeErrors
    alignment_jacobian : (N + M, 3, 7) float64
        Change of the collector's displacement with the seven parameters of the alignment, at the nodes and, along z,
        below the points of the surface.
    alignment_covariance : (7, 7) float64 or None
        None where the scan could not be aligned.
    first_surface_vox, surface_vox : float
        Standard deviations of the mean height of the surface at the first scan and at this one; of their rise where
        the surface was not seen NaN.
    face_vox : float
        Standard deviation of the collector's face, the same at all scans.
    """

    nodes: NodeErrors
    alignment_jacobian: Floats
    alignment_covariance: Floats | None
    first_surface_vox: float
    surface_vox: float
    face_vox: float


def describe_state(
    scan: str, motion: SmoothMotion, top: Floats, errors: StateErrors, *, voxel_size_m: float, layered: bool
) -> list[Measurement]:
    """Thickness and mean strains of a scan.

    Parameters
    ----------
    scan : str
    motion : SmoothMotion
    top : (M, 3) float64
        Places of the surface at the first scan in the motion's frame.
    errors : StateErrors
    voxel_size_m : float
    layered : bool
        Whether the motion knows of the surface at this scan.

    Returns
    -------
    list of Measurement
        thickness, expansion; the mean strains of `measure_strains`.
    """
    before = float(top[:, 0].mean()) * motion.frame.thickness_vox
    slope = np.zeros_like(motion.coefficients)
    slope[:, 0] = make_terms(top).mean(axis=0)
    growth = motion.frame.side * float(slope[:, 0] @ motion.coefficients[:, 0])
    shares = _find_shares(motion, slope, errors, CONTRAST_LOSS["whole"] * growth, layered=layered)
    standing = math.hypot(errors.face_vox, errors.first_surface_vox)
    out = [
        Measurement(
            "thickness",
            scan,
            (before + growth) * voxel_size_m,
            "m",
            shares=_scale([*_without(shares, "surface"), _join_surface(shares, standing)], voxel_size_m),
        ),
        Measurement(
            "expansion",
            scan,
            growth / before,
            "1",
            shares=_scale(
                [*_without(shares, "surface"), _join_surface(shares, growth / before * standing)], 1 / before
            ),
        ),
    ]
    for mean in measure_strains(motion, top):
        if mean.region != "whole" and mean.name.startswith("in_plane"):
            continue
        shares_all = share_errors(motion, mean, errors, layered=layered)
        out.append(Measurement(mean.name, scan, mean.value, "1", mean.region, shares_all))
    return out


def share_errors(motion: SmoothMotion, mean: MeanStrain, errors: StateErrors, *, layered: bool) -> tuple[Share, ...]:
    """What each cause adds to the error of a mean strain.

    Parameters
    ----------
    motion : SmoothMotion
    mean : MeanStrain
    errors : StateErrors
    layered : bool
        Whether the motion knows of the surface at this scan.

    Returns
    -------
    tuple of Share
    """
    axial = _axial_part(mean.name, mean.value)
    hidden = CONTRAST_LOSS.get(mean.region, max(CONTRAST_LOSS.values())) * axial
    found = _find_shares(motion, mean.slope, errors, hidden, layered=layered)
    standing = math.hypot(errors.face_vox, errors.first_surface_vox) / motion.frame.thickness_vox
    return (*_without(found, "surface"), _join_surface(found, abs(axial) * standing))


def _axial_part(name: str, value: float) -> float:
    """What of a strain depends on thickness and suffers from lost contrast."""
    return 0.0 if name.startswith("in_plane") else value


def _find_shares(
    motion: SmoothMotion, slope: Floats, errors: StateErrors, hidden: float, *, layered: bool
) -> list[Share]:
    """Shares of a number with this derivative by the coefficients, `hidden` for contrast; in the number's own unit."""
    nodes = errors.nodes
    scatter = motion.scatter_vox * math.sqrt(nodes.lost)
    out = [
        Share("noise", _spread(motion, slope, nodes.noise_vox, nodes.shared), "random"),
        Share("lost nodes", _spread(motion, slope, scatter, nodes.shared), "random"),
        Share("window shape", _spread(motion, slope, nodes.shape_vox, nodes.shared), "bias"),
        Share("contrast loss", abs(hidden), "bias"),
    ]
    if errors.alignment_covariance is None:
        out += [Share("alignment", math.nan, "random"), Share("magnification", math.nan, "random")]
    else:
        answer = -np.einsum("tc,ctn,ncp->p", slope, motion.response, errors.alignment_jacobian, optimize=True)
        covariance = errors.alignment_covariance
        out.append(Share("alignment", math.sqrt(float(answer[:6] @ covariance[:6, :6] @ answer[:6])), "random"))
        out.append(Share("magnification", abs(float(answer[6])) * math.sqrt(float(covariance[6, 6])), "random"))
    if layered:
        count = errors.alignment_jacobian.shape[0] - motion.nodes
        answer_z = float(slope[:, 0] @ motion.response[0, :, -count:].sum(axis=1)) if count else 0.0
        rise = math.hypot(errors.first_surface_vox, errors.surface_vox)
        out.append(Share("surface", abs(answer_z) * rise, "bias"))
    return out


def _spread(motion: SmoothMotion, slope: Floats, sd_vox: Floats, shared: float) -> float:
    """Standard deviation of a number whose nodes err independently, but for those that share a window."""
    variance = np.einsum("tc,ctu,uc->c", slope, motion.inverses, slope)
    return math.sqrt(shared * float(variance @ np.nan_to_num(sd_vox) ** 2))


def _without(shares: Sequence[Share], cause: str) -> list[Share]:
    return [share for share in shares if share.cause != cause]


def _join_surface(shares: Sequence[Share], more: float) -> Share:
    total = math.hypot(*(share.sd for share in shares if share.cause == "surface"), more)
    return Share("surface", total, "bias")


def _scale(shares: Sequence[Share], factor: float) -> tuple[Share, ...]:
    return tuple(Share(share.cause, share.sd * abs(factor), share.kind) for share in shares)
