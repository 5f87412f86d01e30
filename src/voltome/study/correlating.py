"""Digital volume correlation of a study: from scan to scan, and from the first scan to each as a check."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.fields import DeformationField, FloatArray
from voltome.grid import Block, Shape3, VolumeSource
from voltome.study.composing import compose_series
from voltome.study.job import Job
from voltome.study.result import Result
from voltome.study.source import SourceFile, describe_source
from voltome.study.storing import VOLUMES, read_box
from voltome.study.study_file import Study

if TYPE_CHECKING:
    from voltome.dvc.local import LocalCorrelation
    from voltome.dvc.node_results import NodeResults, NodeRules
    from voltome.dvc.solver import PairStart

BLOCK_BYTES = 256 << 20
"""What a block of windows takes. The same everywhere: how nodes are cut into blocks shows in the last digits."""

_KEPT = ("node_spacing_vox", "half_window_vox", "pyramid", "interpolation", "min_coverage", "max_iterations")


class Region:
    """Weights of a scan's voxels: those of its mask inside a box, 0 outside.

    Parameters
    ----------
    shape : tuple of int
    low, high : tuple of int
        Corners of the box, half-open.
    mask : VolumeSource or None
        Weights 0 to 1; None: 1.
    """

    def __init__(
        self, shape: Shape3, low: tuple[int, ...], high: tuple[int, ...], mask: VolumeSource | None = None
    ) -> None:
        self.shape, self._low, self._high, self._mask = shape, low, high, mask
        self.dtype: np.dtype[Any] = np.dtype(np.float32)

    def __getitem__(self, block: Block) -> NDArray[np.float32]:
        edges = [edge.indices(n)[:2] for edge, n in zip(block, self.shape, strict=True)]
        out = np.zeros([stop - start for start, stop in edges], dtype=np.float32)
        common = [(max(a, low), min(b, high)) for (a, b), low, high in zip(edges, self._low, self._high, strict=True)]
        if all(a < b for a, b in common):
            here = tuple(slice(a - start, b - start) for (a, b), (start, _) in zip(common, edges, strict=True))
            z, y, x = (slice(a, b) for a, b in common)
            out[here] = 1.0 if self._mask is None else self._mask[z, y, x]
        return out


@dataclass(frozen=True)
class PairFiles:
    """Two scans of the store, said so shortly that they can be sent to a worker.

    Parameters
    ----------
    series : str
        Path of the store.
    reference, deformed : int
        Numbers of the scans.
    low, high : tuple of int
        Corners of the electrode's box in the reference.
    mask : SourceFile or None
        Weights of the reference's voxels.
    """

    series: str
    reference: int
    deformed: int
    low: tuple[int, ...]
    high: tuple[int, ...]
    mask: SourceFile | None = None

    @contextmanager
    def open(self) -> Iterator[tuple[VolumeSource, VolumeSource, VolumeSource | None]]:
        """Reference, deformed and the reference's weights while the block runs."""
        from contextlib import ExitStack

        from voltome import io

        with ExitStack() as stack:
            reference, deformed = (
                stack.enter_context(io.open_scan(self.series, t)) for t in (self.reference, self.deformed)
            )
            mask = None if self.mask is None else stack.enter_context(self.mask.open())
            whole = mask is None and not any(self.low) and tuple(self.high) == reference.shape
            yield reference, deformed, None if whole else Region(reference.shape, self.low, self.high, mask)


def plan_increments(study: Study) -> Iterator[Result]:
    """Each scan against the one before."""
    for (a, first), (b, second) in pairwise(enumerate(study.settings.scans)):
        yield _plan_pair(study, "increments", f"{first.name}-{second.name}", (a, b))


def plan_direct(study: Study) -> Iterator[Result]:
    """Each scan but the second against the first, from the composed field on."""
    scans = study.settings.scans
    increments = [result.name for result in plan_increments(study)]
    for t in range(2, len(scans)) if study.settings.correlation.direct_check else ():
        yield _plan_pair(study, "direct", scans[t].name, (0, t), *increments[:t])


