"""The embedded default: a simulated experiment, run as a study and compared with its truth."""

from __future__ import annotations

from pathlib import Path

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
    lines = []
    for i, name in enumerate(rows["name"]):
        if rows["nodes_trusted"][i] > 0:
            error, at_node = rows["truth_error_vox"][i], rows["truth_error_at_node_vox"][i]
            lines.append(
                f"{name}: strain {100 * rows['strain_volumetric'][i]:.3g} %, median error of displacement "
                f"{error:.2g} voxel ({at_node:.2g} against the node itself), {rows['nodes_trusted'][i]:.0f} of "
                f"{rows['nodes'][i]:.0f} nodes trusted"
            )
    return lines
