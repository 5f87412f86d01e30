"""What the report shows of a segmentation, gathered from the results that stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from voltome.study.aligning import read_alignment
from voltome.study.job import Job
from voltome.study.segmenting import CONFIDENCE, PHASES
from voltome.study.slices import sample_slice

if TYPE_CHECKING:
    from voltome.report.electrode_findings import SegmentedSlice, SiliconRegion


def read_segmented(job: Job, y_vox: int, factor: int) -> tuple[dict[str, SegmentedSlice], tuple[str, ...]]:
    """Phases and confidence of each segmented scan on a slice across y, moved onto the first scan.

    Parameters
    ----------
    job : Job
        Of a result planned by `plan_gathering`.
    y_vox : int
        Where the slice stands in the first scan, in full voxels.
    factor : int
        Edge of its pixels in voxels: a power of two.

    Returns
    -------
    slices : dict of str to SegmentedSlice
        Empty where nothing is segmented.
    names : tuple of str
        Of the phases, silicon first: models need not agree on codes, pictures do.
    """
    from voltome import io
    from voltome.report.electrode_findings import SegmentedSlice

    scans = [s.name for s in job.study.settings.scans if f"segmentation/{s.name}" in job.result.inputs]
    folders = {scan: job.store / "segmentation" / scan for scan in scans}
    known = {scan: io.read_json(folder / "summary.json")["phases"] for scan, folder in folders.items()}
    silicon = job.study.settings.segmentation.silicon
    found = dict.fromkeys(str(row["name"]) for rows in known.values() for row in rows)
    names = tuple(sorted(found, key=lambda name: name != silicon))
    level, out = factor.bit_length() - 1, {}
    for scan, folder in folders.items():
        motion = read_alignment(job.store, scan)[1] if f"alignment/{scan}" in job.result.inputs else None
        drawn = []
        for file in (PHASES, CONFIDENCE):
            with io.open_volume(f"{folder / file}::/{level}") as volume:
                drawn.append(sample_slice(volume, motion, factor=factor, y_vox=y_vox, nearest=True))
        number = np.zeros(256, dtype=np.uint8)
        for row in known[scan]:
            number[int(row["code"])] = 1 + names.index(str(row["name"]))
        phases = number[np.nan_to_num(drawn[0]).astype(np.uint8)]
        out[scan] = SegmentedSlice(phases, np.where(phases > 0, drawn[1] / 255, np.nan).astype(np.float32))
    return out, names


def describe_region(said: Mapping[str, Any]) -> SiliconRegion | None:
    """The matter in which silicon was counted.

    Parameters
    ----------
    said : mapping
        What `read_silicon` says beside its measurements.

    Returns
    -------
    SiliconRegion or None
        None where none was.
    """
    from voltome.report.electrode_findings import SiliconRegion

    region = said.get("region")
    if region is None:
        return None
    return SiliconRegion(float(region["from_depth_m"]), tuple(region["y_m"]), tuple(region["x_m"]))