def _plan_pair(study: Study, step: str, subject: str, numbers: tuple[int, int], *inputs: str) -> Result:
    settings = study.settings.correlation.model_dump(mode="json")
    names = [study.settings.scans[t].name for t in numbers]
    mask = study.settings.scans[numbers[0]].mask
    return Result(
        step,
        subject,
        {name: settings[name] for name in _KEPT} | {"reference": names[0], "deformed": names[1], "t": list(numbers)},
        inputs=(f"volumes/{names[0]}", f"volumes/{names[1]}", f"region/{names[0]}", *inputs),
        sources={} if mask is None else {"mask": mask},
    )


def make_increment(job: Job) -> None:
    """Correlate a scan with the one before."""
    correlation = _correlate(job, None)
    _write(job, correlation, {})


def make_direct(job: Job) -> None:
    """Correlate a scan with the first one, starting from the composed field, and compare."""
    from voltome import io

    increments = [name for name in job.result.inputs if name.startswith("increments/")]
    composed, _ = compose_series([io.read_field_zarr(job.store / name / "field.zarr") for name in increments])
    if not np.isfinite(composed.phi).all(axis=(1, 2)).any():
        raise InputError(f"the composed field of {job.result.subject} has no node to start from: see its increments")
    correlation = _correlate(job, composed)
    _write(job, correlation, compare_fields(composed, correlation.field))


def compare_fields(composed: DeformationField, direct: DeformationField) -> dict[str, Any]:
    """How composed and direct displacement differ where both are trusted.

    Parameters
    ----------
    composed, direct : DeformationField
        At the same nodes.

    Returns
    -------
    dict
        `compared` nodes, `composed_direct_vox` (median length of the difference), `composed_direct_mean_vox` (its mean,
        z, y, x); None where no node is trusted in both.
    """
    both = composed.trusted & direct.trusted & np.isfinite(composed.phi).all(axis=(1, 2))
    difference = (composed.displacement_vox - direct.displacement_vox)[both]
    return {
        "compared": int(both.sum()),
        "composed_direct_vox": float(np.median(np.linalg.norm(difference, axis=1))) if both.any() else None,
        "composed_direct_mean_vox": difference.mean(axis=0).tolist() if both.any() else None,
    }


def _correlate(job: Job, start: DeformationField | None) -> LocalCorrelation:
    from voltome import io
    from voltome.dvc.local import correlate_levels

    settings, (a, b) = job.study.settings.correlation, job.result.parameters["t"]
    mask = job.result.sources.get("mask")
    pair = PairFiles(
        str(job.store / VOLUMES),
        a,
        b,
        *read_box(job.store, job.result.parameters["reference"]),
        None if mask is None else describe_source(job.study, mask),
    )
    shape = io.open_series(pair.series).shape
    return correlate_levels(
        BlockSolver(job, pair, shape, settings.interpolation),
        node_spacing_vox=settings.node_spacing_vox,
        half_window_vox=settings.half_window_vox,
        pyramid=settings.fit_pyramid(shape) if start is None else (settings.node_spacing_vox,),
        initial_phi=start,
        interpolation=settings.interpolation,
        min_coverage=settings.min_coverage,
        max_iterations=settings.max_iterations,
        memory_bytes=BLOCK_BYTES,
    )


def _write(job: Job, correlation: LocalCorrelation, more: dict[str, Any]) -> None:
    from voltome import io
    from voltome.pipeline.summary import summarise_correlation

    parameters = {"step": job.result.step, **job.result.parameters}
    with io.staged_directory(job.out, overwrite=True, replaces=("*",)) as folder:
        io.write_field_zarr(
            folder / "field.zarr",
            correlation.field,
            voxel_size_m=job.study.settings.voxel_size_m,
            attributes={"parameters": io.plain_json(parameters)},
        )
        io.write_json(folder / "summary.json", summarise_correlation(correlation) | more)
    job.publish(f"{job.result.step}/{job.result.subject}")


