"""CPU seconds of the local step: python local_driver.py OUT.json REF.tif DEF.tif REGISTRATION.tsv SPACING HALF

From arrays in memory and a given registration to the field with its covariance; nothing read or written is counted.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import tifffile

from voltome.dvc import correlate_local
from voltome.io import read_phi_tsv

THREADS = 2


def main(out: str, reference: str, deformed: str, registration: str, spacing: str, half_window: str) -> None:
    """Write the CPU seconds of `correlate_local`."""
    volumes = [tifffile.imread(path) for path in (reference, deformed)]
    start = read_phi_tsv(registration)
    clock = time.process_time()
    correlate_local(
        volumes[0], volumes[1], node_spacing_vox=int(spacing), half_window_vox=int(half_window), initial_phi=start,
        threads=THREADS,
    )  # fmt: skip
    Path(out).write_text(json.dumps(time.process_time() - clock))


if __name__ == "__main__":
    main(*sys.argv[1:])
