"""The report of one correlation: a single page that says what was measured, how well, and what not to believe."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from voltome.fields import DeformationField, NodeStatus, StrainField
from voltome.report import charts, figures, wording
from voltome.report.measures import (
    STATUS_MEANINGS,
    Findings,
    Stretching,
    decompose_phi,
    find_warnings,
    summarise_fields,
)
from voltome.report.sections import Section, Slices, read_sections

if TYPE_CHECKING:
    from jinja2 import Template
    from matplotlib.figure import Figure

FILES = (
    ("phi.tsv", "every node as measured, unfiltered, in voxels; SPAM's columns first"),
    ("phi_filtered.tsv", "the same after filtering: replaced nodes are marked filled"),
    ("field.zarr", "the field with covariances, for xarray"),
    ("particles.tsv", "with --labels: motion and own strain of each particle"),
    ("strain.vtu", "strain on its points, for ParaView"),
    ("summary.json", "the numbers of this page, for programs"),
    ("report.html", "this page"),
)
"""What stands beside the report."""

MARKS = (
    "Hatched: suspect, shown with its own value. Hollow frame: filled from its neighbours. Cross: failed and not "
    "filled. Plain grey: masked."
)


@dataclass(frozen=True)
class Plate:
    """A figure of the page: PNG as text, its alternative text, and what the caption says."""

    png_base64: str
    title: str
    caption: str


def render_correlation_report(
    field: DeformationField,
    filtered: DeformationField,
    strain: StrainField,
    slices: Slices,
    summary: Mapping[str, Any],
    *,
    deformed_slices: Slices | None = None,
    residual_slices: Slices | None = None,
    slice_scale: int = 1,
    voxel_size_m: float | None = None,
    zncc_threshold: float | None = None,
    truth: Mapping[str, Any] | None = None,
) -> str:
    """Write the page of one correlation.

    Parameters
    ----------
    field : DeformationField
        As measured, N nodes, on a grid or scattered.
    filtered : DeformationField
        The same nodes after filtering, with `filled` set where a value was replaced.
    strain : StrainField
        On the nodes or on the cells between them.
    slices : mapping
        Axis name ("z", "y", "x") to (index in voxels, 2D image of the reference); rows and columns of the image are
        the two other axes in order z, y, x.
    summary : mapping
        As in summary.json: `seconds`, `peak_memory_bytes`, `medians`, `parameters`, `version`, `registration`,
        `warnings`, `skipped_levels`; each may be absent. Nodes are counted from the fields themselves.
    deformed_slices, residual_slices : mapping, optional
        The same slices of the deformed volume as it is, and of what remains after warping.
    slice_scale : int
        Voxels per pixel of all slices; 1 where they are whole.
    voxel_size_m : float, optional
        Adds micrometres and scale bars.
    zncc_threshold : float, optional
        ZNCC below which a node is suspect; marked in the histogram.
    truth : mapping, optional
        `errors`: rows with name, true, recovered, error, sd, unit; optional arrays `error_u_vox` and `z_scores`.

    Returns
    -------
    str
        HTML that needs nothing from elsewhere; the same input gives the same bytes.

    Raises
    ------
    InputError
        If the two fields differ in their nodes, or a slice is not a 2D image across z, y or x.
    """
    sections = read_sections(slices, slice_scale)
    found = summarise_fields(field, filtered, strain)
    registration = _read_registration(summary)
    plates = {
        "displacement": _displacement_plate(field, filtered, sections, found, voxel_size_m),
        "strain": _strain_plate(strain, sections, found, voxel_size_m),
        "histograms": _histogram_plate(field, filtered, strain, found, zncc_threshold),
        "quality": _quality_plate(field, filtered, sections, found, voxel_size_m),
    }
    if deformed_slices or residual_slices:
        deformed = read_sections(deformed_slices, slice_scale) if deformed_slices else []
        residual = read_sections(residual_slices, slice_scale) if residual_slices else []
        plates["volumes"] = _volumes_plate(sections, deformed, residual, voxel_size_m)
    errors = charts.truth_figure(field, filtered, truth) if truth else None
    if errors is not None:
        plates["truth"] = _make_plate(
            errors,
            "Errors against the known truth",
            f"Trusted nodes only (N = {found.kinds['trusted']}); suspect, filled and failed ones are left out. Dashed: "
            "median; triangle: most frequent value. Error divided by its random sd follows the normal curve where the "
            "sd explains the error; beyond \N{PLUS-MINUS SIGN}6 in the outermost bins.",
        )
    page: str = load_template("correlation.html.j2").render(
        found=found,
        plates=plates,
        registration=registration,
        registration_entry=summary.get("registration") or {},
        rows=_tabulate(field, summary),
        seconds=dict(summary.get("seconds") or {}),
        memory=wording.write_memory(summary.get("peak_memory_bytes")),
        version=summary.get("version"),
        warnings=find_warnings(found, summary, registration),
        truth=list((truth or {}).get("errors") or []),
        files=FILES,
        voxel_size_m=voxel_size_m,
    )
    return page


def load_template(name: str) -> Template:
    """A template of this room with the filters that write numbers; everything is escaped.

    Parameters
    ----------
    name : str
        Of the file in `templates`.

    Returns
    -------
    jinja2.Template
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("voltome.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=wording.write_number,
        length=wording.write_length,
        measured=wording.write_measured,
        metres=wording.write_metres,
        percent=wording.write_percent,
        seconds=wording.write_seconds,
    )
    return environment.get_template(name)


def _read_registration(summary: Mapping[str, Any]) -> Stretching | None:
    phi = (summary.get("registration") or {}).get("phi")
    return None if phi is None else decompose_phi(np.asarray(phi, dtype=np.float64))


