"""The study: composed displacement against truth, what scheduling costs, Dask beside threads, memory.

python benchmarks/study.py [--experiment DIR] [--out DIR]: simulates the twin `small` unless it is given.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from voltome import io
from voltome.pipeline.simulate import simulate_experiment
from voltome.study.executors import open_workers
from voltome.study.runner import run_study
from voltome.study.study_file import load_study
from voltome.twin.configuration import make_settings

HALF_WINDOWS_VOX = (12, 20)


def write_variant(experiment: Path, name: str, **correlation: object) -> Path:
    """The experiment's study with other settings of the correlation."""
    values = io.read_yaml(experiment / "study.yaml")
    values["correlation"] = values["correlation"] | correlation
    path = experiment / f"{name}.yaml"
    io.write_yaml(path, values, overwrite=True)
    return path


def measure_accuracy(experiment: Path, out: Path) -> None:
    """Median error of composed displacement at every step, for each half window."""
    for half in HALF_WINDOWS_VOX:
        study = load_study(write_variant(experiment, f"accuracy{half}", half_window_vox=half))
        with open_workers() as workers:
            summary = run_study(study, out / f"accuracy{half}", workers)
        rows = io.read_parquet(out / f"accuracy{half}" / "tables" / "scans.parquet")
        share = 100 * (1 - summary.work_cpu_s / summary.cpu_s)
        effort = f"{summary.seconds:.0f} s, {summary.cpu_s:.0f} CPU s, of which scheduling {share:.1f} %"
        print(f"\nhalf window {half}: {effort}")
        print("scan  trusted  of nodes  error (window)  error (node)  composed - direct")
        for i, name in enumerate(rows["name"]):
            if rows["nodes"][i] > 0:
                counts = f"{name:5s} {rows['nodes_trusted'][i]:7.0f} {rows['nodes'][i]:9.0f}"
                errors = f"{rows['truth_error_vox'][i]:14.3f} {rows['truth_error_at_node_vox'][i]:13.3f}"
                print(f"{counts} {errors} {rows['composed_direct_vox'][i]:17.3f}")


@contextmanager
def start_cluster(folder: Path) -> Iterator[str]:
    """Scheduler and two workers of one thread each on this machine."""
    where = folder / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    commands = [[*dask, "scheduler", "--port", "0", "--scheduler-file", str(where), "--no-dashboard"]]
    worker = [*dask, "worker", "--scheduler-file", str(where), "--nthreads", "1", "--no-dashboard", "--no-nanny"]
    commands += [worker, worker]
    processes = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)
        for command in commands
    ]
    try:
        while not where.exists():
            time.sleep(0.1)
        from distributed import Client

        with Client(scheduler_file=str(where), timeout=60, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
        yield json.loads(where.read_text())["address"]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def compare_executors(experiment: Path, out: Path, rounds: int) -> None:
    """Wall time of the same study on two threads and on two Dask workers, in turns."""
    study = load_study(write_variant(experiment, "executors", direct_check=False))
    study = type(study)(study.settings.model_copy(update={"truth": None}), study.path, study.folder)
    seconds: dict[str, list[float]] = {"threads": [], "dask": []}
    for number in range(rounds):
        with open_workers(threads=2) as workers:
            seconds["threads"].append(run_study(study, out / f"threads{number}", workers).seconds)
        with (
            tempfile.TemporaryDirectory() as folder,
            start_cluster(Path(folder)) as address,
            open_workers(dask=address) as workers,
        ):
            summary = run_study(study, out / f"dask{number}", workers)
            assert not summary.failed, summary.failed
            seconds["dask"].append(summary.seconds)
    ratio = np.median(np.array(seconds["threads"]) / np.array(seconds["dask"]))
    print(
        f"\ntwo threads {seconds['threads']} s, two Dask workers {seconds['dask']} s: throughput {ratio:.2f} of threads"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiment", type=Path, help="what voltome simulate --size small wrote")
    parser.add_argument("--out", type=Path, help="folder for the stores")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["accuracy", "executors"])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = given.out or Path(folder)
        experiment = given.experiment or out / "small"
        if not experiment.exists():
            simulate_experiment(make_settings("small"), experiment)
        if given.only != "executors":
            measure_accuracy(experiment, out)
        if given.only != "accuracy":
            compare_executors(experiment, out, given.rounds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\npeak memory of this process {peak:.2f} GiB")


if __name__ == "__main__":
    main()
