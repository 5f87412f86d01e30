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

if TYPE_CHECKING:
    from voltome.twin.configuration import TwinSettings
    from voltome.twin.experiment import ElectrodeTwin

FOLDER_NAMES = (TWIN_FILE, "study.yaml", "cycler.csv", "volumes", "truth")
"""What stands in the folder of a simulated experiment."""

_NODE_SPACING_M = 1.75e-6  # the paper's finest
_STUDY_SPACING_VOX = 6  # least, and the least half window of a study: about a particle where voxels are large
_STUDY_WINDOW_VOX = 10
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
        Volumes as TIFF instead of OME-Zarr.
    threads : int, optional
        Default: one per core.
    overwrite : bool
        Replace an earlier experiment.
    on_progress : callable, optional
        Called with stage, done, total, from any thread.

    Returns
    -------
    dict
        `steps`, `shape`, `voxel_size_m`, `particles`, `seconds` by stage, `peak_memory_bytes`.

    Raises
    ------
    InputError
        If the output exists, the electrode cannot be packed, or its silicon cannot react as it should.
    ResourceError
        If the disk is too small, which is found before any work, or the output cannot be written.
    """
    from voltome import io
    from voltome.dvc.workers import count_threads

    count_threads(threads)
    clock = time.perf_counter()
    with io.staged_directory(out, overwrite=overwrite, replaces=FOLDER_NAMES) as folder:
        io.check_free_space(out, estimate_bytes(settings, tiff=tiff))
        twin = build_twin(settings, threads=threads, on_progress=on_progress)
        particles = write_experiment(folder, twin, tiff=tiff, threads=threads, on_progress=on_progress)
    return {
        "steps": [step.name for step in settings.steps],
        "shape": list(settings.shape),
        "voxel_size_m": settings.voxel_size_m,
        "particles": particles,
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
    write_study(folder, twin.settings)
    particles = write_truths(folder / "truth", twin, threads=threads, on_progress=on_progress)
    for number in range(len(twin.settings.steps)):
        write_scan(folder, twin, number, tiff=tiff, threads=threads, on_progress=on_progress)
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
    nodes = voxels / _node_spacing(settings) ** 3
    step = sum(size * (tiff + _ZARR_SHARE[kind]) for kind, size in plain.items()) + nodes * _NODE_BYTES
    return math.ceil(step * len(settings.steps) + sum(plain.values()))


def _node_spacing(settings: TwinSettings) -> int:
    spacing = max(4, round(_NODE_SPACING_M / settings.voxel_size_m))
    return min(spacing, min(settings.shape) // 2)


def write_study(folder: Path, settings: TwinSettings) -> None:
    """Write the experiment as a study (study.yaml) with its cycler file.

    Parameters
    ----------
    folder : Path
    settings : TwinSettings

    Returns
    -------
    None
        Both files stand when this returns.

    Raises
    ------
    ResourceError
        If they cannot be written.
    """
    from voltome import io
    from voltome.twin.cycling import simulate_cell

    history = simulate_cell(settings)
    io.write_cycler_csv(
        folder / "cycler.csv",
        time_s=history.time_s,
        voltage_v=history.voltage_v,
        current_a=history.current_a,
        charge_ah=history.charge_ah,
        step_count=history.step_count,
        step_type=history.step_type,
    )
    names = [step.name.replace("-", ".") for step in settings.steps]  # a study writes T0-T1 for a pair of scans
    scans = []
    for number, step in enumerate(settings.steps):
        scan: dict[str, Any] = {"name": names[number], "volume": f"volumes/{step.name}.zarr"}
        scan |= {"time_s": float(history.scan_start_s[number]), "soc": float(history.scan_soc[number])}
        scans.append(scan | ({"repeats": names[number - 1]} if step.repeat else {}))
    spacing = max(_STUDY_SPACING_VOX, min(_node_spacing(settings), min(settings.shape) // 8))
    study = {
        "voxel_size_m": settings.voxel_size_m,
        "polarity": "silicon-darkest",
        "scans": scans,
        "electrode": {"collector_side": "low-z"},
        "electrochemistry": {"cycler": "cycler.csv"},
        "correlation": {"node_spacing_vox": spacing, "half_window_vox": max(_STUDY_WINDOW_VOX, spacing)},
        "truth": ".",
    }
    comments = {
        "polarity": "lower refractive decrement is brighter",
        "scans": "time_s: start of the scan in the cycler file; soc: state of charge then",
        "electrode": "low-z: the collector is at the top of the volume, where z = 0",
        "correlation": "nodes as far apart as in the paper, 1.75 micrometres, where a window still holds enough voxels",
        "truth": "this folder: results are compared with its truth",
    }
    heading = "A simulated experiment as a study; its truth lies in truth/."
    io.write_yaml(folder / "study.yaml", study, comments=comments, heading=heading)


def write_truths(folder: Path, twin: ElectrodeTwin, *, threads: int | None, on_progress: OnProgress | None) -> int:
    """Write all that is true of an experiment and is no volume.

    Parameters
    ----------
    folder : Path
    twin : ElectrodeTwin
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
    nodes, grid_shape = regular_nodes(settings.shape, _node_spacing(settings))
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
