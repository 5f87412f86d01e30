"""`voltome reconstruct`: from the radiographs of a scan to a volume."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from voltome.cli import options, scan_options
from voltome.cli.progress import show_progress
from voltome.cli.summary import print_written

Mode = Literal["fast", "quality", "paper", "absorption"]


def reconstruct(
    scan: Annotated[
        list[str],
        typer.Argument(
            metavar="SCAN...",
            help="Radiographs: NXtomo, Data Exchange or a folder of EDF, one for each distance, or one for all.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="VOLUME", help="Volume to write; its ending tells the format.")],
    mode: Annotated[
        Mode | None,
        typer.Option(
            "--mode",
            help="Phase by transfer functions; these and projections in turn; Paganin and 20 iterations; or no phase.",
            show_default="quality, or absorption where distances are not known",
        ),
    ] = None,
    delta_beta: Annotated[
        float, typer.Option("--delta-beta", metavar="RATIO", help="For the first guess of the phase.")
    ] = 170.0,
    axis_px: Annotated[
        float | None,
        typer.Option("--axis-px", metavar="COLUMN", help="Column of the rotation axis, from 0.", show_default="found"),
    ] = None,
    rows: Annotated[
        str | None,
        typer.Option(
            "--rows", metavar="FROM,TO", help="Detector rows to reconstruct, TO not included.", show_default="all"
        ),
    ] = None,
    slice_shape: Annotated[
        str | None,
        typer.Option("--slice", metavar="NY,NX", help="Voxels of a slice.", show_default="the detector's columns"),
    ] = None,
    detector_psf_px: Annotated[
        float | None,
        typer.Option(
            "--psf-px", metavar="FWHM", help="Point spread of the detector, to take back.", show_default="none"
        ),
    ] = None,
    flats: Annotated[
        Literal["dynamic", "interpolated"] | None,
        typer.Option(
            "--flats", help="Flats fitted to each frame, or interpolated.", show_default="dynamic from 8 flats on"
        ),
    ] = None,
    padding: Annotated[
        Literal["edge", "zero"],
        typer.Option("--padding", help="Beyond the field: the edge's value, or nothing."),
    ] = "edge",
    filter_name: Annotated[
        Literal["ramp", "shepp-logan", "hann", "none"] | None,
        typer.Option("--filter", help="Filter of the backprojection.", show_default="hann for phases, else ramp"),
    ] = None,
    rings_sinogram: Annotated[
        str, typer.Option("--rings-sinogram", metavar="NAME", help="Filter of rings in sinograms, or none.")
    ] = "none",
    rings_slice: Annotated[
        str, typer.Option("--rings-slice", metavar="NAME", help="Filter of rings in slices, or none.")
    ] = "polar-median",
    device: Annotated[
        str, typer.Option("--device", help="Where phases are worked out: cpu, torch, cuda, cupy.")
    ] = "cpu",
    energy_kev: scan_options.EnergyKev = None,
    detector_pixel_m: scan_options.DetectorPixel = None,
    distance: scan_options.Distances = None,
    angles_deg: scan_options.Angles = None,
    threads: options.Threads = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Reconstruct a volume from radiographs: flat field, registration of the distances, phase, rotation axis, slices.

    A volume of phases holds the refractive decrement delta, one of absorption the attenuation per metre.
    """
    from voltome import io
    from voltome.pipeline.reconstruct import reconstruct_to_file
    from voltome.pipeline.reconstruction_settings import ReconstructionSettings
    from voltome.settings import validate_settings

    given = {
        "mode": mode,
        "delta_beta": delta_beta,
        "axis_px": axis_px,
        "rows": options.parse_whole_numbers("--rows", rows, example="0,512"),
        "shape_vox": options.parse_whole_numbers("--slice", slice_shape, example="512,512"),
        "detector_psf_px": detector_psf_px,
        "flats": flats,
        "padding": padding,
        "filter": filter_name,
        "rings_sinogram": None if rings_sinogram == "none" else rings_sinogram,
        "rings_slice": None if rings_slice == "none" else rings_slice,
        "device": device,
        "energy_kev": energy_kev,
        "detector_pixel_m": detector_pixel_m,
        "distances": _list_distances(distance),
        "angle_range_deg": None
        if angles_deg is None
        else scan_options.parse_pair("--angles-deg", angles_deg, example="0,179.9"),
    }
    settings = validate_settings(ReconstructionSettings, given)
    with show_progress(quiet=quiet) as on_progress:
        summary = reconstruct_to_file(
            scan, out, settings, threads=threads, overwrite=overwrite, on_progress=on_progress
        )
    if as_json:
        typer.echo(json.dumps(io.plain_json(summary), indent=2))
        return
    if not quiet:
        for line in _tell(summary):
            typer.echo(line)
    print_written(out, quiet=quiet)


def _list_distances(distances: list[str] | None) -> list[dict[str, float]] | None:
    if not distances:
        return None
    listed = []
    for text in distances:
        source, detector = scan_options.parse_pair("--distance", text, example="0.05,0.65")
        listed.append({"sample_detector_m": detector} | ({} if math.isinf(source) else {"source_sample_m": source}))
    return listed


def _tell(summary: Mapping[str, Any]) -> Iterator[str]:
    """What was found, in lines for a person."""
    axis = summary["axis"]
    yield f"mode: {summary['mode']}; {summary['angles']} angles; slices hold {summary['quantity']}"
    if axis["given"]:
        yield f"rotation axis: column {axis['axis_px']:.2f}, as given"
    else:
        listed = ", ".join(f"{name} {value:.2f}" for name, value in axis["estimates"].items())
        yield f"rotation axis: column {axis['axis_px']:.2f} +- {axis['sd_px']:.2f} ({listed})"
    for number, one in enumerate(summary["shifts"][1:], start=2):
        z, u = one["mean_px"]
        agreement = "" if one["correlation"] is None else f", agrees with the wave to {one['correlation']:.3f}"
        yield f"distance {number}: shifted by {z:+.2f} rows, {u:+.2f} columns on average{agreement}"
    if summary["screen"] is not None:
        row, _, side = summary["screen"]
        yield f"opaque {'above' if side > 0 else 'below'} row {row:.1f}"
    for number, corrupt in enumerate(summary["corrupt_frames"], start=1):
        if corrupt:
            listed = ", ".join(map(str, corrupt))
            yield f"distance {number}: corrupt, and replaced by their neighbours: frames {listed}"
    for line in summary["warnings"]:
        yield f"warning: {line}"
    yield f"{summary['seconds']:.1f} s, {summary['peak_memory_bytes'] / 2**20:.0f} MB at most"
