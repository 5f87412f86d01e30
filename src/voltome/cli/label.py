"""`voltome label`: a forest learns phases from scribbles, labels volumes, and says where to scribble next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from voltome.cli import options
from voltome.cli.progress import show_progress
from voltome.cli.segment import phase_lines
from voltome.cli.summary import print_written
from voltome.errors import InputError

label_app = typer.Typer(help="Labels from scribbles, by a random forest that learns from them.", no_args_is_help=True)

ModelFile = Annotated[
    Path, typer.Argument(metavar="MODEL", help="What `voltome label train` wrote.", show_default=False)
]


def train(
    volume: Annotated[
        str, typer.Argument(metavar="VOLUME", help="Volume that was scribbled on, in any format.", show_default=False)
    ],
    scribbles: Annotated[
        str,
        typer.Argument(
            metavar="SCRIBBLES",
            help="Labels of the same shape: 0 where nothing was drawn, else codes of classes, 1 to 255.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="MODEL", help="Model to write, .safetensors.", show_default=False)
    ],
    dimensions: Annotated[
        int, typer.Option("--dimensions", min=2, max=3, help="2: each plane z by itself, or a single image.")
    ] = 3,
    scales: Annotated[
        str | None,
        typer.Option("--scales", metavar="VOX,VOX,...", help="Sigma of the Gaussians.", show_default="1,2,4,8"),
    ] = None,
    trees: Annotated[
        int | None, typer.Option("--trees", metavar="N", min=1, help="Trees of the forest.", show_default="64")
    ] = None,
    names: options.ClassNames = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="All that is random follows from it.")] = 0,
    window: options.Window = None,
    shape: options.RawShape = None,
    dtype: options.RawDtype = None,
    threads: options.Threads = None,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Train a random forest on scribbles, drawn in napari, Fiji or Ilastik and saved as TIFF, OME-Zarr or HDF5.

    Some hundred voxels of each class are enough, in several places. What is labelled 0 does not count.
    """
    raw_shape, sigmas, called = options.parse_shape(shape), parse_scales(scales), options.parse_class_names(names)
    from voltome.pipeline.label import train_label_model

    with show_progress(quiet=quiet) as on_progress:
        made = train_label_model(
            volume,
            scribbles,
            out,
            dimensions=dimensions,
            scales=sigmas,
            trees=trees,
            seed=seed,
            names=called,
            window=window,
            shape=raw_shape,
            dtype=dtype,
            threads=threads,
            overwrite=overwrite,
            on_progress=on_progress,
        )
    if not quiet:
        for line in forest_lines(made):
            typer.echo(line)
    print_written(out, quiet=quiet)


def apply(
    model: ModelFile,
    volume: Annotated[str, typer.Argument(metavar="VOLUME", help="Volume to label.", show_default=False)],
    out: options.OutVolume,
    window: options.Window = None,
    shape: options.RawShape = None,
    dtype: options.RawDtype = None,
    voxel_size_m: options.VoxelSize = None,
    threads: options.Threads = None,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Write the class of each voxel (uint8 codes), and beside it how sure that is (probability times 255)."""
    raw_shape = options.parse_shape(shape)
    from voltome.pipeline.segment import apply_model

    with show_progress(quiet=quiet) as on_progress:
        found = apply_model(
            model,
            volume,
            out,
            kind="forest",
            window=window,
            shape=raw_shape,
            dtype=dtype,
            voxel_size_m=voxel_size_m,
            threads=threads,
            overwrite=overwrite,
            on_progress=on_progress,
        )
    if not quiet:
        for line in phase_lines(found):
            typer.echo(line)
    print_written(out, quiet=quiet)


def suggest(
    model: ModelFile,
    volume: Annotated[str, typer.Argument(metavar="VOLUME", help="Volume to look through.", show_default=False)],
    out: Annotated[
        Path, typer.Option("--out", metavar="PATCHES.CSV", help="Table to write, .csv or .json.", show_default=False)
    ],
    count: Annotated[int, typer.Option("--count", metavar="N", help="Most patches.")] = 12,
    scribbles: Annotated[
        str | None,
        typer.Option("--scribbles", metavar="LABELS", help="What is labelled already.", show_default=False),
    ] = None,
    window: options.Window = None,
    shape: options.RawShape = None,
    dtype: options.RawDtype = None,
    threads: options.Threads = None,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Say where to scribble next: patches of 64 x 64 voxels of which the model is least sure, spread over the volume.

    Writes z, y, x of each patch's first voxel, its height and width, and its uncertainty, 0 to 1.
    """
    raw_shape = options.parse_shape(shape)
    from voltome.pipeline.label import suggest_labels

    with show_progress(quiet=quiet) as on_progress:
        found = suggest_labels(
            model,
            volume,
            out,
            count=count,
            scribbles=scribbles,
            window=window,
            shape=raw_shape,
            dtype=dtype,
            threads=threads,
            overwrite=overwrite,
            on_progress=on_progress,
        )
    if not quiet:
        for line in patch_lines(found):
            typer.echo(line)
    print_written(out, quiet=quiet)


def parse_scales(text: str | None) -> tuple[float, ...] | None:
    """Sigmas from `1,2,4,8`.

    Parameters
    ----------
    text : str or None

    Returns
    -------
    tuple of float or None

    Raises
    ------
    InputError
        If a part is not a number.
    """
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--scales must be numbers separated by commas (got {text!r}): give such as 1,2,4,8") from None


def forest_lines(made: Mapping[str, Any]) -> Iterator[str]:
    """Put a forest into words.

    Parameters
    ----------
    made : mapping
        As `voltome.pipeline.label.train_label_model` returns it.

    Yields
    ------
    str
    """
    settings, grey, score = made["settings"], made["grey"], made["scores"]["out_of_bag"]
    scales = ", ".join(f"{scale:g}" for scale in settings["scales"])
    yield f"{settings['trees']} trees on features in {settings['dimensions']}D at scales of {scales} voxels"
    yield f"grey values {grey['low']:.6g} to {grey['high']:.6g} are 0 and 1"
    for one in made["classes"]:
        count, dice = made["made"]["labelled_voxels"][one["name"]], score["dice"][one["name"]]
        judged = "" if dice is None else f", Dice {dice:.3f} out of bag"
        yield f"{one['code']:4d} {one['name']:20s} {count} labelled voxels{judged}"
    yield "out of bag: by trees that have not learned from the voxel, but from its neighbours; elsewhere it is lower"
    for warning in made["warnings"]:
        yield f"warning: {warning}"


def patch_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Put suggestions into words.

    Parameters
    ----------
    found : mapping
        As `voltome.pipeline.label.suggest_labels` returns it.

    Yields
    ------
    str
    """
    count = len(found["patches"])
    yield f"{count} {'patch' if count == 1 else 'patches'} in {found['planes']} planes, the most uncertain first"
    for one in found["patches"]:
        last = one["y"] + one["height_vox"] - 1, one["x"] + one["width_vox"] - 1
        yield f"z {one['z']}, y {one['y']} to {last[0]}, x {one['x']} to {last[1]}: {one['uncertainty']:.3f}"


for command in (train, apply, suggest):
    label_app.command()(command)
