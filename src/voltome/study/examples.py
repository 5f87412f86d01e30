"""Studies whose files lie in a known layout: what `voltome new --example` starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_SOC = {"T0": 0.0, "T3": 0.5, "T6": 0.85, "T8": 0.7, "T9": 0.7}
_PAPER = "Häusler et al., EES Batteries 2026, 2, 446 (10.1039/D5EB00193E)"
_OPEN_DATA = (
    f"The experiment of {_PAPER} at ESRF's ID16B, open as\n"
    "10.15151/ESRF-ES-1190113340 and 10.15151/ESRF-ES-1579881493, in the layout of an ESRF session: this file stands\n"
    "beside RAW_DATA and PROCESSED_DATA, which holds <sample>/<sample>_<dataset>/. From the paper are names, states\n"
    "of charge (of the full cell, where it gives them), voxel size, the grey of silicon, and that T9 is T8 once more.\n"
    "Assumed, and to be put right with the data at hand: sample `anode`, datasets T0 to T9, the names of files, and\n"
    "that the collector is at the low end of z (collector_side; the paper has it on top)."
)
_NABU = (
    "Assumed of the volumes: Nabu wrote them to HDF5, floats of 32 bits with axes z, y, x. `voltome info FILE.hdf5`\n"
    "names the datasets of a file that has others."
)
_TIFF = (
    "Assumed of the volumes: a folder of 16-bit TIFF slices for each scan, slices along z. For a .vol or .raw file\n"
    "give its name, volumes.shape (NUM_Z, NUM_Y, NUM_X) and volumes.dtype ('<u2' for 16 bits, '<f4' for floats,\n"
    "'>' where BYTEORDER is HIGHBYTEFIRST) as the .info beside it says. The paper equalised histograms for display:\n"
    "take the volumes from before that."
)
_TWIN = (
    "The layout of what `voltome simulate --size small --out DIR` writes; it writes a study.yaml as well, which also\n"
    "knows the times of the scans."
)


@dataclass(frozen=True)
class Example:
    """A study to start from.

    Parameters
    ----------
    heading : str
        Where the layout comes from, and what is assumed.
    settings : mapping
        As in a study's file; the rest keeps its default.
    """

    heading: str
    settings: Mapping[str, Any]


def _film(volume: str, voxel_size_m: float) -> dict[str, Any]:
    """The paper's ten scans; `{name}` in the volume's path is the scan's."""
    scans: list[dict[str, Any]] = []
    for name in (f"T{number}" for number in range(10)):
        scan: dict[str, Any] = {"name": name, "volume": volume.format(name=name)}
        scan |= {"soc": _SOC[name]} if name in _SOC else {}
        scans.append(scan | ({"repeats": "T8"} if name == "T9" else {}))
    electrode = {"collector_side": "low-z"}
    return {"voxel_size_m": voxel_size_m, "polarity": "silicon-darkest", "scans": scans, "electrode": electrode}


_FOLDER = "PROCESSED_DATA/anode/anode_{name}"
_DATASET = "/entry0000/reconstruction/results/data"

EXAMPLES: Mapping[str, Example] = {
    "ID16B-nabu": Example(
        f"{_OPEN_DATA}\n{_NABU}",
        _film(f"{_FOLDER}/reconstructed_volumes/anode_{{name}}.hdf5::{_DATASET}", 5e-8),
    ),
    "ID16B-tiff": Example(f"{_OPEN_DATA}\n{_TIFF}", _film(f"{_FOLDER}/volumes/anode_{{name}}", 5e-8)),
    "twin": Example(
        _TWIN,
        _film("volumes/{name}.zarr", 1.5e-7)
        | {
            "electrochemistry": {"cycler": "cycler.csv"},
            "correlation": {"node_spacing_vox": 12, "half_window_vox": 12},
        },
    ),
}
"""By name."""
