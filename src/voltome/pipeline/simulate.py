"""A simulated in-situ experiment on disk: its scans, its cycler file and the truth beside them."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome import __version__
from voltome.grid import Block, Shape3, make_block, regular_nodes
from voltome.pipeline.progress import OnProgress, count_jobs
from voltome.pipeline.summary import peak_memory_bytes
from voltome.pipeline.twin_folder import TWIN_FILE, write_twin
from voltome.pipeline.twin_radiographs import (
    describe_radiographs,
    estimate_radiograph_bytes,
    write_radiographs,
)
from voltome.pipeline.twin_study import find_node_spacing, write_study

if TYPE_CHECKING:
    from voltome.twin.configuration import TwinSettings
    from voltome.twin.experiment import ElectrodeTwin
    from voltome.twin.radiographs import RadiographPlan

FOLDER_NAMES = (
    TWIN_FILE, "study.yaml", "study-radiographs.yaml", "cycler.csv", "volumes", "radiographs", "truth",
)  # fmt: skip
"""What stands in the folder of a simulated experiment."""

_MEMORY_BYTES = 3 * 2**29  # of all blocks that are rendered at a time
_BLOCK_BYTES = 2**29  # of one: the larger, the less is rendered twice; the smaller, the sooner Ctrl-C is heeded
_LEAST_SIDE = 32
_KINDS: dict[str, Any] = {"grey": np.uint16, "phases": np.uint8, "labels": np.uint32}
_ZARR_SHARE = {"grey": 1.2, "phases": 0.4, "labels": 0.15}  # pyramid and compression, of the bytes as they are
_NODE_BYTES = 600  # of a row of phi.tsv, and of the other tables for each of its rows


def simulate_experiment(
    settings: TwinSettings,
    out: str | Path,
    *,
    tiff: bool = False,
    radiographs: bool = False,
    threads: int | None = None,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Build the digital twin of an in-situ experiment and write its scans, its cycler file and its truth.

    Parameters
    ----------
    settings : TwinSettings
        The same settings give the same files on any number of threads.
    out : str or Path
        Folder to write: twin.yaml, study.yaml, cycler.csv, volumes and truth.
    tiff : bool
        Volumes as TIFF as well.
    radiographs : bool
        Raw radiographs as well, and a study that begins with them.
    threads : int, optional
        Default: one per core.
    overwrite : bool
        Replace an earlier experiment.
    on_progress : callable, optional
        Called with stage, done, total, from any thread.

    Returns
    -------
    dict
        `steps`, `shape`, `voxel_size_m`, `particles`, `radiographs` (per step: `distances`, `angles`, `shape`),
        `seconds` by stage, `peak_memory_bytes`.

    Raises
    ------
    InputError
        If the output exists, the electrode cannot be packed, its silicon cannot react as it should, or voxels are too
        large for radiographs.
    ResourceError
        If the disk is too small, which is found before any work, or the output cannot be written.
    """
    from voltome import io
    from voltome.dvc.workers import count_threads
    from voltome.twin.radiographs import plan_radiographs

    count_threads(threads)
    clock = time.perf_counter()
    plan = plan_radiographs(settings) if radiographs else None
    with io.staged_directory(out, overwrite=overwrite, replaces=FOLDER_NAMES) as folder:
        io.check_free_space(out, estimate_bytes(settings, tiff=tiff) + (estimate_radiograph_bytes(plan) if plan else 0))
        twin = build_twin(settings, threads=threads, on_progress=on_progress)
        particles = write_experiment(folder, twin, tiff=tiff, plan=plan, threads=threads, on_progress=on_progress)
    return {
        "steps": [step.name for step in settings.steps],
        "shape": list(settings.shape),
        "voxel_size_m": settings.voxel_size_m,
        "particles": particles,
        "radiographs": None if plan is None else describe_radiographs(plan),
        "seconds": {"simulation": round(time.perf_counter() - clock, 3)},
        "peak_memory_bytes": peak_memory_bytes(),
    }


def build_twin(
    settings: TwinSettings, *, threads: int | None = None, on_progress: OnProgress | None = None
) -> ElectrodeTwin:
    """Build an electrode and move it through all steps, so that what cannot be is found before the first scan.

    Parameters
    ----------
    settings : TwinSettings
    threads : int, optional
    on_progress : callable, optional
        Called with stage, done, total.

    Returns
    -------
    ElectrodeTwin

    Raises
    ------
    InputError
        If the cell, the electrode or its silicon cannot do what the settings want.
    """
    from voltome import dvc
    from voltome.dvc.workers import finish_jobs
    from voltome.twin.cycling import simulate_cell
    from voltome.twin.experiment import ElectrodeTwin

    count = count_jobs("electrode", len(settings.steps) + 1, on_progress)
    simulate_cell(settings)
    twin = ElectrodeTwin(settings)
    count()

    def move(number: int) -> None:
        twin.step(number)
        count()

    with dvc.thread_pool(threads) as pool:
        finish_jobs({pool.submit(move, number): number for number in range(len(settings.steps))})
    return twin


