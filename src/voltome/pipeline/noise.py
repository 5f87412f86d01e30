"""Two scans of an unmoved sample become the noise, bias and resolution of a correlation against window size."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voltome import __version__
from voltome.errors import InputError
from voltome.fields import NodeStatus
from voltome.grid import VolumeSource
from voltome.pipeline.correlate import CorrelateOptions, OnProgress, open_one_mask
from voltome.pipeline.metrology import SMALLEST_CROP_VOX, WindowMetrology, measure_metrology
from voltome.pipeline.summary import peak_memory_bytes

if TYPE_CHECKING:
    from voltome.dvc.noise import WindowNoise
    from voltome.dvc.power_law import PowerLaw, Recommendation
    from voltome.dvc.repeat import Drift

FILES = ("noise.tsv", "noise.png", "noise.svg", "summary.json")
_CERTAIN = 3.0


@dataclass(frozen=True)
class NoiseOptions:
    """What `voltome noise` is told; lengths in voxels."""

    repeat_a: str | Path
    repeat_b: str | Path
    out: str | Path
    half_windows: tuple[int, ...] | None = None
    strain_resolution: float = 1e-3
    virtual: bool = True
    crop_vox: int = 160
    mask: str | Path | None = None
    threads: int | None = None
    voxel_size_m: float | None = None
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    overwrite: bool = False

    @property
    def names(self) -> tuple[str | Path, str | Path]:
        """Both scans."""
        return self.repeat_a, self.repeat_b


def write_noise(options: NoiseOptions, *, on_progress: OnProgress | None = None) -> dict[str, Any]:
    """Measure the noise of a repeat pair and write noise.tsv, noise.png, noise.svg and summary.json.

    Parameters
    ----------
    options : NoiseOptions
    on_progress : callable, optional
        Called with stage, done, total.

    Returns
    -------
    dict
        What stands in summary.json; see `measure_noise`.

    Raises
    ------
    InputError
        If an input or a parameter breaks a rule, the scans are no repeat scans, or the output exists.
    ResourceError
        If the output cannot be written.
    """
    from voltome import io, report

    with ExitStack() as stack:
        folder = stack.enter_context(io.staged_directory(options.out, overwrite=options.overwrite, replaces=FILES))
        volumes = [
            stack.enter_context(
                io.open_volume(name, shape=options.shape, dtype=options.dtype, voxel_size_m=options.voxel_size_m)
            )
            for name in options.names
        ]
        masked = CorrelateOptions(*options.names, options.out, mask=options.mask, shape=options.shape)
        mask = None if options.mask is None else open_one_mask(masked, stack)
        summary = measure_noise(volumes[0], volumes[1], options, mask=mask, on_progress=on_progress)
        summary["voxel_size_m"] = volumes[0].voxel_size_m
        if on_progress is not None:
            on_progress("figure", 0, 1)
        figure = report.noise_figure(summary)
        io.write_text(folder / "noise.tsv", tabulate_noise(summary["windows"]))
        io.write_bytes(folder / "noise.png", report.figure_to_png(figure, dpi=300))
        io.write_text(folder / "noise.svg", report.figure_to_svg(figure))
        summary["peak_memory_bytes"] = peak_memory_bytes()
        io.write_json(folder / "summary.json", summary)
    return summary


def measure_noise(
    repeat_a: VolumeSource,
    repeat_b: VolumeSource,
    options: NoiseOptions,
    *,
    mask: VolumeSource | None = None,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Noise, bias and resolution against window size, from volumes that are open.

    Parameters
    ----------
    repeat_a, repeat_b : VolumeSource
    options : NoiseOptions
        Its files are not read here.
    mask : VolumeSource, optional
    on_progress : callable, optional

    Returns
    -------
    dict
        `windows` (one row for each half window), `drift`, `findings` (what moved, in words), `power_laws`,
        `recommended`, `sweep`, `warnings`, `parameters`, `seconds`.

    Raises
    ------
    InputError
        If a parameter breaks a rule or the scans are no repeat scans.
    """
    from voltome import dvc
    from voltome.dvc import noise
    from voltome.dvc.windows import prepare_pair

    _check(options)
    clock, seconds = time.perf_counter(), dict[str, float]()
    noise.choose_half_windows(repeat_a.shape, options.half_windows)  # refused before anything is worked
    pair = prepare_pair(repeat_a, repeat_b, mask)
    _report(on_progress, "registration", 0, 1)
    registration = dvc.register_affine(repeat_a, repeat_b, mask=mask, threads=options.threads)
    margin = noise.choose_margin(repeat_a.shape, registration.phi)
    half_windows = noise.choose_half_windows(repeat_a.shape, options.half_windows, margin_vox=margin)
    seconds["registration"], clock = time.perf_counter() - clock, time.perf_counter()
    rows = []
    for done, half in enumerate(reversed(half_windows)):  # the largest first: it tells best whether anything moved
        _report(on_progress, "noise", done, len(half_windows))
        rows.append(
            noise.measure_window_noise(pair, half, registration.phi, margin_vox=margin, threads=options.threads)
        )
    rows.reverse()
    best, rough, warnings = noise.judge_motion(rows)
    seconds["noise"], clock = time.perf_counter() - clock, time.perf_counter()
    metrology: list[WindowMetrology] = []
    if options.virtual:
        metrology = measure_metrology(
            repeat_a, repeat_b, best.drift.phi, half_windows, mask=mask, crop_vox=options.crop_vox,
            threads=options.threads, on_progress=on_progress,
        )  # fmt: skip
        seconds["bias and resolution"] = time.perf_counter() - clock
    laws = _fit(rows)
    recommended = _recommend(laws, options.strain_resolution)
    unfinished = registration.status != NodeStatus.CONVERGED
    more = ["the registration of the whole pair did not converge: check that both scans show the same"] * unfinished
    return {
        "version": __version__,
        "parameters": _parameters(options),
        "windows": [_describe(row, [m for m in metrology if m.half_window_vox == row.half_window_vox]) for row in rows],
        "drift": asdict(best.drift) | {"half_window_vox": best.half_window_vox},
        "smooth": asdict(rough.smoothness) | {"half_window_vox": rough.half_window_vox},
        "findings": _describe_drift(best.drift),
        "power_laws": {name: _describe_law(law) for name, law in laws.items()},
        "recommended": recommended,
        "sweep": [
            {
                "half_window_vox": m.half_window_vox, "period_vox": m.period_vox, "response": m.response,
                "response_error": m.response_error, "expected": m.expected,
            }
            for m in metrology
        ],
        "warnings": [*warnings, *more, *_warn(laws, recommended, len(half_windows) - len(metrology), options)],
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
    }  # fmt: skip


