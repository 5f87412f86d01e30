"""Particles as a table: SPAM's columns of a discrete correlation, then whatever else is known of each particle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.fields import PARAMETERS, SPAM_COLUMNS, DeformationField
from voltome.io.table import write_table_tsv

COLUMNS = ("Label", *SPAM_COLUMNS[1:], "zncc", "suspect", "sdZdisp", "sdYdisp", "sdXdisp")
"""Columns of every table of particles; the first twenty are those of `spam-ddic`."""


def write_particle_tsv(
    path: str | Path,
    labels: NDArray[np.integer],
    field: DeformationField,
    columns: Mapping[str, NDArray[Any]],
    *,
    overwrite: bool = False,
) -> None:
    """Write one row for each particle, each number so that it reads back the same.

    `read_phi_tsv` reads such a table as a scattered field.

    Parameters
    ----------
    path : str or Path
    labels : (N,) int
    field : DeformationField
        Phi of each particle about its centroid.
    columns : mapping of str to (N,) array
        What stands behind `COLUMNS`: numbers or words.
    overwrite : bool
        Replace an existing file.

    Returns
    -------
    None
        The file stands when this returns.

    Raises
    ------
    InputError
        If the file exists and `overwrite` is False, or the path cannot be a file.
    ResourceError
        If the disk is full or there is no permission.
    """
    parameters = field.phi[:, :3, :].reshape(-1, len(PARAMETERS))
    values = [
        labels,
        *field.positions_vox.T,
        *parameters.T,
        field.residual,
        field.iterations,
        field.status,
        field.delta_phi_norm,
        field.zncc,
        field.suspect,
        *field.sd[:, 3::4].astype(np.float32).T,  # the covariance is float32: more digits would only be noise
    ]
    write_table_tsv(path, {**dict(zip(COLUMNS, values, strict=True)), **columns}, overwrite=overwrite)
