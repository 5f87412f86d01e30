"""SPAM's tables, in and out."""

from __future__ import annotations

import os
import subprocess

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.fields import EXTRA_COLUMNS, SPAM_COLUMNS
from voltome.io import read_phi_tsv, read_positions_tsv, write_phi_tsv
from voltome.io.spam_tsv import find_grid


@pytest.mark.parametrize("scattered", [False, True])
def test_a_field_reads_back_the_same(make_field, assert_same_field, scattered, tmp_path):
    field = make_field(scattered=scattered)
    write_phi_tsv(tmp_path / "phi.tsv", field)
    back = read_phi_tsv(tmp_path / "phi.tsv")
    assert_same_field(field, back, covariance=False)
    np.testing.assert_allclose(back.sd, field.sd, rtol=1e-6)
    off_diagonal = back.covariance[~np.isnan(back.covariance[:, 0, 0])][:, ~np.eye(12, dtype=bool)]
    assert (off_diagonal == 0).all()
    assert np.isnan(back.covariance[3]).all()


def test_spam_columns_come_first(make_field, tmp_path):
    write_phi_tsv(tmp_path / "phi.tsv", make_field())
    lines = (tmp_path / "phi.tsv").read_text().split("\n")
    assert tuple(lines[0].split("\t")) == SPAM_COLUMNS + EXTRA_COLUMNS
    assert lines[1].split("\t")[0] == "0"
    assert lines[4].split("\t")[4] == "nan"
    assert lines[-1] == ""


def test_a_written_table_is_not_replaced_by_accident(make_field, tmp_path):
    write_phi_tsv(tmp_path / "phi.tsv", make_field())
    with pytest.raises(InputError, match="exists"):
        write_phi_tsv(tmp_path / "phi.tsv", make_field())
    write_phi_tsv(tmp_path / "phi.tsv", make_field(scattered=True), overwrite=True)
    assert len(read_phi_tsv(tmp_path / "phi.tsv")) == 23


def test_spam_reads_the_same_field(make_field, tmp_path):
    python = os.environ.get("VOLTOME_SPAM_PYTHON")
    if not python:
        pytest.skip("SPAM is not here (set VOLTOME_SPAM_PYTHON to the Python that has it)")
    field = make_field()
    write_phi_tsv(tmp_path / "phi.tsv", field)
    script = (
        "import sys, numpy, spam.helpers\n"
        "read = spam.helpers.readCorrelationTSV(sys.argv[1], readError=True, verbose=False)\n"
        "numpy.savez(sys.argv[2], **read)\n"
    )
    subprocess.run([python, "-c", script, tmp_path / "phi.tsv", tmp_path / "read.npz"], check=True)
    read = np.load(tmp_path / "read.npz")
    np.testing.assert_array_equal(read["PhiField"], field.phi)
    np.testing.assert_array_equal(read["fieldCoords"], field.positions_vox)
    np.testing.assert_array_equal(read["fieldDims"], field.grid_shape)
    np.testing.assert_array_equal(read["error"], field.residual)
    np.testing.assert_array_equal(read["returnStatus"], field.status)
    np.testing.assert_array_equal(read["iterations"], field.iterations)


REGISTRATION = "\t".join(SPAM_COLUMNS) + (
    "\n1.0000000\t144.0000000\t112.0000000\t112.0000000\t1.0030000\t0.0010000\t0.0000000\t2.5000000\t-0.0010000"
    "\t1.0030000\t0.0000000\t-1.2500000\t0.0000000\t0.0000000\t1.0030000\t0.7500000\t12.5000000\t9.0000000\t2.0000000"
    "\t0.0005000\n"
)


def test_one_row_of_spam_reg_acts_about_its_own_position(tmp_path):
    (tmp_path / "reg.tsv").write_text(REGISTRATION)
    field = read_phi_tsv(tmp_path / "reg.tsv")
    assert len(field) == 1
    np.testing.assert_array_equal(field.positions_vox, [[144, 112, 112]])
    np.testing.assert_array_equal(field.phi[0, :3, 3], [2.5, -1.25, 0.75])
    assert (field.phi[0, 0, 1], field.phi[0, 1, 0]) == (0.001, -0.001)
    assert (field.status[0], field.iterations[0], field.residual[0]) == (2, 9, 12.5)
    assert np.isnan(field.zncc[0])
    assert np.isnan(field.covariance).all()


def test_columns_are_found_by_name_in_any_order(tmp_path):
    names = [*SPAM_COLUMNS[:16], "pixelSearchCC", "returnStatus", "error", "deltaPhiNorm", "iterations", "binning"]
    rows = [[i, 10, 10, 10 * i + 10, *np.eye(4)[:3].ravel(), 0.9, 2, 3.5, np.inf, 7, "4"] for i in range(3)]
    text = "\r\n".join("\t".join(map(str, row)) for row in [names, *rows])
    (tmp_path / "filtered.tsv").write_bytes(("\ufeff" + text + "\r\n\r\n").encode())
    field = read_phi_tsv(tmp_path / "filtered.tsv")
    assert field.grid_shape == (1, 1, 3)
    assert field.status.tolist() == [2, 2, 2]
    assert field.iterations.tolist() == [7, 7, 7]
    assert field.residual.tolist() == [3.5, 3.5, 3.5]
    assert np.isnan(field.delta_phi_norm).all()  # SPAM's infinity says that there was none


