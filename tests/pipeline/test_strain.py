"""Strain from a table on disk."""

from __future__ import annotations

import json

import meshio
import numpy as np
import pytest
import xarray

from voltome import io, twin
from voltome.errors import InputError
from voltome.grid import regular_nodes
from voltome.pipeline.strain import write_strain

NODES, GRID_SHAPE = regular_nodes((50, 40, 45), 10)
MOTION = twin.make_affine_motion(np.diag([1.44, 0.95, 1.0]))


@pytest.fixture
def table(tmp_path):
    field = twin.true_field(MOTION, NODES, grid_shape=GRID_SHAPE)
    suspect = np.zeros(len(field), dtype=np.uint8)
    suspect[0] = 1
    io.write_phi_tsv(tmp_path / "phi.tsv", field.with_values(suspect=suspect))
    return tmp_path / "phi.tsv"


@pytest.mark.parametrize(
    ("measure", "zz"), [("hencky", np.log(1.44)), ("small", 0.44), ("green-lagrange", (1.44**2 - 1) / 2)]
)
@pytest.mark.parametrize("gradient", ["geers", "q8"])
def test_the_medians_are_the_strain(table, tmp_path, measure, zz, gradient):
    summary = write_strain(table, tmp_path / "out", measure=measure, gradient=gradient)
    assert summary["medians"]["strain_zz"] == pytest.approx(zz, abs=1e-9)
    assert summary["medians"]["strain_xx"] == pytest.approx(0, abs=1e-9)
    assert summary["medians"]["volumetric_strain"] == pytest.approx(1.44 * 0.95 - 1, abs=1e-9)
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == summary
    points = summary["points"]
    assert points["total"] == (len(NODES) if gradient == "geers" else np.prod(np.subtract(GRID_SHAPE, 1)))
    assert points["formed"] == points["total"]
    touched = 1 if gradient == "q8" else 4  # by the suspect node
    assert points["measured"] == points["total"] - touched


def test_every_file_opens_with_its_own_reader(table, tmp_path):
    write_strain(table, tmp_path / "out", voxel_size_m=5e-8)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "field.zarr", "strain.tsv", "strain.vtu", "summary.json",
    ]  # fmt: skip
    with xarray.open_zarr(tmp_path / "out" / "field.zarr") as dataset:
        assert dataset.sizes["z"] == GRID_SHAPE[0]
    mesh = meshio.read(tmp_path / "out" / "strain.vtu")
    assert len(mesh.points) >= len(NODES)


def test_an_existing_folder_is_kept_without_overwrite(table, tmp_path):
    write_strain(table, tmp_path / "out")
    with pytest.raises(InputError, match="already exists"):
        write_strain(table, tmp_path / "out", measure="small")
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["parameters"]["measure"] == "hencky"
    assert write_strain(table, tmp_path / "out", measure="small", overwrite=True)["parameters"]["measure"] == "small"


def test_a_bad_parameter_leaves_nothing(table, tmp_path):
    for options in ({"measure": "true"}, {"gradient": "q20"}, {"radius": 0.2}):
        with pytest.raises(InputError):
            write_strain(table, tmp_path / "out", **options)
    assert [path.name for path in tmp_path.iterdir()] == ["phi.tsv"]
