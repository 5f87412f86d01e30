"""A study is run: what is made, what is kept, and what a run survives."""

from __future__ import annotations

import hashlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from voltome import io
from voltome.errors import InputError
from voltome.study.correlating import plan_increments
from voltome.study.executors import open_workers
from voltome.study.lookout import take_in_scans
from voltome.study.marks import find_marks, read_mark
from voltome.study.result import Result, Step
from voltome.study.runner import plan_study, run_study
from voltome.study.status import read_status
from voltome.study.steps import STEPS
from voltome.study.study_file import load_study

NOT_RESULTS = ("run/", "ro-crate-metadata.json")


def run(film, out, *, steps=None, threads=2):
    with open_workers(threads=threads) as workers:
        return run_study(load_study(film), out, workers, steps=steps)


def digest_results(store: Path) -> dict[str, str]:
    """Every file of the results; what says when a run was is none."""
    files = [path for path in store.rglob("*") if path.is_file()]
    names = {path.relative_to(store).as_posix(): path for path in files}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in sorted(names.items())
        if not name.startswith(NOT_RESULTS)
    }


def check_same(store: Path, other: Path) -> None:
    found, expected = digest_results(store), digest_results(other)
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []


def check_tidy(store: Path) -> None:
    """Nothing half-written is left."""
    hidden = [path for path in store.rglob(".*") if path.name != ".zattrs"]
    assert hidden == []
    assert not (store / "run" / "work").exists()


@pytest.fixture
def film(speckle_film, tmp_path):
    """A copy of the study that a test may change."""
    return shutil.copytree(speckle_film, tmp_path / "film")


@pytest.fixture
def store(speckle_store, tmp_path):
    """A copy of its results that a test may spoil."""
    return shutil.copytree(speckle_store, tmp_path / "store")


def test_the_stretch_that_was_put_in_comes_out(speckle_store):
    rows = io.read_parquet(speckle_store / "tables" / "scans.parquet")
    assert rows["name"].tolist() == ["T0", "T1", "T2"]
    np.testing.assert_allclose(rows["strain_zz"][1:], np.log(1.03), atol=1e-3)
    np.testing.assert_allclose(rows["strain_xx"][1:], np.log(0.99), atol=1e-3)
    assert (rows["nodes_trusted"][1:] > 0.9 * rows["nodes"][1:]).all()
    assert rows["composed_direct_vox"][2] < 0.02
    noise = io.read_json(speckle_store / "noise" / "T1-T2" / "noise.json")
    assert noise["refused"] is None
    assert 0.5 < noise["factor_u"] < 2.0


def test_every_result_says_what_made_it(speckle_film, speckle_store):
    plan = plan_study(load_study(speckle_film), STEPS)
    assert find_marks(speckle_store) == sorted(plan)
    mark = read_mark(speckle_store, "increments/T0-T1")
    assert mark.inputs.keys() == {"volumes/T0", "volumes/T1", "region/T0"}
    assert mark.inputs["volumes/T1"] == read_mark(speckle_store, "volumes/T1").key
    assert mark.parameters["half_window_vox"] == 10
    text = (speckle_store / "made_by" / "increments" / "T0-T1.json").read_text()
    assert str(speckle_film.parent) not in text


def test_a_second_run_has_nothing_to_do(speckle_film, store):
    before = digest_results(store)
    summary = run(speckle_film, store)
    assert summary.made == ()
    assert len(summary.kept) == len(find_marks(store))
    assert digest_results(store) == before


def test_one_thread_gives_the_same_bytes_as_two(foil_film, foil_store, tmp_path):
    assert not run(foil_film, tmp_path / "out", threads=1).failed
    check_same(tmp_path / "out", foil_store)
    check_tidy(tmp_path / "out")
    shown = {"report.html", "movie.mp4", "figures/thickness.png", "figures/thickness.svg", "surface/T3/thickness.tif"}
    assert shown | {"alignment/T1/summary.json", "electrode/measurements.csv"} <= digest_results(foil_store).keys()


