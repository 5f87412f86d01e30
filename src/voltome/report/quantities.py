"""What a map may show: values with their name, unit, limits and colours. Limits come from trusted values alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voltome.fields import DeformationField, StrainField
from voltome.report.measures import (
    DISPLACEMENT_COLUMNS,
    GRADIENT_COLUMNS,
    robust_range,
    symmetric_range,
    trusted_strain,
)
from voltome.report.sections import AXES, NodeKind, classify_nodes

FloatArray = NDArray[np.float64]
Limits = tuple[float, float]
MAP, DIVERGING, QUALITY = "viridis", "RdBu_r", "cividis"


@dataclass(frozen=True)
class Quantity:
    """What one column of maps shows: values (N,), name, unit, limits and map of colours."""

    values: NDArray[np.floating]
    name: str
    unit: str
    limits: Limits
    colours: str = MAP
    extend: str = "both"


def select_kinds(field: DeformationField, filtered: DeformationField | None) -> NDArray[np.int8]:
    """`NodeKind` of each node; without a filtered field nothing is filled.

    Parameters
    ----------
    field : DeformationField
    filtered : DeformationField or None

    Returns
    -------
    (N,) int8

    Raises
    ------
    InputError
        If the two fields do not have the same nodes.
    """
    return classify_nodes(field, field if filtered is None else filtered)


def shown_displacement(field: DeformationField, filtered: DeformationField | None) -> FloatArray:
    """Displacement (N, 3) as drawn: measured where it was measured, the filled value where it was filled.

    Parameters
    ----------
    field : DeformationField
    filtered : DeformationField or None

    Returns
    -------
    (N, 3) float64
        In voxels.

    Raises
    ------
    InputError
        If the two fields do not have the same nodes.
    """
    if filtered is None:
        return field.displacement_vox
    filled = (select_kinds(field, filtered) == NodeKind.FILLED)[:, None]
    return np.where(filled, filtered.displacement_vox, field.displacement_vox)


def strain_kinds(strain: StrainField) -> NDArray[np.int8]:
    """`NodeKind` of each strain: trusted, suspect where any node behind it is, masked where there is none.

    Parameters
    ----------
    strain : StrainField

    Returns
    -------
    (N,) int8
    """
    kinds = np.where(trusted_strain(strain), NodeKind.TRUSTED, NodeKind.SUSPECT)
    return np.where(np.isfinite(strain.volumetric), kinds, NodeKind.MASKED).astype(np.int8)


def measured_kinds(kinds: NDArray[np.int8]) -> NDArray[np.int8]:
    """Kinds for maps of quality, which a failed node has too: its own, whether or not its Phi was filled.

    Parameters
    ----------
    kinds : (N,) int8

    Returns
    -------
    (N,) int8
        Filled and failed nodes become trusted.
    """
    return np.where(np.isin(kinds, (NodeKind.FILLED, NodeKind.FAILED)), NodeKind.TRUSTED, kinds).astype(np.int8)


def best_known(values: NDArray[np.floating], kinds: NDArray[np.int8]) -> NDArray[np.floating]:
    """Values that set the colour limits: trusted ones, or all where there is none.

    Parameters
    ----------
    values : (N, ...) float array
    kinds : (N,) int8

    Returns
    -------
    (M, ...) float array
    """
    trusted = values[kinds == NodeKind.TRUSTED]
    return trusted if trusted.size else values


def displacement_quantities(u: FloatArray, kinds: NDArray[np.int8]) -> list[Quantity]:
    """The three components, each with its own limits: a rigid motion must not hide the rest.

    Parameters
    ----------
    u : (N, 3) float64
        In voxels.
    kinds : (N,) int8

    Returns
    -------
    list of Quantity
        z, y, x.
    """
    return [
        Quantity(u[:, axis], f"$u_{name}$", "voxels", robust_range(best_known(u[:, axis], kinds)))
        for axis, name in enumerate(AXES)
    ]


def strain_quantities(strain: StrainField) -> list[Quantity]:
    """Axial components on one common scale, then volumetric and deviatoric strain, all in percent.

    Parameters
    ----------
    strain : StrainField

    Returns
    -------
    list of Quantity
        zz, yy, xx, volumetric, deviatoric.
    """
    kinds = strain_kinds(strain)
    axial = 100.0 * np.stack([strain.strain[:, i, i] for i in range(3)], axis=1)
    common = symmetric_range(best_known(axial, kinds))
    volumetric, deviatoric = 100.0 * strain.volumetric, 100.0 * strain.deviatoric
    top = robust_range(best_known(deviatoric, kinds), percent=2.0)[1]
    return [
        *(
            Quantity(axial[:, i], rf"$\varepsilon_{{{name}{name}}}$", "%", common, DIVERGING)
            for i, name in enumerate(AXES)
        ),
        Quantity(volumetric, "volumetric", "%", symmetric_range(best_known(volumetric, kinds)), DIVERGING),
        Quantity(deviatoric, "deviatoric", "%", (0.0, max(top, 1e-6)), "magma_r", "max"),
    ]


def quality_quantities(field: DeformationField, kinds: NDArray[np.int8]) -> list[Quantity]:
    """ZNCC, the two random standard deviations and the iterations of each node.

    Parameters
    ----------
    field : DeformationField
    kinds : (N,) int8

    Returns
    -------
    list of Quantity
        ZNCC, sd of u in 1e-3 voxels, sd of F in 1e-3, iterations.
    """
    run = (kinds != NodeKind.MASKED) & (field.iterations > 0)
    zncc = np.where(run, field.zncc, np.nan)
    sd_u = np.sqrt(np.mean(field.sd[:, DISPLACEMENT_COLUMNS] ** 2, axis=1))
    sd_f = np.sqrt(np.mean(field.sd[:, GRADIENT_COLUMNS] ** 2, axis=1))
    steps = np.where(run, field.iterations, np.nan).astype(np.float64)
    return [
        Quantity(zncc, "ZNCC", "", (robust_range(zncc)[0], 1.0), QUALITY, "min"),
        Quantity(1e3 * sd_u, "sd of $u$", r"$10^{-3}$ voxels", robust_range(1e3 * sd_u, percent=2.0), QUALITY),
        Quantity(1e3 * sd_f, "sd of $F$", r"$10^{-3}$", robust_range(1e3 * sd_f, percent=2.0), QUALITY),
        Quantity(steps, "iterations", "", robust_range(steps, percent=0.0), QUALITY, "neither"),
    ]