def _report(on_progress: OnProgress | None, stage: str, done: int, total: int) -> None:
    if on_progress is not None:
        on_progress(stage, done, total)


def _check(options: NoiseOptions) -> None:
    if not 1e-9 < options.strain_resolution < 1.0:
        raise InputError(
            f"the strain resolution must be above 0 and below 1 (got {options.strain_resolution:g}): give such as 1e-3"
        )
    if options.crop_vox < SMALLEST_CROP_VOX:
        raise InputError(f"the crop must be >= {SMALLEST_CROP_VOX} voxels (got {options.crop_vox}): give such as 160")


def _parameters(options: NoiseOptions) -> dict[str, Any]:
    from voltome.io import split_name

    left_out = ("out", "overwrite", "threads")
    parameters = {name: value for name, value in asdict(options).items() if name not in left_out}
    for name in ("repeat_a", "repeat_b", "mask"):
        if parameters[name] is not None:
            parameters[name] = split_name(parameters[name])[0].name
    return parameters


def _fit(rows: Sequence[WindowNoise]) -> dict[str, PowerLaw | None]:
    """Laws of the mean sd of u and F, of axial F, and of axial strain from displacements."""
    from voltome.dvc.power_law import fit_power_law

    half = np.array([row.half_window_vox for row in rows])
    sharper_u, sharper_f = (
        np.array([getattr(row, name) for row in rows]) for name in ("relative_error_u", "relative_error_f")
    )
    measured = {
        "u_vox": (np.array([row.mean_u_vox for row in rows]), sharper_u),
        "f": (np.array([row.mean_f for row in rows]), sharper_f),
        "f_zz": (np.array([row.sd_f[0, 0] for row in rows]), 3.0 * sharper_f),
        "strain_zz": (np.array([row.sd_strain_zz for row in rows]), np.sqrt(3.0) * sharper_u),
    }
    return {name: fit_power_law(half, sd, sd * relative) for name, (sd, relative) in measured.items()}


def _describe_law(law: PowerLaw | None) -> dict[str, Any] | None:
    if law is None:
        return None
    return {
        "factor": law.factor,
        "factor_sd": law.factor_sd,
        "exponent": law.exponent,
        "exponent_sd": law.exponent_sd,
        "measured_vox": list(law.measured_vox),
    }


def _recommend(laws: Mapping[str, PowerLaw | None], wanted: float) -> dict[str, Any]:
    """Windows for a wanted sd of axial strain: from the windows' own F, and from displacements at 50 % overlap."""
    from voltome.dvc.power_law import recommend_window

    def describe(found: Recommendation | None) -> dict[str, Any] | None:
        return None if found is None else asdict(found)

    return {
        "strain_resolution": wanted,
        "from_displacement": describe(recommend_window(laws["strain_zz"], wanted)),
        "from_window_f": describe(recommend_window(laws["f_zz"], wanted)),
    }


