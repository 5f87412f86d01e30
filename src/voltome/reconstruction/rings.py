"""Rings, from pixels of the detector that err: taken out of sinograms as stripes, or of slices."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError, ResourceError
from voltome.reconstruction.stripes import find_stripes

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Image = NDArray[np.float32]

SINOGRAM_METHODS = {
    "column-median": 5,
    "algotom-sorting": 21,
    "algotom-filtering": 21,
    "algotom-wavelet": 21,
    "algotom-all": 21,
}
"""Methods that work on sinograms, with the width in pixels that each takes by default; algotom's need it installed.

A wide window takes the object's own edges where they stand still for some angles: five pixels do a fifth of the harm of
twenty-one.
"""

SLICE_METHODS = {"polar-median": 21, "algotom-polar-fft": 21}
"""Methods that work on slices, likewise. Round matter about the axis that is narrower than half the width is a ring."""

_SECTORS = 72
_ARC = 21  # sectors: rings are found that last for half of these, 50 degrees, and more
_BUILDING = Lock()


def remove_rings_in_sinograms(
    sinograms: NDArray[np.floating], *, method: str = "column-median", width_px: int | None = None
) -> Image:
    """Sinograms without the stripes that become rings.

    `column-median` takes what `stripes.find_stripes` finds that lasts for the whole scan. The others are algotom's: Vo
    et al. 2018 (10.1364/OE.26.028396) sorting, filtering and all of them; Muench et al. 2009 (10.1364/OE.17.008567).

    Parameters
    ----------
    sinograms : (m, n, columns) float array
    method : str
        One of `SINOGRAM_METHODS`. How much each takes from data without rings, `measure_damage` says.
    width_px : int, optional
        Odd; stripes up to half as wide are found. By default what `SINOGRAM_METHODS` says.

    Returns
    -------
    (m, n, columns) float32

    Raises
    ------
    InputError
        If the method is unknown, the width is not odd, or the shape is not that of sinograms.
    ResourceError
        If algotom is not installed.
    """
    width_px = _find_width(sinograms, method, SINOGRAM_METHODS, width_px)
    data = np.asarray(sinograms, dtype=np.float32)
    if method != "column-median":
        remove = _find_in_algotom(method, width_px)
        return np.stack([np.asarray(remove(sinogram), dtype=np.float32) for sinogram in data])
    return np.stack([sinogram - _find_column_stripes(sinogram, width_px) for sinogram in data])


def remove_rings_in_slices(
    slices: NDArray[np.floating], *, method: str = "polar-median", width_px: int | None = None
) -> Image:
    """Slices without rings about the axis, which is at ((ny - 1) / 2, (nx - 1) / 2).

    `polar-median` brings a slice to 72 sectors and rings a pixel wide (a sparse matrix that is made once), takes what
    `stripes.find_stripes` finds there, and subtracts it. It sees stripes after the filter has made them narrow, and
    does the least harm. `algotom-polar-fft` is algotom's.

    Parameters
    ----------
    slices : (m, ny, nx) float array
    method : str
        One of `SLICE_METHODS`.
    width_px : int, optional
        Odd; rings up to half as wide are found. By default what `SLICE_METHODS` says.

    Returns
    -------
    (m, ny, nx) float32

    Raises
    ------
    InputError
        If the method is unknown, the width is not odd, or the shape is not that of slices.
    ResourceError
        If algotom is not installed.
    """
    width_px = _find_width(slices, method, SLICE_METHODS, width_px)
    data = np.asarray(slices, dtype=np.float32)
    if method != "polar-median":
        remove = _find_in_algotom(method, width_px)
        return np.stack([np.asarray(remove(image), dtype=np.float32) for image in data])
    with _BUILDING:  # once, however many threads ask
        grid, weights = _make_polar_grid(data.shape[1], data.shape[2])
    independent = np.minimum(_SECTORS, 2 * np.pi * np.arange(len(weights) // _SECTORS) / width_px)
    out = np.empty_like(data)
    for image, cleaned in zip(data, out, strict=True):
        with np.errstate(invalid="ignore", divide="ignore"):
            sectors = (image.ravel() @ grid / weights).reshape(_SECTORS, -1)
        rings = find_stripes(sectors, width_px=width_px, independent=independent, arc=_ARC)
        cleaned[:] = image - (grid @ rings.ravel()).reshape(image.shape)
    return out


def measure_damage(clean: NDArray[np.floating], *, method: str, width_px: int | None = None) -> float:
    """What a method takes from data that have no rings.

    Parameters
    ----------
    clean : (m, n, columns) or (m, ny, nx) float array
        Sinograms or slices without rings, as the method wants them.
    method : str
        One of `SINOGRAM_METHODS` or `SLICE_METHODS`.
    width_px : int, optional

    Returns
    -------
    float
        Root mean square of the change over the standard deviation of the data.

    Raises
    ------
    InputError
        If the method is unknown, the width is not odd, or the data are plain.
    ResourceError
        If algotom is not installed.
    """
    remove = remove_rings_in_slices if method in SLICE_METHODS else remove_rings_in_sinograms
    change = remove(clean, method=method, width_px=width_px) - clean
    spread = float(np.std(clean))
    if spread == 0:
        raise InputError("clean must vary (its standard deviation is 0): give data with an object")
    return float(np.sqrt(np.mean(np.square(change, dtype=np.float64)))) / spread


def _find_width(data: NDArray[Any], method: str, known: dict[str, int], width_px: int | None) -> int:
    if method not in known:
        raise InputError(f"method must be one of {', '.join(known)} (got {method}): take {next(iter(known))}")
    if data.ndim != 3 or min(data.shape) < 1:
        raise InputError(f"rings are removed from stacks of images, three axes (got shape {data.shape}): add an axis")
    if width_px is not None and (width_px < 3 or width_px % 2 == 0):
        raise InputError(f"width_px must be odd and >= 3 (got {width_px}): take {known[method]}")
    return known[method] if width_px is None else width_px


def _find_column_stripes(sinogram: Image, width_px: int) -> Image:
    """What all angles have in common in narrow columns: (1, columns)."""
    count = min(_SECTORS, len(sinogram))
    bounds = np.linspace(0, len(sinogram), count + 1).astype(np.int64)
    sectors = np.add.reduceat(sinogram, bounds[:-1], axis=0) / np.diff(bounds)[:, None].astype(np.float32)
    independent = np.full(sinogram.shape[1], float(count))
    return find_stripes(sectors.astype(np.float32), width_px=width_px, independent=independent, arc=count)[:1]


@lru_cache(maxsize=2)
def _make_polar_grid(ny: int, nx: int) -> tuple[csr_array, Image]:
    """Bilinear weights of each pixel in sectors and rings, (pixels, sectors * radii), and their sums."""
    from scipy.sparse import csr_array

    y, x = np.arange(ny) - (ny - 1) / 2, np.arange(nx) - (nx - 1) / 2
    radius = np.hypot(y[:, None], x).ravel()
    sector = (np.arctan2(y[:, None], x).ravel() % (2 * np.pi)) * (_SECTORS / (2 * np.pi))
    rings = int(radius.max()) + 2
    inner, before = radius.astype(np.int32), sector.astype(np.int32)
    along, across = (radius - inner).astype(np.float32), (sector - before).astype(np.float32)
    columns = np.empty((len(radius), 4), dtype=np.int32)
    values = np.empty((len(radius), 4), dtype=np.float32)
    for i, (out, behind) in enumerate(((0, 0), (1, 0), (0, 1), (1, 1))):
        columns[:, i] = (before + behind) % _SECTORS * rings + inner + out
        values[:, i] = (along if out else 1 - along) * (across if behind else 1 - across)
    starts = np.arange(0, 4 * len(radius) + 1, 4, dtype=np.int32)
    grid = csr_array((values.ravel(), columns.ravel(), starts), shape=(len(radius), _SECTORS * rings))
    return grid, np.ones(len(radius), dtype=np.float32) @ grid


def _find_in_algotom(method: str, width_px: int) -> Callable[[Image], NDArray[Any]]:
    if importlib.util.find_spec("algotom") is None:
        raise ResourceError(f"{method} needs algotom, which is not installed: install algotom, or take another method")
    prep = importlib.import_module("algotom.prep.removal")
    post = importlib.import_module("algotom.post.postprocessing")
    methods: dict[str, Callable[[Image], NDArray[Any]]] = {
        "algotom-sorting": lambda data: prep.remove_stripe_based_sorting(data, size=width_px, dim=1),
        "algotom-filtering": lambda data: prep.remove_stripe_based_filtering(data, sigma=3, size=width_px, dim=1),
        "algotom-wavelet": lambda data: prep.remove_stripe_based_wavelet_fft(data, level=5, size=1),
        "algotom-all": lambda data: prep.remove_all_stripe(data, snr=3.0, la_size=51, sm_size=width_px),
        "algotom-polar-fft": lambda data: post.remove_ring_based_fft(data),
    }
    return methods[method]
