"""Deformation and strain as a mesh for ParaView (.vtu)."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.fields import PARAMETERS, DeformationField, StrainField
from voltome.grid import Shape3
from voltome.io.staging import staged_file
from voltome.io.voxel_size import check_voxel_size

_VTK_CELLS = {"hexahedron": 12, "vertex": 1}
_VTK_BLOCK = 32768  # bytes that are compressed at a time
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
            cell_data = values
        else:
            raise InputError(
                f"strain must stand at the {len(field)} nodes or the cells between them (got {len(strain)} values): "
                "give the strain of this field"
            )
    points = np.ascontiguousarray(field.positions_vox[:, ::-1]) * size
    with staged_file(path, overwrite=overwrite) as part, open(part, "wb") as file:
        _write_mesh(file, points, kind, cells, point_data, cell_data)


def _write_mesh(
    file: BinaryIO,
    points: NDArray[np.float64],
    kind: str,
    cells: NDArray[np.int64],
    point_data: Mapping[str, NDArray[Any]],
    cell_data: Mapping[str, NDArray[Any]],
) -> None:
    """An UnstructuredGrid of one kind of cell in VTK's XML: arrays little-endian, compressed, in base64."""
    count, corners = cells.shape
    sections: dict[str, Mapping[str, NDArray[Any]]] = {
        "Points": {"Points": points},
        "Cells": {
            "connectivity": cells.ravel(),
            "offsets": np.arange(1, count + 1) * corners,
            "types": np.full(count, _VTK_CELLS[kind]),
        },
        "PointData": point_data,
        "CellData": cell_data,
    }
    file.write(
        b'<?xml version="1.0"?>\n'
        b'<VTKFile type="UnstructuredGrid" version="0.1" byte_order="LittleEndian"'
        b' compressor="vtkZLibDataCompressor">\n'
        b"<UnstructuredGrid>\n"
        b'<Piece NumberOfPoints="%d" NumberOfCells="%d">\n' % (len(points), count)
    )
    for section, arrays in sections.items():
        if arrays:
            file.write(f"<{section}>\n".encode())
            for name, values in arrays.items():
                _write_array(file, name, values)
            file.write(f"</{section}>\n".encode())
    file.write(b"</Piece>\n</UnstructuredGrid>\n</VTKFile>\n")


def _write_array(file: BinaryIO, name: str, values: NDArray[Any]) -> None:
    """A DataArray: how many blocks, their bytes, those of the last one, of each compressed one; then the blocks."""
    kind = {"f": "Float", "i": "Int", "u": "UInt"}[values.dtype.kind] + str(8 * values.dtype.itemsize)
    components = f' NumberOfComponents="{values.shape[1]}"' if values.ndim == 2 else ""
    file.write(f'<DataArray type="{kind}" Name="{name}"{components} format="binary">\n'.encode())
    plain = values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
    blocks = [zlib.compress(plain[start : start + _VTK_BLOCK]) for start in range(0, len(plain), _VTK_BLOCK)]
    last = len(plain) - (len(blocks) - 1) * _VTK_BLOCK
    header = np.array([len(blocks), _VTK_BLOCK, last, *map(len, blocks)], dtype="<u4")
    file.write(base64.b64encode(header.tobytes()) + base64.b64encode(b"".join(blocks)))
    file.write(b"\n</DataArray>\n")


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
        f"strain_{name}_sd": np.ascontiguousarray(strain.strain_sd[:, ::-1, ::-1]).reshape(-1, 9),
        "strain_axial_zz_sd": np.ascontiguousarray(strain.strain_sd[:, 0, 0]),
        "strain_volumetric_sd": strain.volumetric_sd,
    }
