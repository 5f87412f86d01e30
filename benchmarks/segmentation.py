"""Segmentation: accuracy on the twin and on a real sandstone, what the shipped weights gain, RNL, speed.

    python benchmarks/segmentation.py twin|gain|sandstone|rnl|speed ... [--work DIR] [--threads 2]

Each part prints tables in Markdown, which stand in docs/accuracy.md and docs/benchmarks.md. Rendered slices and trained
models are kept in the work folder and used again: the first run of `twin` takes more than an hour, others are shorter.
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pages import make_table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples"))
from train_on_twin import NAMES, PHASES, PLANES, cut_slice

from voltome.pipeline.model_training import train_model
from voltome.pipeline.segment import load_model
from voltome.segmentation import LabelledSlice, TrainingSettings, decide, open_predictor, predict_block
from voltome.segmentation.amounts import find_relative_sd, tally_phase
from voltome.twin import ElectrodeTwin, make_settings, render_block

DATA = Path(os.environ.get("VOLTOME_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
TRAINED_ON, TESTED_ON = 2, {3: 2, 101: 4}
"""Seeds of the twin, and how many slices of each step. The shipped weights know 101: they are judged on 3 alone."""
EARLY, LATE = (0, 1, 2), (3, 4, 5, 6, 7, 8)
JOINT = {0: 2, 1: 2, 2: 2, 3: 1, 4: 1, 5: 1, 6: 2, 8: 1}
"""Annotated slices of each step: twelve for one model. T7 is held out."""
SPECIALISTS = {
    "early": dict.fromkeys(EARLY, 4),
    "late": dict.fromkeys(LATE, 2),
    "early-same": {step: count for step, count in JOINT.items() if step in EARLY},
    "late-same": {step: count for step, count in JOINT.items() if step in LATE},
}
"""As in the paper: 4 a step of T0 to T2, 2 a step of T3 to T8. Two others share the twelve slices of the one model."""
OFFSETS = (0, 150, 300, 400)
ROWS = 256
COPPER_ROWS = 90
"""Copper ends at 56 rows of 50 nm; where it blurs is left out of scores and volumes."""


def render_slices(work: Path, size: str, seed: int, threads: int, count: int = 4) -> dict[int, list[LabelledSlice]]:
    """Up to four cross-sections of each step of an experiment at random places, with their truth."""
    path = work / f"slices-{size}-{seed}.npz"
    if not path.exists():
        twin = ElectrodeTwin(make_settings(size, seed=seed))  # type: ignore[arg-type]
        depth, width, _ = twin.settings.shape
        random, places = np.random.default_rng(seed), []
        for number, step in enumerate(twin.settings.steps):
            if not step.repeat:
                chosen = np.sort(random.choice(np.arange(10, width - 10), 4, replace=False))
                places += [(number, int(y)) for y in chosen[:: 4 // count]]
                random.choice(np.arange(int(0.08 * depth), int(0.75 * depth)), 4, replace=False)  # places across z
        with ThreadPoolExecutor(threads) as pool:
            slices = list(pool.map(lambda place: cut_slice(twin, "", *place), places))
        arrays = {}
        for (number, y), one in zip(places, slices, strict=True):
            arrays |= {f"{number}_{y}_image": one.image, f"{number}_{y}_labels": one.labels}
        np.savez(path, **arrays)
    found: dict[int, list[LabelledSlice]] = {}
    with np.load(path) as arrays:
        for name in arrays:
            number, y, what = name.split("_")
            if what == "image":
                labels = arrays[f"{number}_{y}_labels"]
                one = LabelledSlice(f"T{number} y={y}", arrays[name], labels, f"T{number}")
                found.setdefault(int(number), []).append(one)
    return found


def annotate(slices: dict[int, list[LabelledSlice]], counts: dict[int, int]) -> list[LabelledSlice]:
    """Crops of 256 x 512 pixels, such as a person labels, of so many slices a step."""
    out = []
    for number, count in counts.items():
        for k, whole in enumerate(slices[number][:count]):
            first = OFFSETS[(number + k) % len(OFFSETS)]
            rows = slice(first, first + ROWS)
            image, labels = whole.image[:, rows].copy(), whole.labels[rows].copy()
            out.append(LabelledSlice(f"{whole.name} rows {first}", image, labels, whole.group))
    return out


def train(work: Path, name: str, slices: Sequence[LabelledSlice], threads: int, **options: Any) -> Path:
    """Train a model, or take the one that stands; says what it cost."""
    path = work / f"{name}.safetensors"
    if not path.exists():
        wall, cpu = time.perf_counter(), time.process_time()
        train_model(slices, path, names=NAMES, axis="y", threads=threads, overwrite=True, **options)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(f"{name}: {len(slices)} slices, {wall:.0f} s, {cpu:.0f} CPU s on {threads} threads", flush=True)
    return path


def judge(
    path: Path | str, slices: dict[int, list[LabelledSlice]], steps: Sequence[int], threads: int, flips: int = 1
) -> dict[int, NDArray[np.float64]]:
    """By step: voxels both, predicted, true, expected, above 0.3 and 0.7, silicon beyond the copper."""
    model = load_model(path)
    predictor = open_predictor(model, threads=threads, flips=flips)
    silicon = int(model.codes[model.find_class("silicon")])
    out = {}
    for number in steps:
        sums = np.zeros(6)
        for one in slices[number]:
            rows, columns = one.labels.shape
            volume = one.image.swapaxes(0, 1)
            block = (slice(0, rows), slice(PLANES // 2, PLANES // 2 + 1), slice(0, columns))
            likely = predict_block(predictor, model, np.ascontiguousarray(volume), block)[:, :, 0]
            phases, sure = (values[COPPER_ROWS:] for values in decide(likely, model.codes))
            truth = one.labels[COPPER_ROWS:] == silicon
            counted = tally_phase(phases, sure, np.ones_like(truth), silicon)
            sums += [((phases == silicon) & truth).sum(), counted[0], truth.sum(), *counted[1:4]]
        out[number] = sums
    return out


def dice(sums: NDArray[np.float64]) -> float:
    """Of silicon."""
    return float(2 * sums[0] / (sums[1] + sums[2]))


def run_twin(work: Path, threads: int) -> None:
    """One model against two specialists, on seeds and steps that none has seen."""
    known = render_slices(work, "paper", TRAINED_ON, threads)
    tests = [render_slices(work, "paper", seed, threads, count) for seed, count in TESTED_ON.items()]
    paths = {"joint": train(work, "joint", annotate(known, JOINT), threads)}
    for name, counts in SPECIALISTS.items():
        paths[name] = train(work, name, annotate(known, counts), threads, settings=TrainingSettings(folds=0))
    found = {name: [judge(path, test, range(9), threads) for test in tests] for name, path in paths.items()}
    found["shipped"] = [judge("twin", tests[0], range(9), threads)]
    found["flips 8"] = [judge(paths["joint"], test, range(9), threads, flips=8) for test in tests]
    rows = []
    for step in range(9):
        per = {name: [one[step] for one in many] for name, many in found.items()}
        own = "early" if step in EARLY else "late"
        rows.append(
            [f"T{step}", *(f"{np.mean([dice(s) for s in per[name]]):.4f}" for name in ("joint", own, "shipped"))]
            + [" ".join(f"{100 * (s[3] / s[2] - 1):+.1f}" for s in per[name]) for name in ("joint", own, "shipped")]
        )
    header = ("step", "one model", "specialist", "shipped", "volume, one model (%)", "specialist", "shipped")
    print(make_table(header, rows))
    for name, steps in (("early", EARLY), ("late", LATE)):
        cells = []
        for which in ("joint", "flips 8", name, f"{name}-same", "shipped"):
            cells.append(f"{which} {np.mean([dice(sum(one[s] for s in steps)) for one in found[which]]):.4f}")  # type: ignore[arg-type]
        print(f"{name}: {', '.join(cells)}")
    print_switch(found)


def print_switch(found: dict[str, list[dict[int, NDArray[np.float64]]]]) -> None:
    """How far the error of silicon's volume jumps from T2 to T3, where the paper changed its model.

    Steps show different slices, so that their volumes cannot be compared, but the errors of their volumes can.
    """

    def jump(before: NDArray[np.float64], now: NDArray[np.float64]) -> str:
        return f"{100 * (now[3] / now[2] - before[3] / before[2]):+.1f}"

    rows = []
    for number, seed in enumerate(TESTED_ON):
        joint, early, late = (found[name][number] for name in ("joint", "early", "late"))
        before, after = found["early-same"][number][2], found["late-same"][number][3]
        pairs = ((joint[2], joint[3]), (early[2], late[3]), (before, after), (early[2], early[3]), (late[2], late[3]))
        rows.append([str(seed), *(jump(*pair) for pair in pairs)])
    print("error of the volume at T3 less that at T2 (points):")
    print(
        make_table(("seed", "one model", "early, then late", "of the same labels", "early alone", "late alone"), rows)
    )


def run_gain(work: Path, threads: int) -> None:
    """What starting from the shipped weights gains, at 3, 6 and 12 slices of another experiment."""
    known = render_slices(work, "paper", TRAINED_ON, threads)
    tests = [render_slices(work, "paper", seed, threads, count) for seed, count in TESTED_ON.items()]
    few = {3: {0: 1, 2: 1, 6: 1}, 6: {0: 1, 1: 1, 2: 1, 3: 1, 5: 1, 6: 1}, 12: JOINT}
    tests = tests[:1]
    rows = []
    for count, counts in few.items():
        for start in (None, "twin"):
            name = f"gain-{count}-{start or 'random'}"
            options = TrainingSettings(epochs=40, folds=0, rate=3e-3 if start is None else 1e-3)
            path = train(work, name, annotate(known, counts), threads, settings=options, start=start)
            found = [judge(path, test, range(9), threads) for test in tests]
            cells = [f"{np.mean([dice(sum(one[s] for s in steps)) for one in found]):.4f}" for steps in (EARLY, LATE)]  # type: ignore[arg-type]
            rows.append([str(count), start or "random", *cells])
    print(make_table(("slices", "start", "Dice early", "Dice late"), rows))


def run_sandstone(work: Path, threads: int) -> None:
    """Real CT, four classes, isolated slices."""

    def read(name: str) -> LabelledSlice:
        import tifffile

        folder = DATA / "segmentation" / "sandstone"
        image, mask = (tifffile.imread(folder / kind / f"{name}.tif") for kind in ("images", "masks"))
        bits = (mask > 127).astype(np.uint8)
        codes = (4 * bits[..., 0] + 2 * bits[..., 1] + bits[..., 2]).astype(np.uint8)
        return LabelledSlice(name, (image if image.ndim == 2 else image[..., 0])[None], codes, name)

    known = [read(name) for name in ("0000", "0050", "0100", "0200", "0300", "0400")]
    tests = [read(name) for name in ("0150", "0250", "0350")]
    path = work / "sandstone.safetensors"
    if not path.exists():
        begin = time.perf_counter()
        train_model(known, path, threads=threads, settings=TrainingSettings(folds=0))
        print(f"sandstone: {time.perf_counter() - begin:.0f} s on {threads} threads", flush=True)
    model = load_model(path)
    for flips in (1, 8):
        predictor = open_predictor(model, threads=threads, flips=flips)
        total = np.zeros((len(model.codes), 3))
        for one in tests:
            rows, columns = one.labels.shape
            likely = predict_block(predictor, model, one.image, (slice(0, 1), slice(0, rows), slice(0, columns)))
            phases, _ = decide(likely[:, 0], model.codes)
            for i, code in enumerate(model.codes):
                here, there = phases == code, one.labels == code
                total[i] += (here & there & (one.labels > 0)).sum(), (here & (one.labels > 0)).sum(), there.sum()
        scores = 2 * total[:, 0] / (total[:, 1] + total[:, 2])
        cells = ", ".join(f"class {code} {score:.4f}" for code, score in zip(model.codes, scores, strict=True))
        print(f"sandstone, {flips} flips: mean {scores.mean():.4f} ({cells})", flush=True)


def run_rnl(work: Path, threads: int, seeds: Sequence[int], model_name: str = "twin") -> None:
    """Whole volumes of a small field: silicon of each step over that of T0, against truth, beyond the copper."""
    model = load_model(model_name)
    predictor = open_predictor(model, threads=threads)
    silicon = int(model.codes[model.find_class("silicon")])
    relative = find_relative_sd(model.calibration, "silicon", 1.5e-7)
    rows, ratios = [], []
    for seed in seeds:
        path = work / f"rnl-{seed}.npz"
        if not path.exists():
            render_volumes(path, seed, threads)
        with np.load(path) as volumes:
            counted = {}
            for number in range(9):
                grey, truth = volumes[f"g{number}"], volumes[f"p{number}"] == silicon
                shape = grey.shape
                likely = predict_block(predictor, model, grey, tuple(slice(0, n) for n in shape))  # type: ignore[arg-type]
                inside = np.zeros(shape, bool)
                inside[COPPER_ROWS // 3 :] = True
                phases, sure = decide(likely, model.codes)
                counted[number] = np.append(tally_phase(phases, sure, inside, silicon)[:4], (truth & inside).sum())
        ratios.append([math.log(counted[n][1] / counted[n][4]) for n in range(9)])
        for number in range(1, 9):
            value, true = counted[number][1] / counted[0][1], counted[number][4] / counted[0][4]
            rows.append(
                (
                    seed,
                    number,
                    value,
                    true,
                    1.96 * relative * value,
                    counted[number][3] / counted[0][3],
                    counted[number][2] / counted[0][2],
                )
            )
    header = ("seed", *(f"T{n}" for n in range(1, 9)))
    cells = [[str(s), *(f"{100 * (r[2] - r[3]):+.1f}" for r in rows if r[0] == s)] for s in seeds]
    print("recovered less true (points):")
    print(make_table(header, cells))
    errors = np.array([r[2] - r[3] for r in rows])
    half = np.array([r[4] for r in rows])
    print(
        f"largest {100 * np.abs(errors).max():.1f}, rms {100 * errors.std():.1f} points; truth inside the 95 % band at "
        f"{np.mean(np.abs(errors) <= half):.0%} of {len(rows)}; width of the band up to {200 * half.max():.1f} points"
    )
    table = np.array(ratios)
    print(f"ln(measured/true): mean {table.mean():+.4f}, by step {np.round(table.mean(axis=0), 4).tolist()}")
    print(f"sd of one volume about its step's mean {table.std(axis=0, ddof=1).mean():.4f}; of all {table.std():.4f}")


def render_volumes(path: Path, seed: int, threads: int) -> None:
    """Volumes of all steps of a field of 17 micrometres, 150 nm voxels."""
    from voltome.twin.configuration import TwinSettings

    base = make_settings("small", seed=seed).model_dump()
    twin = ElectrodeTwin(TwinSettings(**(base | {"shape": (256, 112, 112)})))
    arrays = {}
    steps = [number for number, step in enumerate(twin.settings.steps) if not step.repeat]
    jobs = [(n, y) for n in steps for y in range(0, 112, 56)]

    def render(job: tuple[int, int]) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
        grey, phases, _ = render_block(twin, job[0], (slice(0, 256), slice(job[1], job[1] + 56), slice(0, 112)))
        return grey, PHASES[phases]

    with ThreadPoolExecutor(threads) as pool:
        done = dict(zip(jobs, pool.map(render, jobs), strict=True))
    for n in steps:
        for what, k in (("g", 0), ("p", 1)):
            arrays[f"{what}{n}"] = np.concatenate([done[n, y][k] for y in range(0, 112, 56)], axis=1)
    np.savez(path, **arrays)


def run_speed(work: Path, threads: int) -> None:
    """Voxels a second from a volume in memory to phases and confidence, and memory at 2048 x 2048."""
    rows = []
    rng = np.random.default_rng(0)
    volume = rng.integers(12000, 50000, (64, 1024, 1024), dtype=np.uint16)
    for base in (8, 16):
        path = work / f"speed-{base}.safetensors"
        if not path.exists():
            image = volume[:5, :64, :64]
            labels = rng.integers(1, 5, (64, 64)).astype(np.uint8)
            quick = TrainingSettings(base=base, epochs=1, folds=0, side=64, batches=1)
            train_model(
                [LabelledSlice("noise", image, labels, "noise")], path, settings=quick, axis="z", overwrite=True
            )
        model = load_model(path)
        for engine in ("openvino", "onnxruntime", "torch"):
            predictor = open_predictor(model, engine=engine, threads=threads)
            block = (slice(0, 8), slice(0, 1024), slice(0, 1024))
            predict_block(predictor, model, volume, block)
            best, cpu = math.inf, math.inf
            for first in range(8, 64, 16):
                block = (slice(first, first + 8), slice(0, 1024), slice(0, 1024))
                begin, used = time.perf_counter(), time.process_time()
                decide(predict_block(predictor, model, volume, block), model.codes)
                best, cpu = min(best, time.perf_counter() - begin), min(cpu, time.process_time() - used)
            rows.append(
                [
                    f"base {base}, {engine}",
                    f"{8 * 1.048576 / best:.1f}",
                    f"{8 * 1.048576 / cpu:.1f}",
                    f"{2 * 8 * 1.048576 / cpu:.1f}",
                ]
            )
    print(make_table(("engine", "Mvoxel/s, wall", "Mvoxel per CPU s", "on two idle cores"), rows))


def run_memory(work: Path, threads: int) -> None:
    """Peak memory and time of 64 planes of 2048 x 2048, file to file."""
    from voltome.pipeline.segment import apply_model

    source = work / "large.raw"
    if not source.exists():
        noise = np.random.default_rng(0).integers(12000, 50000, (1, 2048, 2048), dtype=np.uint16)
        with open(source, "wb") as sink:
            for k in range(64):
                sink.write(np.roll(noise, 37 * k, axis=2).tobytes())
    before = time.perf_counter(), time.process_time()
    apply_model(
        work / "speed-8.safetensors",
        source,
        work / "large-phases.raw",
        shape=(64, 2048, 2048),
        dtype="uint16",
        threads=threads,
        overwrite=True,
    )
    seconds, cpu = time.perf_counter() - before[0], time.process_time() - before[1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    voxels = 64 * 2048 * 2048 / 1e6
    print(
        f"64 x 2048 x 2048, file to file: {voxels / seconds:.1f} Mvoxel/s, {2 * voxels / cpu:.1f} on two idle cores; "
        f"peak {peak:.2f} GiB"
    )


def parts(wanted: argparse.Namespace) -> Iterator[None]:
    """Each part that is asked for."""
    for name in wanted.parts:
        print(f"## {name}", flush=True)
        if name == "rnl":
            run_rnl(wanted.work, wanted.threads, wanted.seeds, wanted.model)
        else:
            {"twin": run_twin, "gain": run_gain, "sandstone": run_sandstone, "speed": run_speed, "memory": run_memory}[
                name
            ](wanted.work, wanted.threads)
        yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("parts", nargs="+", choices=["twin", "gain", "sandstone", "rnl", "speed", "memory"])
    parser.add_argument("--work", type=Path, default=Path("bench-segmentation"))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seeds", type=int, nargs="+", default=[4, 5, 6, 7, 8])
    parser.add_argument("--model", default="twin")
    wanted = parser.parse_args()
    wanted.work.mkdir(parents=True, exist_ok=True)
    for _ in parts(wanted):
        pass


if __name__ == "__main__":
    main()
