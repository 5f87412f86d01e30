"""Strain from a deformation field on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from voltome import __version__


def write_strain(
    phi_tsv: str | Path,
    out: str | Path,
    *,
    measure: str = "hencky",
    gradient: str = "geers",
    radius: float = 1.0,
    voxel_size_m: float | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write field.zarr (with strain), strain.vtu, strain.tsv and summary.json for a field; see `dvc.compute_strain`.

    Parameters
    ----------
    phi_tsv : str or Path
        Field of voltome or SPAM on a regular grid.
    out : str or Path
        Folder to write.
    measure : str
        "hencky", "green-lagrange" or "small".
    gradient : str
        "geers" or "q8".
    radius : float
        For Geers, in node spacings.
    voxel_size_m : float, optional
    overwrite : bool

    Returns
    -------
    dict
        What stands in summary.json: medians of the strain over points all of whose nodes were measured.

    Raises
    ------
    InputError
        If the field or a parameter breaks a rule, or the output exists.
    ResourceError
        If the output cannot be written.
    """
    from voltome import dvc, io

    field = io.read_phi_tsv(phi_tsv)
    strain = dvc.compute_strain(field, measure=measure, gradient=gradient, radius=radius)
    good = np.isfinite(strain.volumetric) & (strain.measured >= 1.0)
    parameters = {"measure": measure, "gradient": gradient, "radius": radius, "phi": Path(phi_tsv).name}
    medians = {
        "strain_zz": strain.strain[:, 0, 0],
        "strain_yy": strain.strain[:, 1, 1],
        "strain_xx": strain.strain[:, 2, 2],
        "volumetric_strain": strain.volumetric,
        "deviatoric_strain": strain.deviatoric,
        "sd_strain_zz": strain.strain_sd[:, 0, 0],
        "sd_volumetric_strain": strain.volumetric_sd,
    }
    summary = {
        "version": __version__,
        "parameters": parameters,
        "points": {
            "total": len(strain),
            "formed": int(np.isfinite(strain.volumetric).sum()),
            "measured": int(good.sum()),
        },
        "medians": {name: float(np.median(value[good])) if good.any() else None for name, value in medians.items()},
    }
    with io.staged_directory(out, overwrite=overwrite) as folder:
        attributes = {"step": "strain", "version": __version__, "parameters": parameters}
        io.write_field_zarr(
            folder / "field.zarr", field, strain=strain, voxel_size_m=voxel_size_m, attributes=attributes
        )
        io.write_strain_vtu(folder / "strain.vtu", field, strain, voxel_size_m=voxel_size_m)
        io.write_strain_tsv(folder / "strain.tsv", strain)
        io.write_json(folder / "summary.json", summary)
    return summary
