"""One seed is one electrode, whatever kernels BLAS, libm and NumPy choose for a processor."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

SCRIPT = """
import hashlib
from voltome.twin import ElectrodeTwin, make_settings, render_block
twin = ElectrodeTwin(make_settings("tiny", seed=0))
grey, phases, _ = render_block(twin, 2, tuple(slice(0, n) for n in twin.settings.shape))
print(hashlib.sha256(phases.tobytes()).hexdigest(), f"{grey.mean():.4f}")
"""
OTHER = {
    "OPENBLAS_CORETYPE": "Prescott",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX2,-FMA",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
}


def test_phases_of_a_seed_are_those_of_another_processor() -> None:
    from voltome.twin import ElectrodeTwin, make_settings, render_block

    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT],
        env=os.environ | OTHER,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    twin = ElectrodeTwin(make_settings("tiny", seed=0))
    z, y, x = twin.settings.shape
    grey, phases, _ = render_block(twin, 2, (slice(0, z), slice(0, y), slice(0, x)))
    found, mean = told.stdout.split()
    assert found == hashlib.sha256(phases.tobytes()).hexdigest()
    assert abs(float(mean) - grey.mean()) < 1e-3
