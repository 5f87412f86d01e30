"""Each scan seen from the collector: where that stands, how it moved since the first one, and where the surface is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.study.job import Job
from voltome.study.result import Result
from voltome.study.storing import VOLUMES
from voltome.study.study_file import Study

if TYPE_CHECKING:
    from voltome.alignment import Alignment, Collector
    from voltome.io import Volume

Floats = NDArray[np.float64]

_ALIGN_M = 0.125e-6
_SURFACE_M = 0.16e-6
_ALIGN_PIXELS, _SURFACE_PIXELS = 256e6, 64e6  # of a whole level: beyond, a coarser one has enough of them
_NUMBERS = ("midway_vox", "blur_vox", "collector_grey", "electrode_grey")
_VECTORS = ("face_vox", "rows_vox", "columns_vox", "plane", "plane_sd")
_MOTION = ("centre_vox", "translation_vox", "rotation_rad", "covariance", "residual_vox")


def plan_alignment(study: Study) -> Iterator[Result]:
    """Where the collector stands in each scan, and how it moved since the first.

    Parameters
    ----------
    study : Study

    Yields
    ------
    Result
    """
    first = f"volumes/{study.settings.scans[0].name}"
    for t, scan in enumerate(study.settings.scans):
        inputs = (first,) if t == 0 else (first, f"volumes/{scan.name}")
        yield Result("alignment", scan.name, _describe(study) | {"t": t}, inputs=inputs)


def plan_surface(study: Study) -> Iterator[Result]:
    """The electrode's surface and thickness in each scan.

    Parameters
    ----------
    study : Study

    Yields
    ------
    Result
    """
    first = f"alignment/{study.settings.scans[0].name}"
    for t, scan in enumerate(study.settings.scans):
        inputs = (f"volumes/{scan.name}", first, *([f"alignment/{scan.name}"] if t else []))
        yield Result("surface", scan.name, _describe(study) | {"t": t}, inputs=inputs)


def _describe(study: Study) -> dict[str, Any]:
    settings = study.settings
    return {
        "voxel_size_m": settings.voxel_size_m,
        "collector_side": settings.electrode.collector_side,
        "polarity": settings.polarity,
    }


def make_alignment(job: Job) -> None:
    """Find the collector in a scan, and register it with that of the first.

    Parameters
    ----------
    job : Job

    Returns
    -------
    None
        The result stands in its place when this returns; its mark does not yet. A collector that is not found is a
        finding: `refused` says why.
    """
    from voltome import io

    p = job.result.parameters
    found = job.run(
        "align", align_block, str(job.store / VOLUMES), p["t"], p["voxel_size_m"], p["collector_side"], p["polarity"]
    )
    with io.staged_directory(job.out, overwrite=True, replaces=("*",)) as folder:
        io.write_json(folder / "summary.json", io.plain_json(_say(found, p["voxel_size_m"])))
    job.publish(f"alignment/{job.result.subject}")


def align_block(series: str, t: int, voxel_size_m: float, side: str, polarity: str) -> dict[str, NDArray[Any]]:
    """Collector of a scan, and its motion since the first scan.

    Parameters
    ----------
    series : str
        Path of the store.
    t : int
    voxel_size_m : float
    side, polarity : str
        As the study has them.

    Returns
    -------
    dict
        Of `Collector` and, but for the first scan, `Alignment`; or `refused`: why there is none.
    """
    from voltome import alignment

    rules: dict[str, Any] = {"voxel_size_m": voxel_size_m, "collector_side": side}
    with _open_level(series, t, voxel_size_m, _ALIGN_M, _ALIGN_PIXELS) as (volume, factor):
        try:
            own = alignment.find_collector(volume, reduction=factor, darker=polarity == "silicon-darkest", **rules)
        except InputError as error:
            return {"refused": np.array(str(error))}
        out = {name: np.array(getattr(own, name)) for name in (*_NUMBERS, *_VECTORS)}
        if t == 0:
            return out
        with _open_level(series, 0, voxel_size_m, _ALIGN_M, _ALIGN_PIXELS) as (reference, _):
            try:
                first = alignment.find_collector(
                    reference, reduction=factor, darker=polarity == "silicon-darkest", **rules
                )
                found = alignment.register_collector(reference, volume, (first, own), reduction=factor, **rules)
            except InputError as error:
                return out | {"refused": np.array(str(error))}
    out |= {name: np.array(getattr(found, name)) for name in (*_MOTION, "scale", "zncc", "tiles")}
    return out


class _Level:
    """A level of a stored scan while a block reads it."""

    def __init__(self, series: str, t: int, voxel_size_m: float, pixel_m: float, most: float) -> None:
        from voltome import io

        shapes = io.open_series(series).level_shapes
        level = 0
        while level + 1 < len(shapes) and (
            voxel_size_m * 2 ** (level + 1) <= pixel_m or float(np.prod(shapes[level])) > most
        ):
            level += 1
        self.factor = 2**level
        self._volume = io.open_scan(series, t, level=level)

    def __enter__(self) -> tuple[Volume, int]:
        return self._volume.__enter__(), self.factor

    def __exit__(self, *error: Any) -> None:
        self._volume.__exit__(*error)


def _open_level(series: str, t: int, voxel_size_m: float, pixel_m: float, most: float) -> _Level:
    """The coarsest level whose pixels are not larger than asked for, or coarser yet where it has too many."""
    return _Level(series, t, voxel_size_m, pixel_m, most)


def _say(found: dict[str, NDArray[Any]], voxel_size_m: float) -> dict[str, Any]:
    """What summary.json says: numbers of the collector and its motion in SI, and all that reads them back."""
    out: dict[str, Any] = {"refused": str(found["refused"]) if "refused" in found else None}
    if "plane" in found:
        collector = {name: found[name].tolist() for name in (*_NUMBERS, *_VECTORS)}
        out["collector"] = collector
        out["face_m"] = float((found["plane"][0] + found["midway_vox"]) * voxel_size_m)
        out["blurred_m"] = float(3.0 * found["blur_vox"] * voxel_size_m)
    if "scale" in found:
        sd = np.sqrt(np.diag(found["covariance"]))
        out["translation_m"] = (found["translation_vox"] * voxel_size_m).tolist()
        out["translation_sd_m"] = (sd[:3] * voxel_size_m).tolist()
        out["rotation_sd_rad"] = sd[3:6].tolist()
        out["scale_sd"] = float(sd[6])
        out["residual_m"] = (found["residual_vox"] * voxel_size_m).tolist()
        out |= {name: found[name].tolist() for name in (*_MOTION, "scale", "zncc", "tiles")}
        out["zncc"] = float(found["zncc"]) if np.isfinite(found["zncc"]) else None
    return out


def read_alignment(store: Path, scan: str) -> tuple[Collector | None, Alignment | None, str | None]:
    """Collector and alignment of a scan, and why one of them is missing.

    Parameters
    ----------
    store : Path
    scan : str

    Returns
    -------
    collector : Collector or None
    alignment : Alignment or None
        None as well for the first scan.
    refused : str or None
    """
    from voltome import alignment, io

    said = io.read_json(store / "alignment" / scan / "summary.json")
    collector = motion = None
    if "collector" in said:
        values: dict[str, Any] = {name: np.array(said["collector"][name], dtype=np.float64) for name in _VECTORS}
        values |= {name: float(said["collector"][name]) for name in _NUMBERS}
        collector = alignment.Collector(**values)
    if "scale" in said:
        values = {name: np.array(said[name], dtype=np.float64) for name in _MOTION}
        zncc = float("nan") if said["zncc"] is None else float(said["zncc"])
        motion = alignment.Alignment(**values, scale=float(said["scale"]), zncc=zncc, tiles=int(said["tiles"]))
    return collector, motion, said["refused"]


def make_surface(job: Job) -> None:
    """Find the electrode's surface in a scan, and its thickness.

    Parameters
    ----------
    job : Job

    Returns
    -------
    None
        The result stands in its place when this returns; its mark does not yet. A surface that is not seen is a
        finding: `refused` says why.
    """
    from voltome import io

    p, first = job.result.parameters, job.study.settings.scans[0].name
    found = job.run(
        "surface",
        surface_block,
        str(job.store / VOLUMES),
        p["t"],
        p["voxel_size_m"],
        p["collector_side"],
        str(job.store),
        first,
        job.result.subject,
    )
    refused = str(found["refused"]) if "refused" in found else None
    summary: dict[str, Any] = {"refused": refused}
    with io.staged_directory(job.out, overwrite=True, replaces=("*",)) as folder:
        if refused is None:
            thickness = found["thickness_m"]
            summary |= {
                "thickness_m": float(np.nanmean(thickness)),
                "thickness_spread_m": float(np.nanstd(thickness)),
                "sd_m": float(found["sd_m"]),
                "noise_m": float(found["noise_m"]),
                "seen": float(np.isfinite(thickness).mean()),
                "pixel_m": float(found["pixel_m"]),
                "reduction": int(found["reduction"]),
                "aligned": bool(found["aligned"]),
            }
            for name in ("thickness_m", "surface_m"):
                plane = found[name][None].astype(np.float32)
                io.write_volume(folder / f"{name[:-2]}.tif", plane, voxel_size_m=summary["pixel_m"])
        io.write_json(folder / "summary.json", summary)
    job.publish(f"surface/{job.result.subject}")


def surface_block(
    series: str, t: int, voxel_size_m: float, side: str, store: str, first: str, scan: str
) -> dict[str, NDArray[Any]]:
    """Surface of the electrode in the frame of the first scan, and its distance from the collector's face.

    Parameters
    ----------
    series : str
    t : int
    voxel_size_m : float
    side : str
    store : str
    first, scan : str
        Names of the first scan and of this one.

    Returns
    -------
    dict
        `surface_m` (z from the volume's face at 0) and `thickness_m` above each pixel of the first scan's plane,
        `sd_m`, `noise_m`, `pixel_m`, `reduction`, `aligned`; or `refused`: why there is none.
    """
    from voltome import electrode
    from voltome.alignment.collector import read_slab

    face, _, refused = read_alignment(Path(store), first)
    own, motion, why = read_alignment(Path(store), scan)
    if face is None or own is None:
        return {"refused": np.array(refused or why)}
    with _open_level(series, t, voxel_size_m, _SURFACE_M, _SURFACE_PIXELS) as (volume, factor):
        slab = read_slab(volume, volume.shape[0], side)
        planes = volume.shape[0] * factor
    shift = (factor - 1) / 2
    rows, columns = (np.arange(n, dtype=np.float64) * factor + shift for n in slab.shape[1:])
    try:
        found = electrode.find_surface(
            slab,
            (own.face_at(rows[:, None], columns[None]) - shift) / factor,
            pixel_m=voxel_size_m * factor,
        )
    except InputError as error:
        return {"refused": np.array(str(error))}
    height = found.z_px * factor + shift
    if side == "high-z":
        height = planes - 1 - height
    faces = face.face_at(rows[:, None], columns[None])
    if side == "high-z":
        faces = planes - 1 - faces
    if motion is not None:
        height = _take_back(height, rows, columns, motion, factor)
    elif t > 0:  # only what lies between the faces can be said
        moved = own.face_at(rows[:, None], columns[None])
        height = height + faces - (planes - 1 - moved if side == "high-z" else moved)
    return {
        "surface_m": height * voxel_size_m,
        "thickness_m": np.abs(height - faces) * voxel_size_m,
        "sd_m": np.array(found.sd_px * factor * voxel_size_m),
        "noise_m": np.array(found.noise_px * factor * voxel_size_m),
        "pixel_m": np.array(factor * voxel_size_m),
        "reduction": np.array(factor),
        "aligned": np.array(t == 0 or motion is not None),
    }


def _take_back(height: Floats, rows: Floats, columns: Floats, motion: Alignment, factor: int) -> Floats:
    """Heights of a scan in the frame of the first: above each of its pixels, by fixed-point iteration."""
    from scipy.ndimage import map_coordinates

    y, x = np.meshgrid(rows, columns, indexing="ij")
    inverse = np.linalg.inv(motion.linear)
    z = height.copy()
    for _ in range(3):
        places = np.stack([np.nan_to_num(z, nan=float(np.nanmean(height))).ravel(), y.ravel(), x.ravel()], axis=1)
        there = places + motion.displace(places)
        at = (there[:, 1:].T - (factor - 1) / 2) / factor
        seen = np.column_stack([map_coordinates(height, at, order=1, mode="nearest"), there[:, 1:]])
        back = (seen - motion.centre_vox - motion.translation_vox) @ inverse.T + motion.centre_vox
        z = back[:, 0].reshape(height.shape)
    return np.asarray(z)
