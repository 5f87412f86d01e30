"""How far one distance's frames lie off another's, angle by angle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]
Complexes = NDArray[np.complex64]

_MOST_SIDE = 640  # frames are binned below it
_LEAST_SIDE = 32
_OPAQUE = 0.05
_LEAST_LIGHT = 0.02
_TAPER = 0.1
_COARSE_RINGS = 6
_RINGS = 24
_STEPS = 8
_LEAST_PEAK_SDS = 7.0
_GROUPS = 64


def measure_shifts(
    images: Singles,
    references: Singles,
    *,
    weights: Singles | None = None,
    band_px: tuple[float, float] = (0.004, 0.15),
    start_px: Floats | None = None,
    most_px: float | None = None,
) -> tuple[Floats, Floats]:
    """Shift of each image against its reference: phase correlation in a band, ring by ring.

    Fringes differ between distances, up to their sign: the phases of the cross-spectrum are summed over rings of
    frequency, and each ring counts by the square of its sum for the peak, and by its own coherence, with its own
    sign, for the fraction of a pixel (Gauss-Newton). References may as well be images that were predicted.

    Parameters
    ----------
    images : (n, rows, columns) float32
        Transmissions.
    references : (n, rows, columns) or (1, rows, columns) float32
        Of the same pixel.
    weights : (rows,) or (rows, columns) float32, optional
        Between 0 and 1, fixed to the detector. What is opaque (below 5 %) has no weight in any case.
    band_px : (float, float)
        Frequencies that count, in cycles a pixel: shading below, noise beyond.
    start_px : (n, 2) or (2,) float64, optional
        What is expected, for shifts that are large.
    most_px : float, optional
        Largest difference from `start_px`: by default a quarter of the shorter side.

    Returns
    -------
    shifts : (n, 2) float64
        Pixels along rows (z) and columns (u): positive if what is seen lies at larger row or column in the image than
        in the reference. NaN where no peak stands out.
    sd : (n, 2) float64
        From the scatter between groups of frequencies; infinite where there is no shift.

    Raises
    ------
    InputError
        If shapes do not match, frames are smaller than 32 pixels, or the band is empty.
    """
    _check_stacks(images, references)
    shape = images.shape[1], images.shape[2]
    grid = _Grid.make(shape, band_px)
    plain = np.ones(shape, dtype=np.float32) if weights is None else _spread(weights, shape)
    start = np.zeros((len(images), 2)) if start_px is None else np.broadcast_to(start_px, (len(images), 2))
    most = min(shape) / 4 if most_px is None else most_px
    shifts, sd = np.full((len(images), 2), np.nan), np.full((len(images), 2), np.inf)
    kept = _mask_light(grid.reduce(plain))
    for i, image in enumerate(images):
        reference = references[i if len(references) > 1 else 0]
        found = _measure_one(grid, grid.reduce(image), grid.reduce(reference), kept, start[i], most)
        if found is not None:
            shifts[i], sd[i] = found
    return shifts, sd


def _check_stacks(images: Singles, references: Singles) -> None:
    if images.ndim != 3 or references.ndim != 3 or images.shape[1:] != references.shape[1:]:
        raise InputError(
            f"images and references must be stacks of one frame shape (got {images.shape} and {references.shape}): "
            "resample first"
        )
    if len(references) not in (1, len(images)):
        raise InputError(
            f"references must be 1 or as many as images, {len(images)} (got {len(references)}): give one for each"
        )
    if min(images.shape[1:]) < _LEAST_SIDE:
        raise InputError(f"images must be >= {_LEAST_SIDE} px high and wide (got {images.shape[1:]}): take larger ones")


def _spread(weights: Singles, shape: tuple[int, int]) -> Singles:
    spread = weights[:, None] if weights.ndim == 1 else weights
    if spread.shape[0] != shape[0] or spread.shape[1] not in (1, shape[1]):
        raise InputError(f"weights must be ({shape[0]},) or {shape} (got {weights.shape}): one for each row, or pixel")
    out: Singles = np.broadcast_to(spread, shape).astype(np.float32)
    return out


def _mask_light(weights: Singles) -> Singles:
    """Weights that fall softly to 0 beside what has none: an edge of a mask is no feature."""
    from scipy.ndimage import uniform_filter

    size = 2 * max(2, min(weights.shape) // 64) + 1
    if weights.min() >= 1.0:
        return weights
    missing = uniform_filter((1.0 - weights).astype(np.float32), size, mode="nearest")
    soft: Singles = np.clip(1.0 - 3.0 * missing, 0.0, 1.0).astype(np.float32)
    return soft


@dataclass(frozen=True, eq=False)
class _Grid:
    """Binning of the frames and the frequencies that count, in cycles a binned pixel."""

    binning: int
    shape: tuple[int, int]
    rows: NDArray[np.int64]
    count: int  # columns of the half spectrum
    fz: Floats
    fu: Floats
    ring: NDArray[np.int64]  # number of the ring, _RINGS outside the band
    group: NDArray[np.int64]
    period: int  # of the slowest wave

    @classmethod
    def make(cls, shape: tuple[int, int], band_px: tuple[float, float]) -> _Grid:
        from scipy.fft import next_fast_len

        binning = -(-max(shape) // _MOST_SIDE)
        sizes = [n // binning for n in shape]
        sizes = [n if next_fast_len(n, real=True) == n else _fast_below(n) for n in sizes]
        low, high = (
            max(band_px[0] * binning, 1.5 / min(sizes)),
            min(band_px[1] * binning, 0.45 if binning == 1 else 0.3),
        )
        if not high > 1.5 * low:
            raise InputError(
                f"band_px must hold frequencies above {low / binning:.3g} cycles a pixel (got {band_px}): widen it"
            )
        fz: Floats = np.fft.fftfreq(sizes[0]).astype(np.float64)
        fu: Floats = np.fft.rfftfreq(sizes[1]).astype(np.float64)
        rows, count = np.flatnonzero(np.abs(fz) <= high), int(np.count_nonzero(fu <= high))
        fz, fu = fz[rows], fu[:count]
        length = np.hypot(fz[:, None], fu)
        ring = np.floor((length - low) / (high - low) * _RINGS).astype(np.int64)
        ring[(length < low) | (length >= high)] = _RINGS
        ring[(fu == 0) & (fz[:, None] < 0)] = _RINGS  # it is the conjugate of another
        # neighbours in frequency are not independent (the field ends): blocks of four stay together
        z, u = np.indices(ring.shape) // 4
        group = np.asarray((z * 37 + u * 101) % _GROUPS, dtype=np.int64)
        return cls(binning, (sizes[0], sizes[1]), rows, count, fz, fu, ring, group, max(3, round(0.5 / low)))

    def reduce(self, image: Singles) -> Singles:
        """Binned middle of an image."""
        b = self.binning
        tops = [(n - size * b) // 2 for n, size in zip(image.shape, self.shape, strict=True)]
        part = image[tops[0] : tops[0] + self.shape[0] * b, tops[1] : tops[1] + self.shape[1] * b]
        lines = part[0::b].astype(np.float32)
        for i in range(1, b):
            lines += part[i::b]
        out = lines[:, 0::b].copy()
        for i in range(1, b):
            out += lines[:, i::b]
        return out / np.float32(b * b)

    def transform(self, image: Singles, light: Singles, step: NDArray[np.int64], taper: Singles) -> Complexes:
        """Spectrum, in the band, of the logarithm less its local mean, moved back by whole pixels."""
        from scipy import fft
        from scipy.ndimage import uniform_filter

        if step.any():
            image, light = (np.roll(array, tuple(-step), axis=(0, 1)) for array in (image, light))
        value = np.log(np.maximum(image, np.float32(_LEAST_LIGHT)))
        seen = light * taper
        mean = uniform_filter(value * seen, self.period, mode="constant")
        mean /= np.maximum(uniform_filter(seen, self.period, mode="constant"), np.float32(1e-3))
        spectrum = fft.rfft2((value - mean) * seen, overwrite_x=True)
        out: Complexes = spectrum[self.rows, : self.count]
        return out


def _fast_below(count: int) -> int:
    """Largest number of at most `count` with no prime factor above 5."""
    while True:
        rest = count
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return count
        count -= 1


def _measure_one(
    grid: _Grid, image: Singles, reference: Singles, kept: Singles, start_px: Floats, most_px: float
) -> tuple[Floats, Floats] | None:
    """Shift and its sd in pixels of the frames; None where no peak stands out."""
    if not (np.isfinite(image).all() and np.isfinite(reference).all()):
        return None
    lights = [_mask_light((array > _OPAQUE).astype(np.float32)) * kept for array in (image, reference)]
    start = start_px / grid.binning
    step = np.rint(np.where(np.isfinite(start), start, 0.0)).astype(np.int64)
    cross = _cross(grid, (image, reference), lights, step)
    left = _find_peak(grid, cross, most_px / grid.binning)
    if left is None:
        return None
    whole = np.rint(left).astype(np.int64)
    if whole.any():  # the parts that both see are compared once more: they must fill the same field
        step, left = step + whole, left - whole
        cross = _cross(grid, (image, reference), lights, step)
    refined = _refine(grid, cross, left)
    if refined is None:
        return None
    left, sd = refined
    return (step + left) * grid.binning, sd * grid.binning


def _cross(grid: _Grid, images: tuple[Singles, Singles], lights: list[Singles], step: NDArray[np.int64]) -> Complexes:
    """Whitened cross-spectrum of what both see, the first moved back by `step`."""
    taper = _make_taper(grid.shape, step)
    moved = grid.transform(images[0], lights[0], step, taper)
    return _whiten(grid, moved * np.conj(grid.transform(images[1], lights[1], np.zeros_like(step), taper)))


def _make_taper(shape: tuple[int, int], step: NDArray[np.int64]) -> Singles:
    """Soft window over what both see when one is moved back by `step`."""
    sides = []
    for n, moved in zip(shape, step, strict=True):
        low, high = max(0, -int(moved)), min(n, n - int(moved))
        width = max(2.0, _TAPER * n)
        place = np.arange(n) + 0.5
        rise = np.clip(np.minimum(place - low, high - place) / width, 0.0, 1.0)
        sides.append(0.5 - 0.5 * np.cos(np.pi * rise))
    taper: Singles = (sides[0][:, None] * sides[1]).astype(np.float32)
    return taper


def _whiten(grid: _Grid, cross: Complexes) -> Complexes:
    """Phases; those whose modulus is far below their ring's count less."""
    modulus = np.abs(cross)
    ring = grid.ring.ravel()
    number = np.maximum(np.bincount(ring, minlength=_RINGS + 1), 1)
    usual = (np.bincount(ring, modulus.ravel(), _RINGS + 1) / number).astype(np.float32)
    usual[_RINGS] = np.inf
    out: Complexes = cross / (modulus + np.maximum(usual, np.float32(1e-30))[grid.ring])
    return out


