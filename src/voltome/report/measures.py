"""The numbers of a report: what was measured, how far it spreads, and when not to trust it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.fields import PARAMETERS, DeformationField, NodeStatus, StrainField
from voltome.report.sections import AXES, NodeKind, classify_nodes, measure_cell

FloatArray = NDArray[np.float64]

DISPLACEMENT_COLUMNS = [PARAMETERS.index(f"{name.upper()}disp") for name in AXES]
GRADIENT_COLUMNS = [PARAMETERS.index(f"F{row}{column}") for row in AXES for column in AXES]

STATUS_MEANINGS: dict[int, str] = {
    NodeStatus.CONVERGED: "converged: the last step was below the tolerance",
    NodeStatus.ITERATIONS_SPENT: "not converged: iterations spent, or steps that no longer became smaller",
    NodeStatus.NOT_RUN: "not run",
    NodeStatus.ERROR: "error: a step could not be inverted, or the window moved out of reach",
    NodeStatus.SINGULAR: "singular system: not enough texture in the window",
    NodeStatus.DETERMINANT: "det F left the range that is allowed",
    NodeStatus.SINGULAR_PHI: "the deformation could not be inverted",
    NodeStatus.MASKED: "masked: too little of the window lies inside the mask, the grey thresholds and the volume",
    NodeStatus.NAN_START: "no finite first guess",
}
"""SPAM's return codes in words."""


def trusted_strain(strain: StrainField) -> NDArray[np.bool_]:
    """Points whose strain comes from measured nodes only, none of them suspect: (N,) bool.

    Parameters
    ----------
    strain : StrainField

    Returns
    -------
    (N,) bool
    """
    return (strain.measured >= 1.0 - 1e-6) & np.isfinite(strain.volumetric)


def robust_range(values: NDArray[np.floating], *, percent: float = 1.0) -> tuple[float, float]:
    """Lowest and highest value without the outermost percentiles; (0, 1) where nothing is finite.

    Parameters
    ----------
    values : float array
    percent : float
        Left out at each end.

    Returns
    -------
    low, high : float
        Never equal.
    """
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(finite, (percent, 100.0 - percent)))
    if high - low <= 1e-9 * max(1.0, abs(low)):
        margin = max(1e-6, 1e-3 * abs(low))
        return low - margin, high + margin
    return low, high


def round_down(value: float) -> float:
    """The largest 1, 2 or 5 times a power of ten that is not above a positive value.

    Parameters
    ----------
    value : float
        Above 0.

    Returns
    -------
    float

    Examples
    --------
    >>> round_down(0.43), round_down(70.0), round_down(1000.0)
    (0.2, 50.0, 1000.0)
    """
    power = math.floor(math.log10(value) + 1e-12)
    digit = max(step for step in (1, 2, 5) if step <= value / 10.0**power * (1 + 1e-9))
    return float(f"{digit}e{power}")


def symmetric_range(values: NDArray[np.floating], *, percent: float = 2.0) -> tuple[float, float]:
    """Robust range around 0, for a diverging map.

    Parameters
    ----------
    values : float array
    percent : float
        Of the absolute values, left out at the top.

    Returns
    -------
    low, high : float
        -limit and limit; limit is 1 where nothing is finite, and never below 1e-9.
    """
    finite = np.abs(values[np.isfinite(values)])
    limit = float(np.percentile(finite, 100.0 - percent)) if finite.size else 1.0
    limit = limit if limit > 1e-9 else 1e-3
    return -limit, limit


def half_spread(values: NDArray[np.floating]) -> float:
    """Half of what lies between the 16th and the 84th percentile: one standard deviation if normal.

    Parameters
    ----------
    values : float array

    Returns
    -------
    float
        NaN where nothing is finite.
    """
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return float("nan")
    low, high = np.percentile(finite, (16.0, 84.0))
    return float(high - low) / 2.0


def finite_median(values: NDArray[np.floating]) -> float:
    """Median of what is finite; NaN where nothing is.

    Parameters
    ----------
    values : float array

    Returns
    -------
    float
    """
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("nan")


@dataclass(frozen=True)
class Stretching:
    """One Phi taken apart: F = R U.

    Parameters
    ----------
    translation_vox : (3,) float64
        z, y, x, of the point about which Phi acts.
    rotation_deg : (3,) float64
        Rotation vector about z, y, x, right-handed in (x, y, z).
    stretches : (3,) float64
        Principal stretches, largest first.
    axial : (3,) float64
        Diagonal of U: stretch along z, y, x.
    volume_ratio : float
        det F.
    """

    translation_vox: FloatArray
    rotation_deg: FloatArray
    stretches: FloatArray
    axial: FloatArray
    volume_ratio: float

    @property
    def magnification(self) -> float | None:
        """Common stretch of the three axes, where they agree well enough to be a change of magnification."""
        mean = float(self.stretches.mean())
        deviation = float(np.abs(self.stretches - mean).max())
        return mean if abs(mean - 1.0) > 5e-4 and deviation < 0.25 * abs(mean - 1.0) + 2e-4 else None


def decompose_phi(phi: FloatArray) -> Stretching | None:
    """Translation, rotation and stretches of one Phi.

    Parameters
    ----------
    phi : (4, 4) float64

    Returns
    -------
    Stretching or None
        None where Phi is not finite or not a deformation (det F <= 0).
    """
    phi = np.asarray(phi, dtype=np.float64)
    if phi.shape != (4, 4) or not np.isfinite(phi).all() or np.linalg.det(phi[:3, :3]) <= 0:
        return None
    from scipy.spatial.transform import Rotation

    left, stretches, right = np.linalg.svd(phi[:3, :3])
    rotation = left @ right
    vector_xyz = Rotation.from_matrix(rotation[::-1, ::-1]).as_rotvec(degrees=True)
    return Stretching(
        translation_vox=phi[:3, 3],
        rotation_deg=vector_xyz[::-1],
        stretches=stretches,
        axial=np.diagonal(right.T @ np.diag(stretches) @ right).copy(),
        volume_ratio=float(np.prod(stretches)),
    )


