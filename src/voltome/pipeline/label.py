"""Scribbles become a forest in a file; a forest and a volume become places where labels are wanted most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome import __version__
from voltome.errors import InputError
from voltome.grid import VolumeSource
from voltome.pipeline.progress import OnProgress, count_jobs
from voltome.pipeline.segment import load_model, sample_greys
from voltome.pipeline.volumes import refuse_replacing

if TYPE_CHECKING:
    from voltome.segmentation.forest import ForestPredictor
    from voltome.segmentation.model import Model, PhaseClass
    from voltome.segmentation.suggestion import Patch

_MOST_VOXELS = 200_000
"""Labelled voxels that a forest learns from: what takes a minute; more gain little, as neighbours are alike."""
_FEW_VOXELS = 30
_SLAB_VOXELS = 2**25
_LOOKED_AT_VOXELS = 2**25
_TILE_VOX = 512


def train_label_model(
    volume: str | Path,
    scribbles: str | Path,
    out: str | Path,
    *,
    dimensions: int = 3,
    scales: Sequence[float] | None = None,
    trees: int | None = None,
    seed: int = 0,
    names: Mapping[int, str] | None = None,
    window: tuple[float, float] | None = None,
    shape: Sequence[int] | None = None,
    dtype: str | None = None,
    threads: int | None = None,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Train a random forest on the labelled voxels of a volume and write it.

    Parameters
    ----------
    volume : str or Path
        As `voltome.io.open_volume` takes it; or a single image, with `dimensions` 2.
    scribbles : str or Path
        Labels of the same shape: 0 where nobody said, else codes of classes, 1 to 255.
    out : str or Path
        Model to write.
    dimensions : {3, 2}
        2 takes each plane z by itself.
    scales : sequence of float, optional
        As of `voltome.segmentation.features.plan_features`.
    trees : int, optional
    seed : int
        All that is random follows from it.
    names : mapping of int to str, optional
        Of the classes.
    window : (low, high), optional
        Grey values that become 0 and 1; by default the 1st and 99th percentile of the volume.
    shape, dtype : optional
        Of a raw volume; raw labels have the same shape and are uint8.
    threads : int, optional
        One for each core by default.
    overwrite : bool
        Replace an existing model, at the very end.
    on_progress : callable, optional
        Called with stage, done, total.

    Returns
    -------
    dict
        What the model says of itself, and `warnings`.

    Raises
    ------
    InputError
        If volume or labels break a rule or do not fit, or the output exists.
    ResourceError
        If a file cannot be read or written.
    """
    from voltome import io, segmentation
    from voltome.segmentation.features import SCALES, plan_features
    from voltome.segmentation.forest import TREES

    _refuse_output(out, (volume, scribbles), overwrite)
    plan = plan_features(SCALES if scales is None else scales, dimensions)
    workers = _count_threads(threads)
    with ExitStack() as stack:
        source = _open(stack, volume, shape, dtype)
        labels = _open_labels(stack, scribbles, volume, source, shape)
        if dimensions == 3 and source.shape[0] == 1:
            raise InputError(f"{volume} is a single image: features in 3D need a volume, add --dimensions 2")
        counts = _count_codes(labels, scribbles, on_progress)
        classes = _name_classes(counts, names, scribbles)
        at, codes = _draw_voxels(labels, counts, seed)
        sample = sample_greys(source)
        known = sample[np.isfinite(sample)] if sample.dtype.kind == "f" else sample
        grey = segmentation.find_grey_scale([known], window)
        features = segmentation.find_features(
            source,
            scales=plan.scales,
            dimensions=dimensions,
            at=at,
            grey=grey,
            threads=workers,
            on_box=_staged(on_progress, "features"),
        )
    done = count_jobs("forest", 1, on_progress)
    model = segmentation.train_forest(
        features,
        codes,
        classes=classes,
        grey=grey,
        scales=plan.scales,
        dimensions=dimensions,
        trees=TREES if trees is None else trees,
        seed=seed,
        threads=workers,
    )
    described = segmentation.describe_model(model)
    hashes = io.FileHashes(None, threads=workers)
    data = {"volume": hashes.hash_input(volume), "scribbles": hashes.hash_input(scribbles)}
    described["made"] |= {"version": __version__, "data": data}
    io.write_model_file(out, model.arrays, described, overwrite=overwrite)
    done()
    return described | {"warnings": _warn(counts, classes, len(codes))}