def test_every_figure_is_a_picture_a_drawing_and_the_numbers_behind_it(foil_store):
    files = sorted(path.name for path in (foil_store / "figures").iterdir())
    names = {name.split(".")[0] for name in files}
    assert files == sorted(f"{name}.{kind}" for name in names for kind in ("csv", "png", "svg"))
    assert {"alignment", "thickness", "thickness-maps", "volumetric-strain", "histograms", "axial-strain",
            "components", "hysteresis", "errors", "slices"} <= names  # fmt: skip
    page = (foil_store / "report.html").read_text()
    for name in names:
        assert (foil_store / "figures" / f"{name}.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        assert "<svg" in (foil_store / "figures" / f"{name}.svg").read_text()[:2000]
        assert len((foil_store / "figures" / f"{name}.csv").read_text().splitlines()) > 2
        assert f"{name}.csv" in page


def test_the_movie_is_h264_and_moves(foil_store):
    command = [get_ffmpeg_exe(), "-i", str(foil_store / "movie.mp4"), "-vf", "scale=64:48"]
    shown = subprocess.run([*command, "-f", "rawvideo", "-pix_fmt", "gray", "-"], capture_output=True, check=True)
    assert "Video: h264" in shown.stderr.decode()
    pictures = np.frombuffer(shown.stdout, np.uint8).reshape(-1, 48, 64).astype(int)
    assert len(pictures) > 10
    assert (np.abs(pictures[-1] - pictures[0]) > 8).mean() > 0.02


def test_processes_give_the_same_bytes_as_threads(speckle_film, speckle_store, tmp_path):
    with open_workers(processes=2) as workers:
        assert not run_study(load_study(speckle_film), tmp_path / "out", workers).failed
    check_same(tmp_path / "out", speckle_store)


def test_a_changed_parameter_redoes_what_depends_on_it_and_nothing_else(film, store):
    text = (film / "study.yaml").read_text()
    (film / "study.yaml").write_text(text + "strain:\n  measure: small\n")
    summary = run(film, store)
    assert sorted(summary.made) == [
        "cumulative/T1", "cumulative/T2", "electrode/all", "figures/all", "movie/all", "report/all", "tables/all"
    ]  # fmt: skip
    (film / "study.yaml").write_text(text.replace("half_window_vox: 10", "half_window_vox: 9"))
    made = run(film, store).made
    assert not [name for name in made if name.startswith(("grey", "series", "volumes", "region"))]
    assert {"increments/T0-T1", "increments/T1-T2", "direct/T2", "noise/T1-T2"} <= set(made)


def test_parameters_that_are_changed_back_give_the_same_bytes_again(film, store, speckle_store):
    text = (film / "study.yaml").read_text()
    (film / "study.yaml").write_text(text + "strain:\n  measure: small\n")
    run(film, store)
    assert digest_results(store) != digest_results(speckle_store)
    (film / "study.yaml").write_text(text)
    run(film, store)
    check_same(store, speckle_store)


def test_other_grey_values_in_a_scan_redo_what_was_made_from_it(film, store):
    volume = io.read_volume(film / "T2.tif")
    volume[3, 4, 5] += 1
    io.write_volume(film / "T2.tif", volume, overwrite=True)
    made = run(film, store).made
    assert "volumes/T2" in made and "increments/T1-T2" in made
    assert "volumes/T1" not in made and "increments/T0-T1" not in made and "cumulative/T1" in made  # its noise


def test_a_scan_that_is_renamed_on_disk_alone_redoes_nothing(film, store):
    (film / "T1.tif").rename(film / "first charge.tif")
    text = (film / "study.yaml").read_text().replace("T1.tif", "first charge.tif")
    (film / "study.yaml").write_text(text)
    assert run(film, store).made == ()


def test_a_scan_that_leaves_the_study_leaves_the_store(film, store, speckle_store):
    lines = (film / "study.yaml").read_text().splitlines(keepends=True)
    (film / "study.yaml").write_text("".join(line for line in lines if "T2" not in line))
    summary = run(film, store)
    assert "volumes/T2" in summary.removed and "direct/T2" in summary.removed
    assert not [name for name in digest_results(store) if "T2" in name or name.startswith("volumes.zarr/0/c/2")]
    (film / "study.yaml").write_text("".join(lines))
    made = run(film, store).made
    assert "volumes/T1" not in made and "increments/T0-T1" not in made
    check_same(store, speckle_store)


@pytest.mark.parametrize(
    ("file", "result"),
    [
        ("volumes.zarr/0/c/1/0/0/0", "volumes/T1"),
        ("volumes.zarr/1/zarr.json", "series/volumes"),
        ("increments/T0-T1/field.zarr/phi/c/0/0/0/0/0", "increments/T0-T1"),
        ("tables/nodes.parquet", "tables/all"),
    ],
)
def test_a_damaged_file_is_found_named_and_made_again(speckle_film, store, speckle_store, file, result):
    content = bytearray((store / file).read_bytes())
    content[len(content) // 2] ^= 1
    (store / file).write_bytes(content)
    summary = run(speckle_film, store)
    assert summary.damaged == {result: file}
    assert summary.made == (result,)
    check_same(store, speckle_store)


def test_a_file_that_is_cut_short_or_gone_is_made_again(speckle_film, store, speckle_store):
    shard, table = store / "volumes.zarr/0/c/2/0/0/0", store / "tables" / "scans.parquet"
    shard.write_bytes(shard.read_bytes()[:1000])
    table.unlink()
    assert set(run(speckle_film, store).made) == {"volumes/T2", "tables/all"}
    check_same(store, speckle_store)


def test_damage_that_only_reading_finds_is_made_again_in_the_same_run(film, store, speckle_store):
    shard = store / "volumes.zarr/0/c/0/0/0/0"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    hashes = io.FileHashes(store / "run" / "stat.json")
    mark = read_mark(store, "volumes/T0")
    time.sleep(2.1)  # younger files are read again in any case
    hashes.remember(shard, mark.files["volumes.zarr/0/c/0/0/0/0"][1])  # a disk that rots tells nobody
    hashes.save()
    text = (film / "study.yaml").read_text()
    (film / "study.yaml").write_text(text.replace("half_window_vox: 10", "half_window_vox: 9"))
    summary = run(film, store)
    assert summary.damaged == {"volumes/T0": "volumes.zarr/0/c/0/0/0/0"}
    assert not summary.failed
    (film / "study.yaml").write_text(text)
    run(film, store)
    check_same(store, speckle_store)


def test_a_second_run_on_one_store_is_refused(speckle_film, store):
    with io.hold_lock(store / "run" / "lock"), pytest.raises(InputError, match="is being run by process"):
        run(speckle_film, store)


def test_a_folder_with_other_things_is_refused(speckle_film, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match=r"holds thesis\.tex and no study's results"):
        run(speckle_film, tmp_path)


def stumble(counter, times):
    """Fail as often as it is told, then do."""
    tried = Path(counter)
    count = int(tried.read_text()) if tried.exists() else 0
    tried.write_text(str(count + 1))
    if count < times:
        raise ValueError(f"stumbled {count + 1} times")
    return {"count": np.array(count)}


def make_steps(counter, times):
    """A study of four results, the second of which stumbles, the third of which waits for it."""

    def make(job):
        with io.staged_directory(job.out, overwrite=True) as folder:
            if job.result.subject == "b":
                found = job.run("stumble", stumble, str(counter), times)
                io.write_json(folder / "summary.json", {"count": int(found["count"])})
            else:
                io.write_json(folder / "summary.json", {"subject": job.result.subject})
        job.publish(job.result.name)

    def plan(study):
        yield Result("letters", "a")
        yield Result("letters", "b", inputs=("letters/a",))
        yield Result("letters", "c", inputs=("letters/b",))
        yield Result("letters", "d", inputs=("letters/a",), optional=("letters/b",))

    return (Step("letters", 1, plan, make),)


def test_a_block_that_stumbles_is_tried_again(speckle_film, tmp_path):
    summary = run(speckle_film, tmp_path / "out", steps=make_steps(tmp_path / "counter", 2))
    assert sorted(summary.made) == ["letters/a", "letters/b", "letters/c", "letters/d"]
    timings = io.read_json(tmp_path / "out" / "run" / "timings.json")
    assert timings["results"]["letters/b"]["retries"] == 2


def test_a_block_that_fails_for_good_is_told_and_the_rest_goes_on(speckle_film, tmp_path):
    steps = make_steps(tmp_path / "counter", 99)
    summary = run(speckle_film, tmp_path / "out", steps=steps)
    assert summary.failed == {"letters/b": "ValueError: stumbled 3 times"}
    assert summary.held_up == ("letters/c",)
    assert sorted(summary.made) == ["letters/a", "letters/d"]
    (tmp_path / "counter").write_text("1000")  # mended
    summary = run(speckle_film, tmp_path / "out", steps=steps)
    assert sorted(summary.made) == ["letters/b", "letters/c", "letters/d"]
    assert summary.kept == ("letters/a",)


def start(film, out, *options, **how):
    command = [sys.executable, "-m", "voltome", "run", str(film), "--out", str(out), "--threads", "2", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how)


@pytest.mark.parametrize("options", [[], ["--processes", "2"]], ids=["threads", "processes"])
def test_runs_that_are_killed_at_any_moment_end_with_the_same_bytes(speckle_film, speckle_store, tmp_path, options):
    """Killed as soon as so many results stand, and at once in between: four times, by chance where."""
    out, draw = tmp_path / "out", random.Random(len(options))
    total = _count_results(speckle_store)
    kills = 0
    for target in sorted(draw.sample(range(1, total - 2), 4)):
        process = start(speckle_film, out) if not options else _start_processes(speckle_film, out)
        while process.poll() is None and _count_results(out) < target:
            time.sleep(draw.uniform(0.0, 0.05))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        assert process.wait(timeout=60) in (0, -signal.SIGKILL)
        for pipe in (process.stdout, process.stderr):
            pipe.close()
    assert kills >= 2
    process = start(speckle_film, out) if not options else _start_processes(speckle_film, out)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    check_same(out, speckle_store)
    check_tidy(out)


def _count_results(store):
    return sum(1 for _ in (store / "made_by").rglob("*.json")) if store.exists() else 0


def _start_processes(film, out):
    command = [sys.executable, "-m", "voltome", "run", str(film), "--out", str(out), "--processes", "2"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_disk_that_fills_up_stops_the_run_cleanly_and_it_goes_on_later(speckle_film, speckle_store, tmp_path):
    out = tmp_path / "out"

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    process = start(speckle_film, out, preexec_fn=limit)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert len(errors.splitlines()) == 1 and "file too large" in errors
    assert not run(speckle_film, out).failed
    check_same(out, speckle_store)
    check_tidy(out)


@pytest.fixture
def cluster(tmp_path):
    """Address of a Dask scheduler, and its two worker processes."""
    pytest.importorskip("distributed", reason="Dask is an extra: pip install voltome[cluster]")
    where = tmp_path / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path}
    scheduler = ["scheduler", "--port", "0", "--scheduler-file", str(where), "--no-dashboard"]
    worker = ["worker", "--scheduler-file", str(where), "--nthreads", "1", "--no-nanny", "--no-dashboard"]
    processes = [subprocess.Popen([*dask, *scheduler], **quiet)]
    processes += [subprocess.Popen([*dask, *worker], **quiet) for _ in range(2)]
    try:
        from distributed import Client

        with Client(scheduler_file=str(where), timeout=60, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
            address = client.scheduler.address
        yield address, processes[1:]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_dask_workers_give_the_same_bytes_though_one_is_killed(speckle_film, speckle_store, tmp_path, cluster):
    address, (victim, _) = cluster
    out = tmp_path / "out"

    def kill():
        while not (out / "made_by" / "volumes" / "T1.json").exists():
            time.sleep(0.01)
        victim.kill()

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    with open_workers(dask=address) as workers:
        assert workers.count == 2
        summary = run_study(load_study(speckle_film), out, workers)
    killer.join(10)
    assert victim.wait(10) == -signal.SIGKILL
    assert not summary.failed
    check_same(out, speckle_store)
    check_tidy(out)


def test_a_scheduler_that_does_not_answer_is_told_in_one_line():
    pytest.importorskip("distributed", reason="Dask is an extra: pip install voltome[cluster]")
    with (
        pytest.raises(InputError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"),
        open_workers(dask="tcp://127.0.0.1:9"),
    ):
        pass


def test_a_worker_process_that_is_killed_is_replaced(speckle_film, speckle_store, tmp_path):
    out, killed = tmp_path / "out", []

    def kill():
        while not (out / "made_by" / "volumes" / "T1.json").exists():
            time.sleep(0.01)
        victims = [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]
        victims[0].kill()
        killed.append(victims[0].pid)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    with open_workers(processes=2) as workers:
        summary = run_study(load_study(speckle_film), out, workers)
    killer.join(10)
    assert killed
    assert not summary.failed
    check_same(out, speckle_store)


def test_slurm_without_its_configuration_is_told_in_one_line(tmp_path, monkeypatch):
    pytest.importorskip("dask_jobqueue", reason="an extra: pip install voltome[cluster]")
    (tmp_path / "sbatch").write_text("#!/bin/sh\n")
    (tmp_path / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(InputError, match="SLURM needs cores and memory"), open_workers(slurm=2):
        pass


def test_two_kinds_of_workers_at_once_are_refused():
    with pytest.raises(InputError, match=r"got threads, processes"), open_workers(threads=2, processes=2):
        pass


def test_what_is_of_an_earlier_state_of_the_study_is_told_so(film, store):
    text = (film / "study.yaml").read_text()
    (film / "study.yaml").write_text(text.replace("half_window_vox: 10", "half_window_vox: 9"))
    steps = [step for step in STEPS if step.name not in ("increments", "direct")]
    lost = Step("increments", 1, plan_increments, refuse)
    place = 1 + [step.name for step in steps].index("region")
    run(film, store, steps=[*steps[:place], lost, *steps[place:]])
    states = {result.name: result.state for result in read_status(store).results}
    assert states["increments/T0-T1"] == "failed"
    assert states["cumulative/T2"] == "outdated"
    assert states["volumes/T2"] == "done"


def refuse(job):
    raise InputError("the beam is down: wait for it")


def test_a_run_that_is_stopped_leaves_what_it_had_not_reached_outdated(film, store):
    text = (film / "study.yaml").read_text()
    (film / "study.yaml").write_text(text.replace("half_window_vox: 10", "half_window_vox: 9"))

    def stop(stage, done, total):
        if stage == "region" and done == total:
            raise KeyboardInterrupt

    with open_workers(threads=1) as workers, pytest.raises(KeyboardInterrupt):
        run_study(load_study(film), store, workers, on_progress=stop)
    states = {result.name: result.state for result in read_status(store).results}
    assert states["cumulative/T2"] == states["tables/all"] == "outdated"
    assert states["volumes/T2"] == "done"


def test_nodes_whose_matter_leaves_the_next_region_are_filled_and_counted(film, tmp_path):
    text = (film / "study.yaml").read_text().replace("region_m: all", "region_m: {z: [0.0, 2.0e-06]}")
    (film / "study.yaml").write_text(text)  # 40 of 70 voxels, of which the last ones move beyond
    assert not run(film, tmp_path / "out").failed
    first, second = (io.read_json(tmp_path / "out" / "cumulative" / name / "summary.json") for name in ("T1", "T2"))
    assert first["nodes"] == second["nodes"]
    assert second["nodes_trusted"] + second["nodes_filled"] <= second["nodes"]
    field = io.read_field_zarr(tmp_path / "out" / "cumulative" / "T2" / "field.zarr")
    assert np.isfinite(field.phi[field.status != -5]).all()


@pytest.mark.parametrize("address", ["nonsense", "node:8786", "tcp://node"])
def test_an_address_that_is_none_is_refused(address):
    pytest.importorskip("distributed", reason="Dask is an extra: pip install voltome[cluster]")
    with pytest.raises(InputError, match="must be such as tcp://node:8786"), open_workers(dask=address):
        pass


def test_slurm_where_no_jobs_are_submitted_is_told_in_one_line(monkeypatch):
    pytest.importorskip("distributed", reason="Dask is an extra: pip install voltome[cluster]")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InputError, match="sbatch is not on this machine"), open_workers(slurm=2):
        pass


def test_scans_that_match_the_pattern_are_run_too(film, tmp_path):
    lines = (film / "study.yaml").read_text().splitlines(keepends=True)
    text = "".join(line for line in lines if "name: T1" not in line and "name: T2" not in line)
    (film / "study.yaml").write_text(text + "watch: {incoming: T*.tif}\n")
    study = take_in_scans(load_study(film), tmp_path / "out")
    assert [scan.name for scan in study.settings.scans] == ["T0", "T1", "T2"]
    (film / "T1.tif").unlink()
    (film / "T2.tif").unlink()
    with pytest.raises(InputError, match="two scans are needed"):
        take_in_scans(load_study(film), tmp_path / "out")
