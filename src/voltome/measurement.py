"""A number with its errors, split by what causes them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["random", "bias"]


@dataclass(frozen=True)
class Share:
    """What one cause adds to the error of a number.

    Parameters
    ----------
    cause : str
        Such as "noise", "alignment", "contrast loss".
    sd : float
        Standard deviation in the number's unit; NaN where the cause is known and its size is not.
    kind : str
        "random" if the next measurement would err otherwise, "bias" if it would err likewise.
    """

    cause: str
    sd: float
    kind: Kind = "random"


@dataclass(frozen=True)
class Measurement:
    """A number that a study recovers.

    Parameters
    ----------
    name : str
        Such as "thickness".
    scan : str
        At which scan.
    value : float
        NaN where it could not be measured.
    unit : str
        SI: "m", "rad", or "1" for a fraction.
    region : str
        Part of the electrode that it describes.
    shares : tuple of Share
        What its error is made of; independent of each other.
    """

    name: str
    scan: str
    value: float
    unit: str
    region: str = "whole"
    shares: tuple[Share, ...] = ()

    @property
    def label(self) -> str:
        """Name with its region, unless that is the whole: volumetric_strain_collector_side."""
        return self.name if self.region == "whole" else f"{self.name}_{self.region.replace(' ', '_')}"

    @property
    def sd_random(self) -> float:
        """Standard deviation of the random part; NaN where nothing is known of it."""
        return _add(share.sd for share in self.shares if share.kind == "random")

    @property
    def sd_bias(self) -> float:
        """Standard deviation of the part that repeats; NaN where nothing is known of it."""
        return _add(share.sd for share in self.shares if share.kind == "bias")

    @property
    def sd(self) -> float:
        """Both in quadrature; of one of them alone where the other is not known."""
        return _add(value for value in (self.sd_random, self.sd_bias) if not math.isnan(value))

    def share(self, cause: str) -> float:
        """Standard deviation that a cause adds.

        Parameters
        ----------
        cause : str

        Returns
        -------
        float
            NaN where it is not among the shares, or its size is not known.
        """
        return _add(share.sd for share in self.shares if share.cause == cause)


def _add(sds: Iterable[float]) -> float:
    """In quadrature; NaN of nothing, and of anything that is NaN."""
    values = list(sds)
    return math.sqrt(sum(sd**2 for sd in values)) if values else math.nan
