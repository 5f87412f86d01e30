"""Raw radiographs of a simulated experiment on disk: NXtomo files, and what is true of them."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.grid import Shape3, make_block
from voltome.pipeline.progress import OnProgress, count_jobs

if TYPE_CHECKING:
    from voltome import io
    from voltome.twin.experiment import ElectrodeTwin
    from voltome.twin.radiographs import RadiographMaker, RadiographPlan

_SLAB_PLANES = 8
_SLAB_BYTES = 2**28  # of what is filled at a time
_BLOCK_FRAMES = 16


def radiograph_names(step: str, distances: int) -> list[str]:
    """Files of a step's radiographs in the folder of the experiment.

    Parameters
    ----------
    step : str
        Name of the step.
    distances : int

    Returns
    -------
    list of str

    Examples
    --------
    >>> radiograph_names("T0", 2)
    ['radiographs/T0_1.nx', 'radiographs/T0_2.nx']
    """
    return [f"radiographs/{step}_{number}.nx" for number in range(1, distances + 1)]


def describe_radiographs(plan: RadiographPlan) -> dict[str, Any]:
    """What is filmed, for the summary.

    Parameters
    ----------
    plan : RadiographPlan

    Returns
    -------
    dict
        `distances` (source_sample_m, sample_detector_m, pixel_m of each), `angles`, `shape` of a frame, `axis_px`
        (column of the rotation axis at the first distance), `sample_diameter_m`.
    """
    return {
        "distances": [
            {name: getattr(place, name) for name in ("source_sample_m", "sample_detector_m", "pixel_m")}
            for place in plan.geometries
        ],
        "angles": len(plan.angles_rad),
        "shape": list(plan.frame_shape),
        "axis_px": plan.axis_px,
        "sample_diameter_m": plan.diameter_vox * plan.settings.voxel_size_m,
    }


def estimate_radiograph_bytes(plan: RadiographPlan) -> int:
    """Disk that the radiographs of all steps take while they are made.

    Parameters
    ----------
    plan : RadiographPlan

    Returns
    -------
    int
        Bytes: the files, the true decrements, and one step's frames and line integrals once more.
    """
    settings = plan.settings
    frames = len(plan.geometries) * plan.n_frames * int(np.prod(plan.frame_shape)) * 2
    volume = int(np.prod(settings.shape)) * 4
    lines = len(plan.half_turn) * 2 * settings.shape[0] * plan.wave_shape[1] * 4
    return (frames + 2 * volume) * len(settings.steps) + frames + volume + lines


def write_radiographs(
    folder: Path,
    twin: ElectrodeTwin,
    plan: RadiographPlan,
    number: int,
    *,
    threads: int | None = None,
    on_progress: OnProgress | None = None,
) -> None:
    """Film a step and write its radiographs, the true decrement and the true place of the sample at each angle.

    Parameters
    ----------
    folder : Path
        Of the experiment, staged.
    twin : ElectrodeTwin
    plan : RadiographPlan
    number : int
        Step.
    threads : int, optional
    on_progress : callable, optional

    Returns
    -------
    None
        The files stand when this returns.

    Raises
    ------
    ResourceError
        If they cannot be written.
    """
    from voltome import io
    from voltome.twin.radiographs import RadiographMaker

    settings, name = plan.settings, plan.settings.steps[number].name
    truth = folder / "truth" / name
    (folder / "radiographs").mkdir(exist_ok=True)
    maker = RadiographMaker(plan, number)
    with ExitStack() as stack:

        def scratch(what: str, shape: Shape3, dtype: Any) -> io.ScratchVolume:
            return stack.enter_context(io.ScratchVolume(folder / f"{name}-{what}.raw", shape, dtype))

        decrement = scratch("decrement", settings.shape, np.float32)
        excess = _fill_object(twin, plan, number, decrement, threads=threads, on_progress=on_progress)
        io.write_volume(truth / "decrement.zarr", decrement, voxel_size_m=settings.voxel_size_m)
        planes = settings.shape[0] + len(excess)
        lines = scratch("lines", (len(plan.half_turn), planes, plan.wave_shape[1]), np.float32)
        _project(plan, decrement, excess, lines, name, threads=threads, on_progress=on_progress)
        frames = [
            scratch(f"frames-{i}", (plan.n_frames, *plan.frame_shape), np.uint16) for i in range(len(plan.geometries))
        ]
        _film(maker, lines, frames, threads=threads, on_progress=on_progress)
        for i, file in enumerate(radiograph_names(name, len(frames))):
            _write_distance(folder / file, maker, i, frames[i])
            columns = {"angle_rad": plan.angles_rad}
            columns |= {f"shift_{axis}_px": maker.shifts_px[i][:, j] for j, axis in enumerate("zu")}
            io.write_table_tsv(truth / f"radiographs_{i + 1}.tsv", columns)


def _write_distance(path: Path, maker: RadiographMaker, distance: int, frames: io.ScratchVolume) -> None:
    from voltome import io

    plan = maker.plan
    rows, columns = plan.frame_shape

    def blocks() -> Iterator[NDArray[Any]]:
        for first in range(0, plan.n_frames, _BLOCK_FRAMES):
            stop = min(first + _BLOCK_FRAMES, plan.n_frames)
            yield frames[make_block((first, 0, 0), (stop, rows, columns))]

    io.write_nxtomo(
        path,
        blocks(),
        kinds=plan.kinds,
        angles_rad=plan.frame_angles_rad,
        geometry=plan.geometries[distance],
        current_a=maker.beams[distance].current_a,
        exposure_s=plan.settings.radiographs.exposure_s,
        sample_name=path.stem,
    )


def _fill_object(
    twin: ElectrodeTwin,
    plan: RadiographPlan,
    number: int,
    decrement: io.ScratchVolume,
    *,
    threads: int | None,
    on_progress: OnProgress | None,
) -> NDArray[np.float32]:
    """Fill the decrement of all planes; returns the beta (1e-7) of the first planes beyond decrement / delta_beta."""
    from voltome import dvc
    from voltome.dvc.workers import finish_jobs
    from voltome.twin.radiographs import find_excess_absorption
    from voltome.twin.refraction import refract_planes
    from voltome.twin.render import make_look
    from voltome.twin.scan import oversampling

    settings = plan.settings
    nz, ny, nx = settings.shape
    beta, ratio = find_excess_absorption(plan), settings.radiographs.delta_beta
    fine = ny * nx * oversampling(settings) ** 3 * 16
    step = max(1, min(_SLAB_PLANES, _SLAB_BYTES // fine))
    firsts = range(0, nz, step)
    count = count_jobs(f"object {settings.steps[number].name}", len(firsts), on_progress)
    excess: dict[int, NDArray[np.float32]] = {}
    make_look(twin, number)

    def fill(first: int) -> None:
        stop = min(first + step, nz)
        planes = refract_planes(twin, number, first, stop)
        decrement.write(make_block((first, 0, 0), (stop, ny, nx)), planes.decrement)
        for z in np.flatnonzero(planes.share.any(axis=(1, 2))):
            excess[first + int(z)] = planes.share[z] * np.float32(beta) - planes.copper[z] / np.float32(ratio)
        count()

    with dvc.thread_pool(threads) as pool:
        finish_jobs({pool.submit(fill, first): first for first in firsts})
    none = np.zeros((ny, nx), np.float32)
    return np.stack([excess.get(z, none) for z in range(max(excess, default=-1) + 1)] or [none])


def _project(
    plan: RadiographPlan,
    decrement: io.ScratchVolume,
    excess: NDArray[np.float32],
    lines: io.ScratchVolume,
    name: str,
    *,
    threads: int | None,
    on_progress: OnProgress | None,
) -> None:
    """Fill (angles, planes, columns) with line integrals: of all planes' decrement, then of the excess absorption."""
    from voltome import dvc
    from voltome.dvc.workers import count_threads, finish_jobs
    from voltome.twin.projection import Projector

    nz, ny, nx = plan.settings.shape
    angles, planes, columns = lines.shape
    firsts = range(0, planes, _SLAB_PLANES)
    count = count_jobs(f"projections {name}", len(firsts), on_progress)
    idle: queue.SimpleQueue[Projector] = queue.SimpleQueue()
    for _ in range(min(count_threads(threads), len(firsts))):
        idle.put(Projector((ny, nx), plan.diameter_vox, columns, plan.half_turn))

    def project(first: int) -> None:
        stop = min(first + _SLAB_PLANES, planes)
        parts = [excess[max(first - nz, 0) : max(stop - nz, 0)]]
        if first < nz:
            parts.insert(0, decrement[make_block((first, 0, 0), (min(stop, nz), ny, nx))])
        slab = np.concatenate(parts)
        projector = idle.get()
        try:
            done = np.concatenate([projector.project(slab[i : i + 2]) for i in range(0, len(slab), 2)])
        finally:
            idle.put(projector)
        lines.write(make_block((0, first, 0), (angles, stop, columns)), done.swapaxes(0, 1))
        count()

    with dvc.thread_pool(threads) as pool:
        finish_jobs({pool.submit(project, first): first for first in firsts})


