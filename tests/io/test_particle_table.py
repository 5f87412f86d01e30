"""The table of particles: SPAM's columns first, every number as it was."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.fields import SPAM_COLUMNS, DeformationField
from voltome.io import read_phi_tsv, write_particle_tsv


@pytest.fixture
def field():
    random = np.random.default_rng(0)
    phi = np.tile(np.eye(4), (3, 1, 1))
    phi[:, :3] += random.normal(size=(3, 3, 4)) / 3
    phi[2] = np.nan
    covariance = np.tile(np.diag(np.arange(1.0, 13.0)), (3, 1, 1)).astype(np.float32)
    field = DeformationField.from_phi(random.uniform(0, 50, (3, 3)), phi)
    return field.with_values(covariance=covariance, status=np.array([2, 2, -5], dtype=np.int32))


EXTRA = {
    "kind": np.array(["rigid", "affine", "rigid"]),
    "volume_vox": np.array([7, 8, 9]),
    "E": np.array([0.1, 1e-9, np.nan]),
}


def test_the_table_names_spams_columns_and_what_is_added(field, tmp_path):
    write_particle_tsv(tmp_path / "particles.tsv", np.array([1, 4, 70000]), field, EXTRA)
    names, *rows = [line.split("\t") for line in (tmp_path / "particles.tsv").read_text().splitlines()]
    assert names[:20] == ["Label", *SPAM_COLUMNS[1:]]
    assert names[20:] == ["zncc", "suspect", "sdZdisp", "sdYdisp", "sdXdisp", "kind", "volume_vox", "E"]
    assert [row[0] for row in rows] == ["1", "4", "70000"]
    assert [row[-3:] for row in rows] == [["rigid", "7", "0.1"], ["affine", "8", "1e-09"], ["rigid", "9", "nan"]]
    assert [float(value) for value in rows[0][22:25]] == pytest.approx([2, 8**0.5, 12**0.5], rel=1e-6)


def test_the_table_reads_back_as_a_scattered_field(field, tmp_path):
    write_particle_tsv(tmp_path / "particles.tsv", np.array([1, 4, 9]), field, EXTRA)
    back = read_phi_tsv(tmp_path / "particles.tsv")
    np.testing.assert_array_equal(back.phi[:, :3], field.phi[:, :3])
    np.testing.assert_array_equal(back.positions_vox, field.positions_vox)
    np.testing.assert_array_equal(back.status, field.status)
    assert back.grid_shape is None


def test_an_existing_table_is_kept(field, tmp_path):
    (tmp_path / "particles.tsv").write_text("mine")
    with pytest.raises(InputError, match="exists"):
        write_particle_tsv(tmp_path / "particles.tsv", np.arange(3), field, {})
    assert (tmp_path / "particles.tsv").read_text() == "mine"
