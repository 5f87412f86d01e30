"""Run a command and write what it cost as JSON: python measure.py COST.json LOG COMMAND...

A small process of its own, because a child's peak memory begins with that of the process it was forked from.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

WARM_BYTES = 2 << 30
# On a virtual machine the first touch of a cold page can cost seconds a gigabyte, and falls on whoever runs first. The
# memory is touched by a process that has ended when the command starts.
_TOUCH = f"import numpy; memory = numpy.zeros({WARM_BYTES}, numpy.uint8); memory[::4096] = 1"


def main(cost_file: str, log_file: str, *command: str) -> int:
    """CPU is user + system time of the command and of all its children; the peak that of its largest process."""
    # One thread per process for linear algebra: neither tool gains from more on 12 x 12 systems.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", _TOUCH], check=True)
    with open(log_file, "wb") as log:
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    unit = 1 if sys.platform == "darwin" else 1024
    cost = {"cpu_s": usage.ru_utime + usage.ru_stime, "wall_s": wall_s, "peak_rss_bytes": usage.ru_maxrss * unit}
    with open(cost_file, "w", encoding="utf-8") as sink:
        json.dump(cost, sink)
    return process.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
