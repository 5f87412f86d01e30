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
    trusted = field.trusted
    statuses, counts = np.unique(field.status, return_counts=True)
    gauges = np.isfinite(result.strain.volumetric) & (result.strain.measured >= 1.0)

    def median(values: NDArray[Any], use: NDArray[np.bool_]) -> Any:
        return np.median(values[use], axis=0).tolist() if use.any() else None

    registration = correlation.registration
    return {
        "version": __version__,
        "parameters": dict(parameters),
        "voxel_size_m": voxel_size_m,
        "nodes": {
            "total": len(field),
            "converged": int(field.converged.sum()),
            "by_status": {str(int(s)): int(n) for s, n in zip(statuses, counts, strict=True)},
            "suspect": int(field.suspect.sum()),
            "suspect_by_reason": correlation.suspects,
            "filled": int(result.filtered.filled.sum()),
            "trusted": int(trusted.sum()),
        },
        "medians": {
            "displacement_vox": median(field.displacement_vox, trusted),
            "sd_displacement_vox": median(field.sd[:, [3, 7, 11]], trusted),
            "strain_zz": median(result.strain.strain[:, 0, 0], gauges),
            "strain_yy": median(result.strain.strain[:, 1, 1], gauges),
            "strain_xx": median(result.strain.strain[:, 2, 2], gauges),
            "volumetric_strain": median(result.strain.volumetric, gauges),
            "sd_strain_zz": median(result.strain.strain_sd[:, 0, 0], gauges),
            "sd_volumetric_strain": median(result.strain.volumetric_sd, gauges),
            "zncc": median(field.zncc, trusted),
            "iterations": median(field.iterations, field.converged),
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
        "warnings": list(result.warnings),
        "seconds": {name: round(value, 3) for name, value in correlation.seconds.items()},
    }


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
