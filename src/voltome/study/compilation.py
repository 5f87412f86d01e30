"""Kernels compiled in a process of their own, before a run needs them.

A process that has just compiled a kernel does not compute to the last digit what one computes that has loaded it from
disk. Results are to be the same bytes whoever makes them, so those who make them load.
"""

from __future__ import annotations

import subprocess
import sys

from voltome.errors import ResourceError


def compile_apart() -> None:
    """Compile the kernels in another process if they are not on disk yet.

    Returns
    -------
    None
        They are on disk when this returns, unless the disk is not ours to write.

    Raises
    ------
    ResourceError
        If they cannot be compiled.
    """
    from voltome import kernels

    if not kernels.needs_compiling():
        return
    command = [sys.executable, "-c", "from voltome.study.compilation import warm_up; warm_up()"]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or ["no detail"])[-1]
        raise ResourceError(f"the kernels could not be compiled ({last}): see voltome doctor")


def warm_up() -> None:
    """Correlate a small phantom in all the ways that a study does.

    Returns
    -------
    None
        What it compiled is on disk.
    """
    import numpy as np
    from scipy.ndimage import gaussian_filter

    from voltome import dvc

    texture = gaussian_filter(np.random.default_rng(0).standard_normal((72, 74, 76)), 1.5).astype(np.float32)
    noise = np.random.default_rng(1).standard_normal(texture.shape).astype(np.float32)
    moved = np.roll(texture, 2, axis=2) + 0.3 * texture.std() * noise  # noise leaves some windows to be worked alone
    mask = np.ones(texture.shape, dtype=np.float32)
    mask[:20] = 0.0
    for weights in (None, mask):
        dvc.correlate_local(texture, moved, pyramid=(32, 12), half_window_vox=32, mask=weights, threads=1)
        dvc.correlate_local(texture, moved, node_spacing_vox=12, half_window_vox=12, mask=weights, threads=1)
