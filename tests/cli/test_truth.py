"""`voltome truth`, as it is typed."""

from __future__ import annotations

import pytest

from voltome.cli import main
from voltome.io import read_phi_tsv


def test_it_writes_the_truth_at_the_nodes_of_any_table(experiment, tmp_path, capfd):
    (tmp_path / "nodes.tsv").write_text("name\tXpos\tYpos\tZpos\na\t10\t12\t20\nb\t11\t10\t2\n")
    command = ["truth", str(experiment), "--at", str(tmp_path / "nodes.tsv"), "--out", str(tmp_path / "truth.tsv")]
    assert main([*command, "--step", "T2", "--from", "T1"]) == 0
    assert capfd.readouterr().out == f"wrote {tmp_path / 'truth.tsv'}\n"
    field = read_phi_tsv(tmp_path / "truth.tsv")
    assert field.positions_vox.tolist() == [[20, 12, 10], [2, 10, 11]]
    assert field.status.tolist() == [2, -5]
    assert main([*command, "--step", "T1", "--half-window", "4", "--overwrite", "--quiet"]) == 0
    assert read_phi_tsv(tmp_path / "truth.tsv").displacement_vox[0, 0] > 0.5
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("folder", "step", "said"),
    [("", "T7", "step 'T7' must be one of"), ("/volumes", "T1", "no twin.yaml"), ("/nowhere", "T1", "no such folder")],
)
def test_what_it_cannot_find_is_one_line(folder, step, said, experiment, tmp_path, capfd):
    (tmp_path / "nodes.tsv").write_text("Zpos\tYpos\tXpos\n20\t12\t10\n")
    command = ["truth", f"{experiment}{folder}", "--step", step, "--at", str(tmp_path / "nodes.tsv")]
    assert main([*command, "--out", str(tmp_path / "truth.tsv")]) == 2
    shown = capfd.readouterr().err
    assert said in shown
    assert shown.count("\n") == 1
    assert not (tmp_path / "truth.tsv").exists()
