"""The order in which a person would put names with numbers in them."""

from __future__ import annotations

import re


def natural_key(name: str) -> list[str | int]:
    """Key that sorts names by the numbers in them.

    Parameters
    ----------
    name : str

    Returns
    -------
    list
        For `sorted`.

    Examples
    --------
    >>> sorted(["T10", "T9"], key=natural_key)
    ['T9', 'T10']
    """
    return [int(part) if number % 2 else part.lower() for number, part in enumerate(re.split(r"([0-9]+)", name))]
