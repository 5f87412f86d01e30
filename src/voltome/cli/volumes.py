"""`voltome convert` and `voltome info`: volumes from one format to another, and what a file holds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Annotated, Any

import typer

from voltome.cli import options, scan_options
from voltome.cli.progress import show_progress
from voltome.cli.summary import in_words, print_written


def convert(
    source: Annotated[str, typer.Argument(metavar="IN", help="Volume to read.", show_default=False)],
    target: Annotated[
        str, typer.Argument(metavar="OUT", help="Volume to write; its ending tells the format.", show_default=False)
    ],
    voxel_size_m: options.VoxelSize = None,
    shape: options.RawShape = None,
    dtype: options.RawDtype = None,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Convert a volume, block by block: TIFF, a folder of slices, HDF5, NumPy, raw, OME-Zarr."""
    raw_shape = options.parse_shape(shape)
    from voltome.pipeline.volumes import convert_volume

    with show_progress(quiet=quiet) as on_progress:
        convert_volume(
            source,
            target,
            voxel_size_m=voxel_size_m,
            shape=raw_shape,
            dtype=dtype,
            overwrite=overwrite,
            on_progress=partial(on_progress, "conversion"),
        )
    print_written(target, quiet=quiet)


def info(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="Volume to describe; or radiographs: NXtomo, Data Exchange, folders of EDF, one for each distance.",
            show_default=False,
        ),
    ],
    voxel_size_m: options.VoxelSize = None,
    shape: options.RawShape = None,
    dtype: options.RawDtype = None,
    energy_kev: scan_options.EnergyKev = None,
    detector_pixel_m: scan_options.DetectorPixel = None,
    distance: scan_options.Distances = None,
    angles_deg: scan_options.Angles = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quiet: options.Quiet = False,
) -> None:
    """Tell what a volume or a scan's radiographs hold: shape, type, grey values; frames, angles, geometry."""
    raw_shape = options.parse_shape(shape)
    from voltome import io

    if len(files) > 1 or io.holds_radiographs(files[0]):
        from voltome.pipeline.scan_description import describe_radiographs

        described = describe_radiographs(
            scan_options.describe_files(
                files,
                energy_kev=energy_kev,
                detector_pixel_m=detector_pixel_m,
                distances=distance,
                angles_deg=angles_deg,
            )
        )
    else:
        from voltome.pipeline.volumes import describe_volume

        with show_progress(quiet=quiet) as on_progress:
            described = describe_volume(
                files[0],
                shape=raw_shape,
                dtype=dtype,
                voxel_size_m=voxel_size_m,
                on_progress=partial(on_progress, "reading"),
            )
    for line in [json.dumps(io.plain_json(described), indent=2)] if as_json else _description_lines(described):
        typer.echo(line)


def _description_lines(described: Mapping[str, Any]) -> Iterator[str]:
    for number, distance in enumerate(described.get("distances", ()), 1):
        yield f"distance {number}: {distance['name']}"
        yield from (f"  {name}: {in_words(value)}" for name, value in distance.items() if name != "name")
    for name, value in described.items():
        if name == "warnings":
            yield from (f"warning: {line}" for line in value)
        elif name != "distances":
            yield f"{name}: {in_words(value)}"
