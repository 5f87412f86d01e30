"""Deformation fields and strain as xarray Datasets in Zarr v3."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.fields import PARAMETERS, DeformationField, StrainField
from voltome.grid import Shape3
from voltome.io.staging import staged_directory
from voltome.io.text import plain_json
from voltome.io.voxel_size import check_voxel_size
from voltome.io.zarr_group import NamedArray, write_zarr_group

if TYPE_CHECKING:
    import xarray as xr

# Attribute of the field: dimensions behind the node's own, unit, meaning.
_VARIABLES: dict[str, tuple[tuple[str, ...], str, str]] = {
    "phi": (("row", "column"), "F: 1, last column: voxel", "deformation relative to the node, order z, y, x"),
    "displacement_vox": (("component",), "voxel", "displacement u, order z, y, x"),
    "status": ((), "1", "how the correlation ended, SPAM's return status"),
    "iterations": ((), "1", "iterations"),
    "residual": ((), "1", "root mean square of the normalised grey residual"),
    "delta_phi_norm": ((), "1", "norm of the last increment of Phi"),
    "zncc": ((), "1", "zero-normalised cross-correlation of the two windows"),
    "suspect": ((), "1", "1 where the result should not be read as strain"),
    "filled": ((), "1", "1 where the value is interpolated, never measured"),
    "covariance": (("parameter", "parameter_2"), "as sd, squared", "covariance of the parameters, grey noise alone"),
    "sd_bias_vox": (("component",), "voxel", "standard deviation of displacement beyond grey noise, order z, y, x"),
    "sd": (("parameter",), "disp: voxel, F: 1", "standard deviation of the parameters, grey noise alone"),
}
_DERIVED = ("displacement_vox", "sd")
_STRAIN: dict[str, tuple[tuple[str, ...], str]] = {
    "deformation_gradient": (("component", "component_2"), "F from the gradient of displacement"),
    "strain": (("component", "component_2"), "strain tensor, order z, y, x"),
    "stretch": (("component", "component_2"), "right stretch U of F = R U"),
    "rotation": (("component", "component_2"), "rotation R of F = R U"),
    "volumetric": ((), "det F - 1"),
    "deviatoric": ((), "equivalent deviatoric strain"),
    "measured": ((), "fraction of the nodes behind the value that were measured and not suspect"),
    "strain_sd": (("component", "component_2"), "standard deviation of the strain tensor, grey noise alone"),
    "volumetric_sd": ((), "standard deviation of det F - 1, grey noise alone"),
}


def write_field_zarr(
    path: str | Path,
    field: DeformationField,
    *,
    strain: StrainField | None = None,
    voxel_size_m: float | None = None,
    attributes: Mapping[str, object] | None = None,
    overwrite: bool = False,
) -> None:
    """Write a field, and its strain, as an xarray Dataset; the same field gives the same bytes.

    Parameters
    ----------
    path : str or Path
        Folder, by custom `field.zarr`.
    field : DeformationField
        On a regular grid the dimensions are z, y, x with node positions in voxels; scattered nodes have `node`.
    strain : StrainField, optional
        At the nodes, or with dimensions of its own (z_cell, y_cell, x_cell; or point).
    voxel_size_m : float, optional
        Edge of the voxel in metres, stored as an attribute.
    attributes : mapping, optional
        What made the field (step, version, parameters); must fit into JSON.
    overwrite : bool
        Replace an existing store.

    Returns
    -------
    None
        The store stands when this returns.

    Raises
    ------
    InputError
        If the store exists and `overwrite` is False, or the voxel size is not positive.
    ResourceError
        If the disk is full or there is no permission.
    """
    check_voxel_size(voxel_size_m)
    dims, coordinates = _node_dims(field.positions_vox, field.grid_shape, ("z", "y", "x"), "node")
    variables = {
        name: NamedArray(
            dims + extra, _on_grid(getattr(field, name), field.grid_shape), {"units": units, "long_name": meaning}
        )
        for name, (extra, units, meaning) in _VARIABLES.items()
    }
    stored: dict[str, object] = {**(attributes or {}), "parameters_order": PARAMETERS, "order": "z, y, x"}
    if voxel_size_m is not None:
        stored["voxel_size_m"] = voxel_size_m
    if strain is not None and len(strain):
        stored["strain_measure"] = strain.measure
        same = np.array_equal(strain.positions_vox, field.positions_vox) and strain.grid_shape == field.grid_shape
        own = (("z", "y", "x"), "node") if same else (("z_cell", "y_cell", "x_cell"), "point")
        dims, more = _node_dims(strain.positions_vox, strain.grid_shape, *own)
        coordinates |= more
        for name, (extra, meaning) in _STRAIN.items():
            values = _on_grid(getattr(strain, name), strain.grid_shape)
            variables[name if name.startswith("strain") else f"strain_{name}"] = NamedArray(
                dims + extra, values, {"units": "1", "long_name": meaning}
            )  # fmt: skip
    with staged_directory(path, overwrite=overwrite, replaces=()) as part:
        write_zarr_group(part, variables, coordinates, cast("dict[str, object]", plain_json(stored)))


def _node_dims(
    positions_vox: NDArray[Any], grid_shape: Shape3 | None, names: tuple[str, ...], scattered: str
) -> tuple[tuple[str, ...], dict[str, NamedArray]]:
    """Dimensions of the nodes, and their positions as coordinates."""
    attributes = {"units": "voxel"}
    if grid_shape is None:
        columns = zip("zyx", positions_vox.T, strict=True)
        return (scattered,), {
            f"{axis}_{scattered}": NamedArray((scattered,), column, attributes) for axis, column in columns
        }
    grid = positions_vox.reshape(*grid_shape, 3)
    lines = (grid[:, 0, 0, 0], grid[0, :, 0, 1], grid[0, 0, :, 2])
    return names, {name: NamedArray((name,), line, attributes) for name, line in zip(names, lines, strict=True)}


def _on_grid(values: NDArray[Any], grid_shape: Shape3 | None) -> NDArray[Any]:
    return values if grid_shape is None else values.reshape(*grid_shape, *values.shape[1:])


def read_field_zarr(path: str | Path) -> DeformationField:
    """Read the field that `write_field_zarr` wrote.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    DeformationField

    Raises
    ------
    InputError
        If there is no such store, or it does not hold a field.
    """
    import xarray as xr

    path = Path(path)
    if not (path / "zarr.json").is_file():
        raise InputError(f"{path} {'is not a Zarr store' if path.exists() else 'does not exist'}: give a field.zarr")
    try:
        with xr.open_dataset(path, engine="zarr", consolidated=False, decode_cf=False) as dataset:
            return _field_of(dataset)
    except (KeyError, ValueError) as error:
        raise InputError(f"{path} does not hold a deformation field ({error}): give a field.zarr of voltome") from error


def read_field_attributes(path: str | Path) -> dict[str, Any]:
    """What a field.zarr says of itself: voxel size and what made it.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    dict
        The attributes that `write_field_zarr` was given; empty where they cannot be read.
    """
    try:
        group = json.loads((Path(path) / "zarr.json").read_text(encoding="utf-8"))
        return dict(group.get("attributes", {}))
    except (OSError, ValueError):
        return {}


def _field_of(dataset: xr.Dataset) -> DeformationField:
    regular = "z" in dataset.sizes
    grid_shape = (dataset.sizes["z"], dataset.sizes["y"], dataset.sizes["x"]) if regular else None
    if regular:
        axes = [dataset[axis].values for axis in "zyx"]
        positions = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    else:
        positions = np.stack([dataset[f"{axis}_node"].values for axis in "zyx"], axis=1)
    field = DeformationField.from_phi(positions, grid_shape=grid_shape)
    values = {}
    for name, (extra, _, _) in _VARIABLES.items():
        if name not in _DERIVED and (name in dataset or name != "sd_bias_vox"):  # earlier stores lack it
            array = dataset[name].values
            values[name] = array.reshape(-1, *array.shape[array.ndim - len(extra) :])
    return field.with_values(**values)
