"""`voltome phase` and `voltome propagate`: the wave behind a sample from images at several distances, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from voltome.cli import options
from voltome.cli.progress import show_progress
from voltome.cli.summary import print_written

ModeName = Literal["fast", "quality", "paper"]


def phase(
    scan: Annotated[
        Path,
        typer.Argument(
            metavar="SCAN.YAML",
            help="wavelength_m or energy_kev, pixel_m, planes: [{file, distance_m}, ...], reference, ...",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FIELD.H5", help="Wave field to write.", show_default=False)],
    mode: Annotated[
        ModeName | None,
        typer.Option(
            "--mode",
            help="fast: linear. quality: projections in turn. paper: Paganin and 20 iterations.",
            show_default="from the file, else quality",
        ),
    ] = None,
    device: Annotated[str, typer.Option("--device", metavar="NAME", help="cpu, torch, cuda or cupy.")] = "cpu",
    threads: options.Threads = None,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Retrieve the wave behind a sample from images at several distances, at any wavelength.

    Planes that lie displaced are found and brought on the first one. Writes phase, absorption and the wave, from which
    voltome propagate predicts an image at any distance.
    """
    from voltome.pipeline.phase import retrieve_planes

    with show_progress(quiet=quiet) as on_progress:
        found = retrieve_planes(
            scan, out, mode=mode, device=device, threads=threads, overwrite=overwrite, on_progress=on_progress
        )
    if not quiet:
        for line in phase_lines(found):
            typer.echo(line)
    print_written(out, quiet=quiet)


def propagate(
    field: Annotated[Path, typer.Argument(metavar="FIELD.H5", help="What `voltome phase` wrote.", show_default=False)],
    to_m: Annotated[
        float,
        typer.Option(
            "--to-m", metavar="METRES", help="Effective distance behind the sample, such as 8e-5.", show_default=False
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE.TIF", help="Image to write, 32-bit.", show_default=False)],
    no_walk: Annotated[
        bool,
        typer.Option("--no-walk", help="On the first plane's place, even if the planes walked off with distance."),
    ] = False,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Predict the image that a detector would see of a retrieved wave at a distance.

    The intensity over the illumination, 1 where nothing is in the way: times the reference it is what the detector
    counts. It has the first plane's frame and pixel; if the planes were displaced with distance, so is this one.
    """
    from voltome.pipeline.phase import predict_plane

    found = predict_plane(field, to_m, out, walk=not no_walk, overwrite=overwrite)
    if not quiet:
        typer.echo(
            f"intensity at {to_m:.6g} m: {found['minimum']:.3g} to {found['maximum']:.3g}, mean {found['mean']:.3g}; "
            f"displaced by {_pair(found['shift_px'])} pixels (rows, columns)"
        )
    print_written(out, quiet=quiet)


def phase_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Put a retrieved wave into words.

    Parameters
    ----------
    found : mapping
        As `voltome.pipeline.phase.retrieve_planes` returns it.

    Yields
    ------
    str
        One line at a time.
    """
    ratio = "absorption apart from phase" if found["delta_beta"] is None else f"delta/beta {found['delta_beta']:g}"
    cycles = "" if found["mode"] == "fast" else f", {found['cycles']} cycles"
    rows, columns = found["shape"]
    yield (
        f"{len(found['planes'])} planes of {rows} x {columns} pixels of {found['pixel_m']:.4g} m at "
        f"{found['wavelength_m']:.4g} m; mode {found['mode']}{cycles}, {ratio}"
    )
    yield "distance (m): shift, its sd, drift off the line (pixels, rows and columns); correlation, by the others alone"
    for plane in found["planes"]:
        left_out = plane["left_out"]
        apart = f", {left_out:.3f}" if left_out == left_out else ""
        yield (
            f"{plane['distance_m']:12.6g}: {_pair(plane['shift_px'])}; {_pair(plane['shift_sd_px'], sign='')}; "
            f"{_pair(plane['drift_px'])}; {plane['agreement']:.3f}{apart}  {plane['file']}"
        )
    if any(found["tilt_rad"]):
        tilt = _pair([1e3 * angle for angle in found["tilt_rad"]])
        yield f"tilt of the illumination to the stage's axis: {tilt} mrad (rows, columns)"
    for warning in found["warnings"]:
        yield f"warning: {warning}"


def _pair(values: Sequence[float], *, sign: str = "+") -> str:
    return ", ".join(f"{value:{sign}.2f}" for value in values)
