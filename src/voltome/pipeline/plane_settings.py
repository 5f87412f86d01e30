"""SCAN.yaml: images of one sample at several distances, and how its phase is to be retrieved from them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from voltome.errors import InputError
from voltome.optics import KEV_M
from voltome.settings import BrokenRules, SettingError, SettingProblem, Settings, validate_settings

# What a length may have been given in by mistake.
UNITS = {"mm": 1e-3, "um": 1e-6, "nm": 1e-9}
_X_RAY_M = 1e-9
_X_RAY_RATIO = 170.0
_LEAST_WAVELENGTH_M, _MOST_WAVELENGTH_M = 1e-12, 1e-3
_LEAST_PIXEL_M, _MOST_PIXEL_M = 1e-9, 5e-4


class Plane(Settings):
    """One image and where it was taken."""

    file: str = Field(
        min_length=1, description="image: TIFF, EDF, .npy or file.h5::/path", examples=["planes/z050um.tif"]
    )
    distance_m: float = Field(
        description="effective distance behind the sample in metres (z1 z2 / (z1 + z2) for a point source)",
        examples=[5e-5],
    )


class PlaneScan(Settings):
    """Images at several distances: what they are, and how they are evaluated."""

    wavelength_m: float | None = Field(default=None, gt=0, description="wavelength in metres", examples=[5.32e-7])
    energy_kev: float | None = Field(default=None, gt=0, description="photon energy in keV", examples=[29.6])
    pixel_m: float = Field(gt=0, description="edge of a pixel, at the sample, in metres", examples=[1.6e-7])
    planes: tuple[Plane, ...] = Field(min_length=1, description="images and their distances")
    reference: str | None = Field(
        default=None, min_length=1, description="image of the beam without sample, by which the planes are divided"
    )
    dark: str | None = Field(
        default=None, min_length=1, description="image without beam, which is taken off planes and reference"
    )
    mode: Literal["fast", "quality", "paper"] = Field(
        default="quality", description="fast: linear; quality: projections in turn; paper: Paganin and 20 iterations"
    )
    delta_beta: float | Literal["free"] | None = Field(
        default=None,
        description="refractive decrement over absorption index; free: absorption apart from phase",
        examples=["free"],
    )
    cycles: int | None = Field(
        default=None, ge=0, le=2000, description="cycles of projections, 80 in mode quality, 20 in mode paper"
    )
    registered: bool = Field(
        default=False, description="whether the planes lie on each other already; else that is measured and undone"
    )

    @property
    def wavelength(self) -> float:
        """In metres, however it was given."""
        if self.wavelength_m is not None:
            return self.wavelength_m
        return KEV_M / (self.energy_kev or math.nan)

    @property
    def ratio(self) -> float | None:
        """delta/beta; None: absorption is found apart from phase."""
        if self.delta_beta is None:
            return _X_RAY_RATIO if self.wavelength < _X_RAY_M else None
        return None if self.delta_beta == "free" else self.delta_beta

    @model_validator(mode="after")
    def _check(self) -> Self:
        problems = [SettingProblem(place, text) for place, text in _find_problems(self)]
        if problems:
            raise BrokenRules(problems)
        return self


@dataclass(frozen=True)
class PlaneFiles:
    """Settings, and the folder from which their paths start."""

    settings: PlaneScan
    folder: Path

    def locate(self, name: str) -> str:
        """Path that a name in the file stands for.

        Parameters
        ----------
        name : str

        Returns
        -------
        str
        """
        return str(self.folder / name)


def load_planes(path: str | Path, *, mode: str | None = None) -> PlaneFiles:
    """Read SCAN.yaml; the images are not opened.

    Parameters
    ----------
    path : str or Path
    mode : {"fast", "quality", "paper"}, optional
        Wins over the file's.

    Returns
    -------
    PlaneFiles

    Raises
    ------
    InputError
        If the file is missing or no YAML, or a setting breaks a rule: with the line.
    ResourceError
        If there is no permission to read it.
    """
    from voltome.io.yaml_file import read_yaml, read_yaml_lines

    values = read_yaml(path) | ({} if mode is None else {"mode": mode})
    try:
        return PlaneFiles(validate_settings(PlaneScan, values), Path(path).parent)
    except SettingError as error:
        place, text = error.problems[0]
        lines = read_yaml_lines(path)
        line = next(lines[place[:end]] for end in range(len(place), -1, -1) if place[:end] in lines)
        raise InputError(f"{path} line {line}: {text}") from None


def _find_problems(scan: PlaneScan) -> Iterator[tuple[tuple[int | str, ...], str]]:
    if (scan.wavelength_m is None) == (scan.energy_kev is None):
        found = "neither" if scan.wavelength_m is None else "both"
        yield ("energy_kev",), f"one of wavelength_m and energy_kev must be given (got {found}): keep the one you know"
        return
    if scan.energy_kev is not None and not 0.01 <= scan.energy_kev <= 1000:
        cure = f"it looks like eV, give {scan.energy_kev / 1e3:g}" if scan.energy_kev > 1000 else "give keV"
        yield ("energy_kev",), f"energy_kev must be from 0.01 to 1000 keV (got {scan.energy_kev:g}): {cure}"
        return
    yield from _find_length("wavelength_m", scan.wavelength, _LEAST_WAVELENGTH_M, _MOST_WAVELENGTH_M, "nm um")
    yield from _find_length("pixel_m", scan.pixel_m, _LEAST_PIXEL_M, _MOST_PIXEL_M, "um nm mm")
    seen: dict[float, int] = {}
    for number, plane in enumerate(scan.planes):
        first = seen.setdefault(plane.distance_m, number)
        if first != number:
            yield (
                ("planes", number, "distance_m"),
                f"planes[{number}].distance_m must differ from those of other planes (got {plane.distance_m:g}, as "
                f"planes[{first}]): correct it, or leave one out",
            )
    if scan.delta_beta == 0:
        yield ("delta_beta",), "delta_beta must not be 0 (got 0.0): give such as 170, or free"
    elif scan.ratio is None and (len(scan.planes) < 2 or scan.mode == "paper"):
        why = "mode paper" if scan.mode == "paper" else "one plane alone"
        yield (
            ("delta_beta",),
            f"delta_beta must be a number for {why} (got free): give the ratio of your material, e.g. 170 (X-rays, "
            "silicon) or -1e6 (visible light, clear matter)",
        )
    elif scan.mode == "paper" and scan.ratio is not None and scan.ratio < 0:
        yield ("delta_beta",), f"delta_beta must be > 0 for mode paper (got {scan.ratio:g}): choose mode quality"


def _find_length(
    name: str, value: float, least: float, most: float, units: str
) -> Iterator[tuple[tuple[int | str, ...], str]]:
    if least <= value <= most:
        return
    fitting = [unit for unit in units.split() if value > most and least <= value * UNITS[unit] <= most]
    cures = [f"it looks like {unit}, give {value * UNITS[unit]:.6g}" for unit in fitting]
    cure = ", or ".join(cures) if cures else "give metres"
    yield (name,), f"{name} must be from {least:g} to {most:g} m (got {value:g}): {cure}"
