"""What a user adds to radiographs whose files lack it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from voltome.errors import InputError

if TYPE_CHECKING:
    from voltome.io import RadiographFiles

EnergyKev = Annotated[
    float | None,
    typer.Option("--energy-kev", metavar="KEV", help="Energy of radiographs.", show_default="from the files"),
]
DetectorPixel = Annotated[
    float | None,
    typer.Option(
        "--detector-pixel-m", metavar="METRES", help="Detector's pixel, such as 6.5e-7.", show_default="from the files"
    ),
]
Distances = Annotated[
    list[str] | None,
    typer.Option(
        "--distance",
        metavar="Z1,Z2",
        help="Metres from source to sample (inf: parallel) and on to the detector; once for each distance.",
        show_default="from the files",
    ),
]
Angles = Annotated[
    str | None,
    typer.Option(
        "--angles-deg",
        metavar="FIRST,LAST",
        help="Angles of the first and the last projection.",
        show_default="from the files",
    ),
]


def describe_files(
    names: Sequence[str],
    *,
    energy_kev: float | None,
    detector_pixel_m: float | None,
    distances: Sequence[str] | None,
    angles_deg: str | None,
) -> RadiographFiles:
    """The files of a scan with what the options add.

    Parameters
    ----------
    names : sequence of str
    energy_kev, detector_pixel_m : float or None
    distances : sequence of str or None
        Each "Z1,Z2" in metres.
    angles_deg : str or None
        "FIRST,LAST" in degrees.

    Returns
    -------
    RadiographFiles

    Raises
    ------
    InputError
        If a pair is not two numbers.
    """
    from voltome.io import RadiographFiles

    angles = None if angles_deg is None else parse_pair("--angles-deg", angles_deg, example="0,179.9")
    return RadiographFiles(
        tuple(names),
        energy_kev,
        detector_pixel_m,
        tuple(parse_pair("--distance", text, example="0.05,0.65") for text in distances) if distances else None,
        None if angles is None else (math.radians(angles[0]), math.radians(angles[1])),
    )


def parse_pair(option: str, text: str, *, example: str) -> tuple[float, float]:
    """Two numbers separated by a comma.

    Parameters
    ----------
    option : str
        Name of the option, for the error.
    text : str
    example : str
        A good value, for the error.

    Returns
    -------
    (float, float)

    Raises
    ------
    InputError
        If it is anything else.

    Examples
    --------
    >>> parse_pair("--distance", "inf,0.1", example="0.05,0.65")
    (inf, 0.1)
    """
    try:
        first, second = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"{option} must be two numbers separated by a comma (got {text!r}): give such as {example}"
        ) from None
    return first, second
