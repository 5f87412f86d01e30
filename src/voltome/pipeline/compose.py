"""Increments on disk become the field from the first state to the last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voltome.errors import InputError
from voltome.fields import DeformationField
from voltome.pipeline.volumes import refuse_replacing

if TYPE_CHECKING:
    from voltome.dvc.composition import Composition

_UNLIKE_SPACINGS = 4.0


def write_composition(
    increments: Sequence[str | Path], out: str | Path, *, independent: bool = False, overwrite: bool = False
) -> dict[str, Any]:
    """Compose increments and write the field from the first state to the last; see `voltome.dvc.compose_fields`.

    Parameters
    ----------
    increments : sequence of str or Path
        In order. Each a .tsv of voltome or SPAM (diagonal covariance, from its standard deviations), a field.zarr, or
        a folder that holds one (full covariance).
    out : str or Path
        A .tsv to write.
    independent : bool
        The increments share no image.
    overwrite : bool

    Returns
    -------
    dict
        `nodes` (total, composed, outside, converged, suspect, filled), `medians` over trusted nodes, `warnings`.

    Raises
    ------
    InputError
        If an input is no field, the fields do not belong together, or the output exists or is no .tsv.
    ResourceError
        If the output cannot be written.
    """
    from voltome import dvc, io

    if Path(out).suffix != ".tsv":
        raise InputError(f"the output must end in .tsv (got {out}): give a name such as total.tsv")
    for name in increments:
        refuse_replacing(name, out)
    with io.staged_file(out, overwrite=overwrite) as part:
        fields = [read_field(name) for name in increments]
        doubts = check_sequence(increments)
        composition = dvc.compose_fields(fields, independent=independent)
        io.write_phi_tsv(part, composition.field)
    summary = summarise_composition(fields, composition)
    summary["warnings"] = [*doubts, *summary["warnings"]]
    return summary


def check_sequence(increments: Sequence[str | Path]) -> list[str]:
    """Whether increments belong together, as far as stores say what they were made from.

    Parameters
    ----------
    increments : sequence of str or Path
        As `write_composition` takes them; a .tsv says nothing.

    Returns
    -------
    list of str
        Doubts: an increment that does not begin where the one before ends.

    Raises
    ------
    InputError
        If voxel sizes differ.
    """
    from voltome.io import read_field_attributes

    known = []
    for name in increments:
        folder = Path(name) if (Path(name) / "zarr.json").is_file() else Path(name) / "field.zarr"
        known.append(read_field_attributes(folder))
    sizes = [a["voxel_size_m"] for a in known if a.get("voxel_size_m") is not None]
    if sizes and max(sizes) > 1.001 * min(sizes):
        raise InputError(
            f"increments must have one voxel size (got {', '.join(f'{s:g}' for s in sizes)} m): displacements are in "
            "voxels, correlate volumes of one size"
        )
    doubts = []
    for number, (before, after) in enumerate(pairwise(known), start=2):
        end, start = (a.get("parameters", {}).get(key) for a, key in ((before, "deformed"), (after, "reference")))
        if end is not None and start is not None and end != start:
            doubts.append(f"increment {number} begins with {start}, the one before ends with {end}: check the order")
    return doubts


def read_field(path: str | Path) -> DeformationField:
    """Read a deformation field from a table, a store, or a folder of results.

    Parameters
    ----------
    path : str or Path
        A .tsv; a field.zarr; or a folder with a field.zarr, as `voltome correlate` writes it.

    Returns
    -------
    DeformationField

    Raises
    ------
    InputError
        If it is none of these.
    ResourceError
        If there is no permission to read it.
    """
    from voltome import io

    path = Path(path)
    if not path.is_dir():
        return io.read_phi_tsv(path)
    if (path / "zarr.json").is_file():
        return io.read_field_zarr(path)
    if (path / "field.zarr").is_dir():
        return io.read_field_zarr(path / "field.zarr")
    raise InputError(f"{path} holds no field.zarr: give a .tsv, a field.zarr or a folder that voltome correlate wrote")


def summarise_composition(fields: Sequence[DeformationField], composition: Composition) -> dict[str, Any]:
    """Numbers of a composed field.

    Parameters
    ----------
    fields : sequence of DeformationField
    composition : Composition

    Returns
    -------
    dict
        As `write_composition` returns it.
    """
    field = composition.field
    composed = np.isfinite(field.phi).all(axis=(1, 2))
    trusted = field.trusted & composed
    sd = field.sd[trusted].reshape(-1, 3, 4)

    def median(values: Any) -> Any:
        return np.median(values, axis=0).tolist() if len(values) else None

    return {
        "increments": len(fields),
        "nodes": {
            "total": len(field),
            "composed": int(composed.sum()),
            "outside": int((composition.left_at > 0).sum()),
            "converged": int((field.converged & composed).sum()),
            "suspect": int(field.suspect.sum()),
            "filled": int(field.filled.sum()),
        },
        "medians": {
            "displacement_vox": median(field.displacement_vox[trusted]),
            "sd_displacement_vox": median(sd[:, :, 3]),
            "sd_deformation_gradient": median(sd[:, :, :3].reshape(-1)),
        },
        "warnings": list(_warnings(fields, composition)),
    }


def _warnings(fields: Sequence[DeformationField], composition: Composition) -> Iterator[str]:
    total, composed = len(composition.field), np.isfinite(composition.field.phi).all(axis=(1, 2))
    for number in range(2, len(fields) + 1):
        if left := int((composition.left_at == number).sum()):
            yield (
                f"{left} of {total} nodes arrive more than a node spacing outside the nodes of increment {number}: "
                "they have no value"
            )
    if failed := int((~composed & (composition.left_at == 0)).sum()):
        yield f"{failed} of {total} nodes have no value because nodes on their path were not measured"
    for number, field in enumerate(fields, start=1):
        if not np.isfinite(field.sd[field.trusted]).any():
            yield f"increment {number} has no standard deviations: the result has none"
    spacings = [float(np.nanmax(f.node_spacing_vox)) for f in fields if f.node_spacing_vox is not None and len(f) > 1]
    if spacings and max(spacings) > _UNLIKE_SPACINGS * min(spacings):
        listed = ", ".join(f"{spacing:g}" for spacing in spacings)
        yield f"the node spacings are {listed} voxels: make sure that all increments count the same voxels"
