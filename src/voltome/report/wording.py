"""Numbers and lengths as they are written in a report."""

from __future__ import annotations

import math
from collections.abc import Mapping

MINUS, NARROW, DASH = "\N{MINUS SIGN}", "\N{NARROW NO-BREAK SPACE}", "\N{EN DASH}"
MICRO = "\N{GREEK SMALL LETTER MU}"


def write_number(value: float | None, digits: int = 3, *, signed: bool = False) -> str:
    """A number with so many significant digits, a true minus sign, and an en dash where there is none.

    Parameters
    ----------
    value : float or None
    digits : int
    signed : bool
        Write a plus sign too.

    Returns
    -------
    str

    Examples
    --------
    >>> write_number(0.012345), write_number(1234567), write_number(float("nan"))
    ('0.0123', '1234567', '\u2013')
    """
    if value is None or not math.isfinite(value):
        return DASH
    value = float(f"{value:.12g}")  # 0.1 + 0.2 is 0.3
    if value == round(value) and abs(value) < 1e7:
        text = f"{value:{'+' if signed and value else ''}.0f}"
    elif abs(value) < 1e-4 or abs(value) >= 1e7:
        text = f"{value:{'+' if signed else ''}.{digits - 1}e}"
    else:
        decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
        text = f"{value:{'+' if signed else ''}.{decimals}f}"
    return text.replace("-", MINUS)


def write_measured(value: float, sd: float, scale: float = 1.0, *, signed: bool = True) -> str:
    """A value with its sd, both with as many decimals as two digits of the sd need, four at most.

    Parameters
    ----------
    value, sd : float
        Without a finite sd the value stands alone, with three digits.
    scale : float
        Both are multiplied by it.
    signed : bool
        Write a plus sign too.

    Returns
    -------
    str
        An en dash where there is no value.

    Examples
    --------
    >>> write_measured(0.12345, 0.0004, 100.0)
    '+12.345 \u00b1 0.040'
    """
    if not (math.isfinite(value) and math.isfinite(sd) and sd > 0):
        return write_number(scale * value, signed=signed)
    decimals = min(max(1 - math.floor(math.log10(scale * sd)), 0), 4)
    small = scale * sd < 0.5e-4
    spread = f"<{NARROW}0.0001" if small else f"{scale * sd:.{decimals}f}"
    return f"{scale * value:{'+' if signed else ''}.{decimals}f} \N{PLUS-MINUS SIGN} {spread}".replace("-", MINUS)


def write_metres(length_m: float, digits: int = 3, *, signed: bool = False) -> str:
    """A length in micrometres; in nanometres below 0.1 of them, in millimetres from 1000 on.

    Parameters
    ----------
    length_m : float
    digits, signed
        As in `write_number`.

    Returns
    -------
    str
    """
    if abs(length_m) >= 1e-3 * (1 - 1e-9):
        return f"{write_number(1e3 * length_m, digits, signed=signed)}{NARROW}mm"
    if abs(length_m) < 1e-7:
        return f"{write_number(1e9 * length_m, digits, signed=signed)}{NARROW}nm"
    return f"{write_number(1e6 * length_m, digits, signed=signed)}{NARROW}{MICRO}m"


def write_length(length_vox: float, voxel_size_m: float | None, digits: int = 3, *, signed: bool = False) -> str:
    """A length in voxels, and in micrometres where the voxel size is known.

    Parameters
    ----------
    length_vox : float
    voxel_size_m : float or None
    digits, signed
        As in `write_number`.

    Returns
    -------
    str
    """
    text = f"{write_number(length_vox, digits, signed=signed)} voxels"
    if voxel_size_m is None or not math.isfinite(length_vox):
        return text
    return f"{text} ({write_metres(length_vox * voxel_size_m, digits, signed=signed)})"


def write_percent(fraction: float | None, digits: int = 3, *, signed: bool = False) -> str:
    """A fraction in percent.

    Parameters
    ----------
    fraction : float or None
    digits, signed
        As in `write_number`.

    Returns
    -------
    str
    """
    return f"{write_number(None if fraction is None else 100.0 * fraction, digits, signed=signed)}{NARROW}%"


def write_seconds(seconds: float) -> str:
    """A duration: 0.42 s, 12.3 s, 4 min 05 s, 2 h 07 min.

    Parameters
    ----------
    seconds : float

    Returns
    -------
    str
        An en dash where it is not finite.
    """
    if not math.isfinite(seconds):
        return DASH
    if seconds < 60:
        return f"{write_number(seconds)}{NARROW}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def write_memory(size_bytes: float | None) -> str:
    """A size in GB or MB (powers of ten).

    Parameters
    ----------
    size_bytes : float or None

    Returns
    -------
    str
        An en dash for None.
    """
    if size_bytes is None:
        return DASH
    return f"{size_bytes / 1e9:.2f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"


def flatten_values(values: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    """Nested values as rows of name and text, in the order given: a table for parameters and medians alike.

    Parameters
    ----------
    values : mapping
        Of numbers, texts, sequences and further mappings.
    prefix : str
        Written before each name.

    Returns
    -------
    list of (str, str)
        Names of nested values are joined by dots.
    """
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            rows += flatten_values(value, f"{name}.")
        elif isinstance(value, (list, tuple)):
            rows.append((name, ", ".join(_write_value(v) for v in value) or DASH))
        else:
            rows.append((name, _write_value(value)))
    return rows


def _write_value(value: object) -> str:
    if value is None:
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    return write_number(value, 4) if isinstance(value, float) else str(value)