def _film(
    maker: RadiographMaker,
    lines: io.ScratchVolume,
    frames: list[io.ScratchVolume],
    *,
    threads: int | None,
    on_progress: OnProgress | None,
) -> None:
    """Fill the frames of all distances."""
    from scipy import fft

    from voltome import dvc
    from voltome.dvc.workers import finish_jobs
    from voltome.frames import PROJECTION

    plan = maker.plan
    nz, half = plan.frame_shape[0], len(plan.half_turn)
    others = np.flatnonzero(plan.kinds != PROJECTION)
    first = int(np.flatnonzero(plan.kinds == PROJECTION)[0])
    name = plan.settings.steps[maker.step].name
    count = count_jobs(f"radiographs {name}", half + len(others), on_progress)

    def store(distance: int, frame: int, values: NDArray[np.uint16]) -> None:
        frames[distance].write(make_block((frame, 0, 0), (frame + 1, *plan.frame_shape)), values[None])

    def film(angle: int) -> None:
        stack = lines[make_block((angle, 0, 0), (angle + 1, *lines.shape[1:]))][0]
        for behind in (False, True):
            wave = maker.make_wave(stack[:nz], stack[nz:], behind=behind)
            spectrum = fft.fft2(wave, overwrite_x=True, workers=1)
            for distance in range(len(frames)):
                turned = angle + half * behind
                store(distance, first + turned, maker.film(spectrum, distance, turned))
        count()

    def film_empty(frame: int) -> None:
        for distance in range(len(frames)):
            store(distance, frame, maker.film_empty(distance, frame))
        count()

    with dvc.thread_pool(threads) as pool:
        jobs = {pool.submit(film, angle): f"angle {angle}" for angle in range(half)}
        finish_jobs(jobs | {pool.submit(film_empty, int(frame)): f"frame {frame}" for frame in others})
