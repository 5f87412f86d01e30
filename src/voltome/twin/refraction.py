"""The object as X-rays see it: refraction and absorption of whole planes, before any imaging."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voltome.twin.experiment import ElectrodeTwin

Singles = NDArray[np.float32]


class Planes(NamedTuple):
    """Planes of a step's object, averaged over voxels.

    decrement: refractive decrement in 1e-7, drift included as in the scan. copper: the share of it that is the
    collector's. share: the volume fraction of the collector. All (planes, y, x) float32.
    """

    decrement: Singles
    copper: Singles
    share: Singles


def refract_planes(twin: ElectrodeTwin, number: int, first: int, stop: int) -> Planes:
    """Decrement of planes of a step, without point spread and noise.

    Parameters
    ----------
    twin : ElectrodeTwin
    number : int
        Step.
    first, stop : int
        Planes along z.

    Returns
    -------
    Planes

    Raises
    ------
    InputError
        If silicon has no room to react as the settings want.
    """
    from voltome.twin.object_loops import fill_block
    from voltome.twin.phases import COLLECTOR
    from voltome.twin.render import make_look
    from voltome.twin.scan import oversampling

    settings, step = twin.settings, twin.step(number)
    over = oversampling(settings)
    shape = (stop - first, *settings.shape[1:])
    fine = tuple(n * over for n in shape)
    decrement, phases, labels = np.empty(fine, np.float32), np.empty(fine, np.uint8), np.empty(fine, np.uint32)
    corner = np.array([first, 0.0, 0.0]) - 0.5 + 0.5 / over
    look = make_look(twin, number)
    fill_block(
        twin.cells, step.matter.motion, look, step.drift.affine, corner, 1.0 / over, decrement, phases, labels
    )  # fmt: skip

    def average(values: NDArray[np.float32]) -> Singles:
        parts = values.reshape(shape[0], over, shape[1], over, shape[2], over)
        return np.asarray(parts.mean(axis=(1, 3, 5), dtype=np.float32))

    collector = (phases == COLLECTOR).astype(np.float32)
    return Planes(average(decrement), average(decrement * collector), average(collector))
