"""Local correlation by pyALDVC, for its own environment: python aldvc_driver.py OUT.npz REF.tif DEF.tif SPACING HALF

Saves the nodes' results and the CPU seconds of its stages: the whole correlation from arrays in memory, and of that
its own search for a start.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import tifffile
from al_dvc.core import pipeline
from al_dvc.core.config import dvcpara_default

THREADS = 2


def main(out: str, reference: str, deformed: str, spacing: str, half_window: str) -> None:
    """pyALDVC at its defaults but for the global step, which is left out: local subsets only."""
    volumes = [tifffile.imread(path) for path in (reference, deformed)]
    para = dvcpara_default(
        winsize=2 * int(half_window),
        winstepsize=int(spacing),
        use_global_step=False,
        backend="numba",
        n_threads=THREADS,
    )
    start_s = 0.0
    find_start = pipeline.compute_initial_guess

    def timed(*arguments, **options):  # type: ignore[no-untyped-def]
        nonlocal start_s
        clock = time.process_time()
        found = find_start(*arguments, **options)
        start_s += time.process_time() - clock
        return found

    pipeline.compute_initial_guess = timed
    clock = time.process_time()
    result = pipeline.run_aldvc(para, volumes, compute_strain=False)
    correlation_s = time.process_time() - clock
    frame = result.result_disp[0]
    outlier = np.zeros(len(frame.U), bool) if frame.outlier is None else frame.outlier
    np.savez(
        out, positions=result.dvc_mesh.coordinates, u=frame.U_local, f=frame.F_local, status=frame.status,
        outlier=outlier, correlation_s=correlation_s, start_s=start_s,
    )  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