def suggest_labels(
    model: str | Path,
    volume: str | Path,
    out: str | Path,
    *,
    count: int = 12,
    scribbles: str | Path | None = None,
    window: tuple[float, float] | None = None,
    shape: Sequence[int] | None = None,
    dtype: str | None = None,
    threads: int | None = None,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Write the patches of a volume that a forest is least sure of; see `voltome.segmentation.suggest_patches`.

    Parameters
    ----------
    model : str or Path
        What `train_label_model` wrote.
    volume : str or Path
        As there; planes at even distances are looked at, 32 million voxels in all.
    out : str or Path
        Table, .csv or .json: z, y, x of a patch's first voxel, its height and width, its uncertainty.
    count : int
        Most patches.
    scribbles : str or Path, optional
        What is labelled already.
    window : (low, high), optional
        Grey values of this volume that stand for the model's 0 and 1.
    shape, dtype : optional
        Of a raw volume; raw labels have the same shape and are uint8.
    threads : int, optional
        One for each core by default.
    overwrite : bool
        Replace an existing table, at the very end.
    on_progress : callable, optional
        Called with stage, done, total.

    Returns
    -------
    dict
        `patches`, the most uncertain first, and `planes`, how many were looked at.

    Raises
    ------
    InputError
        If model, volume or labels break a rule or do not fit, or the output exists.
    ResourceError
        If a file cannot be read or written.
    """
    from voltome import io, segmentation

    suffix = Path(out).suffix.lower()
    if suffix not in (".csv", ".json"):
        raise InputError(f"{out} must end in .csv or .json: give such as patches.csv")
    _refuse_output(out, (model, volume, *([] if scribbles is None else [scribbles])), overwrite)
    trained = load_model(model)
    if trained.kind != "forest":
        raise InputError(f"{model} is a {trained.kind}, not a forest: give what `voltome label train` wrote")
    predictor = segmentation.ForestPredictor(trained, threads=_count_threads(threads))
    with ExitStack() as stack:
        source = _open(stack, volume, shape, dtype)
        _refuse_flat(source, volume, predictor)
        labels = None if scribbles is None else _open_labels(stack, scribbles, volume, source, shape)
        trained.grey.check(sample_greys(source), str(volume), window)
        planes = _choose_planes(source)
        if labels is not None:
            for plane in planes:
                _check_codes(labels[plane : plane + 1, :, :], str(scribbles))
        slices = _measure_planes(predictor, trained, source, labels, planes, window, on_progress)
        patches = segmentation.suggest_patches(slices, count=count)
    if suffix == ".json":
        io.write_json(out, {"patches": [asdict(patch) for patch in patches]}, overwrite=overwrite)
    else:
        io.write_table_csv(out, _tabulate(patches), overwrite=overwrite)
    return {"patches": [asdict(patch) for patch in patches], "planes": len(planes)}


def _refuse_output(out: str | Path, sources: Sequence[str | Path], overwrite: bool) -> None:
    from voltome import io

    for source in sources:
        refuse_replacing(source, out)
    io.check_target(out, overwrite=overwrite)


def _count_threads(threads: int | None) -> int:
    from voltome.dvc.workers import count_threads

    return count_threads(threads)


def _staged(on_progress: OnProgress | None, stage: str) -> Any:
    return None if on_progress is None else (lambda done, total: on_progress(stage, done, total))


def _open(stack: ExitStack, path: str | Path, shape: Sequence[int] | None, dtype: str | None) -> VolumeSource:
    """A volume, or a single image as a volume of one plane."""
    from voltome import io

    if io.holds_image(path):
        return io.read_image(path)[None]
    # no voxel size is wanted, none may fail
    return stack.enter_context(io.open_volume(path, shape=shape, dtype=dtype, voxel_size_m=1.0))


def _open_labels(
    stack: ExitStack,
    scribbles: str | Path,
    volume: str | Path,
    source: VolumeSource,
    shape: Sequence[int] | None,
) -> VolumeSource:
    labels = _open(stack, scribbles, shape, None if shape is None else "uint8")
    if labels.shape != source.shape:
        raise InputError(
            f"labels must have the volume's shape ({scribbles} has {tuple(labels.shape)}, {volume} "
            f"{tuple(source.shape)}): draw them on this volume, and leave nothing out when saving"
        )
    return labels


def _refuse_flat(source: VolumeSource, volume: str | Path, predictor: ForestPredictor) -> None:
    if predictor.halo_vox[0] and source.shape[0] == 1:
        raise InputError(f"{volume} is a single image, the model knows volumes: train one with --dimensions 2")


def _label_slabs(labels: VolumeSource) -> Iterator[tuple[int, NDArray[Any]]]:
    """Labels from z = 0 on, with the first plane of each slab."""
    nz, ny, nx = labels.shape
    deep = getattr(labels, "chunk_shape", (1, 1, 1))[0]
    depth = deep * max(1, _SLAB_VOXELS // (ny * nx * deep))
    for z in range(0, nz, depth):
        yield z, labels[z : min(z + depth, nz), :, :]


def _count_codes(labels: VolumeSource, scribbles: str | Path, on_progress: OnProgress | None) -> dict[int, int]:
    """Voxels of each class."""
    counts: dict[int, int] = {}
    for z, slab in _label_slabs(labels):
        _check_codes(slab, scribbles)
        for code, count in zip(*np.unique(slab[slab != 0], return_counts=True), strict=True):
            counts[int(code)] = counts.get(int(code), 0) + int(count)
        if on_progress is not None:
            on_progress("labels", z + len(slab), labels.shape[0])
    return dict(sorted(counts.items()))


def _check_codes(labels: NDArray[Any], scribbles: str | Path) -> None:
    if labels.dtype.kind == "f" and not np.array_equal(labels, np.rint(labels)):
        raise InputError(f"labels must be whole numbers ({scribbles} holds {labels.dtype}): save codes of classes")
    if labels.size and (labels.min() < 0 or labels.max() > 255):
        raise InputError(
            f"codes of classes must be 1 to 255, 0 is not labelled ({scribbles} holds {labels.min():g} to "
            f"{labels.max():g}): write other codes"
        )


def _name_classes(
    counts: Mapping[int, int], names: Mapping[int, str] | None, scribbles: str | Path
) -> tuple[PhaseClass, ...]:
    from voltome import segmentation

    classes = segmentation.make_classes(list(counts), names)
    unknown = sorted(set(names or {}) - set(counts))
    if unknown:
        raise InputError(
            f"no voxel of {scribbles} has code {unknown[0]} (they have {', '.join(map(str, counts))}): name these only"
        )
    return classes


def _draw_voxels(
    labels: VolumeSource, counts: Mapping[int, int], seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Labelled voxels (N, 3) and their codes: all, or as many of each class as `_MOST_VOXELS` allow, at random."""
    most = _share_out(list(counts.values()), _MOST_VOXELS)
    wanted = {code: min(1.0, most / count) for code, count in counts.items()}
    places, codes = [], []
    for first, slab in _label_slabs(labels):
        for z, plane in enumerate(slab, first):
            at = np.argwhere(plane)
            code = plane[tuple(at.T)].astype(np.int64)
            chance = np.array([wanted[int(one)] for one in np.unique(code)])
            drawn = np.random.default_rng((seed, z)).random(len(code))
            kept = drawn < chance[np.unique(code, return_inverse=True)[1]] if len(code) else np.zeros(0, dtype=bool)
            places.append(np.column_stack([np.full(kept.sum(), z), at[kept]]))
            codes.append(code[kept])
    return np.concatenate(places), np.concatenate(codes)


def _share_out(counts: Sequence[int], total: int) -> float:
    """Most that each may have for all to have `total`, where those with less give what they leave to the others."""
    rest = float(total)
    for left, count in zip(range(len(counts), 0, -1), sorted(counts), strict=True):
        if count * left >= rest:
            return rest / left
        rest -= count
    return float(max(counts))


def _warn(counts: Mapping[int, int], classes: Sequence[PhaseClass], learned: int) -> list[str]:
    warnings = [
        f"only {counts[one.code]} voxels are labelled {one.code} ({one.name}): label some more, in several places"
        for one in classes
        if counts[one.code] < _FEW_VOXELS
    ]
    total = sum(counts.values())
    if learned < total:
        warnings.append(f"{learned} of {total} labelled voxels were learned from, drawn at random")
    return warnings


def _choose_planes(source: VolumeSource) -> list[int]:
    """Planes at even distances, all where there are few."""
    nz, ny, nx = source.shape
    count = min(nz, max(1, _LOOKED_AT_VOXELS // (ny * nx)))
    return [int((number + 0.5) * nz / count) for number in range(count)]


def _measure_planes(
    predictor: ForestPredictor,
    model: Model,
    source: VolumeSource,
    labels: VolumeSource | None,
    planes: Sequence[int],
    window: tuple[float, float] | None,
    on_progress: OnProgress | None,
) -> Iterator[tuple[int, NDArray[np.float32], NDArray[Any] | None]]:
    """Uncertainty and labels of each plane."""
    from voltome import segmentation
    from voltome.segmentation.suggestion import measure_entropy

    done = count_jobs("uncertainty", len(planes), on_progress)
    _, ny, nx = source.shape
    for z in planes:
        uncertainty = np.empty((ny, nx), dtype=np.float32)
        for y in range(0, ny, _TILE_VOX):
            for x in range(0, nx, _TILE_VOX):
                block = (slice(z, z + 1), slice(y, min(y + _TILE_VOX, ny)), slice(x, min(x + _TILE_VOX, nx)))
                likely = segmentation.predict_block(predictor, model, source, block, window=window)
                uncertainty[block[1:]] = measure_entropy(likely)[0]
        yield z, uncertainty, None if labels is None else labels[z : z + 1, :, :][0]
        done()


def _tabulate(patches: Sequence[Patch]) -> dict[str, NDArray[Any]]:
    names = ("z", "y", "x", "height_vox", "width_vox", "uncertainty")
    return {name: np.array([getattr(patch, name) for patch in patches]) for name in names}
