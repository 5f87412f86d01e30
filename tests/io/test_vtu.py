"""Meshes for ParaView."""

from __future__ import annotations

import meshio
import numpy as np
import pytest

from voltome.errors import InputError
from voltome.fields import PARAMETERS
from voltome.io import write_strain_vtu


def test_points_and_vectors_are_in_the_order_of_vtk(make_field, tmp_path):
    field = make_field()
    write_strain_vtu(tmp_path / "a.vtu", field, voxel_size_m=5e-8)
    mesh = meshio.read(tmp_path / "a.vtu")
    np.testing.assert_array_equal(mesh.points, field.positions_vox[:, ::-1] * 5e-8)
    np.testing.assert_array_equal(mesh.point_data["displacement_m"], field.displacement_vox[:, ::-1] * 5e-8)
    sd_x = field.sd[:, PARAMETERS.index("Xdisp")] * 5e-8
    np.testing.assert_array_equal(mesh.point_data["sd_displacement_m"][:, 0], sd_x)
    for name in ("zncc", "suspect", "filled", "status"):
        np.testing.assert_array_equal(mesh.point_data[name], getattr(field, name))


def test_every_hexahedron_is_a_cell_of_positive_volume(make_field, tmp_path):
    field = make_field()
    write_strain_vtu(tmp_path / "a.vtu", field)
    mesh = meshio.read(tmp_path / "a.vtu")
    corners = mesh.points[mesh.cells_dict["hexahedron"]]
    edges = corners[:, [1, 3, 4]] - corners[:, :1]
    np.testing.assert_allclose(np.linalg.det(edges), 1000.0)
    np.testing.assert_allclose(corners[:, 6] - corners[:, 0], 10.0)
    assert len(corners) == 4 * 3 * 3
    assert "displacement_vox" in mesh.point_data


def test_strain_of_cells_stands_at_their_centres(make_field, make_strain, tmp_path):
    field = make_field()
    strain = make_strain(field, cells=True)
    write_strain_vtu(tmp_path / "a.vtu", field, strain)
    mesh = meshio.read(tmp_path / "a.vtu")
    centres = mesh.points[mesh.cells_dict["hexahedron"]].mean(axis=1)
    np.testing.assert_allclose(centres, strain.positions_vox[:, ::-1])
    tensor = mesh.cell_data["strain_green_lagrange"][0].reshape(-1, 3, 3)
    np.testing.assert_array_equal(tensor[:, 0, 2], strain.strain[:, 2, 0])  # xz
    np.testing.assert_array_equal(mesh.cell_data["strain_axial_zz"][0], strain.strain[:, 0, 0])
    np.testing.assert_array_equal(mesh.cell_data["strain_volumetric"][0], strain.volumetric)


def test_strain_of_nodes_is_point_data(make_field, make_strain, tmp_path):
    field = make_field()
    write_strain_vtu(tmp_path / "a.vtu", field, make_strain(field))
    mesh = meshio.read(tmp_path / "a.vtu")
    assert not mesh.cell_data
    np.testing.assert_array_equal(mesh.point_data["strain_deviatoric"], make_strain(field).deviatoric)


@pytest.mark.parametrize("options", [{"scattered": True}, {"shape": (11, 50, 40)}])
def test_scattered_and_flat_fields_are_vertices(make_field, make_strain, options, tmp_path):
    field = make_field(**options)
    write_strain_vtu(tmp_path / "a.vtu", field, make_strain(field))
    mesh = meshio.read(tmp_path / "a.vtu")
    assert list(mesh.cells_dict) == ["vertex"]
    assert len(mesh.points) == len(field)


def test_strain_of_another_field_is_refused(make_field, make_strain, tmp_path):
    with pytest.raises(InputError, match="strain must stand at"):
        write_strain_vtu(tmp_path / "a.vtu", make_field(), make_strain(make_field(scattered=True)))
    assert not list(tmp_path.iterdir())


def test_nothing_is_printed_and_bytes_repeat(make_field, make_strain, tmp_path, capfd):
    for run in "ab":
        write_strain_vtu(tmp_path / f"{run}.vtu", make_field(), make_strain(make_field()))
    assert (tmp_path / "a.vtu").read_bytes() == (tmp_path / "b.vtu").read_bytes()
    assert capfd.readouterr() == ("", "")