def write_experiment(
    folder: Path,
    twin: ElectrodeTwin,
    *,
    tiff: bool = False,
    plan: RadiographPlan | None = None,
    threads: int | None = None,
    on_progress: OnProgress | None = None,
) -> int:
    """Write a twin's experiment into a folder.

    Parameters
    ----------
    folder : Path
        Staged: it becomes visible when all is written.
    twin : ElectrodeTwin
    tiff : bool
    plan : RadiographPlan, optional
        Write raw radiographs as well.
    threads : int, optional
    on_progress : callable, optional

    Returns
    -------
    int
        Particles, those of the margin around the field included.

    Raises
    ------
    ResourceError
        If a file cannot be written.
    """
    write_twin(folder, twin)
    write_study(folder, twin.settings, plan)
    particles = write_truths(folder / "truth", twin, plan, threads=threads, on_progress=on_progress)
    for number in range(len(twin.settings.steps)):
        write_scan(folder, twin, number, tiff=tiff, threads=threads, on_progress=on_progress)
        if plan is not None:
            write_radiographs(folder, twin, plan, number, threads=threads, on_progress=on_progress)
    return particles


def estimate_bytes(settings: TwinSettings, *, tiff: bool = False) -> int:
    """Disk that an experiment takes while it is made.

    Parameters
    ----------
    settings : TwinSettings
    tiff : bool

    Returns
    -------
    int
        Bytes: OME-Zarr takes what noise and labels of such an electrode came to, TIFF its voxels; besides, one step
        lies on the disk uncompressed.
    """
    voxels = math.prod(settings.shape)
    plain: dict[str, int] = {kind: voxels * np.dtype(dtype).itemsize for kind, dtype in _KINDS.items()}
    nodes = voxels / find_node_spacing(settings) ** 3
    step = sum(size * (tiff + _ZARR_SHARE[kind]) for kind, size in plain.items()) + nodes * _NODE_BYTES
    return math.ceil(step * len(settings.steps) + sum(plain.values()))


def write_truths(
    folder: Path,
    twin: ElectrodeTwin,
    plan: RadiographPlan | None = None,
    *,
    threads: int | None,
    on_progress: OnProgress | None,
) -> int:
    """Write all that is true of an experiment and is no volume.

    Parameters
    ----------
    folder : Path
    twin : ElectrodeTwin
    plan : RadiographPlan, optional
        Of raw radiographs that are written as well.
    threads : int or None
    on_progress : callable or None

    Returns
    -------
    int
        Particles, those of the margin around the field included.

    Raises
    ------
    ResourceError
        If a file cannot be written.
    """
    from voltome import dvc, io
    from voltome.dvc.workers import finish_jobs
    from voltome.twin import truths
    from voltome.twin.ledger import balance_steps
    from voltome.twin.phases import PHASES

    settings = twin.settings
    tables: dict[str, list[dict[str, Any]]] = {}
    makers = {"ledger": balance_steps, "steps": truths.measure_steps, "events": truths.list_events}
    nodes, grid_shape = regular_nodes(settings.shape, find_node_spacing(settings))
    count = count_jobs("truth", len(settings.steps), on_progress)

    def write(number: int) -> None:
        place = folder / settings.steps[number].name
        particles = truths.find_particles(twin, number)
        field = twin.true_field(number, nodes.astype(np.float64))
        io.write_phi_tsv(place / "phi.tsv", field.with_values(grid_shape=grid_shape))
        io.write_particle_tsv(place / "particles.tsv", particles.labels, particles.field, particles.columns)
        thickness = truths.map_thickness(twin, number)[None]
        io.write_volume(place / "thickness.tif", thickness, voxel_size_m=settings.voxel_size_m)
        count()

    def tabulate_all(name: str) -> None:
        tables[name] = makers[name](twin)
        io.write_table_tsv(folder / f"{name}.tsv", tabulate(tables[name]))

    with dvc.thread_pool(threads) as pool:
        jobs = {pool.submit(tabulate_all, name): name for name in makers}
        finish_jobs(jobs | {pool.submit(write, number): f"step {number}" for number in range(len(settings.steps))})
    particles = int(twin.structure.labels.max())
    summary = {
        "version": __version__,
        "seed": settings.seed,
        "shape": settings.shape,
        "voxel_size_m": settings.voxel_size_m,
        "phases": PHASES,
        "particles": particles,
        "steps": tables["steps"],
        "events": tables["events"],
    }
    if plan is not None:
        summary["radiographs"] = describe_radiographs(plan)
    io.write_json(folder / "summary.json", summary)
    return particles


