"""Reconstruction beside its peers: seconds and error of a slice, the axis, rings and the harm of taking them out.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/reconstruction.py

Prints Markdown. ASTRA and algotom are measured where they are installed. All times are CPU seconds of one thread.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import resource
import time
from collections.abc import Callable

import numpy as np
from ellipses import make_electrode, make_head
from numpy.typing import NDArray
from pages import Section, Target, describe_machine, list_targets, make_table
from scipy.ndimage import fourier_shift

from voltome.reconstruction import (
    SINOGRAM_METHODS,
    SLICE_METHODS,
    FourierReconstructor,
    find_axis,
    remove_rings_in_sinograms,
    remove_rings_in_slices,
)

SIZE, ANGLES = 1024, 1500
WIDE, MANY = 2048, 2505

Image = NDArray[np.float32]
Floats = NDArray[np.float64]
Run = Callable[[], Image]


def _inside(size: int, share: float = 0.49) -> NDArray[np.bool_]:
    place = np.arange(size) - (size - 1) / 2
    return np.asarray(np.hypot(place[:, None], place) < share * size)


def _time(run: Run, slices: int = 1, repeats: int = 3) -> tuple[float, Image]:
    """Least CPU seconds a slice of some runs after a first one, and the last result."""
    run()
    best = np.inf
    for _ in range(repeats):
        start = time.process_time()
        out = run()
        best = min(best, time.process_time() - start)
    return best / slices, out


def _rmse(image: Image, truth: Image) -> float:
    """Error in the circle, in the orientation and at the half pixel that fit best: conventions differ."""
    circle = _inside(len(truth))

    def judge(one: Image) -> float:
        return float(np.sqrt(np.mean((one - truth)[circle] ** 2)))

    turned = min((np.rot90(side, k) for side in (image, image.T) for k in range(4)), key=judge)
    spectrum = np.fft.fft2(turned)
    shifts = [(y, x) for y in (-1, -0.5, 0, 0.5, 1) for x in (-1, -0.5, 0, 0.5, 1)]
    return min(judge(np.fft.ifft2(fourier_shift(spectrum, shift)).real) for shift in shifts)


def _run_astra(sinogram: Image, angles: Floats, kind: str) -> Image:
    import astra

    rays = astra.create_proj_geom("parallel", 1.0, sinogram.shape[1], angles)
    projector = astra.create_projector(kind, rays, astra.create_vol_geom(SIZE, SIZE))
    data, volume = (
        astra.data2d.create("-sino", rays, sinogram),
        astra.data2d.create("-vol", astra.create_vol_geom(SIZE)),
    )
    settings = astra.astra_dict("FBP") | {
        "ProjectorId": projector,
        "ProjectionDataId": data,
        "ReconstructionDataId": volume,
        "option": {"FilterType": "Ram-Lak"},
    }
    algorithm = astra.algorithm.create(settings)
    astra.algorithm.run(algorithm)
    out: Image = astra.data2d.get(volume)
    astra.algorithm.delete(algorithm)
    astra.data2d.delete([data, volume])
    astra.projector.delete(projector)
    return out


def list_engines(sinogram: Image, angles: Floats) -> dict[str, tuple[Run, int]]:
    """Engines with rows padded to twice their length by zeros, and the slices that a run makes."""
    centre = (SIZE - 1) / 2
    own = FourierReconstructor(angles, SIZE, axis_px=centre, padding="zero")
    pair = np.stack([sinogram, sinogram])
    engines: dict[str, tuple[Run, int]] = {"voltome": (lambda: own.reconstruct(pair)[0], 2)}
    if importlib.util.find_spec("algotom") is not None:
        import algotom.rec.reconstruction as peer

        common = {"angles": angles, "apply_log": False, "filter_name": None, "ratio": None, "ncore": 1}
        padded = {"pad_rate": 0.5, "pad_mode": "constant"}
        engines["algotom DFI"] = (lambda: peer.dfi_reconstruction(sinogram, centre, **common, **padded), 1)
        wide = {"pad": SIZE // 2, "pad_mode": "constant", "gpu": False}
        engines["algotom FBP"] = (lambda: peer.fbp_reconstruction(sinogram, centre, **common, **wide), 1)
    if importlib.util.find_spec("astra") is not None:
        for kind in ("linear", "strip"):
            engines[f"ASTRA FBP, CPU, {kind}"] = (lambda kind=kind: _run_astra(sinogram, angles, kind), 1)
    return engines


def compare_engines() -> Section:
    """One slice of 1024^2 from 1500 angles."""
    angles = np.arange(ANGLES) * np.pi / ANGLES
    head = make_head(SIZE)
    sinogram, truth = head.project(angles, SIZE, (SIZE - 1) / 2), head.render(SIZE)
    found = {}
    for name, (run, slices) in list_engines(sinogram, angles).items():
        seconds, image = _time(run, slices, repeats=3 if name == "voltome" else 1)
        found[name] = (seconds, _rmse(image, truth))
    ours = found["voltome"]
    rows = [[n, f"{s:.3f}", f"{s / ours[0]:.0f}", f"{e:.4f}"] for n, (s, e) in found.items()]
    title = f"### One slice of {SIZE}^2 from {ANGLES} angles over 180 degrees\n\n"
    text = title + make_table(("engine", "CPU s a slice", "times voltome", "RMSE (contrast 1)"), rows)
    targets = []
    for peer, factor in (("ASTRA FBP, CPU, linear", 50), ("algotom DFI", 10)):
        if peer in found:
            times = found[peer][0] / ours[0]
            targets.append(
                Target(f"FBP, CPU s a slice, against {peer}", f">= {factor} x fewer", f"{times:.0f} x", times >= factor)
            )
    if len(found) > 1:
        best = min(error for name, (_, error) in found.items() if name != "voltome")
        targets.append(Target("FBP, RMSE", f"<= {best:.4f}, the best peer's", f"{ours[1]:.4f}", ours[1] <= best))
    return Section(text, targets)


def _reconstruct_many(threads: int, answer: multiprocessing.SimpleQueue) -> None:  # type: ignore[type-arg]
    """CPU seconds of the set-up, of a slice, and of a slice's polar median; and the peak of resident memory."""
    angles = np.arange(MANY) * 2 * np.pi / MANY
    slab = np.random.default_rng(0).standard_normal((8, MANY, WIDE), dtype=np.float32)
    marks = [time.process_time()]
    made = FourierReconstructor(angles, WIDE, axis_px=(WIDE - 1) / 2, threads=threads)
    made.reconstruct(slab[:1])
    marks.append(time.process_time())
    slices = made.reconstruct(slab)
    marks.append(time.process_time())
    remove_rings_in_slices(slices[:1])
    marks.append(time.process_time())
    remove_rings_in_slices(slices[:2])
    marks.append(time.process_time())
    setup, slab_seconds, _, rings = np.diff(marks)
    seconds = slab_seconds / len(slab)
    answer.put((setup - 2 * seconds, seconds, rings / 2, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))


