"""Strain from the gradient of a displacement field: Q8 cells or Geers neighbourhoods, three measures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.fields import DeformationField, FloatArray, StrainField
from voltome.grid import Shape3

MEASURES = ("small", "green-lagrange", "hencky")
GRADIENTS = ("geers", "q8")
_MOST_RADIUS = 10.0


def compute_strain(
    field: DeformationField, *, measure: str = "hencky", gradient: str = "geers", radius: float = 1.0
) -> StrainField:
    """Strain tensors from the gradient of displacement on a regular grid.

    Geers (1996, 10.1016/0020-7683(95)00240-5): at each node the gradient of a linear field fitted to the nodes within
    `radius` node spacings. Q8: at the centre of each cell the gradient of the trilinear element of its eight nodes.

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
        NaN where the gradient could not be formed. `measured` is the fraction of nodes behind each value that were
        measured and are not suspect.

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
    positions, f, measured, grid_shape = (
        _q8_gradient(field, field.grid_shape) if gradient == "q8" else _geers_gradient(field, field.grid_shape, radius)
    )
    stretch, rotation, strain = decompose(f, measure)
    good = np.isfinite(rotation).all(axis=(1, 2))
    volumetric = np.full(len(f), np.nan)
    volumetric[good] = np.linalg.det(f[good]) - 1.0
    deviator = strain - np.trace(strain, axis1=1, axis2=2)[:, None, None] / 3.0 * np.eye(3)
    return StrainField(
        positions_vox=positions,
        grid_shape=grid_shape,
        measure=measure,
        deformation_gradient=f,
        strain=strain,
        stretch=stretch,
        rotation=rotation,
        volumetric=volumetric,
        deviatoric=np.sqrt(2.0 / 3.0 * np.einsum("nij,nij->n", deviator, deviator)),
        measured=measured,
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


def _q8_gradient(field: DeformationField, grid_shape: Shape3) -> tuple[FloatArray, FloatArray, FloatArray, Shape3]:
    """F at the centre of the trilinear element of each cell."""
    positions = field.positions_vox.reshape(*grid_shape, 3)
    u = field.displacement_vox.reshape(*grid_shape, 3)
    trusted = field.trusted.reshape(grid_shape).astype(np.float64)
    spacing = field.node_spacing_vox
    assert spacing is not None
    cells: Shape3 = (grid_shape[0] - 1, grid_shape[1] - 1, grid_shape[2] - 1)

    def corners(values: NDArray[np.float64], signs: tuple[float, float, float]) -> FloatArray:
        for axis, sign in enumerate(signs):
            first, second = (np.take(values, range(k, values.shape[axis] - 1 + k), axis=axis) for k in (0, 1))
            values = (second - first) if sign else 0.5 * (second + first)
        return values

    f = np.tile(np.eye(3), (*cells, 1, 1))
    for axis in range(3):
        signs = tuple(float(k == axis) for k in range(3))
        f[..., :, axis] += corners(u, signs) / spacing[axis]  # type: ignore[arg-type]
    middle = (0.0, 0.0, 0.0)
    return (
        corners(positions, middle).reshape(-1, 3),
        f.reshape(-1, 3, 3),
        corners(trusted, middle).reshape(-1),
        cells,
    )


def _geers_gradient(
    field: DeformationField, grid_shape: Shape3, radius: float
) -> tuple[FloatArray, FloatArray, FloatArray, Shape3]:
    """F at each node from a linear fit to the displacement of the nodes within the radius."""
    spacing = field.node_spacing_vox
    assert spacing is not None
    u = field.displacement_vox.reshape(*grid_shape, 3)
    there = np.asarray(np.isfinite(u).all(axis=-1))
    trusted = field.trusted.reshape(grid_shape)
    reach = int(np.floor(radius + 1e-9))
    steps = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    steps = steps[np.linalg.norm(steps, axis=1) <= radius + 1e-9]
    count, measured = np.zeros(grid_shape), np.zeros(grid_shape)
    first, normal = np.zeros((*grid_shape, 3)), np.zeros((*grid_shape, 3, 3))
    sum_u, product = np.zeros((*grid_shape, 3)), np.zeros((*grid_shape, 3, 3))
    for step in steps:
        here, other = _shifted(grid_shape, step)
        use = there[other].astype(np.float64)
        d = step * spacing
        value = np.where(there[other][..., None], u[other], 0.0)
        count[here] += use
        measured[here] += use * trusted[other]
        first[here] += use[..., None] * d
        normal[here] += use[..., None, None] * np.outer(d, d)
        sum_u[here] += value
        product[here] += value[..., :, None] * d
    mean = np.maximum(count, 1.0)[..., None]
    normal -= first[..., :, None] * first[..., None, :] / mean[..., None]
    product -= sum_u[..., :, None] * first[..., None, :] / mean[..., None]
    scale = float(np.prod(spacing) ** (2.0 / 3.0))
    solvable = (np.linalg.det(normal / scale) > 0.05) & there
    f = np.full((*grid_shape, 3, 3), np.nan)
    f[solvable] = product[solvable] @ np.linalg.inv(normal[solvable]) + np.eye(3)
    fraction = measured / np.maximum(count, 1.0)
    return field.positions_vox.copy(), f.reshape(-1, 3, 3), fraction.ravel(), grid_shape


def _shifted(grid_shape: Shape3, step: NDArray[np.int64]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Slices of the nodes that have a neighbour at `step`, and of those neighbours."""
    here = tuple(slice(max(0, -k), max(0, n - max(0, k))) for k, n in zip(step, grid_shape, strict=True))
    other = tuple(slice(max(0, k), max(0, n + min(0, k))) for k, n in zip(step, grid_shape, strict=True))
    return here, other