class BlockSolver:
    """Works windows in blocks of a job (a `voltome.dvc.solver.NodeSolver`).

    Parameters
    ----------
    job : Job
    pair : PairFiles
    shape : tuple of int
        Of a scan.
    interpolation : str
    """

    def __init__(self, job: Job, pair: PairFiles, shape: Shape3, interpolation: str) -> None:
        self._job, self._pair, self._interpolation = job, pair, interpolation
        self.shape = shape
        self._scales: NDArray[Any] | None = None

    def start(self, *, register: bool) -> PairStart:
        """Grey scales and registration, as a block of their own."""
        from voltome.dvc.blocks import GreyScale
        from voltome.dvc.registration import Registration
        from voltome.dvc.solver import PairStart

        found = self._job.run("start", start_block, self._pair, register, self._interpolation)
        self._scales = found["scales"]
        scales = [GreyScale(*map(float, row)) for row in found["scales"]]
        registration = None
        if register:
            status, iterations, reduction = map(int, found["counts"])
            registration = Registration(
                found["phi"], found["centre"], status, iterations, float(found["zncc"]), reduction
            )
        return PairStart(scales[0], scales[1], registration)

    def solve(
        self,
        factor: int,
        positions_vox: NDArray[np.int64],
        phi: FloatArray,
        rules: NodeRules,
        *,
        stage: str | None,
    ) -> NodeResults:
        """Cut the nodes into blocks, work them and bring the results together."""
        from voltome.dvc.node_results import NodeResults
        from voltome.dvc.solver import split_nodes

        results = NodeResults.start(phi)
        sets = split_nodes(self.shape, factor, positions_vox, phi, rules)
        arguments = [
            (self._pair, self._scales, factor, positions_vox[index], phi[index], asdict(rules)) for index in sets
        ]
        name = "again" if stage is None else stage.replace(" ", "").replace(",", "-")
        for index, found in zip(sets, self._job.run_blocks(name, solve_block, arguments), strict=True):
            for member in fields(results):
                getattr(results, member.name)[index] = found[member.name]
        return results


def start_block(pair: PairFiles, register: bool, interpolation: str) -> dict[str, NDArray[Any]]:
    """Grey scales and registration of a pair; see `voltome.dvc.solver.start_pair`.

    Parameters
    ----------
    pair : PairFiles
    register : bool
    interpolation : str

    Returns
    -------
    dict
        `scales` (2, 2); with registration `phi`, `centre`, `counts` (status, iterations, reduction), `zncc`.
    """
    from voltome.dvc.solver import start_pair

    with pair.open() as (reference, deformed, mask):
        found = start_pair(reference, deformed, mask=mask, register=register, interpolation=interpolation, threads=1)
    scales = np.array([[scale.offset, scale.scale] for scale in (found.reference_scale, found.deformed_scale)])
    if found.registration is None:
        return {"scales": scales}
    r = found.registration
    counts = np.array([r.status, r.iterations, r.reduction])
    return {"scales": scales, "phi": r.phi, "centre": r.centre_vox, "counts": counts, "zncc": np.array(r.zncc)}


def solve_block(
    pair: PairFiles,
    scales: NDArray[np.float64],
    factor: int,
    positions_vox: NDArray[np.int64],
    phi: FloatArray,
    rules: dict[str, Any],
) -> dict[str, NDArray[Any]]:
    """Work the windows of a block; see `voltome.dvc.solver.solve_reduced`.

    Parameters
    ----------
    pair : PairFiles
    scales : (2, 2) float64
    factor : int
    positions_vox : (N, 3) int64
    phi : (N, 4, 4) float64
    rules : dict
        Of `NodeRules`.

    Returns
    -------
    dict
        The arrays of `NodeResults`.
    """
    from voltome.dvc.blocks import GreyScale
    from voltome.dvc.boxes import Pair
    from voltome.dvc.node_results import NodeRules
    from voltome.dvc.solver import solve_reduced
    from voltome.dvc.workers import InlinePool

    grey = [GreyScale(*map(float, row)) for row in scales]
    with pair.open() as (reference, deformed, mask), InlinePool(1) as pool:
        results = solve_reduced(
            Pair(reference, deformed, grey[0], grey[1], mask),
            factor,
            positions_vox,
            phi,
            NodeRules(**rules),
            pool=pool,
        )
    return {member.name: getattr(results, member.name) for member in fields(results)}
