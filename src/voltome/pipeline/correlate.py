"""Two volumes on disk become a deformation field, strain and a report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome import __version__
from voltome.fields import DeformationField, NodeStatus, StrainField
from voltome.grid import VolumeSource
from voltome.pipeline.particles import open_labels, write_particles
from voltome.pipeline.summary import PairResult, peak_memory_bytes, summarise

if TYPE_CHECKING:
    pass

OnProgress = Callable[[str, int, int], None]
Images = dict[str, tuple[int, NDArray[np.float32]]]

_MOST_PIXELS = 768
_INPUTS = ("reference", "deformed", "mask", "initial_phi", "labels")


@dataclass(frozen=True)
class CorrelateOptions:
    """What `voltome correlate` is told; lengths in voxels, None for the default of `voltome.dvc.correlate_local`."""

    reference: str | Path
    deformed: str | Path
    out: str | Path
    node_spacing_vox: int | None = None
    half_window_vox: int | None = None
    pyramid: tuple[int, ...] | None = None
    mask: str | Path | None = None
    initial_phi: str | Path | None = None
    interpolation: str = "cubic"
    threads: int | None = None
    voxel_size_m: float | None = None
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    grey_low: float | None = None
    grey_high: float | None = None
    min_coverage: float = 0.5
    max_iterations: int = 50
    report: bool = True
    overwrite: bool = False
    median_radius: int = 0
    gaussian_sigma: float = 0.0
    strain_measure: str = "hencky"
    strain_gradient: str = "geers"
    labels: str | Path | None = None
    label_dilation_vox: float | None = None


def correlate_pair(options: CorrelateOptions, *, on_progress: OnProgress | None = None) -> dict[str, Any]:
    """Correlate two volumes and write phi.tsv, phi_filtered.tsv, field.zarr, strain.vtu, summary.json, report.html.

    With labels, particles.tsv as well.

    Parameters
    ----------
    options : CorrelateOptions
    on_progress : callable, optional
        Called with stage, done, total.

    Returns
    -------
    dict
        What stands in summary.json.

    Raises
    ------
    InputError
        If an input or a parameter breaks a rule, or the output exists.
    ResourceError
        If the output cannot be written.
    """
    from voltome.io import open_volume, read_phi_tsv, staged_directory

    with ExitStack() as stack:
        folder = stack.enter_context(staged_directory(options.out, overwrite=options.overwrite))

        def open_one(name: str | Path) -> Any:
            volume = open_volume(name, shape=options.shape, dtype=options.dtype, voxel_size_m=options.voxel_size_m)
            return stack.enter_context(volume)

        reference, deformed = open_one(options.reference), open_one(options.deformed)
        mask = None if options.mask is None else open_one_mask(options, stack)
        start = None if options.initial_phi is None else read_phi_tsv(options.initial_phi)
        labelled = open_labels(
            options.labels, reference.shape, stack, dilation_vox=options.label_dilation_vox, on_progress=on_progress
        )
        result = correlate_volumes(reference, deformed, options, mask=mask, initial_phi=start, on_progress=on_progress)
        particles = None
        if labelled is not None:
            particles = write_particles(
                folder / "particles.tsv",
                labelled,
                (reference, deformed),
                result.filtered if result.filtered.trusted.any() else result.correlation.field,
                mask=mask,
                grey_window=grey_window(options),
                dilation_vox=options.label_dilation_vox,
                interpolation=options.interpolation,
                min_coverage=options.min_coverage,
                max_iterations=options.max_iterations,
                threads=options.threads,
                on_progress=on_progress,
            )
        voxel_size_m = reference.voxel_size_m
        parameters = {
            name: _without_folder(value) if name in _INPUTS and value is not None else value
            for name, value in asdict(options).items()
            if name not in ("out", "overwrite", "report", "threads")
        }
        return write_results(
            folder,
            result,
            (reference, deformed),
            parameters,
            voxel_size_m=voxel_size_m,
            particles=particles,
            report=options.report,
            threads=options.threads,
            on_progress=on_progress,
        )


def grey_window(options: CorrelateOptions) -> tuple[float, float] | None:
    """Grey values between which voxels count.

    Parameters
    ----------
    options : CorrelateOptions

    Returns
    -------
    tuple of float or None
        None where neither end is given.
    """
    low, high = options.grey_low, options.grey_high
    if low is None and high is None:
        return None
    return (-np.inf if low is None else low, np.inf if high is None else high)


def _without_folder(path: str | Path) -> str:
    """Name of an input as results keep it: its folder differs from machine to machine."""
    from voltome.io import split_name

    place, inner = split_name(path)
    return place.name if inner is None else f"{place.name}::{inner}"


def open_one_mask(options: CorrelateOptions, stack: ExitStack) -> VolumeSource:
    """The mask as a volume; raw options hold for it only if it is raw too.

    Parameters
    ----------
    options : CorrelateOptions
    stack : ExitStack
        Closes the volume.

    Returns
    -------
    VolumeSource
    """
    from voltome.io import open_volume

    raw = str(options.mask).endswith((".raw", ".bin", ".vol"))
    mask = open_volume(str(options.mask), shape=options.shape if raw else None, dtype="u1" if raw else None)
    return stack.enter_context(mask)


def correlate_volumes(
    reference: VolumeSource,
    deformed: VolumeSource,
    options: CorrelateOptions,
    *,
    mask: VolumeSource | None = None,
    initial_phi: DeformationField | None = None,
    on_progress: OnProgress | None = None,
) -> PairResult:
    """Correlate, filter and derive strain, all in memory but for the volumes' blocks.

    Parameters
    ----------
    reference, deformed, mask : VolumeSource
    options : CorrelateOptions
        Its files are not read here.
    initial_phi : DeformationField, optional
    on_progress : callable, optional

    Returns
    -------
    PairResult

    Raises
    ------
    InputError
        As `voltome.dvc.correlate_local`, `compute_strain` and `smooth_field`.
    """
    from voltome import dvc

    dvc.check_strain_options(options.strain_measure, options.strain_gradient)
    dvc.check_smoothing(options.median_radius, options.gaussian_sigma)
    correlation = dvc.correlate_local(
        reference,
        deformed,
        node_spacing_vox=options.node_spacing_vox,
        half_window_vox=options.half_window_vox,
        pyramid=options.pyramid,
        mask=mask,
        grey_window=grey_window(options),
        initial_phi=initial_phi,
        interpolation=options.interpolation,
        min_coverage=options.min_coverage,
        max_iterations=options.max_iterations,
        threads=options.threads,
        on_progress=on_progress,
    )
    field, warnings = correlation.field, list[str]()
    if field.trusted.any():
        filtered = dvc.fill_field(field)
        filtered = dvc.smooth_field(
            filtered, median_radius=options.median_radius, gaussian_sigma=options.gaussian_sigma
        )
    else:
        warnings.append("no node was measured: nothing was filled and there is no strain")
        filtered = field.with_values(phi=np.full_like(field.phi, np.nan))
    if field.grid_shape is not None and min(field.grid_shape) >= 2:
        strain = dvc.compute_strain(filtered, measure=options.strain_measure, gradient=options.strain_gradient)
    else:
        warnings.append(f"a grid of {field.grid_shape} nodes has no gradient on every axis: there is no strain")
        strain = no_strain(field, options.strain_measure)
    if (field.status == NodeStatus.MASKED).all():
        warnings.append("every window is masked: raise the mask's weights, or lower the minimum coverage")
    if correlation.registration is not None and correlation.registration.status != NodeStatus.CONVERGED:
        warnings.append("the registration of the whole pair did not converge: an initial Phi may help")
    return PairResult(correlation, filtered, strain, tuple(warnings))


def no_strain(field: DeformationField, measure: str) -> StrainField:
    """Strain that could not be formed: NaN at every node.

    Parameters
    ----------
    field : DeformationField
    measure : str

    Returns
    -------
    StrainField
    """
    n = len(field)
    tensor, scalar = np.full((n, 3, 3), np.nan), np.full(n, np.nan)
    return StrainField(
        field.positions_vox,
        field.grid_shape,
        measure,
        deformation_gradient=tensor,
        strain=tensor,
        stretch=tensor,
        rotation=tensor,
        volumetric=scalar,
        deviatoric=scalar,
        measured=np.zeros(n),
        strain_sd=tensor,
        volumetric_sd=scalar,
    )


def write_results(
    folder: Path,
    result: PairResult,
    volumes: tuple[VolumeSource, VolumeSource],
    parameters: Mapping[str, Any],
    *,
    voxel_size_m: float | None = None,
    particles: Mapping[str, Any] | None = None,
    report: bool = True,
    truth: Mapping[str, Any] | None = None,
    threads: int | None = None,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Write a correlated pair's files into a folder and return its summary.

    Parameters
    ----------
    folder : Path
        Staged: it becomes visible when all is written.
    result : PairResult
    volumes : pair of VolumeSource
        Reference and deformed, for the report's slices.
    parameters : mapping
        What made the result.
    voxel_size_m : float, optional
    particles : mapping, optional
        As `write_particles` returns it; stands under `particles` in the summary.
    report : bool
        Whether to write report.html.
    truth : mapping, optional
        As `voltome.report.render_correlation_report` takes it; its `errors` go into the summary.
    threads : int, optional
        For the residual in the report.
    on_progress : callable, optional

    Returns
    -------
    dict
        What stands in summary.json.

    Raises
    ------
    ResourceError
        If a file cannot be written.
    """
    from voltome import io

    clock = time.perf_counter()
    if on_progress is not None:
        on_progress("writing", 0, 1)
    summary = summarise(result, parameters, voxel_size_m=voxel_size_m)
    if particles is not None:
        summary["particles"] = {name: value for name, value in particles.items() if name != "seconds"}
        summary["seconds"]["particles"] = particles["seconds"]
    if truth is not None:
        keys = ("true", "recovered", "error", "sd", "unit")
        summary["truth"] = {row["name"]: {key: row[key] for key in keys} for row in truth["errors"]}
    field = result.correlation.field
    attributes = {"step": "correlate", "version": __version__, "parameters": io.plain_json(dict(parameters))}
    io.write_phi_tsv(folder / "phi.tsv", field)
    io.write_phi_tsv(folder / "phi_filtered.tsv", result.filtered)
    io.write_field_zarr(
        folder / "field.zarr", field, strain=result.strain, voxel_size_m=voxel_size_m, attributes=attributes
    )
    io.write_strain_vtu(folder / "strain.vtu", result.filtered, result.strain, voxel_size_m=voxel_size_m)
    summary["seconds"]["writing"] = round(time.perf_counter() - clock, 3)
    summary["peak_memory_bytes"] = peak_memory_bytes()
    if report:
        clock = time.perf_counter()
        if on_progress is not None:
            on_progress("report", 0, 1)
        io.write_text(folder / "report.html", render_report(result, volumes, summary, voxel_size_m, truth, threads))
        summary["seconds"]["report"] = round(time.perf_counter() - clock, 3)
        summary["peak_memory_bytes"] = peak_memory_bytes()
    io.write_json(folder / "summary.json", summary)
    return summary


