"""How much silicon had truly not reacted in the region of a study, where its experiment was simulated."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.grid import Block
from voltome.study.electrode_ground import lay_ground
from voltome.study.job import Job
from voltome.study.silicon import NAME, read_silicon
from voltome.study.silicon_region import mark_inside
from voltome.study.truth import open_twin_of, take_step

if TYPE_CHECKING:
    from voltome.electrode import Frame

Floats = NDArray[np.float64]

_SILICON = 4  # the twin's phase: silicon with x below 0.7
_BLOCK_VOX = 64


def find_true_silicon(job: Job) -> dict[tuple[str, str], float]:
    """True volume of non-lithiated silicon at each scan over that of the first, in the same matter.

    Parameters
    ----------
    job : Job
        Of a result to which the silicon may be an input.

    Returns
    -------
    dict
        (name, scan) to value; empty where nothing was measured.
    """
    from voltome import io

    _, said = read_silicon(job)
    if not said or said["region"] is None:
        return {}
    folder = job.study.settings.truth
    assert folder is not None
    scans = [scan.name for scan in job.study.settings.scans if scan.name in said["amounts"]]
    frame = lay_ground(job, scans[0]).frame
    low, high = np.array(said["region"]["low"]), np.array(said["region"]["high"])
    shape = io.open_series(job.store / "volumes.zarr").shape
    starts = range(0, shape[0], _BLOCK_VOX)
    blocks = [(slice(z, min(z + _BLOCK_VOX, shape[0])), slice(0, shape[1]), slice(0, shape[2])) for z in starts]
    volumes = {}
    for scan in scans:
        arguments = [(job.study.locate(folder), scan, frame, low, high, block) for block in blocks]
        done = job.run_blocks(f"silicon-{scan}", count_true_block, arguments)
        volumes[scan] = sum(int(one["voxels"]) for one in done)
    return {(NAME, scan): volumes[scan] / volumes[scans[0]] for scan in scans[1:]}


def count_true_block(
    folder: str, scan: str, frame: Frame, low: Floats, high: Floats, block: Block
) -> dict[str, NDArray[Any]]:
    """Count the true silicon of a block that comes from the region.

    Parameters
    ----------
    folder : str
        Of the simulated experiment.
    scan : str
    frame : Frame
        Of the first scan.
    low, high : (3,) float64
        Corners of the region in it.
    block : three slices

    Returns
    -------
    dict
        `voxels`.
    """
    from voltome import io

    twin = open_twin_of(folder)
    number, name = take_step(twin, scan)

    def trace(positions_vox: Floats) -> Floats:
        return frame.locate(twin.drifts[0].to_scan(twin.find_matter(number, positions_vox)))

    inside = mark_inside(trace, low, high, block)
    if not inside.any():
        return {"voxels": np.array(0)}
    with io.open_volume(str(Path(folder) / "truth" / name / "phases.zarr")) as phases:
        return {"voxels": np.array(int((inside & (phases[block] == _SILICON)).sum()))}
