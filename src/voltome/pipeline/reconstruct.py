"""From the radiographs of a scan to a volume, by blocks: of angles up to the phases, of rows from there."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.pipeline.progress import OnProgress, count_jobs
from voltome.pipeline.reconstruction_settings import ReconstructionSettings
from voltome.pipeline.scan_axis import find_axis_block, level_projections
from voltome.pipeline.scan_blocks import (
    Arrays,
    check_distance,
    find_mode,
    find_scale,
    make_screen,
    measure_block,
    refine_block,
    retrieve_block,
)
from voltome.pipeline.scan_frames import Corrections, OpenScan, forget_scan, name_files, read_replacements, share_scan
from voltome.pipeline.scan_request import check_request
from voltome.pipeline.scan_slices import SlicePlan, judge_block, reconstruct_block, sample_block
from voltome.pipeline.summary import peak_memory_bytes

if TYPE_CHECKING:
    from voltome.io import FrameStack, RadiographFiles

Floats = NDArray[np.float64]

RunBlocks = Callable[[str, Callable[..., Arrays], Sequence[tuple[Any, ...]]], list[dict[str, NDArray[Any]]]]
"""Works blocks: a name for them, a function of a module, the arguments of each; gives their arrays in order."""

_ANGLES_A_BLOCK = 16
_REFINED_ANGLES = 24
_REFINEMENTS = 2
_LEAST_HIDDEN = 1e-3
_LEAST_JUDGED, _MOST_JUDGED = 40, 96
_SLAB_BYTES = 192 << 20


def reconstruct_scan(
    files: RadiographFiles,
    settings: ReconstructionSettings,
    work: Path,
    run_blocks: RunBlocks,
) -> tuple[FrameStack, dict[str, Any]]:
    """Reconstruct a scan into a folder.

    Parameters
    ----------
    files : RadiographFiles
    settings : ReconstructionSettings
    work : Path
        Folder for the phases of all angles, and for the volume. What blocks wrote there before is used again if
        `run_blocks` knows it to be done.
    run_blocks : callable
        Works blocks anywhere.

    Returns
    -------
    volume : FrameStack
        (z, y, x) float32 in `work`.
    summary : dict
        What was found and used: `mode`, `quantity`, `voxel_size_m`, `shape`, `axis`, `shifts`, `corrupt_frames`,
        `screen`, `divergence_px`, `warnings`.

    Raises
    ------
    InputError
        If the files are no scan, lack what the mode needs, or hold too much that is corrupt or saturated.
    ResourceError
        If they cannot be read, or the folder cannot be written.
    """
    from voltome import io

    with files.open() as opened:
        check_request(opened, settings)
    corrections, found = find_corrections(files, settings, run_blocks)
    arrays = corrections.as_arrays()
    scan = share_scan(files, settings, arrays["replacements"])
    angles, (rows, columns) = len(scan.angles_rad), scan.frame_shape
    integrals = io.FrameStack(work / "integrals.raw", (angles, rows, columns))
    spans = [(i, min(i + _ANGLES_A_BLOCK, angles)) for i in range(0, angles, _ANGLES_A_BLOCK)]
    done = run_blocks("phases", retrieve_block, [(files, settings, arrays, integrals, *span) for span in spans])
    lit = _find_lit_rows(rows, corrections)
    levels = level_projections(np.concatenate([one["levels"] for one in done]), lit)
    first, last = settings.rows or (0, rows)
    axis = _find_axis(integrals, scan, lit, settings, run_blocks)
    shape = settings.shape_vox or (columns, columns)
    volume = io.FrameStack(work / "volume.raw", (last - first, *shape))
    scale, pixel_m, quantity = find_scale(scan)
    slab = max(2, int(_SLAB_BYTES / (8 * angles * columns)) // 2 * 2)
    places = [(row, min(row + slab, last)) for row in range(first, last, slab)]
    plan = SlicePlan(
        integrals,
        settings,
        scan.angles_rad,
        axis["axis_px"],
        scale,
        settings.filter or ("hann" if quantity == "delta" else "ramp"),
        levels,
        np.zeros(rows),
        np.zeros(rows),
    )
    if quantity == "delta":
        (seen,) = run_blocks("levels", sample_block, [(plan, *lit)])
        tilt = seen["tilt"] if settings.level_slices else plan.tilt
        plan = replace(plan, tilt=tilt, opaque=_hide_rows(rows, corrections), dense=float(seen["dense"]))
    run_blocks("slices", reconstruct_block, [(plan, volume, first, *span) for span in places])
    quality = _judge(plan, volume, first, lit, pixel_m, run_blocks)
    warnings = [axis["warning"], _warn_divergence(scan, axis["axis_px"], found)]
    summary = found | {
        "mode": find_mode(scan),
        "quantity": quantity,
        "voxel_size_m": pixel_m,
        "shape": list(volume.shape),
        "angles": angles,
        "axis": axis,
        "filter": plan.filter_name,
        "tilt": float(np.ptp(plan.tilt)),
        "quality": quality,
        "warnings": [*found["warnings"], *(line for line in warnings if line)],
    }
    del scan
    forget_scan()
    return volume, summary


def _hide_rows(rows: int, corrections: Corrections) -> Floats:
    """How far each row lies behind the opaque edge."""
    screen = make_screen(corrections.screen)
    if screen is None:
        return np.zeros(rows)
    hidden = 1 - screen.amplitude(np.arange(rows, dtype=np.float64)) ** 2
    return np.where(hidden > _LEAST_HIDDEN, hidden, 0.0)


def _judge(
    plan: SlicePlan,
    volume: FrameStack,
    offset: int,
    lit: tuple[int, int],
    pixel_m: float | None,
    run_blocks: RunBlocks,
) -> dict[str, Any]:
    """Quality of some slices in the middle of those that show most; nothing where they are too few or too small."""
    import json

    low, high = max(offset, lit[0]), min(offset + volume.shape[0], lit[1])
    if pixel_m is None or high - low < _LEAST_JUDGED or min(volume.shape[1:]) < _LEAST_JUDGED:
        return {}
    whole = slice(0, volume.shape[1]), slice(0, volume.shape[2])
    scatter = [volume[slice(r - offset, r - offset + 1), *whole][0][::2, ::2].std() for r in range(low, high, 4)]
    textured = np.flatnonzero(np.array(scatter) > 0.6 * np.median(np.sort(scatter)[-len(scatter) // 2 :])) * 4 + low
    middle = int(np.median(textured)) if len(textured) else (low + high) // 2
    half = min(_MOST_JUDGED, high - low) // 2
    start = int(np.clip(middle - half, low, high - 2 * half))
    (found,) = run_blocks("quality", judge_block, [(plan, start, start + 2 * half, pixel_m)])
    text = str(found["quality"])
    return {} if not text else {"rows": [start, start + 2 * half]} | json.loads(text)


def find_corrections(
    files: RadiographFiles, settings: ReconstructionSettings, run_blocks: RunBlocks
) -> tuple[Corrections, dict[str, Any]]:
    """Find corrupt frames, the shifts of the distances and an opaque edge.

    Parameters
    ----------
    files : RadiographFiles
    settings : ReconstructionSettings
    run_blocks : callable

    Returns
    -------
    Corrections
    dict
        What a report says of them.

    Raises
    ------
    InputError
        If the files are no scan, or hold too much that is corrupt or saturated.
    """
    from voltome import io

    with files.open() as opened:
        count, warnings = len(opened.distances), io.inspect_scan(opened)
    checks = run_blocks("frames", check_distance, [(files, k) for k in range(count)])
    table = np.concatenate([one["replacements"] for one in checks])
    scan = share_scan(files, settings, table)
    if find_mode(scan) == "absorption":
        count = 1
    angles = len(scan.angles_rad)
    none = np.full(3, np.nan)
    replacements = read_replacements(table, len(scan.scan.distances))
    shifts = np.zeros((len(scan.scan.distances), angles, 2))
    corrections = Corrections(replacements, shifts, none)
    found: dict[str, Any] = {
        "corrupt_frames": [sorted(one) for one in replacements],
        "saturated": [float(one["saturated"]) for one in checks],
        "dead_pixels": [float(one.defects.share) for one in scan.fields],
        "shifts": [],
        "screen": None,
        "warnings": warnings,
    }
    if find_mode(scan) == "absorption":
        return corrections, found
    spans = [(i, min(i + _ANGLES_A_BLOCK, angles)) for i in range(0, angles, _ANGLES_A_BLOCK)]
    measured = run_blocks("distances", measure_block, [(files, settings, table, *span) for span in spans])
    profiles = np.sum([one["profiles"] for one in measured], axis=0) / angles
    corrections = Corrections(replacements, _smooth(scan, measured), _find_edge(scan, profiles))
    agreement = None
    if settings.register_distances and count > 1:
        corrections, agreement = _refine(files, settings, corrections, run_blocks, scan)
    found["screen"] = None if np.isnan(corrections.screen).any() else [float(v) for v in corrections.screen]
    found["shifts"] = _describe_shifts(scan, corrections, measured, agreement)
    return corrections, found


def _smooth(scan: OpenScan, measured: Sequence[Arrays]) -> Floats:
    from voltome.radiographs import smooth_shifts

    shifts = np.concatenate([one["shifts_px"] for one in measured], axis=1)
    sd = np.concatenate([one["sd_px"] for one in measured], axis=1)
    for k in range(1, len(shifts)):
        if np.any(sd[k]):
            shifts[k] = smooth_shifts(scan.angles_rad, shifts[k], sd[k])
    return np.asarray(shifts)


def _find_edge(scan: OpenScan, profiles: Floats) -> Floats:
    from voltome.phase import PlaneGrid, find_screen

    geometries = [one.geometry for one in scan.scan.distances if one.geometry is not None]
    grid = PlaneGrid(scan.frame_shape, geometries[0].pixel_m, geometries[0].wavelength_m)
    screen = find_screen(profiles, grid, [one.effective_m for one in geometries])
    if screen is None:
        return np.full(3, np.nan)
    return np.array([screen.edge_row, screen.width_px, 1.0 if screen.at_top else -1.0])


def _refine(
    files: RadiographFiles,
    settings: ReconstructionSettings,
    corrections: Corrections,
    run_blocks: RunBlocks,
    scan: OpenScan,
) -> tuple[Corrections, Floats]:
    """Take out what all angles have in common when frames are compared with predictions: fringes bias a comparison."""
    angles = len(scan.angles_rad)
    chosen = np.unique(np.linspace(0, angles - 1, min(_REFINED_ANGLES, angles)).astype(int))
    agreement = np.zeros(len(corrections.shifts_px))
    for number in range(_REFINEMENTS):
        arrays = corrections.as_arrays()
        blocks = [(files, settings, arrays, int(angle)) for angle in chosen]
        seen = run_blocks(f"refine{number}", refine_block, blocks)
        left = np.nanmedian([one["shifts_px"] for one in seen], axis=0)
        shifts = corrections.shifts_px + np.nan_to_num(left)[:, None]
        edge = _find_edge(scan, np.mean([one["profiles"] for one in seen], axis=0))
        corrections = Corrections(corrections.replacements, shifts, edge)
        agreement = np.nanmedian([one["correlation"] for one in seen], axis=0)
    return corrections, agreement


def _describe_shifts(
    scan: OpenScan, corrections: Corrections, measured: Sequence[Arrays], agreement: Floats | None
) -> list[dict[str, Any]]:
    sd = np.concatenate([one["sd_px"] for one in measured], axis=1)
    described = []
    for k, (one, shifts) in enumerate(zip(scan.scan.distances, corrections.shifts_px, strict=True)):
        finite = sd[k][np.isfinite(sd[k]).all(axis=1)]
        described.append(
            {
                "name": one.name,
                "mean_px": [float(v) for v in shifts.mean(axis=0)],
                "scatter_px": [float(v) for v in shifts.std(axis=0)],
                "sd_px": [float(v) for v in (np.median(finite, axis=0) if len(finite) else np.zeros(2))],
                "correlation": None if agreement is None else float(agreement[k]),
            }
        )
    return described


def _find_axis(
    integrals: FrameStack,
    scan: OpenScan,
    lit: tuple[int, int],
    settings: ReconstructionSettings,
    run_blocks: RunBlocks,
) -> dict[str, Any]:
    if settings.axis_px is not None:
        return {"axis_px": settings.axis_px, "given": True, "warning": ""}
    (found,) = run_blocks("axis", find_axis_block, [(integrals, scan.angles_rad, *lit)])
    estimates = {str(name): float(value) for name, value in zip(found["names"], found["values"], strict=True)}
    return {
        "axis_px": float(found["axis_px"]),
        "sd_px": float(found["sd_px"]),
        "agreement_px": float(found["agreement_px"]) if np.isfinite(found["agreement_px"]) else None,
        "estimates": estimates,
        "given": False,
        "warning": str(found["warning"]),
    }


def _find_lit_rows(rows: int, corrections: Corrections) -> tuple[int, int]:
    if np.isnan(corrections.screen).any():
        return 0, rows
    edge, width, side = corrections.screen
    margin = 3 * width + 2
    return (min(int(edge + margin), rows - 1), rows) if side > 0 else (0, max(int(edge - margin), 1))


def _warn_divergence(scan: OpenScan, axis_px: float, found: dict[str, Any]) -> str:
    """Say how far the cone beam departs from a parallel one at the edge of the field."""
    from voltome.reconstruction import estimate_divergence

    geometry = scan.scan.distances[0].geometry
    found["divergence_px"] = None
    if geometry is None:
        return ""
    rows, columns = scan.frame_shape
    error = float(estimate_divergence(geometry, columns=columns, rows=rows, axis_px=axis_px))
    found["divergence_px"] = error
    if error < 0.5:
        return ""
    return (
        f"the beam is a cone: taken as parallel, points at the edge of the field are displaced by up to {error:.1f} "
        "pixels: trust the middle of the field"
    )


def reconstruct_to_file(
    names: Sequence[str],
    out: str | Path,
    settings: ReconstructionSettings,
    *,
    threads: int | None = None,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Reconstruct a scan and write its volume.

    Parameters
    ----------
    names : sequence of str
        Files of the scan, as `voltome.io.open_scan_files` takes them.
    out : str or Path
        Volume to write; its ending tells the format.
    settings : ReconstructionSettings
    threads : int, optional
        Default: one per core.
    overwrite : bool
    on_progress : callable, optional
        Called with stage, done, total.

    Returns
    -------
    dict
        As of `reconstruct_scan`, with `seconds` and `peak_memory_bytes`.

    Raises
    ------
    InputError
        If the files are no scan, lack what is needed, or hold too much that is corrupt; or the output exists or has no
        known suffix.
    ResourceError
        If files cannot be read, or there is no room for the phases or the volume.
    """
    import tempfile

    from voltome import dvc, io

    clock = time.perf_counter()
    place = io.check_volume_name(out, overwrite=overwrite).absolute()
    files = name_files(names, settings)
    beside = next(folder for folder in place.parents if folder.is_dir())
    with tempfile.TemporaryDirectory(prefix=f".{place.name}.", dir=beside) as folder:
        io.check_free_space(folder, _estimate_bytes(files, settings))
        with dvc.thread_pool(threads) as pool:

            def run_blocks(
                stage: str, function: Callable[..., Arrays], arguments: Sequence[tuple[Any, ...]]
            ) -> list[dict[str, NDArray[Any]]]:
                count = count_jobs(stage, len(arguments), on_progress)

                def work(given: tuple[Any, ...]) -> Arrays:
                    done = function(*given)
                    count()
                    return done

                return list(pool.map(work, arguments))

            volume, summary = reconstruct_scan(files, settings, Path(folder), run_blocks)
        io.write_volume(out, volume, voxel_size_m=summary["voxel_size_m"], overwrite=overwrite)
    summary["seconds"] = round(time.perf_counter() - clock, 3)
    summary["peak_memory_bytes"] = peak_memory_bytes()
    return summary


def _estimate_bytes(files: RadiographFiles, settings: ReconstructionSettings) -> int:
    from voltome.frames import PROJECTION

    with files.open() as scan:
        rows, columns = scan.distances[0].frame_shape
        angles = len(scan.distances[0].find(PROJECTION))
    y, x = settings.shape_vox or (columns, columns)
    first, last = settings.rows or (0, rows)
    return 4 * (angles * rows * columns + 2 * (last - first) * y * x)