def _tabulate(field: DeformationField, summary: Mapping[str, Any]) -> dict[str, list[tuple[Any, ...]]]:
    """Tables of the page: nodes by status, medians, parameters."""
    codes, counts = np.unique(field.status, return_counts=True)
    counted = {int(code): int(count) for code, count in zip(codes, counts, strict=True)}
    order = [int(status) for status in NodeStatus] + [code for code in counted if code not in STATUS_MEANINGS]
    n = max(len(field), 1)
    return {
        "status": [
            (code, STATUS_MEANINGS.get(code, "a code that voltome does not know"), counted.get(code, 0),
             counted.get(code, 0) / n)
            for code in order
        ],
        "medians": list(wording.flatten_values(summary.get("medians") or {})),
        "parameters": list(wording.flatten_values(summary.get("parameters") or {})),
    }  # fmt: skip


def _make_plate(figure: Figure, title: str, caption: str) -> Plate:
    png = figures.figure_to_png(figure, levels=32)
    return Plate(base64.b64encode(png).decode("ascii"), title, caption)


def _describe_planes(sections: list[Section]) -> str:
    names = ", ".join(f"{'zyx'[s.axis]} = {s.index_vox}" for s in sections)
    return f"Slices across {names} (voxels from 0; z is the axial direction), each with the nodes nearest to it."


def _volumes_plate(
    sections: list[Section], deformed: list[Section], residual: list[Section], voxel_size_m: float | None
) -> Plate:
    planes = ", ".join(f"{'zyx'[s.axis]} = {s.index_vox}" for s in sections)
    return _make_plate(
        figures.volumes_figure(sections, deformed, residual, voxel_size_m=voxel_size_m),
        "What was compared",
        f"The same slices ({planes}; voxels, z axial) of the reference and, where given, of the deformed volume as it "
        "is and of what remains once the measured deformation and the grey gain are taken out. Each column has its own "
        "grey limits: correlation does not depend on gain or offset. Structure in the residual is what Phi missed.",
    )


def _displacement_plate(
    field: DeformationField,
    filtered: DeformationField,
    sections: list[Section],
    found: Findings,
    voxel_size_m: float | None,
) -> Plate:
    kinds = found.kinds
    left_out = f"{kinds['failed']} failed and {kinds['masked']} masked nodes carry no colour"
    return _make_plate(
        figures.displacement_figure(field, filtered, sections, voxel_size_m=voxel_size_m),
        "Displacement",
        f"{_describe_planes(sections)} First column: displacement of trusted nodes in the plane of the slice, less its "
        f"median, drawn {figures.measure_arrows(field):g} times its length. Then the three components in voxels, one "
        f"cell per node, none interpolated; each has its own limits, from trusted nodes without the outermost percent. "
        f"{MARKS} N = {found.total} nodes, of which {kinds['trusted']} trusted, {kinds['suspect']} suspect, "
        f"{kinds['filled']} failed but filled; {left_out}.",
    )


def _strain_plate(strain: StrainField, sections: list[Section], found: Findings, voxel_size_m: float | None) -> Plate:
    return _make_plate(
        figures.strain_figure(strain, sections, voxel_size_m=voxel_size_m),
        "Strain",
        f"Measure: {strain.measure}; in percent, from the gradient of displacement over nodes "
        f"{wording.write_length(found.gauge_length_vox, voxel_size_m)} apart. {_describe_planes(sections)} Axial "
        "components share one scale around 0; volumetric is det F \N{MINUS SIGN} 1; deviatoric is the equivalent "
        "strain. Limits from trusted gauges without the outermost 2 percent. Hatched: at least one node behind the "
        f"value is suspect, filled or failed, so it should not be read as strain. N = {found.gauges} gauges, "
        f"{found.gauges_trusted} trusted; where none could be formed the grey slice is bare.",
    )


def _histogram_plate(
    field: DeformationField,
    filtered: DeformationField,
    strain: StrainField,
    found: Findings,
    zncc_threshold: float | None,
) -> Plate:
    return _make_plate(
        charts.histogram_figure(field, filtered, strain, zncc_threshold=zncc_threshold),
        "Distributions",
        f"Displacement and sd: the {found.kinds['trusted']} trusted nodes. Volumetric strain: the "
        f"{found.gauges_trusted} gauges that rest on trusted nodes alone. Dashed: median; triangle: most frequent "
        "value. Suspect, filled, failed and masked nodes are left out, but for ZNCC, where suspect nodes are stacked "
        "on the trusted ones (logarithmic above 1). Tails of half a percent on either side lie outside the axes. The "
        "sd is the random part (noise); bias is not in it.",
    )


def _quality_plate(
    field: DeformationField,
    filtered: DeformationField,
    sections: list[Section],
    found: Findings,
    voxel_size_m: float | None,
) -> Plate:
    scale = "" if voxel_size_m is None else f" (0.001 voxels are {wording.write_metres(1e-3 * voxel_size_m)})"
    return _make_plate(
        figures.quality_figure(field, filtered, sections, voxel_size_m=voxel_size_m),
        "Quality of each node",
        f"{_describe_planes(sections)} ZNCC of the two windows at the optimum; random sd of displacement in "
        f"thousandths of a voxel{scale} and of F in thousandths, each the root mean square over its "
        "components; iterations; what each node may be read as. Medians: ZNCC "
        f"{wording.write_number(found.zncc_median, 4)}, sd of u "
        f"{wording.write_length(found.sd_displacement_vox, voxel_size_m)}, sd of F "
        f"{wording.write_number(found.sd_gradient)}. Hatched: suspect. N = {found.inside} nodes; "
        f"{found.kinds['masked']} masked ones are left out.",
    )