def _find_peak(grid: _Grid, cross: Complexes, reach: float) -> Floats | None:
    """Highest sum over rings of the squared correlation, to a fraction of a pixel: a ring's sign does not matter."""
    from scipy import fft

    size = [fft.next_fast_len(2 * n, real=True) for n in (int(np.abs(grid.fz * grid.shape[0]).max()) + 1, grid.count)]
    whole = np.rint(grid.fz * grid.shape[0]).astype(np.int64) % size[0]
    parts = []
    total = np.zeros(size, dtype=np.float32)
    for k in range(_COARSE_RINGS):
        part = np.where(grid.ring * _COARSE_RINGS // _RINGS == k, cross, np.complex64(0))
        parts.append(part)
        spectrum = np.zeros((size[0], size[1] // 2 + 1), dtype=np.complex64)
        spectrum[whole, : grid.count] = part
        wave = fft.irfft2(spectrum, s=size)
        power = wave * wave
        total += power / np.float32(max(float(power.mean()), 1e-30))
    scale = [n / m for n, m in zip(grid.shape, size, strict=True)]
    z, u = (np.fft.fftfreq(m) * m * s for m, s in zip(size, scale, strict=True))
    near = (np.abs(z) <= reach + scale[0])[:, None] & (np.abs(u) <= reach + scale[1])
    high = float(np.where(near, total, -np.inf).max())
    # the sum of K exponential-like powers of mean 1 has mean K and sd about sqrt(2 K)
    if not high > _COARSE_RINGS + _LEAST_PEAK_SDS * np.sqrt(2.0 * _COARSE_RINGS):
        return None
    row, col = np.unravel_index(int(np.argmax(np.where(near, total, -np.inf))), total.shape)
    return _look_closer(grid, parts, np.array([z[row], u[col]]), scale)


def _look_closer(grid: _Grid, parts: list[Complexes], place: Floats, scale: list[float]) -> Floats:
    """The same sum on a grid of an eighth of the step around the peak."""
    steps = np.arange(-8, 9) / 8.0
    z, u = place[0] + steps * scale[0], place[1] + steps * scale[1]
    left = np.exp(2j * np.pi * z[:, None] * grid.fz).astype(np.complex64)
    right = np.exp(2j * np.pi * grid.fu[:, None] * u).astype(np.complex64)
    total = np.zeros((z.size, u.size))
    for part in parts:
        power = np.sum(np.abs(part) ** 2)
        if power > 0:
            total += np.real(left @ part @ right) ** 2 / power
    row, col = np.unravel_index(int(np.argmax(total)), total.shape)
    return np.array([z[row], u[col]])


def _refine(grid: _Grid, cross: Complexes, shift: Floats) -> tuple[Floats, Floats] | None:
    """Gauss-Newton on the phases, each ring weighted by its coherence; sd from groups of frequencies (a sandwich)."""
    inside = np.flatnonzero(grid.ring.ravel() < _RINGS)
    row, col = np.divmod(inside, grid.count)
    ring, group = grid.ring.ravel()[inside], grid.group.ravel()[inside]
    phase = cross.ravel()[inside]
    fz, fu = 2 * np.pi * grid.fz[row], 2 * np.pi * grid.fu[col]
    number = np.maximum(np.bincount(ring, minlength=_RINGS), 1)
    size = np.bincount(ring, np.abs(phase), _RINGS) / number
    start = shift
    for _ in range(_STEPS):
        turned = phase * (np.exp(1j * fz * shift[0]) * np.exp(1j * fu * shift[1]))
        mean = np.bincount(ring, turned.real, _RINGS) / number / np.maximum(size, 1e-30)
        # what chance alone gives is taken off
        coherence = np.sign(mean) * np.sqrt(np.clip(mean**2 - 1.0 / number, 0.0, 0.99))
        weight = (coherence / (1.0 - coherence**2))[ring]
        slope = -weight * turned.imag
        bend = weight * (coherence * size)[ring]
        hessian = np.array(
            [[np.sum(bend * fz * fz), np.sum(bend * fz * fu)], [np.sum(bend * fz * fu), np.sum(bend * fu * fu)]]
        )
        if not np.linalg.det(hessian) > 1e-12 * max(np.trace(hessian) ** 2, 1e-30):
            return None
        step = np.linalg.solve(hessian, [np.sum(slope * fz), np.sum(slope * fu)])
        shift = shift + np.clip(step, -0.5, 0.5)
        if np.abs(step).max() < 1e-4:
            break
    if np.abs(shift - start).max() > 3.0:
        return None
    forces = np.stack([np.bincount(group, slope * f, _GROUPS) for f in (fz, fu)])
    inverse = np.linalg.inv(hessian)
    variance = np.diag(inverse @ (forces @ forces.T) @ inverse)
    return shift, np.sqrt(np.maximum(variance, 1e-12))