def measure_large() -> Section:
    """2048 slices of 2505 projections over 360 degrees, rows continued to 3072: a slab of eight stands for all."""
    context = multiprocessing.get_context("spawn")
    rows, targets = [], []
    for threads in (1, 2):
        answer = context.SimpleQueue()
        process = context.Process(target=_reconstruct_many, args=(threads, answer))
        process.start()
        setup, seconds, rings, peak = answer.get()
        process.join()
        rows.append([str(threads), f"{setup:.2f}", f"{seconds:.3f}", f"{rings:.3f}", f"{peak / 1e9:.2f}"])
        if threads == 1:
            what = f"{WIDE}^2 from {MANY}, padded to 3072"
            targets.append(Target(what, "<= 0.9 CPU s a slice", f"{seconds:.2f}", seconds <= 0.9))
            targets.append(Target("the same, resident", "<= 4 GB", f"{peak / 1e9:.2f} GB", peak <= 4e9))
    title = f"### {WIDE} x {WIDE} from {MANY} projections over 360 degrees, rows continued to 3072, slabs of 8\n\n"
    header = ("threads", "set-up, CPU s", "CPU s a slice", "polar median, CPU s a slice", "peak, GB")
    return Section(title + make_table(header, rows), targets)


def compare_axes() -> Section:
    """The axis of scans whose object is wider than the field."""
    rows, targets, columns, axis_px = [], [], 384, 195.37
    cases = [
        ("360 degrees, 2 % noise", 2 * np.pi, 600, 0.02, 1.6),
        ("360 degrees, odd number", 2 * np.pi, 601, 0.02, 1.6),
        ("360 degrees, 5 % noise", 2 * np.pi, 600, 0.05, 1.6),
        ("180 degrees, 1 % noise", np.pi, 600, 0.01, 1.6),
        ("180 degrees, object in the field", np.pi, 600, 0.02, 0.7),
    ]
    worst = 0.0
    for name, span, count, noise, wider in cases:
        angles = np.arange(count) * span / count
        sinograms = [make_electrode(columns, wider=wider, seed=i).project(angles, columns, axis_px) for i in range(6)]
        projections = np.stack(sinograms, axis=1)
        projections += np.random.default_rng(1).normal(0, noise * projections.max(), projections.shape)
        start = time.process_time()
        found = find_axis(projections, angles)
        seconds = time.process_time() - start
        each = [
            f"{found.estimates[n] - axis_px:+.2f}" if n in found.estimates else ""
            for n in ("opposites", "wedge", "sharpness")
        ]
        rows.append([name, f"{found.axis_px - axis_px:+.3f}", f"{found.sd_px:.3f}", *each, f"{seconds:.1f}"])
        worst = max(worst, abs(found.axis_px - axis_px))
    targets.append(Target("rotation axis, five scans with noise", "within 0.1 px", f"{worst:.3f} px", worst <= 0.1))
    title = f"### Rotation axis: error in pixels, {columns} columns, 6 rows\n\n"
    header = ("scan", "error", "its sd", "opposites", "wedge", "sharpness", "CPU s")
    return Section(title + make_table(header, rows), targets)