@dataclass(frozen=True)
class Component:
    """One displacement component over the trusted nodes, in voxels: median, half spread, median random sd."""

    axis: str
    median_vox: float
    spread_vox: float
    sd_vox: float


@dataclass(frozen=True)
class Findings:
    """What the report says in its first paragraph.

    Parameters
    ----------
    total : int
        Nodes of the field.
    kinds : dict
        Nodes of each `NodeKind`, by lower-case name.
    replaced : int
        Nodes whose value the filter replaced: suspect and failed ones; none of them counts as measured.
    displacement : list of Component
        z, y, x.
    zncc_median : float
        Over the converged nodes.
    sd_displacement_vox, sd_gradient : float
        Median random sd of a displacement component and of a component of F, over the trusted nodes.
    gauges : int
        Points at which a strain could be formed.
    gauges_trusted : int
        Those that rest on trusted nodes only.
    gauge_length_vox : float
        Distance between the nodes whose displacements make a strain; NaN where there is one node.
    volumetric_mean, volumetric_spread, deviatoric_median : float
        Over the trusted gauges, as fractions.
    """

    total: int
    kinds: dict[str, int]
    replaced: int
    displacement: list[Component]
    zncc_median: float
    sd_displacement_vox: float
    sd_gradient: float
    gauges: int
    gauges_trusted: int
    gauge_length_vox: float
    volumetric_mean: float
    volumetric_spread: float
    deviatoric_median: float

    @property
    def inside(self) -> int:
        """Nodes that are not masked."""
        return self.total - self.kinds["masked"]


def summarise_fields(field: DeformationField, filtered: DeformationField, strain: StrainField) -> Findings:
    """Reduce the fields to the numbers that the report names; suspect, filled and failed nodes never enter them.

    Parameters
    ----------
    field, filtered : DeformationField
        As measured, and after filtering; N nodes each.
    strain : StrainField

    Returns
    -------
    Findings
        NaN where nothing may be read.

    Raises
    ------
    InputError
        If the two fields do not have the same nodes.
    """
    kinds = classify_nodes(field, filtered)
    trusted = kinds == NodeKind.TRUSTED
    u, sd = field.displacement_vox[trusted], field.sd[trusted]
    sd_u, sd_f = sd[:, DISPLACEMENT_COLUMNS], sd[:, GRADIENT_COLUMNS]
    read = trusted_strain(strain)
    volumetric = strain.volumetric[read]
    return Findings(
        total=len(field),
        kinds={kind.name.lower(): int((kinds == kind).sum()) for kind in NodeKind},
        replaced=int((filtered.filled != 0).sum()),
        displacement=[
            Component(name, finite_median(u[:, i]), half_spread(u[:, i]), finite_median(sd_u[:, i]))
            for i, name in enumerate(AXES)
        ],
        zncc_median=finite_median(field.zncc[field.converged]),
        sd_displacement_vox=finite_median(sd_u),
        sd_gradient=finite_median(sd_f),
        gauges=int(np.isfinite(strain.volumetric).sum()),
        gauges_trusted=int(read.sum()),
        gauge_length_vox=float(measure_cell(field.positions_vox, field.grid_shape).min()),
        volumetric_mean=float(volumetric.mean()) if volumetric.size else float("nan"),
        volumetric_spread=half_spread(volumetric),
        deviatoric_median=finite_median(strain.deviatoric[read]),
    )


def find_warnings(found: Findings, summary: Mapping[str, Any], registration: Stretching | None) -> list[str]:
    """Say in words which numbers should not be trusted, before any of them is shown.

    Parameters
    ----------
    found : Findings
    summary : mapping
        As in summary.json; its own `warnings` and `skipped_levels` come last.
    registration : Stretching or None

    Returns
    -------
    list of str
    """
    out = []
    if found.kinds["trusted"] == 0:
        out.append("No node may be trusted: the displacement below says nothing about the object.")
    elif found.kinds["trusted"] < 0.5 * found.inside:
        share = 100.0 * found.kinds["trusted"] / found.inside
        out.append(f"Only {share:.0f} % of the nodes inside the mask may be trusted: medians describe those alone.")
    if found.gauges_trusted == 0:
        out.append("No strain may be read: nowhere do all nodes behind a strain value count as measured.")
    flat = [c.axis for c in found.displacement if c.spread_vox < c.sd_vox]
    if flat and found.kinds["trusted"] > 1:
        out.append(f"The displacement along {', '.join(flat)} does not vary by more than its own random sd.")
    entry = summary.get("registration") or {}
    if entry and entry.get("status") != NodeStatus.CONVERGED:
        out.append(f"The registration of the whole pair did not converge (status {entry.get('status')}).")
    if registration is not None and registration.magnification is not None:
        percent = 100.0 * (registration.magnification - 1.0)
        out.append(
            f"All three axes stretch by the same {percent:+.2f} %: a change of magnification between the scans looks "
            f"like this and alone gives {3 * percent:+.1f} % of volumetric strain. Settle it before reading swelling."
        )
    levels = summary.get("skipped_levels") or []
    if levels:
        out.append(f"Pyramid levels that did not fit the volume were skipped: {', '.join(str(v) for v in levels)}.")
    return out + [str(text) for text in summary.get("warnings") or []]
