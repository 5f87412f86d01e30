"""The numbers behind each figure of an electrode, as CSV in SI units."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.report.electrode_findings import ElectrodeFindings
from voltome.report.electrode_maps import MOST_MAPS, MOST_SLICES, MOST_STRAINS, choose_shown
from voltome.report.silicon import HIGH, LOW, NAME, choose_segmented

Row = Sequence[object]

MOST_POINTS, MOST_CELLS, MOST_RECORDS = 120, 32, 3000
"""Points of a line, cells along an edge of a map, records of the cycler: beyond, a page would carry megabytes."""

CURVES = {
    "thickness": ("thickness", "thickness_spread", "expansion", "expansion_increment"),
    "volumetric-strain": ("volumetric_strain",),
    "components": ("axial_strain", "in_plane_strain_yy", "in_plane_strain_xx"),
    "hysteresis": ("volumetric_strain", "thickness", "hysteresis_volumetric_strain", "irreversible_thickness"),
}
"""Names of the measurements that a figure shows."""


def tabulate_figure(findings: ElectrodeFindings, name: str) -> str:
    """Write the numbers behind one of the figures.

    Parameters
    ----------
    findings : ElectrodeFindings
    name : str
        As `draw_electrode_figures` names it.

    Returns
    -------
    str
        CSV with a header; SI units, an empty field where nothing is known. Lines and maps are means over as many pixels
        as keep a table small. "errors" lists every measurement with every cause of its error.

    Raises
    ------
    InputError
        If there is no such figure.
    """
    rows: Iterable[Row]
    if name in CURVES:
        rows = _list_measurements(findings, CURVES[name])
    elif name in _TABLES:
        rows = _TABLES[name](findings)
    else:
        known = ", ".join(sorted([*CURVES, *_TABLES]))
        raise InputError(f"figure must be one of {known} (got {name!r}): name one of them")
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([_write(value) for value in row] for row in rows)
    return stream.getvalue()


def _write(value: object) -> str:
    """Six digits of a number; nothing of NaN and None."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool | np.bool_):
        return str(int(value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _round(value: float) -> float:
    """Four digits: enough for a cell of a map."""
    return float(f"{value:.4g}")


def _list_measurements(findings: ElectrodeFindings, names: Sequence[str]) -> Iterator[Row]:
    yield ("scan", "time_s", "soc", "repeats", "name", "region", "value", "sd_random", "sd_bias", "sd", "unit")
    for m in findings.measurements:
        if m.name in names:
            yield (*_describe(findings, m.scan), m.name, m.region, m.value, m.sd_random, m.sd_bias, m.sd, m.unit)


def _describe(findings: ElectrodeFindings, scan: str) -> Row:
    return scan, findings.times_s.get(scan), findings.socs.get(scan), findings.repeats.get(scan)


def _list_shares(findings: ElectrodeFindings) -> Iterator[Row]:
    yield ("scan", "name", "region", "value", "unit", "cause", "kind", "sd")
    for m in findings.measurements:
        for share in m.shares:
            yield (m.scan, m.name, m.region, m.value, m.unit, share.cause, share.kind, share.sd)


def _list_alignment(findings: ElectrodeFindings) -> Iterator[Row]:
    names = dict.fromkeys(m.name for m in findings.measurements if m.name.startswith("alignment_"))
    return _list_measurements(findings, list(names))


def _list_surfaces(findings: ElectrodeFindings) -> Iterator[Row]:
    yield ("scan", "x_m", "y_m", "collector_z_m", "surface_z_m")
    for scan in choose_shown(findings, findings.slices, MOST_SLICES):
        lines = findings.surfaces.get(scan)
        if lines is not None:
            size = math.ceil(len(lines[0]) / MOST_POINTS)
            both = [reduce_mean(np.asarray(line, dtype=np.float64)[None], (1, size))[0] for line in lines]
            for i, (collector, surface) in enumerate(zip(*both, strict=True)):
                x = (i + 0.5) * size * findings.slice_pixel_m
                yield (scan, x, findings.slice_y_m, float(collector), float(surface))


def _list_maps(findings: ElectrodeFindings) -> Iterator[Row]:
    yield ("scan", "y_m", "x_m", "thickness_m")
    known = {scan: values for scan, values in findings.thickness_maps.items() if np.isfinite(values).any()}
    for scan in choose_shown(findings, known, MOST_MAPS):
        values = np.asarray(findings.thickness_maps[scan], dtype=np.float64)
        size = math.ceil(max(values.shape) / MOST_CELLS)
        edge = size * findings.map_pixel_m
        for (j, i), value in np.ndenumerate(reduce_mean(values, (size, size))):
            if math.isfinite(value):
                yield (scan, (j + 0.5) * edge, (i + 0.5) * edge, _round(float(value)))


def reduce_mean(values: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """Means over blocks, of what is known in them; the last ones may be smaller.

    Parameters
    ----------
    values : (n, m) float64
    size : (int, int)
        Of a block.

    Returns
    -------
    (ceil(n / size[0]), ceil(m / size[1])) float64
        NaN where nothing is known.
    """
    pad = [(0, -n % s) for n, s in zip(values.shape, size, strict=True)]
    padded = np.pad(values, pad, constant_values=np.nan)
    blocks = padded.reshape(padded.shape[0] // size[0], size[0], padded.shape[1] // size[1], size[1])
    count = np.isfinite(blocks).sum(axis=(1, 3))
    total = np.nansum(blocks, axis=(1, 3))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _list_silicon(findings: ElectrodeFindings) -> Iterator[Row]:
    true = {(row["step"], row["name"]): row["true"] for row in findings.accuracy}
    header, *rows = _list_measurements(findings, (NAME, LOW, HIGH, "thickness"))
    yield (*header, "true")
    for row in rows:
        yield (*row, true.get((row[0], row[4])))


def _list_phases(findings: ElectrodeFindings) -> Iterator[Row]:
    """Share of each phase, and mean confidence, of cells of the slices."""
    yield ("scan", "z_m", "x_m", *(f"share_{name}" for name in findings.phase_names), "confidence")
    for scan in choose_segmented(findings):
        one = findings.segmented[scan]
        size = math.ceil(max(one.phases.shape) / MOST_CELLS)
        edge = size * findings.slice_pixel_m
        known = one.phases > 0
        shares = [np.where(known, one.phases == k + 1, np.nan) for k in range(len(findings.phase_names))]
        cells = np.stack([reduce_mean(v, (size, size)) for v in (*shares, one.confidence.astype(np.float64))], axis=-1)
        for (j, i), _ in np.ndenumerate(cells[..., 0]):
            if np.isfinite(cells[j, i]).any():
                yield (scan, (j + 0.5) * edge, (i + 0.5) * edge, *(_round(float(v)) for v in cells[j, i]))


def _list_axial(findings: ElectrodeFindings) -> Iterator[Row]:
    yield ("scan", "z_m", "x_m", "displacement_z_m", "displacement_x_m", "axial_strain", "trusted")
    maps = {scan: axial for scan, axial in findings.axial_maps.items() if np.isfinite(axial.strain).any()}
    for scan in choose_shown(findings, maps, MOST_STRAINS):
        axial = findings.axial_maps[scan]
        for (j, i), strain in np.ndenumerate(axial.strain):
            if math.isfinite(strain):
                moved = (_round(float(u[j, i])) for u in (axial.displacement_z_m, axial.displacement_x_m))
                yield (
                    scan,
                    float(axial.z_m[j]),
                    float(axial.x_m[i]),
                    *moved,
                    _round(float(strain)),
                    axial.trusted[j, i],
                )


def _list_cell(findings: ElectrodeFindings) -> Iterator[Row]:
    yield ("time_s", "voltage_v", "current_a")
    if findings.cell is not None:
        step = math.ceil(len(findings.cell.time_s) / MOST_RECORDS)
        columns = (findings.cell.time_s, findings.cell.voltage_v, findings.cell.current_a)
        for record in zip(*(np.asarray(column)[::step] for column in columns), strict=True):
            yield tuple(float(value) for value in record)


def _list_histograms(findings: ElectrodeFindings) -> Iterator[Row]:
    yield ("scan", "region", "strain_low", "strain_high", "gauges", "maximum", "maximum_sd")
    for h in findings.histograms:
        for low, high, count in zip(h.edges[:-1], h.edges[1:], h.counts, strict=True):
            if count > 0:
                yield (h.scan, h.region, float(low), float(high), float(count), h.maximum, h.maximum_sd)


def _list_boxes(findings: ElectrodeFindings) -> Iterator[Row]:
    corners = [f"{end}_{axis}_m" for end in ("low", "high") for axis in "zyx"]
    yield ("scan", "box", *corners, "volumetric_strain", "sd_random", "sd_bias", "sd")
    for box in findings.boxes:
        m = box.measurement
        yield (m.scan, box.name, *map(float, [*box.low_m, *box.high_m]), m.value, m.sd_random, m.sd_bias, m.sd)


def _list_accuracy(findings: ElectrodeFindings) -> Iterator[Row]:
    names = ("name", "step", "true", "recovered", "sd_random", "sd_bias", "unit")
    yield names
    for row in findings.accuracy:
        yield tuple(row.get(name) for name in names)


_TABLES: dict[str, Callable[[ElectrodeFindings], Iterable[Row]]] = {
    "slices": _list_surfaces,
    "thickness-maps": _list_maps,
    "cell": _list_cell,
    "silicon": _list_silicon,
    "segmentation": _list_phases,
    "axial-strain": _list_axial,
    "histograms": _list_histograms,
    "boxes": _list_boxes,
    "errors": _list_shares,
    "alignment": _list_alignment,
    "accuracy": _list_accuracy,
}
