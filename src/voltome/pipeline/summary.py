"""Numbers of a correlated pair, as in summary.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome import __version__
from voltome.fields import DeformationField, StrainField

if TYPE_CHECKING:
    from voltome.dvc.local import LocalCorrelation


@dataclass(frozen=True)
class PairResult:
    """A correlated pair in memory: what is written and reported."""

    correlation: LocalCorrelation
    filtered: DeformationField
    strain: StrainField
    warnings: tuple[str, ...]


def summarise(
    result: PairResult, parameters: Mapping[str, Any], *, voxel_size_m: float | None = None
) -> dict[str, Any]:
    """Numbers of a correlated pair, as in summary.json.

    Parameters
    ----------
    result : PairResult
    parameters : mapping
    voxel_size_m : float, optional

    Returns
    -------
    dict
        `nodes`, `medians` (over trusted nodes), `registration`, `levels`, `seconds`, `warnings`, ...
    """
    correlation, field = result.correlation, result.correlation.field
    gauges = np.isfinite(result.strain.volumetric) & (result.strain.measured >= 1.0)
    measured = summarise_correlation(correlation)
    strain, medians = result.strain, measured["medians"]
    between = {
        "strain_zz": _median(strain.strain[:, 0, 0], gauges),
        "strain_yy": _median(strain.strain[:, 1, 1], gauges),
        "strain_xx": _median(strain.strain[:, 2, 2], gauges),
        "volumetric_strain": _median(strain.volumetric, gauges),
        "sd_strain_zz": _median(strain.strain_sd[:, 0, 0], gauges),
        "sd_volumetric_strain": _median(strain.volumetric_sd, gauges),
    }
    names = ("displacement_vox", "sd_displacement_vox", *between, "zncc", "iterations")
    return measured | {
        "version": __version__,
        "parameters": dict(parameters),
        "voxel_size_m": voxel_size_m,
        "nodes": measured["nodes"] | {"filled": int(result.filtered.filled.sum()), "total": len(field)},
        "medians": {name: (medians | between)[name] for name in names},
        "warnings": list(result.warnings),
        "seconds": {name: round(value, 3) for name, value in correlation.seconds.items()},
    }


def summarise_correlation(correlation: LocalCorrelation) -> dict[str, Any]:
    """Numbers of a correlation before anything is filled or derived.

    Parameters
    ----------
    correlation : LocalCorrelation

    Returns
    -------
    dict
        `nodes`, `medians` (over trusted nodes), `registration`, `levels`, `skipped_levels`.
    """
    field, registration = correlation.field, correlation.registration
    trusted = field.trusted
    statuses, counts = np.unique(field.status, return_counts=True)
    return {
        "nodes": {
            "total": len(field),
            "converged": int(field.converged.sum()),
            "by_status": {str(int(s)): int(n) for s, n in zip(statuses, counts, strict=True)},
            "suspect": int(field.suspect.sum()),
            "suspect_by_reason": correlation.suspects,
            "trusted": int(trusted.sum()),
        },
        "medians": {
            "displacement_vox": _median(field.displacement_vox, trusted),
            "sd_displacement_vox": _median(field.sd[:, [3, 7, 11]], trusted),
            "zncc": _median(field.zncc, trusted),
            "iterations": _median(field.iterations, field.converged),
        },
        "registration": None
        if registration is None
        else {
            "phi": registration.phi.tolist(),
            "centre_vox": registration.centre_vox.tolist(),
            "status": registration.status,
            "zncc": registration.zncc,
            "reduction": registration.reduction,
        },
        "levels": [asdict(level) for level in correlation.levels],
        "skipped_levels": list(correlation.skipped_levels),
    }


def _median(values: NDArray[Any], use: NDArray[np.bool_]) -> Any:
    return np.median(values[use], axis=0).tolist() if use.any() else None


def peak_memory_bytes() -> int | None:
    """Peak resident memory of this process so far.

    Returns
    -------
    int or None
        Bytes; None where the system does not tell.
    """
    try:
        import resource
        import sys
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if sys.platform == "darwin" else int(peak) * 1024