def test_a_text_column_that_nobody_needs_does_no_harm(tmp_path):
    lines = REGISTRATION.splitlines()
    (tmp_path / "reg.tsv").write_text(f"{lines[0]}\tcomment\n{lines[1]}\tby eye\n")
    assert read_phi_tsv(tmp_path / "reg.tsv").phi[0, 0, 3] == 2.5


def with_field(column: str, value: str) -> str:
    head, row = REGISTRATION.splitlines()
    fields = row.split("\t")
    fields[SPAM_COLUMNS.index(column)] = value
    return f"{head}\n\n{row}\n" + "\t".join(fields) + "\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ["empty"]),
        ("\n \n", ["empty"]),
        ("some text\nthat is no table\n", ["line 1", "lacks Zpos"]),
        ("a\tb\n1\t2\n", ["line 1", "lacks Zpos"]),
        (REGISTRATION.replace("Fyx\t", ""), ["line 1", "lacks Fyx"]),
        (REGISTRATION.replace("Fyx", "other"), ["line 1", "lacks Fyx"]),
        (REGISTRATION.replace("error", "Fyy"), ["line 1", "Fyy twice"]),
        (REGISTRATION.splitlines()[0] + "\n", ["no rows"]),
        (REGISTRATION + "1\t2\t3\n", ["line 3", "20 fields", "it has 3"]),
        (with_field("Fzz", "one"), ["line 4", "Fzz", "'one'"]),
        (with_field("Fzz", "inf"), ["line 4", "Fzz", "inf"]),
        (with_field("Zpos", "nan"), ["line 4", "Zpos", "finite"]),
        (with_field("returnStatus", "1.5"), ["line 4", "returnStatus", "whole"]),
        (with_field("iterations", "1e300"), ["line 4", "iterations", "whole"]),
        (with_field("iterations", "inf"), ["line 4", "iterations", "whole"]),
        (REGISTRATION.replace("error", "suspect"), ["line 2", "suspect", "0 or 1"]),
    ],
)
def test_a_broken_table_is_one_line(content, words, tmp_path):
    (tmp_path / "phi.tsv").write_text(content)
    with pytest.raises(InputError) as caught:
        read_phi_tsv(tmp_path / "phi.tsv")
    text = str(caught.value)
    assert "\n" not in text
    assert all(word in text for word in ["phi.tsv", *words]), text


def test_what_is_no_text_file_is_one_line(tmp_path):
    (tmp_path / "phi.tsv").write_bytes(bytes(range(256)) * 4)
    for path, word in ((tmp_path / "phi.tsv", "not a text"), (tmp_path / "no.tsv", "not exist"), (tmp_path, "a file")):
        with pytest.raises(InputError, match=word):
            read_phi_tsv(path)


def test_only_a_whole_regular_grid_with_x_fastest_is_a_grid():
    grid = np.stack(np.meshgrid([5, 10, 15], [7, 14], [3, 9, 15, 21], indexing="ij"), axis=-1).reshape(-1, 3) * 1.0
    assert find_grid(grid) == (3, 2, 4)
    assert find_grid(grid + 1e-6) == (3, 2, 4)
    assert find_grid(grid[1:]) is None
    assert find_grid(grid[::-1]) is None
    assert find_grid(grid.reshape(3, 2, 4, 3).transpose(2, 1, 0, 3).reshape(-1, 3)) is None
    assert find_grid(np.where(grid == 21, 22, grid)) is None


def test_positions_come_from_any_table_that_has_them(tmp_path):
    (tmp_path / "a.tsv").write_text("name\tXpos\tYpos\tZpos\nupper\t3\t2\t1.5\nlower\t6\t5\t4\n")
    np.testing.assert_array_equal(read_positions_tsv(tmp_path / "a.tsv"), [[1.5, 2, 3], [4, 5, 6]])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Zpos\tYpos\n1\t2\n", "lacks Xpos"),
        ("Zpos\tYpos\tXpos\n", "no rows"),
        ("Zpos\tYpos\tXpos\n1\t2\tnan\n", "line 2: Xpos must be a finite number"),
        ("Zpos\tYpos\tXpos\n1\t2\tright\n", "line 2: Xpos must be a number"),
    ],
)
def test_a_table_without_usable_positions_is_named(text, said, tmp_path):
    (tmp_path / "a.tsv").write_text(text)
    with pytest.raises(InputError, match=said):
        read_positions_tsv(tmp_path / "a.tsv")
