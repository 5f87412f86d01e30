"""The report of a series: one page that tells what an electrode did over all scans, and what of it not to believe."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import fields as list_fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.fields import DeformationField, StrainField
from voltome.report import correlation, electrode_page, series_figures, wording
from voltome.report.electrode_findings import ElectrodeFindings
from voltome.report.measures import decompose_phi
from voltome.report.pictures import Picture, embed_png, embed_svg
from voltome.report.reconstruction import ReconstructionPart

FILES = (
    ("volumes.zarr", "every scan in one grey window, OME-Zarr with axes t, z, y, x"),
    (
        "cumulative/",
        "for each scan the composed field from the first one, with strain: field.zarr, strain.vtu, phi.tsv",
    ),
    ("increments/", "the fields from scan to scan as measured"),
    ("direct/", "the fields from the first scan as measured, a check of the composed ones"),
    ("noise/", "what repeat scans say of random errors"),
    ("tables/", "scans.parquet and nodes.parquet: the numbers of this page, and every node of every scan"),
    ("ro-crate-metadata.json", "what was made from what, when, and by which version"),
    ("report.html", "this page"),
)
"""What stands beside the report."""

LARGE_DIFFERENCE_VOX = 0.2
"""Composed and direct displacement should agree within this: it is what a composed displacement is meant to reach."""

_MANY = 8
_ODD_NOISE = 2.0


@dataclass(frozen=True)
class SeriesScan:
    """One scan of a series and the numbers of its cumulative field; NaN where there is none.

    Parameters
    ----------
    name : str
    repeats : str or None
        The scan of which this one is a repeat.
    failure : str or None
        Why there is no field.
    time_s, soc, voltage_v : float
    nodes, nodes_converged, nodes_trusted : float
        Counts.
    zncc_median : float
    displacement_z_m, displacement_z_sd_m : float
        Mean over trusted nodes, and the sd (random part) of that mean; likewise below.
    strain_volumetric, strain_volumetric_sd, strain_zz, strain_zz_sd, strain_yy, strain_yy_sd : float
        Fractions.
    strain_xx, strain_xx_sd : float
    composed_direct_vox : float
        Median length of the difference between composed and direct displacement.
    truth_error_vox : float
        Median length of the error of displacement.
    """

    name: str
    repeats: str | None = None
    failure: str | None = None
    time_s: float = math.nan
    soc: float = math.nan
    voltage_v: float = math.nan
    nodes: float = math.nan
    nodes_converged: float = math.nan
    nodes_trusted: float = math.nan
    zncc_median: float = math.nan
    displacement_z_m: float = math.nan
    displacement_z_sd_m: float = math.nan
    strain_volumetric: float = math.nan
    strain_volumetric_sd: float = math.nan
    strain_zz: float = math.nan
    strain_zz_sd: float = math.nan
    strain_yy: float = math.nan
    strain_yy_sd: float = math.nan
    strain_xx: float = math.nan
    strain_xx_sd: float = math.nan
    composed_direct_vox: float = math.nan
    truth_error_vox: float = math.nan

    @property
    def trusted_share(self) -> float:
        """Trusted nodes over all; NaN where there is no node."""
        return self.nodes_trusted / self.nodes if self.nodes > 0 else math.nan


def read_scans(rows: Sequence[Mapping[str, Any]]) -> list[SeriesScan]:
    """Read the rows of a series; what a row does not say, or says with None, is NaN.

    Parameters
    ----------
    rows : sequence of mapping
        With the fields of `SeriesScan`; other keys are left alone. The first row is the reference.

    Returns
    -------
    list of SeriesScan

    Raises
    ------
    InputError
        If there is no row, or a name is missing or there twice.
    """
    names = [row.get("name") for row in rows]
    if not rows or None in names or len(set(names)) < len(names):
        raise InputError(f"scans must be rows with a name of their own each (got {names}): name every scan once")
    return [
        SeriesScan(**{f.name: _read_value(f.name, row.get(f.name)) for f in list_fields(SeriesScan)}) for row in rows
    ]


def _read_value(name: str, value: Any) -> Any:
    if name in ("name", "repeats", "failure"):
        return None if value is None else str(value)
    return math.nan if value is None else float(value)


def render_series_report(
    summary: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    fields: Mapping[str, DeformationField],
    strains: Mapping[str, StrainField],
    slices: Mapping[str, NDArray[np.floating]],
    *,
    slice_index_vox: int,
    slice_scale: int = 1,
    node_spacing_vox: float,
    voxel_size_m: float,
    repeats: Sequence[Mapping[str, Any]] = (),
    truth: Sequence[Mapping[str, Any]] = (),
    electrode: ElectrodeFindings | None = None,
    reconstruction: ReconstructionPart | None = None,
    large_difference_vox: float = LARGE_DIFFERENCE_VOX,
) -> str:
    """Write the page of a series of scans.

    Parameters
    ----------
    summary : mapping
        `title`, `version`, `parameters`, `versions` (of other software, by name), `warnings`, `files` (pairs of a
        name and what it is, beside those that every series has); each may be absent.
    rows : sequence of mapping
        One for each scan in order of time, with the fields of `SeriesScan`; the first is the reference. Every `_sd` is
        the random part, with the factor of a repeat scan in it where there is one.
    fields, strains : mapping
        Name of a scan to its cumulative field and strain at the nodes of the reference, which is in neither. Each is
        asked for once: a mapping that reads on demand keeps one in memory.
    slices : mapping
        Name of a scan to its slice across y in grey values, rows along z and columns along x.
    slice_index_vox, slice_scale : int
        Where the slices stand on y, and voxels per pixel.
    node_spacing_vox, voxel_size_m : float
    repeats : sequence of mapping
        What repeat scans say: `reference`, `repeat` (names), `factor` (measured scatter over predicted sd) and
        `refused` (why it says nothing, or None).
    truth : sequence of mapping
        On a twin, rows with scan, name, true, recovered, error, sd, unit.
    electrode : ElectrodeFindings or None
        With it the page tells the electrode's story first: swelling, strain, what discharge leaves, errors, truth.
    reconstruction : ReconstructionPart or None
        Where the scans come from radiographs: what `describe_reconstructions` says of them.
    large_difference_vox : float
        Median difference between composed and direct displacement beyond which the page warns.

    Returns
    -------
    str
        HTML that needs nothing from elsewhere; the same input gives the same bytes.

    Raises
    ------
    InputError
        If there is no scan, two have one name, the reference has no slice, or a slice is no 2D image.
    """
    scans = read_scans(rows)
    pictures = {
        "film": _picture_film(scans, fields, strains, slices, slice_index_vox, slice_scale, voxel_size_m),
        "curves": _picture_curves(scans, large_difference_vox),
    }
    part = electrode_page.describe_electrode(electrode) if electrode is not None else None
    if part:
        pictures |= part.pictures
    page: str = correlation.load_template("series.html.j2").render(
        summary=summary,
        electrode=part,
        scans=scans,
        story=tell_story(scans),
        warnings=(part.warnings if part else [])
        + find_series_warnings(scans, repeats, large_difference_vox, voxel_size_m)
        + [str(text) for text in summary.get("warnings") or []],
        pictures=pictures,
        reconstruction=reconstruction,
        repeats=list(repeats),
        truth=list(truth),
        has_truth=any(math.isfinite(scan.truth_error_vox) for scan in scans),
        node_spacing_vox=node_spacing_vox,
        voxel_size_m=voxel_size_m,
        parameters=list(wording.flatten_values(summary.get("parameters") or {})),
        versions=list(wording.flatten_values(summary.get("versions") or {})),
        files=[*FILES[:-1], *(summary.get("files") or []), FILES[-1]],
    )
    return page


@dataclass(frozen=True)
class Story:
    """What the page says first; a scan is None where no number could be read.

    Parameters
    ----------
    first, last : SeriesScan
        The reference, and the last scan with a strain.
    peak : SeriesScan
        The scan of the largest mean volumetric strain, either sign.
    doubtful : SeriesScan
        The scan with the smallest share of trusted nodes.
    apart : SeriesScan
        The scan at which composed and direct displacement differ most.
    """

    first: SeriesScan
    last: SeriesScan | None
    peak: SeriesScan | None
    doubtful: SeriesScan | None
    apart: SeriesScan | None


def tell_story(scans: Sequence[SeriesScan]) -> Story:
    """Choose the scans that the page names first.

    Parameters
    ----------
    scans : sequence of SeriesScan
        The first is the reference.

    Returns
    -------
    Story
    """
    later = scans[1:]
    strained = [scan for scan in later if math.isfinite(scan.strain_volumetric)]
    shares = [scan for scan in later if math.isfinite(scan.trusted_share)]
    checked = [scan for scan in later if math.isfinite(scan.composed_direct_vox)]
    return Story(
        first=scans[0],
        last=strained[-1] if strained else None,
        peak=max(strained, key=lambda scan: abs(scan.strain_volumetric), default=None),
        doubtful=min(shares, key=lambda scan: scan.trusted_share, default=None),
        apart=max(checked, key=lambda scan: scan.composed_direct_vox, default=None),
    )


def find_series_warnings(
    scans: Sequence[SeriesScan], repeats: Sequence[Mapping[str, Any]], large_vox: float, voxel_size_m: float
) -> list[str]:
    """Say in words which numbers of a series should not be trusted.

    Parameters
    ----------
    scans : sequence of SeriesScan
        The first is the reference.
    repeats : sequence of mapping
        As `render_series_report` takes them.
    large_vox : float
        Difference between composed and direct displacement beyond which to warn, in voxels.
    voxel_size_m : float

    Returns
    -------
    list of str
    """
    later = scans[1:]
    out = []
    absent = [f"{s.name} ({s.failure})" if s.failure else s.name for s in later if not s.nodes > 0]
    if absent:
        out.append(f"There is no cumulative field of {_list(absent)}.")
    blind = [s.name for s in later if s.trusted_share == 0]
    if blind:
        out.append(f"No node may be trusted at {_list(blind)}: these scans say nothing about the electrode.")
    few = [s for s in later if 0 < s.trusted_share < 0.5]
    if few:
        shares = [f"{s.name} ({wording.write_percent(s.trusted_share, 2)})" for s in few]
        out.append(f"Fewer than half of the nodes may be trusted at {_list(shares)}: means describe those alone.")
    out += _doubt_composition(scans, large_vox, voxel_size_m)
    grown = [s.name for s in later if _grows_evenly(s)]
    if grown:
        out.append(
            f"At {_list(grown)} all three axes stretch by the same: a change of magnification between the scans looks "
            "like this. Settle it before reading swelling."
        )
    return out + _doubt_noise(repeats)


def _doubt_composition(scans: Sequence[SeriesScan], large_vox: float, voxel_size_m: float) -> list[str]:
    """Where composed and direct fields disagree, or nothing checks the composed one; the first increment is direct."""
    out = []
    apart = [s for s in scans[1:] if s.composed_direct_vox > large_vox]
    if apart:
        limit = wording.write_length(large_vox, voxel_size_m, 2)
        lengths = [f"{s.name} ({wording.write_number(s.composed_direct_vox, 2)} voxels)" for s in apart]
        out.append(
            f"Composed and direct displacement differ by more than {limit} at "
            f"{_list(lengths)}: errors have added up over the increments, or the direct correlation went astray. Do "
            "not read finer detail there."
        )
    composed = [s for s in scans[2:] if s.nodes > 0]
    unchecked = [s.name for s in composed if math.isnan(s.composed_direct_vox)]
    if unchecked and len(unchecked) == len(composed):
        out.append("No direct correlation checks the composed fields: errors that add up over increments stay unseen.")
    elif unchecked:
        out.append(f"The direct correlation gives no check of {_list(unchecked)}.")
    return out


def _doubt_noise(repeats: Sequence[Mapping[str, Any]]) -> list[str]:
    """Whether a repeat scan stands behind the error bars."""
    alone = "random errors rest on the grey residual alone"
    out = [
        f"The repeat scan {entry['repeat']} of {entry['reference']} was refused: {entry['refused']}."
        for entry in repeats
        if entry.get("refused")
    ]
    known = [entry for entry in repeats if not entry.get("refused") and entry.get("factor") is not None]
    if not known:
        return [*out, f"{alone.capitalize()}: no repeat scan says how far to believe them."]
    return out + [
        f"Between {entry['reference']} and {entry['repeat']} displacements scatter "
        f"{wording.write_number(entry['factor'], 2)} times what the grey residual predicts: sds are no surer."
        for entry in known
        if not 1 / _ODD_NOISE <= entry["factor"] <= _ODD_NOISE
    ]


def _grows_evenly(scan: SeriesScan) -> bool:
    phi = np.diag([1 + scan.strain_zz, 1 + scan.strain_yy, 1 + scan.strain_xx, 1.0])
    stretching = decompose_phi(phi)
    return stretching is not None and stretching.magnification is not None


def _list(names: Sequence[str]) -> str:
    """Names in a sentence; of many the first ones and how many more."""
    shown = ", ".join(names[:_MANY])
    return shown if len(names) <= _MANY else f"{shown} and {len(names) - _MANY} more"


def _picture_film(
    scans: Sequence[SeriesScan],
    fields: Mapping[str, DeformationField],
    strains: Mapping[str, StrainField],
    slices: Mapping[str, NDArray[np.floating]],
    slice_index_vox: int,
    slice_scale: int,
    voxel_size_m: float,
) -> Picture:
    figure = series_figures.film_figure(
        scans,
        fields,
        strains,
        slices,
        slice_index_vox=slice_index_vox,
        slice_scale=slice_scale,
        voxel_size_m=voxel_size_m,
    )
    shown = len(series_figures.choose_frames(scans))
    return Picture(
        embed_png(figure),
        "The electrode over the series",
        f"The plane across y = {slice_index_vox} (voxels from 0; z runs down, x to the right), each map with the nodes "
        f"nearest to it{'' if shown == len(scans) else f'; {shown} of {len(scans)} scans, evenly chosen'}. Above: grey "
        f"values of each scan. Middle: displacement along z since {scans[0].name}, positive downwards. Below: "
        f"volumetric strain det F \N{MINUS SIGN} 1. Maps lie over the slice of {scans[0].name}, whose nodes they are, "
        "one cell per node, none interpolated. Colours and grey limits are the same for all scans; they come from "
        "trusted nodes on the plane, without the outermost percents. Hatched: suspect, or strain with a node behind it "
        "that is not trusted; hollow: filled; cross: failed; bare: nothing could be measured.",
    )


def _picture_curves(scans: Sequence[SeriesScan], large_vox: float) -> Picture:
    figure = series_figures.curves_figure(scans, large_difference_vox=large_vox)
    return Picture(
        embed_svg(figure),
        "Curves over the series",
        f"Means over those nodes and gauges that are trusted, since {scans[0].name}. Error bars: one sd of the mean, "
        "random part alone, often smaller than the mark; bias (magnification, contrast loss) is not in it. Trusted "
        "and converged nodes in percent of all nodes. Difference: median length between composed increments and "
        "direct correlation from the first scan, missing where the direct one gave nothing. Crosses: repeat scans.",
    )
