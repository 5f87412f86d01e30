"""The embedded default: a simulated experiment, run as a study and compared with its truth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voltome.study.executors import open_workers
from voltome.study.runner import OnProgress, RunSummary, run_study
from voltome.study.study_file import load_study

EXPERIMENT, RESULTS = "experiment", "results"
"""Folders of the demo: the simulated experiment, and what the study makes of it."""


def run_demo(
    out: str | Path,
    *,
    overwrite: bool = False,
    threads: int | None = None,
    on_progress: OnProgress | None = None,
) -> RunSummary:
    """Simulate the tiny experiment and run it as a study.

    Parameters
    ----------
    out : str or Path
        Folder to write: the experiment in `experiment`, the results in `results`.
    overwrite : bool
    threads : int, optional
    on_progress : callable, optional
        Called with stage, done, total.

    Returns
    -------
    RunSummary

    Raises
    ------
    InputError
        If the output exists.
    ResourceError
        If the disk is too small or the output cannot be written.
    """
    from voltome import io
    from voltome.pipeline.simulate import simulate_experiment
    from voltome.twin.configuration import make_settings

    with io.staged_directory(out, overwrite=overwrite, replaces=(EXPERIMENT, RESULTS)) as folder:
        simulate_experiment(make_settings("tiny"), folder / EXPERIMENT, threads=threads, on_progress=on_progress)
        with open_workers(threads=threads) as workers:
            return run_study(load_study(folder / EXPERIMENT), folder / RESULTS, workers, on_progress=on_progress)


def list_errors(store: str | Path) -> list[str]:
    """How far off the truth each scan of a simulated study is, in words.

    Parameters
    ----------
    store : str or Path
        Results of the study.

    Returns
    -------
    list of str
        One line for each scan.
    """
    from voltome import io

    rows = io.read_parquet(Path(store) / "tables" / "scans.parquet")
    found = {(row["name"], row["step"]): row for row in io.read_json(Path(store) / "accuracy.json")["rows"]}
    lines = []
    for i, name in enumerate(rows["name"]):
        if rows["nodes_trusted"][i] > 0:
            parts = [
                _write_number(found[label, name], words, factor, unit)
                for label, words, factor, unit in (
                    ("thickness", "thickness", 1e6, "um"),
                    ("volumetric_strain", "volumetric strain", 100.0, "%"),
                    ("non_lithiated_silicon", "silicon not lithiated", 100.0, "%"),
                )
                if (label, name) in found
            ]
            parts.append(
                f"{rows['nodes_trusted'][i]:.0f} of {rows['nodes'][i]:.0f} nodes trusted, their displacement off by "
                f"{rows['truth_error_vox'][i]:.2g} voxel (median)"
            )
            lines.append(f"{name}: {', '.join(parts)}")
    return lines


def _write_number(row: Mapping[str, Any], words: str, factor: float, unit: str) -> str:
    sd = factor * math.hypot(*(row[name] for name in ("sd_random", "sd_bias") if row[name] is not None))
    return (
        f"{words} {factor * row['recovered']:.1f} \N{PLUS-MINUS SIGN} {sd:.1f} {unit} (true {factor * row['true']:.1f})"
    )
