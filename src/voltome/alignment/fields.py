"""Fields of displacement as seen from the collector: its own motion is taken out, no volume is resampled."""

from __future__ import annotations

import numpy as np

from voltome.alignment.similarity import Alignment
from voltome.fields import DeformationField


def align_field(field: DeformationField, alignment: Alignment) -> DeformationField:
    """Take the collector's motion and the change of magnification out of a field: A^-1 after Phi.

    Parameters
    ----------
    field : DeformationField
        From the reference to the scan of the alignment, in voxels.
    alignment : Alignment

    Returns
    -------
    DeformationField
        Displacement relative to the collector, F without magnification and tilt; the covariance is that of noise, as
        before: the alignment's own error is common to all nodes and stands in `Alignment.covariance`.
    """
    inverse = np.linalg.inv(alignment.linear)
    arrived = field.positions_vox + field.displacement_vox
    back = (arrived - alignment.centre_vox - alignment.translation_vox) @ inverse.T + alignment.centre_vox
    phi = field.phi.copy()
    phi[:, :3, :3] = inverse @ field.phi[:, :3, :3]
    phi[:, :3, 3] = back - field.positions_vox
    turn = np.kron(inverse, np.eye(4))  # rows of the 3 x 4 block mix, its columns do not
    covariance = (turn @ field.covariance.astype(np.float64) @ turn.T).astype(np.float32)
    return field.with_values(phi=phi, covariance=covariance)