def _add_stripes(sinogram: Image) -> Image:
    """Fine stripes on all columns, a dozen wide ones, and some over a third of the angles."""
    random, top = np.random.default_rng(3), float(sinogram.max())
    stripes = random.normal(0, 0.002 * top, sinogram.shape[1])
    for column in random.integers(0, sinogram.shape[1], 12):
        stripes[column : column + random.integers(2, 7)] += random.normal(0, 0.015 * top)
    out = sinogram + stripes.astype(np.float32)
    third = len(sinogram) // 3
    for column in random.integers(0, sinogram.shape[1], 8):
        first = random.integers(0, len(sinogram) - third)
        out[first : first + third, column : column + 2] += np.float32(0.02 * top)
    return out


def compare_rings() -> Section:
    """What is left of rings, and what methods do to slices without."""
    angles = np.arange(ANGLES) * np.pi / ANGLES
    own = FourierReconstructor(angles, SIZE, axis_px=(SIZE - 1) / 2)
    circle = _inside(SIZE, 0.48)
    text = []
    for phantom, thing in (
        ("a head within the field", make_head(SIZE)),
        ("an electrode wider than the field", make_electrode(SIZE)),
    ):
        clean = thing.project(angles, SIZE, (SIZE - 1) / 2)
        clean += np.random.default_rng(4).normal(0, 0.003 * clean.max(), clean.shape).astype(np.float32)
        striped = _add_stripes(clean)
        truth, ringed = own.reconstruct(np.stack([clean, striped]))
        rows = [["nothing", "", f"{_differ(ringed, truth, circle):.4f}", "0"]]
        for method in [*SINOGRAM_METHODS, *SLICE_METHODS]:
            try:
                seconds, left, harm = _judge_method(
                    method, own, np.stack([striped, clean]), np.stack([ringed, truth]), circle
                )
            except OSError:  # algotom is not installed
                continue
            rows.append([method, f"{seconds:.3f}", f"{left:.4f}", f"{harm:.4f}"])
        header = ("method", "CPU s a slice", "RMS of what is left", "RMS of harm without rings")
        text.append(f"### Rings in {phantom}, {SIZE}^2, contrast 1\n\n" + make_table(header, rows))
    return Section("\n\n".join(text))


def _differ(image: Image, truth: Image, circle: NDArray[np.bool_]) -> float:
    return float(np.std((image - truth)[circle]))


def _judge_method(
    method: str, own: FourierReconstructor, sinograms: Image, slices: Image, circle: NDArray[np.bool_]
) -> tuple[float, float, float]:
    remove = remove_rings_in_slices if method in SLICE_METHODS else remove_rings_in_sinograms
    data = slices if method in SLICE_METHODS else sinograms
    remove(data[:1], method=method)
    start = time.process_time()
    mended = remove(data, method=method)
    seconds = (time.process_time() - start) / 2
    mended = mended if method in SLICE_METHODS else own.reconstruct(mended)
    return seconds, _differ(mended[0], slices[1], circle), _differ(mended[1], slices[1], circle)


def main() -> None:
    """Measure all and print it."""
    sections = [compare_engines(), measure_large(), compare_axes(), compare_rings()]
    print("\n\n".join([describe_machine(), list_targets(sections), *(section.text for section in sections)]))


if __name__ == "__main__":
    main()
