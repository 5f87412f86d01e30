"""Strain from the gradient of a displacement field: three measures, with its standard deviation."""

from __future__ import annotations

import numpy as np

from voltome.dvc.gradient import differentiate_field
from voltome.dvc.strain_noise import propagate_to_strain
from voltome.errors import InputError
from voltome.fields import DeformationField, FloatArray, StrainField

MEASURES = ("small", "green-lagrange", "hencky")
GRADIENTS = ("geers", "q8")
_MOST_RADIUS = 10.0


def compute_strain(
    field: DeformationField, *, measure: str = "hencky", gradient: str = "geers", radius: float = 1.0
) -> StrainField:
    """Strain tensors from the gradient of displacement on a regular grid.

    Geers (1996, 10.1016/0020-7683(95)00240-5): at each node the gradient of a linear field fitted to the nodes within
    `radius` node spacings. Q8: at the centre of each cell the gradient of the trilinear element of its eight nodes.

    The standard deviations are those of the displacements' noise, carried through linearly with what overlapping
    windows share (`gradient.differentiate_field`).

    Parameters
    ----------
    field : DeformationField
        On a regular grid; nodes with NaN displacement do not take part.
    measure : str
        "hencky" (logarithmic; the default because at strains of tens of per cent it stays additive and symmetric in
        tension and compression), "green-lagrange" or "small".
    gradient : str
        "geers" (at the nodes) or "q8" (at the cells' centres).
    radius : float
        For Geers, in node spacings; 1 takes the six nearest nodes, 1.8 all twenty-six.

    Returns
    -------
    StrainField
        NaN where the gradient could not be formed; standard deviations also where a filled node is behind the value.
        `measured` is the fraction of nodes behind each value that were measured and are not suspect.

    Raises
    ------
    InputError
        For an unknown measure or gradient, scattered nodes, or a grid with one node on an axis.
    """
    check_strain_options(measure, gradient)
    if field.grid_shape is None or min(field.grid_shape) < 2:
        raise InputError(
            f"strain needs a regular grid with two nodes on each axis (got {field.grid_shape}): take a smaller spacing"
        )
    if gradient == "geers" and not 1.0 <= radius <= _MOST_RADIUS:
        raise InputError(f"the Geers radius must be 1 to {_MOST_RADIUS:g} node spacings (got {radius}): give 1 or 2")
    found = differentiate_field(field, field.grid_shape, gradient=gradient, radius=radius)
    f = found.deformation_gradient
    stretch, rotation, strain = decompose(f, measure)
    strain_sd, volumetric_sd = propagate_to_strain(f, found.covariance, measure)
    good = np.isfinite(rotation).all(axis=(1, 2))
    volumetric = np.full(len(f), np.nan)
    volumetric[good] = np.linalg.det(f[good]) - 1.0
    deviator = strain - np.trace(strain, axis1=1, axis2=2)[:, None, None] / 3.0 * np.eye(3)
    return StrainField(
        positions_vox=found.positions_vox,
        grid_shape=found.grid_shape,
        measure=measure,
        deformation_gradient=f,
        strain=strain,
        stretch=stretch,
        rotation=rotation,
        volumetric=volumetric,
        deviatoric=np.sqrt(2.0 / 3.0 * np.einsum("nij,nij->n", deviator, deviator)),
        measured=found.measured,
        strain_sd=strain_sd,
        volumetric_sd=volumetric_sd,
    )


def check_strain_options(measure: str, gradient: str) -> None:
    """Rules for the names of a strain measure and a gradient.

    Parameters
    ----------
    measure : str
        One of `MEASURES`.
    gradient : str
        One of `GRADIENTS`.

    Returns
    -------
    None
        Both are known when this returns.

    Raises
    ------
    InputError
        If one is unknown.
    """
    if measure not in MEASURES:
        raise InputError(f"strain measure must be one of {', '.join(MEASURES)} (got {measure!r}): choose one of them")
    if gradient not in GRADIENTS:
        raise InputError(
            f"strain gradient must be one of {', '.join(GRADIENTS)} (got {gradient!r}): choose one of them"
        )


def decompose(deformation_gradient: FloatArray, measure: str) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Polar decomposition F = R U and the strain of a measure.

    Parameters
    ----------
    deformation_gradient : (N, 3, 3) float64
    measure : str
        One of `MEASURES`.

    Returns
    -------
    stretch, rotation, strain : (N, 3, 3) float64
        NaN where F is not finite or does not preserve orientation.
    """
    f = deformation_gradient
    good = np.asarray(np.isfinite(f).all(axis=(1, 2)))
    good[good] &= np.linalg.det(f[good]) > 0.0
    stretch, rotation, strain = (np.full(f.shape, np.nan) for _ in range(3))
    squared, axes = np.linalg.eigh(np.einsum("nki,nkj->nij", f[good], f[good]))
    principal = np.sqrt(squared)

    def tensor(values: FloatArray) -> FloatArray:
        out: FloatArray = np.einsum("nik,nk,njk->nij", axes, values, axes)
        return out

    stretch[good] = tensor(principal)
    rotation[good] = f[good] @ tensor(1.0 / principal)
    if measure == "hencky":
        strain[good] = tensor(np.log(principal))
    elif measure == "green-lagrange":
        strain[good] = tensor((squared - 1.0) / 2.0)
    else:
        strain[good] = (f[good] + np.swapaxes(f[good], 1, 2)) / 2.0 - np.eye(3)
    return stretch, rotation, strain