def tabulate(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Rows as columns.

    Parameters
    ----------
    rows : iterable of mapping
        They need not have the same keys.

    Returns
    -------
    dict of list
        Columns in the order in which their names appear; NaN where a row has no such key.

    Examples
    --------
    >>> tabulate([{"event": "repeat"}, {"event": "bubble", "radius_m": 2e-6}])
    {'event': ['repeat', 'bubble'], 'radius_m': [nan, 2e-06]}
    """
    rows = list(rows)
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name, math.nan) for row in rows] for name in names}


def write_scan(
    folder: Path, twin: ElectrodeTwin, number: int, *, tiff: bool, threads: int | None, on_progress: OnProgress | None
) -> None:
    """Render a step's scan and write it with its phases and labels.

    Parameters
    ----------
    folder : Path
        Of the experiment, staged.
    twin : ElectrodeTwin
    number : int
    tiff : bool
        TIFF beside OME-Zarr.
    threads : int or None
    on_progress : callable or None

    Returns
    -------
    None
        The volumes stand when this returns.

    Raises
    ------
    ResourceError
        If they cannot be written.
    """
    from voltome import dvc, io
    from voltome.dvc.workers import count_threads, finish_jobs
    from voltome.twin.render import block_bytes, make_look, render_block

    settings, name = twin.settings, twin.settings.steps[number].name
    places = {"grey": folder / "volumes" / name}
    places |= {kind: folder / "truth" / name / kind for kind in ("phases", "labels")}
    targets = [(kind, f"{place}{suffix}") for kind, place in places.items() for suffix in (".zarr", ".tif")[: 1 + tiff]]
    workers = count_threads(threads)
    most = min(_BLOCK_BYTES, _MEMORY_BYTES // workers)
    blocks = cut_blocks(settings.shape, lambda shape: block_bytes(twin, shape) <= most, at_least=workers)
    count = count_jobs(f"scan {name}", len(blocks) + len(targets), on_progress)
    make_look(twin, number)  # what all blocks share is worked out once
    # A job that still runs when another one fails, or the user stops, ends when its scratch volume is gone.
    with dvc.thread_pool(threads) as pool, ExitStack() as stack:
        scratch = {
            kind: stack.enter_context(io.ScratchVolume(folder / f"{name}-{kind}.raw", settings.shape, dtype))
            for kind, dtype in _KINDS.items()
        }

        def render(block: Block) -> None:
            volumes: tuple[NDArray[Any], ...] = render_block(twin, number, block)
            for kind, values in zip(_KINDS, volumes, strict=True):
                scratch[kind].write(block, values)
            count()

        def write(kind: str, target: str) -> None:
            io.write_volume(target, scratch[kind], voxel_size_m=settings.voxel_size_m, labels=kind != "grey")
            count()

        finish_jobs({pool.submit(render, block): block for block in blocks})
        finish_jobs({pool.submit(write, *target): target for target in targets})


def cut_blocks(shape: Shape3, fits: Callable[[Shape3], bool], *, at_least: int = 1) -> list[Block]:
    """Cut a volume into equal blocks that fit, by halving the longest side.

    Parameters
    ----------
    shape : tuple of int
    fits : callable
        Whether a block of this shape fits the memory. Sides of 32 voxels and less are not cut.
    at_least : int
        Blocks that are wanted, so that each thread has one.

    Returns
    -------
    list of Block
        They do not overlap and fill the volume. They may be four times as long along x, as the file is.

    Examples
    --------
    >>> [block[0].stop for block in cut_blocks((100, 64, 64), lambda block: block[0] * block[1] * block[2] <= 2**18)]
    [50, 100]
    """
    size = list(shape)

    def enough() -> bool:
        return math.prod(-(-n // s) for n, s in zip(shape, size, strict=True)) >= at_least

    while not (enough() and fits((size[0], size[1], size[2]))):
        longest = max(range(3), key=lambda axis: size[axis] / (1, 1, 4)[axis])
        if size[longest] <= _LEAST_SIDE:
            break
        size[longest] = -(-size[longest] // 2)
    corners = itertools.product(*(range(0, n, s) for n, s in zip(shape, size, strict=True)))
    return [make_block(corner, np.minimum(np.add(corner, size), shape)) for corner in corners]
