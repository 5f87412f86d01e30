"""A trained model at work: a block of a volume in, probabilities out."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.grid import Block, Shape3, VolumeSource
from voltome.segmentation.engine import open_engine
from voltome.segmentation.model import Model

Singles = NDArray[np.float32]

FLIPS = (1, 2, 4, 8)
"""Ways to show a slice to the network: as it is; mirrored; along both its axes; turned by 90 degrees as well."""

_BATCH_PIXELS = 2**20
_PART_VOXELS = 2**23
_REACH_VOX = 64
_DEEP = 64
_MOST_PIXELS = 1280 * 1280  # what the network holds at once goes with it
_FOREST_PIXELS = 512 * 512  # its tiles are its own; blocks only bound the memory


class Predictor(Protocol):
    """What turns a block of grey values into probabilities.

    `halo_vox` voxels around a block decide on it; where the volume ends, those along axes of `mirrored` are mirrored.
    """

    halo_vox: tuple[int, int, int]
    mirrored: tuple[bool, bool, bool]

    def predict(self, block: Singles) -> Singles:
        """(z, y, x) on the model's grey scale, mirrored halo included, to (C, z, y, x) without that halo."""


class NetworkPredictor:
    """A network at work on slices along its axis.

    Parameters
    ----------
    model : Model
        Of kind "network".
    engine : str
        As of `engine.choose_engine`.
    threads : int
    flips : {1, 2, 4, 8}
        Probabilities are the mean over so many ways to show a slice; time goes with it.

    Raises
    ------
    InputError
        If the model is no network, or `flips` is none of these.
    """

    def __init__(self, model: Model, *, engine: str = "auto", threads: int = 1, flips: int = 1) -> None:
        if model.kind != "network":
            raise InputError(f"the model is a {model.kind}, not a network: apply it with `voltome label apply`")
        if flips not in FLIPS:
            raise InputError(f"flips must be one of {FLIPS} (got {flips}): each takes as long as the first")
        settings = model.settings
        self._runs = [
            open_engine(model, i, engine=engine, threads=threads) for i in range(int(settings.get("members", 1)))
        ]
        self._axis, self._planes = "zyx".index(settings["axis"]), int(settings["planes"])
        self._step, self._flips = 2 ** int(settings["depth"]), flips
        z, y, x = (self._planes // 2 if axis == self._axis else _REACH_VOX for axis in range(3))
        self.halo_vox = (z, y, x)
        self.mirrored = (self._axis == 0, self._axis == 1, self._axis == 2)

    def predict(self, block: Singles) -> Singles:
        """Probabilities of a block; see `Predictor`."""
        slices = np.moveaxis(block, self._axis, 0)
        count, rows, columns = len(slices) - self._planes + 1, *slices.shape[1:]
        pad = ((0, 0), (0, -rows % self._step), (0, -columns % self._step))
        if any(after for _, after in pad):
            slices = np.pad(slices, pad, mode="symmetric")
        slices = np.ascontiguousarray(slices)
        batch = max(1, _BATCH_PIXELS // slices[0].size)
        out: Singles | None = None
        for first in range(0, count, batch):
            numbers = np.arange(first, min(first + batch, count))
            part = slices[numbers[:, None] + np.arange(self._planes)]
            likely = self._mean(part)[..., :rows, :columns]
            if out is None:
                out = np.empty((likely.shape[1], count, rows, columns), dtype=np.float32)
            out[:, numbers] = likely.swapaxes(0, 1)
        assert out is not None  # a block has a plane
        return np.moveaxis(out, 1, 1 + self._axis)

    def _mean(self, slices: Singles) -> Singles:
        """Mean over flips and members."""
        total: Singles | None = None
        for number in range(self._flips):
            shown = _turn(slices, number)
            for run in self._runs:
                likely = _turn_back(run(np.ascontiguousarray(shown)), number)
                total = likely if total is None else total + likely
        assert total is not None
        count = self._flips * len(self._runs)
        return total if count == 1 else total / np.float32(count)


def _turn(slices: Singles, number: int) -> Singles:
    if number & 4:
        slices = slices.swapaxes(-1, -2)
    if number & 2:
        slices = slices[..., ::-1, :]
    return slices[..., ::-1] if number & 1 else slices


def _turn_back(likely: Singles, number: int) -> Singles:
    if number & 1:
        likely = likely[..., ::-1]
    if number & 2:
        likely = likely[..., ::-1, :]
    return likely.swapaxes(-1, -2) if number & 4 else likely


def open_predictor(model: Model, *, engine: str = "auto", threads: int = 1, flips: int = 1) -> Predictor:
    """A model that is ready to be used.

    Parameters
    ----------
    model : Model
    engine, threads, flips
        As of `NetworkPredictor`; a forest takes `threads` alone.

    Returns
    -------
    Predictor

    Raises
    ------
    InputError, ResourceError
        If the engine is not to be had, or the model is damaged.
    """
    if model.kind == "forest":
        from voltome.segmentation.forest import ForestPredictor

        return ForestPredictor(model, threads=threads)
    return NetworkPredictor(model, engine=engine, threads=threads, flips=flips)


def predict_block(
    predictor: Predictor, model: Model, volume: VolumeSource, block: Block, *, window: tuple[float, float] | None = None
) -> Singles:
    """Probabilities of a block of a volume.

    Parameters
    ----------
    predictor : Predictor
    model : Model
        The predictor's.
    volume : VolumeSource
    block : three slices
        With start and stop.
    window : (low, high), optional
        Grey values of this volume that stand for the model's, as of `GreyScale.scale`.

    Returns
    -------
    (C, z, y, x) float32
        NaN where the volume has no value.
    """
    wide, pads, crop = [], [], []
    for edge, halo, mirrored, n in zip(block, predictor.halo_vox, predictor.mirrored, volume.shape, strict=True):
        low, high = max(edge.start - halo, 0), min(edge.stop + halo, n)
        wide.append(slice(low, high))
        before, after = low - (edge.start - halo), edge.stop + halo - high
        pads.append((before, after) if mirrored else (0, 0))
        crop.append(slice(None) if mirrored else slice(edge.start - low, edge.stop - low))
    z, y, x = wide
    grey = volume[z, y, x]
    scaled = model.grey.scale(grey, window)
    missing = ~np.isfinite(scaled) if grey.dtype.kind == "f" else None
    if missing is not None and missing.any():
        scaled[missing] = model.grey.seen[1]
    if any(before or after for before, after in pads):
        scaled = np.pad(scaled, pads, mode="symmetric")
    likely = predictor.predict(scaled)[(slice(None), *crop)]
    if missing is not None and missing.any():
        inner = tuple(
            slice(edge.start - part.start, edge.stop - part.start) for edge, part in zip(block, wide, strict=True)
        )
        likely[:, missing[inner]] = np.nan
    return likely


def decide(likely: Singles, codes: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The most likely class of each voxel, and its probability.

    Parameters
    ----------
    likely : (C, ...) float32
    codes : (C,) uint8

    Returns
    -------
    phases : (...) uint8
        Code of the class; 0 where probabilities are NaN.
    confidence : (...) uint8
        Its probability times 255.

    Examples
    --------
    >>> phases, confidence = decide(np.array([[0.25, 1.0], [0.75, 0.0]], np.float32), np.array([1, 4], np.uint8))
    >>> phases.tolist(), confidence.tolist()
    ([4, 1], [191, 255])
    """
    best = likely[0].copy()
    phases = np.full(best.shape, codes[0], dtype=np.uint8)
    for code, other in zip(codes[1:], likely[1:], strict=True):
        better = other > best
        np.copyto(phases, code, where=better)
        np.maximum(best, other, out=best)
    missing = np.isnan(best)
    if missing.any():
        phases[missing], best[missing] = 0, 0
    best *= np.float32(255)
    best += np.float32(0.5)
    return phases, best.astype(np.uint8)


def cut_slabs(shape: Shape3, predictor: Predictor, *, pixels: int = _MOST_PIXELS) -> list[Block]:
    """Cut a volume into slabs that are read in one go, tiles of them where planes are large.

    Parameters
    ----------
    shape : tuple of int
    predictor : Predictor
    pixels : int
        Of a plane, beyond which it is cut into tiles.

    Returns
    -------
    list of three slices
        As deep as chunks of a store are.
    """
    axis = _find_axis(predictor)
    side = int(np.sqrt(min(pixels, _FOREST_PIXELS) if all(predictor.mirrored) else pixels))
    size = [_DEEP if a == axis else -(-n // -(-n // side)) for a, n in enumerate(shape)]
    edges = [[slice(low, min(low + s, n)) for low in range(0, n, s)] for n, s in zip(shape, size, strict=True)]
    return [(z, y, x) for z in edges[0] for y in edges[1] for x in edges[2]]


def _find_axis(predictor: Predictor) -> int:
    return 0 if all(predictor.mirrored) else predictor.mirrored.index(True)


class _ReadAhead:
    """Part of a volume in memory, under the volume's own numbers (a `VolumeSource`)."""

    def __init__(self, volume: VolumeSource, block: Block, halo_vox: tuple[int, int, int]) -> None:
        z, y, x = (
            slice(max(edge.start - halo, 0), min(edge.stop + halo, n))
            for edge, halo, n in zip(block, halo_vox, volume.shape, strict=True)
        )
        self.shape, self.dtype = volume.shape, volume.dtype
        self._start, self._values = (z.start, y.start, x.start), volume[z, y, x]

    def __getitem__(self, block: Block) -> NDArray[Any]:
        z, y, x = (slice(e.start - low, e.stop - low) for e, low in zip(block, self._start, strict=True))
        return self._values[z, y, x]


def predict_slab(
    predictor: Predictor, model: Model, volume: VolumeSource, slab: Block, *, window: tuple[float, float] | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[Any]]:
    """Phases and confidence of a slab: read once, predicted some planes at a time.

    Parameters
    ----------
    predictor, model, volume, window
        As of `predict_block`.
    slab : three slices
        Of `cut_slabs`.

    Returns
    -------
    phases, confidence : (z, y, x) uint8
        As `decide` gives them.
    grey : (z, y, x) array
        What the volume holds there.
    """
    ahead = _ReadAhead(volume, slab, predictor.halo_vox)
    shape = [edge.stop - edge.start for edge in slab]
    phases, confidence = np.empty(shape, np.uint8), np.empty(shape, np.uint8)
    axis = _find_axis(predictor)
    deep = shape[axis] if all(predictor.mirrored) else max(1, _PART_VOXELS * shape[axis] // int(np.prod(shape)))
    for first in range(0, shape[axis], deep):
        here = slice(first, min(first + deep, shape[axis]))
        part, place = list(slab), [slice(None)] * 3
        part[axis] = slice(slab[axis].start + here.start, slab[axis].start + here.stop)
        place[axis] = here
        likely = predict_block(predictor, model, ahead, (part[0], part[1], part[2]), window=window)
        phases[tuple(place)], confidence[tuple(place)] = decide(likely, model.codes)
    return phases, confidence, ahead[slab]
