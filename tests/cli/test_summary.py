"""What a command says when it has done its job."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voltome.cli.summary import print_summary, print_written, summary_lines

NODES = {"total": 343, "converged": 330, "suspect": 4, "filled": 17, "by_status": {"2": 330, "1": 13}}


def test_lines_tell_nodes_medians_truth_and_cost():
    lines = list(
        summary_lines(
            {
                "nodes": NODES,
                "medians": {"displacement_vox": {"z": -1.23456, "y": np.nan, "x": None}},
                "truth": {"axial strain": {"true": 0.3141, "recovered": 0.3018, "error": -0.0123456}},
                "skipped_levels": [100, 70],
                "warnings": ["the registration did not converge"],
                "seconds": {"registration": 10.0, "correlation": 30.5},
                "peak_memory_bytes": 2**30,
            }
        )
    )
    assert lines == [
        "nodes: 330 of 343 converged, 4 suspect, 17 filled",
        "median displacement_vox.z: -1.235",
        "median displacement_vox.y: not measured",
        "median displacement_vox.x: unknown",
        "axial strain: 0.3018, true 0.3141 (error -0.01235)",
        "skipped pyramid levels, which do not fit the volume: 100, 70",
        "warning: the registration did not converge",
        "took 40.5 s, peak memory 1.00 GiB",
    ]


def test_report_is_named_only_where_it_was_written(capsys, tmp_path: Path):
    print_summary({"nodes": NODES}, tmp_path)
    assert capsys.readouterr().out.splitlines()[-1] == f"results: {tmp_path}"
    (tmp_path / "report.html").write_text("<html></html>")
    print_summary({"nodes": NODES}, tmp_path)
    assert capsys.readouterr().out.splitlines()[-1] == f"report: {tmp_path / 'report.html'}"


def test_quiet_prints_nothing(capsys, tmp_path: Path):
    print_summary({"nodes": NODES}, tmp_path, quiet=True)
    print_written(tmp_path, quiet=True)
    assert capsys.readouterr().out == ""
