"""A simulated experiment as a study: its scans by name and time, with its cycler file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from voltome.pipeline.twin_radiographs import radiograph_names

if TYPE_CHECKING:
    from voltome.twin.configuration import TwinSettings
    from voltome.twin.radiographs import RadiographPlan

_NODE_SPACING_M = 1.75e-6  # the paper's finest
_STUDY_SPACING_VOX = 6  # least, and the least half window of a study: about a particle where voxels are large
_STUDY_WINDOW_VOX = 10


def find_node_spacing(settings: TwinSettings) -> int:
    """Distance between the nodes at which the truth is written: the paper's finest.

    Parameters
    ----------
    settings : TwinSettings

    Returns
    -------
    int
        Voxels.
    """
    spacing = max(4, round(_NODE_SPACING_M / settings.voxel_size_m))
    return min(spacing, min(settings.shape) // 2)


def write_study(folder: Path, settings: TwinSettings, plan: RadiographPlan | None = None) -> None:
    """Write the experiment as a study (study.yaml) with its cycler file.

    Parameters
    ----------
    folder : Path
    settings : TwinSettings
    plan : RadiographPlan, optional
        Write study-radiographs.yaml as well, which begins with them.

    Returns
    -------
    None
        The files stand when this returns.

    Raises
    ------
    ResourceError
        If they cannot be written.
    """
    from voltome import io
    from voltome.twin.cycling import simulate_cell

    history = simulate_cell(settings)
    io.write_cycler_csv(
        folder / "cycler.csv",
        time_s=history.time_s,
        voltage_v=history.voltage_v,
        current_a=history.current_a,
        charge_ah=history.charge_ah,
        step_count=history.step_count,
        step_type=history.step_type,
    )
    names = [step.name.replace("-", ".") for step in settings.steps]  # a study writes T0-T1 for a pair of scans
    scans = []
    for number, step in enumerate(settings.steps):
        scan: dict[str, Any] = {"name": names[number], "volume": f"volumes/{step.name}.zarr"}
        scan |= {"time_s": float(history.scan_start_s[number]), "soc": float(history.scan_soc[number])}
        scans.append(scan | ({"repeats": names[number - 1]} if step.repeat else {}))
    spacing = max(_STUDY_SPACING_VOX, min(find_node_spacing(settings), min(settings.shape) // 8))
    study = {
        "voxel_size_m": settings.voxel_size_m,
        "polarity": "silicon-darkest",
        "scans": scans,
        "electrode": {"collector_side": "low-z"},
        "electrochemistry": {"cycler": "cycler.csv"},
        "correlation": {"node_spacing_vox": spacing, "half_window_vox": max(_STUDY_WINDOW_VOX, spacing)},
        "segmentation": {"model": "twin"},
        "truth": ".",
    }
    comments = {
        "polarity": "lower refractive decrement is brighter",
        "scans": "time_s: start of the scan in the cycler file; soc: state of charge then",
        "electrode": "low-z: the collector is at the top of the volume, where z = 0",
        "correlation": "nodes as far apart as in the paper, 1.75 micrometres, where a window still holds enough voxels",
        "segmentation": "weights that come with voltome, trained on other experiments of this twin",
        "truth": "this folder: results are compared with its truth",
    }
    heading = "A simulated experiment as a study; its truth lies in truth/."
    io.write_yaml(folder / "study.yaml", study, comments=comments, heading=heading)
    if plan is not None:
        for scan, step in zip(scans, settings.steps, strict=True):
            scan["radiographs"] = radiograph_names(step.name, len(plan.geometries))
            del scan["volume"]
        study["reconstruction"] = {"shape_vox": list(settings.shape[1:])}
        comments["reconstruction"] = "slices of the volume, y and x, about the rotation axis"
        heading = "A simulated experiment as a study that begins with its radiographs; its truth lies in truth/."
        io.write_yaml(folder / "study-radiographs.yaml", study, comments=comments, heading=heading)
