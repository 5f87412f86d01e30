"""Options that several commands share, and what is parsed from them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from voltome.errors import InputError

if TYPE_CHECKING:
    from voltome.grid import Shape3  # NumPy, which the help does not need

Interpolation = Literal["cubic", "linear"]
Measure = Literal["small", "green-lagrange", "hencky"]
Gradient = Literal["geers", "q8"]


def parse_whole_numbers(option: str, text: str | None, *, example: str) -> tuple[int, ...] | None:
    """Whole numbers separated by commas, such as `100,70,35`.

    Parameters
    ----------
    option : str
        Name of the option, for the error.
    text : str or None
        What the user gave; None where the option was left out.
    example : str
        A good value, for the error.

    Returns
    -------
    tuple of int or None

    Raises
    ------
    InputError
        If a part is not a whole number.
    """
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"{option} must be whole numbers separated by commas (got {text!r}): give such as {example}"
        ) from None


def parse_codes(option: str, text: str | None, *, example: str) -> dict[int, str]:
    """What is said of codes of classes, such as `1=matrix,4=silicon`.

    Parameters
    ----------
    option : str
        Name of the option, for the error.
    text : str or None
        What the user gave; None where the option was left out.
    example : str
        A good value, for the error.

    Returns
    -------
    dict of int to str

    Raises
    ------
    InputError
        If a part has no code or nothing behind it, or a code comes twice.
    """
    said: dict[int, str] = {}
    for part in text.split(",") if text is not None else ():
        code, _, value = (piece.strip() for piece in part.partition("="))
        if not (code.isdecimal() and value) or int(code) in said:
            raise InputError(f"{option} must name each code once, as code=value (got {text!r}): give such as {example}")
        said[int(code)] = value
    return said


def parse_class_names(text: str | None) -> dict[int, str]:
    """Names of classes from `--names 1=pore,2=silicon`.

    Parameters
    ----------
    text : str or None

    Returns
    -------
    dict of int to str

    Raises
    ------
    InputError
        If a part is not a code, an equals sign and a name, or two codes have one name.
    """
    names = parse_codes("--names", text, example="1=pore,2=silicon")
    if len(set(names.values())) < len(names) or any(not 1 <= code <= 255 for code in names):
        raise InputError(f"--names must give codes 1 to 255 names of their own (got {text!r}): name each otherwise")
    return names


def parse_shape(text: str | None) -> Shape3 | None:
    """Shape of a raw volume from `--shape z,y,x`.

    Parameters
    ----------
    text : str or None
        What the user gave; None where the option was left out.

    Returns
    -------
    tuple of int or None
        Voxels along z, y, x.

    Raises
    ------
    InputError
        If it is not three whole numbers.
    """
    shape = parse_whole_numbers("--shape", text, example="200,180,160")
    if shape is None:
        return None
    if len(shape) != 3:
        raise InputError(f"--shape must be three whole numbers z,y,x (got {text!r}): give such as 200,180,160")
    return (shape[0], shape[1], shape[2])


def _quiet_here_or_above(context: typer.Context, quiet: bool) -> bool:
    """`voltome --quiet correlate` and `voltome correlate --quiet` are the same."""
    return quiet or bool(context.find_root().params.get("quiet"))


Reference = Annotated[
    str,
    typer.Argument(
        metavar="REF",
        help="Reference volume: TIFF, folder of slices, file.h5::/path, .npy, raw, OME-Zarr.",
        show_default=False,
    ),
]
Deformed = Annotated[str, typer.Argument(metavar="DEF", help="Deformed volume, of the same shape.", show_default=False)]
PhiTable = Annotated[
    Path, typer.Argument(metavar="PHI.TSV", help="Deformation field, voltome's or SPAM's.", show_default=False)
]
OutFolder = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the results.", show_default=False)]
OutVolume = Annotated[
    str,
    typer.Option("--out", metavar="VOLUME", help="Volume to write; its ending tells the format.", show_default=False),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace results that already exist.")]
InterpolationOption = Annotated[
    Interpolation, typer.Option("--interpolation", help="Between voxels: cubic B-spline or linear.")
]
Threads = Annotated[
    int | None, typer.Option("--threads", metavar="N", help="Threads to use.", show_default="one for each core")
]
Processes = Annotated[
    int | None, typer.Option("--processes", metavar="N", help="Processes instead of threads.", show_default=False)
]
DaskAddress = Annotated[
    str | None,
    typer.Option("--dask", metavar="ADDRESS", help="Scheduler of Dask, such as tcp://node:8786.", show_default=False),
]
SlurmWorkers = Annotated[
    int | None,
    typer.Option("--slurm", metavar="N", help="Workers as jobs of SLURM, set up by dask-jobqueue.", show_default=False),
]
VoxelSize = Annotated[
    float | None,
    typer.Option("--voxel-size-m", metavar="METRES", help="Voxel size, such as 5e-8.", show_default="from the file"),
]
RawShape = Annotated[
    str | None, typer.Option("--shape", metavar="Z,Y,X", help="Shape of a raw volume.", show_default=False)
]
RawDtype = Annotated[
    str | None,
    typer.Option("--dtype", metavar="TYPE", help="Type of a raw volume, such as uint16 or '>f4'.", show_default=False),
]
Window = Annotated[
    tuple[float, float] | None,
    typer.Option(
        "--window",
        metavar="LOW HIGH",
        help="Grey values that stand for the model's 0 and 1.",
        show_default="the model's; in training the 1st and 99th percentile",
    ),
]
ClassNames = Annotated[
    str | None,
    typer.Option("--names", metavar="CODE=NAME,...", help="Names of classes by their codes.", show_default=False),
]
MeasureOption = Annotated[Measure, typer.Option("--measure", help="Strain measure.")]
GradientOption = Annotated[
    Gradient, typer.Option("--gradient", help="Gradient of displacement: Geers at nodes, or Q8 in the cells between.")
]
Quiet = Annotated[bool, typer.Option("--quiet", callback=_quiet_here_or_above, help="Print nothing but errors.")]
