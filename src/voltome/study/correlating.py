"""Digital volume correlation of a study: from scan to scan, and from the first scan to each as a check."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.fields import DeformationField, FloatArray
from voltome.grid import Shape3, VolumeSource
from voltome.study.composing import compose_series
from voltome.study.job import Job
from voltome.study.region import read_box
from voltome.study.result import Result
from voltome.study.source import SourceFile, describe_source
from voltome.study.stored import StoredScan, make_region
from voltome.study.storing import VOLUMES
from voltome.study.study_file import Study

if TYPE_CHECKING:
    from voltome.dvc.blocks import GreyScale
    from voltome.dvc.local import LocalCorrelation
    from voltome.dvc.node_results import NodeResults, NodeRules
    from voltome.dvc.solver import PairStart

BLOCK_BYTES = 256 << 20
"""What a block of windows takes. The same everywhere: how nodes are cut into blocks shows in the last digits."""

_KEPT = ("node_spacing_vox", "half_window_vox", "pyramid", "interpolation", "min_coverage", "max_iterations")


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
        reference, deformed = StoredScan(self.series, self.reference), StoredScan(self.series, self.deformed)
        with nullcontext() if self.mask is None else self.mask.open() as mask:
            whole = mask is None and not any(self.low) and tuple(self.high) == reference.shape
            yield reference, deformed, None if whole else make_region(reference.shape, self.low, self.high, mask)


def plan_increments(study: Study) -> Iterator[Result]:
    """Each scan against the one before.

    Parameters
    ----------
    study : Study

    Yields
    ------
    Result
    """
    for (a, first), (b, second) in pairwise(enumerate(study.settings.scans)):
        yield _plan_pair(study, "increments", f"{first.name}-{second.name}", (a, b))


def plan_direct(study: Study) -> Iterator[Result]:
    """Each scan but the second against the first, from the composed field on.

    Parameters
    ----------
    study : Study

    Yields
    ------
    Result
    """
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
    """Correlate a scan with the one before.

    Parameters
    ----------
    job : Job

    Returns
    -------
    None
        The result stands in its place when this returns; its mark does not yet.
    """
    correlation = _correlate(job, None)
    _write(job, correlation, {})


def make_direct(job: Job) -> None:
    """Correlate a scan with the first one, starting from the composed field, and compare.

    Parameters
    ----------
    job : Job

    Returns
    -------
    None
        The result stands in its place when this returns; its mark does not yet.
    """
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
        from voltome.dvc.registration import Registration
        from voltome.dvc.solver import PairStart

        scales = [self._read_scale(name) for name in ("reference", "deformed")]
        self._scales = np.array([[scale.offset, scale.scale] for scale in scales])
        registration = None
        if register:
            found = self._job.run("start", register_block, self._pair, self._interpolation)
            status, iterations, reduction = map(int, found["counts"])
            registration = Registration(
                found["phi"], found["centre"], status, iterations, float(found["zncc"]), reduction
            )
        return PairStart(scales[0], scales[1], registration)

    def _read_scale(self, role: str) -> GreyScale:
        """Grey scale of a whole scan, which was measured when it was stored."""
        from voltome import io
        from voltome.dvc.blocks import GreyScale

        scan = self._job.result.parameters[role]
        stored = io.read_json(self._job.store / "volumes" / scan / "summary.json")
        if not stored["sd"] > 0.0:
            raise InputError(f"{scan} is constant (grey value {stored['mean']:g} of 65535): look at the grey window")
        return GreyScale(stored["mean"], 1.0 / stored["sd"])

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


def register_block(pair: PairFiles, interpolation: str) -> dict[str, NDArray[Any]]:
    """Registration of a pair; see `voltome.dvc.register_affine`.

    Parameters
    ----------
    pair : PairFiles
    interpolation : str

    Returns
    -------
    dict
        `phi`, `centre`, `counts` (status, iterations, reduction), `zncc`.
    """
    from voltome import dvc

    with pair.open() as (reference, deformed, mask):
        r = dvc.register_affine(reference, deformed, mask=mask, interpolation=interpolation, threads=1)
    counts = np.array([r.status, r.iterations, r.reduction])
    return {"phi": r.phi, "centre": r.centre_vox, "counts": counts, "zncc": np.array(r.zncc)}


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
