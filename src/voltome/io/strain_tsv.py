"""Strain as a table: one row a point, order z, y, x."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voltome.fields import StrainField
from voltome.io.table import write_table_tsv

COLUMNS = (
    "Zpos", "Ypos", "Xpos", *(f"E{a}{b}" for a in "zyx" for b in "zyx"), "volumetric", "deviatoric", "measured",
    *(f"sdE{a}{b}" for a in "zyx" for b in "zyx"), "sdvolumetric",
)  # fmt: skip
"""Columns of a strain table; the tensor is that of the chosen measure."""


def write_strain_tsv(path: str | Path, strain: StrainField, *, overwrite: bool = False) -> None:
    """Write strain as a tab-separated table; NaN where it could not be formed.

    Parameters
    ----------
    path : str or Path
    strain : StrainField
    overwrite : bool
        Replace an existing file.

    Returns
    -------
    None
        The file stands when this returns.

    Raises
    ------
    InputError
        If the file exists and `overwrite` is False.
    ResourceError
        If the disk is full or there is no permission.
    """
    rows = np.concatenate(
        [
            strain.positions_vox,
            strain.strain.reshape(-1, 9),
            np.stack([strain.volumetric, strain.deviatoric, strain.measured], axis=1),
            strain.strain_sd.reshape(-1, 9),
            strain.volumetric_sd[:, None],
        ],
        axis=1,
    )
    write_table_tsv(path, dict(zip(COLUMNS, rows.T, strict=True)), overwrite=overwrite)