def render_report(
    result: PairResult,
    volumes: tuple[VolumeSource, VolumeSource],
    summary: Mapping[str, Any],
    voxel_size_m: float | None,
    truth: Mapping[str, Any] | None,
    threads: int | None,
) -> str:
    """Page of a correlated pair, with the middle slices of both volumes and of the residual.

    Parameters
    ----------
    result : PairResult
    volumes : pair of VolumeSource
    summary : mapping
    voxel_size_m : float or None
    truth : mapping or None
    threads : int or None

    Returns
    -------
    str
        HTML.
    """
    from voltome import dvc
    from voltome.dvc.quality import MIN_ZNCC
    from voltome.report import render_correlation_report

    scale = max(1, -(-max(volumes[0].shape) // _MOST_PIXELS))
    slices, deformed = middle_slices(volumes[0], scale), middle_slices(volumes[1], scale)
    residual: Images | None = None
    if np.isfinite(result.filtered.phi).all(axis=(1, 2)).any():
        with dvc.thread_pool(threads) as pool:
            residual = middle_slices(dvc.open_residual(*volumes, result.filtered, pool=pool), scale)
    return render_correlation_report(
        result.correlation.field,
        result.filtered,
        result.strain,
        slices,
        summary,
        deformed_slices=deformed,
        residual_slices=residual,
        slice_scale=scale,
        voxel_size_m=voxel_size_m,
        zncc_threshold=MIN_ZNCC,
        truth=truth,
    )


def middle_slices(volume: VolumeSource, scale: int = 1) -> Images:
    """Middle slice across each axis, every `scale`-th voxel.

    Parameters
    ----------
    volume : VolumeSource
    scale : int

    Returns
    -------
    dict
        Axis name to (index in voxels, float32 image).
    """
    out: Images = {}
    for axis, name in enumerate("zyx"):
        index = volume.shape[axis] // 2
        block = [slice(0, n) for n in volume.shape]
        block[axis] = slice(index, index + 1)
        image = np.asarray(volume[block[0], block[1], block[2]], dtype=np.float32)
        out[name] = (index, np.take(image, 0, axis=axis)[::scale, ::scale])
    return out
