"""A figure of a page: its bytes and the numbers behind it, as addresses that need nothing from elsewhere."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voltome.report import figures, noise

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """A figure of the page.

    Parameters
    ----------
    source : str
        Address that holds its bytes.
    title, caption : str
    data : str or None
        Address that holds its numbers.
    width : float
        Of the page's: 8-point letters are as large in a narrow figure as in a wide one.
    """

    source: str
    title: str
    caption: str
    data: str | None = None
    width: float = 1.0


def embed_png(figure: Figure) -> str:
    """A figure as the address of a PNG with as many shades as a page needs.

    Parameters
    ----------
    figure : matplotlib.figure.Figure

    Returns
    -------
    str
    """
    return _embed("image/png", figures.figure_to_png(figure, dpi=150, levels=24))


def embed_svg(figure: Figure) -> str:
    """A figure as the address of an SVG.

    Parameters
    ----------
    figure : matplotlib.figure.Figure

    Returns
    -------
    str
    """
    return _embed("image/svg+xml", noise.figure_to_svg(figure).encode())


def embed_csv(table: str) -> str:
    """A table as the address of a CSV file.

    Parameters
    ----------
    table : str

    Returns
    -------
    str
    """
    return _embed("text/csv", table.encode())


def _embed(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