def _warn(
    laws: Mapping[str, PowerLaw | None], recommended: Mapping[str, Any], without: int, options: NoiseOptions
) -> list[str]:
    warnings = []
    if laws["u_vox"] is None:
        warnings.append("one half window has no power law: give two or more that fit the volume")
    for name, strain in (("from_displacement", "displacements"), ("from_window_f", "the windows' F")):
        if recommended[name] and recommended[name]["extrapolated"]:
            warnings.append(
                f"the half window {recommended[name]['half_window_vox']} for strain from {strain} lies outside the "
                "measured ones: the power law is extrapolated"
            )
    if options.virtual and without:
        warnings.append(f"{without} of the windows do not fit the part for bias and resolution: widen it with --crop")
    return warnings


def _describe_drift(drift: Drift) -> list[str]:
    """What is certain (three sd) of the motion between the scans, in words; all of it is taken out."""

    def listed(values: Any, scale: float) -> str:
        return ", ".join(f"{scale * value:+.3g}" for value in values)

    found = []
    if (np.abs(drift.translation_vox) > _CERTAIN * drift.translation_sd_vox).any():
        found.append(
            f"the second scan is displaced by {listed(drift.translation_vox, 1.0)} voxels (z, y, x; sd "
            f"{drift.translation_sd_vox.max():.1g})"
        )
    if (np.abs(drift.rotation_rad) > _CERTAIN * drift.rotation_sd_rad).any():
        found.append(
            f"the second scan is turned by {listed(drift.rotation_rad, 1e3)} mrad (about z, y, x; sd "
            f"{1e3 * drift.rotation_sd_rad.max():.1g})"
        )
    if abs(drift.magnification) > _CERTAIN * drift.magnification_sd:
        found.append(
            f"the second scan is magnified by {100 * drift.magnification:+.3g} % (sd "
            f"{100 * drift.magnification_sd:.1g} %)"
        )
    return found


def _describe(row: WindowNoise, metrology: Sequence[WindowMetrology]) -> dict[str, Any]:
    """One line of the table."""
    from voltome.dvc.noise import root_mean_square

    predicted_u, predicted_f = root_mean_square(row.predicted_u_vox), root_mean_square(row.predicted_f)
    line: dict[str, Any] = {
        "half_window_vox": row.half_window_vox,
        "windows": row.nodes,
        "used": row.used,
        **{f"sd_u_{axis}_vox": float(sd) for axis, sd in zip("zyx", row.sd_u_vox, strict=True)},
        "sd_u_vox": row.mean_u_vox,
        "sd_u_error_vox": row.mean_u_vox * row.relative_error_u,
        "predicted_sd_u_vox": predicted_u,
        "ratio_u": row.mean_u_vox / predicted_u,
        "sd_f_zz": float(row.sd_f[0, 0]),
        "sd_f": row.mean_f,
        "sd_f_error": row.mean_f * row.relative_error_f,
        "predicted_sd_f": predicted_f,
        "ratio_f": row.mean_f / predicted_f,
        "sd_strain_zz": row.sd_strain_zz,
        "sd_strain_zz_error": row.sd_strain_zz * row.relative_error_u * math.sqrt(3.0),
        "sd_volumetric_strain": row.sd_volumetric,
        "smooth_u_vox": row.smoothness.smooth_vox,
        "smooth_significance": row.smoothness.significance,
    }
    empty = float("nan")
    bias = metrology[0].bias if metrology else None
    for i, axis in enumerate("zyx"):
        line[f"bias_u_{axis}_vox"] = empty if bias is None else float(bias.u_vox[i])
        line[f"bias_u_{axis}_error_vox"] = empty if bias is None else float(bias.u_error_vox[i])
    for i, axis in enumerate("zyx"):
        line[f"bias_f_{axis}{axis}"] = empty if bias is None else float(bias.f[i, i])
        line[f"bias_f_{axis}{axis}_error"] = empty if bias is None else float(bias.f_error[i, i])
    line["resolution_vox"] = metrology[0].resolution_vox if metrology else empty
    line["mei_vox2"] = line["resolution_vox"] * row.mean_u_vox
    return line


def tabulate_noise(windows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a tab-separated table.

    Parameters
    ----------
    windows : sequence of mapping
        `windows` of `measure_noise`.

    Returns
    -------
    str
        A header and one line for each half window; `nan` where something was not measured.
    """
    lines = ["\t".join(windows[0]), *("\t".join(map(repr, row.values())) for row in windows)]
    return "\n".join(lines) + "\n"
