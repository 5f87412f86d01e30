"""Deformation and strain as a mesh for ParaView (.vtu)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.fields import PARAMETERS, DeformationField, StrainField
from voltome.grid import Shape3
from voltome.io.staging import staged_file
from voltome.io.voxel_size import check_voxel_size

_DISPLACEMENTS_XYZ = [PARAMETERS.index(name) for name in ("Xdisp", "Ydisp", "Zdisp")]


def write_strain_vtu(
    path: str | Path,
    field: DeformationField,
    strain: StrainField | None = None,
    *,
    voxel_size_m: float | None = None,
    overwrite: bool = False,
) -> None:
    """Write nodes, the cells between them, displacement and strain, in VTK's order x, y, z.

    Parameters
    ----------
    path : str or Path
    field : DeformationField
        Nodes are the points. A regular grid with at least two nodes along each axis gives hexahedra, anything else
        vertices.
    strain : StrainField, optional
        At the nodes (point data) or at the centres of the cells (cell data).
    voxel_size_m : float, optional
        Edge of the voxel: coordinates and displacement are in metres; without it in voxels. The name of the
        displacement tells which.
    overwrite : bool
        Replace an existing file.

    Returns
    -------
    None
        The file stands when this returns.

    Raises
    ------
    InputError
        If the strain stands neither at the nodes nor at the cells, the file exists and `overwrite` is False, or the
        voxel size is not positive.
    ResourceError
        If the disk is full or there is no permission.
    """
    import meshio

    check_voxel_size(voxel_size_m)
    size, unit = (1.0, "vox") if voxel_size_m is None else (voxel_size_m, "m")
    point_data: dict[str, Any] = {
        f"displacement_{unit}": np.ascontiguousarray(field.displacement_vox[:, ::-1]) * size,
        f"sd_displacement_{unit}": field.sd[:, _DISPLACEMENTS_XYZ] * size,
        "zncc": field.zncc,
        "suspect": field.suspect,
        "filled": field.filled,
        "status": field.status,
    }
    cells = _hexahedra(field.grid_shape)
    kind = "hexahedron" if len(cells) else "vertex"
    if not len(cells):
        cells = np.arange(len(field)).reshape(-1, 1)
    cell_data: dict[str, Any] = {}
    if strain is not None and len(strain):
        values = _strain_data(strain)
        if len(strain) == len(field):
            point_data |= values
        elif kind == "hexahedron" and len(strain) == len(cells):
            cell_data = {name: [value] for name, value in values.items()}
        else:
            raise InputError(
                f"strain must stand at the {len(field)} nodes or the cells between them (got {len(strain)} values): "
                "give the strain of this field"
            )
    points = np.ascontiguousarray(field.positions_vox[:, ::-1]) * size
    mesh = meshio.Mesh(points, [(kind, cells)], point_data=point_data, cell_data=cell_data)
    with staged_file(path, overwrite=overwrite) as part:
        meshio.write(part, mesh, file_format="vtu")


def _hexahedra(grid_shape: Shape3 | None) -> NDArray[np.int64]:
    """Corners of the cells between nodes, in VTK's order: round the bottom, then round the top."""
    if grid_shape is None or min(grid_shape) < 2:
        return np.zeros((0, 8), dtype=np.int64)
    node = np.arange(int(np.prod(grid_shape)), dtype=np.int64).reshape(grid_shape)
    low, high = slice(None, -1), slice(1, None)
    ring = ((low, low), (low, high), (high, high), (high, low))  # y, x
    return np.stack([node[z, y, x].ravel() for z in (low, high) for y, x in ring], axis=1)


def _strain_data(strain: StrainField) -> dict[str, NDArray[Any]]:
    tensor = strain.strain[:, ::-1, ::-1]  # x, y, z
    name = strain.measure.replace("-", "_")
    return {
        f"strain_{name}": np.ascontiguousarray(tensor).reshape(-1, 9),
        "strain_axial_zz": np.ascontiguousarray(strain.strain[:, 0, 0]),
        "strain_volumetric": strain.volumetric,
        "strain_deviatoric": strain.deviatoric,
        "strain_measured": strain.measured,
    }
