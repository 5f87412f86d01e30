"""The beamline: light that is not even and drifts, a camera with its faults, a sample that does not keep its place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.twin.radiograph_settings import RadiographSettings

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Flags = NDArray[np.bool_]

FULL_COUNTS = 65535

_SIGMA_PER_FWHM = 1 / (2 * math.sqrt(2 * math.log(2)))
_REACH_SIGMAS = 3.5
_SLOW_WAVES = 3
_FLICKER = 1e-3  # sd of the current from frame to frame
_OFFSET_SD = 2.0  # counts, of the pixels' offsets
_STRIPE_PX = (4.0, 60.0)
_SPECKLE_PX = 1.5
_PROFILE = 0.3  # of the light, lost from the middle of the beam to its edges
_RING_SIGMA_PX = 0.7
_CAMERA, _MOTION, _BEAM, _FRAME = 61, 62, 63, 64  # streams of random numbers


@dataclass(frozen=True, eq=False)
class Camera:
    """A camera and the light that falls on it.

    Parameters
    ----------
    gain, ring, offset : (rows, columns) float32
        Gain about 1; gain error at full light that grows with the light; counts without light.
    dead, hot : (rows, columns) bool
        Pixels that give 0 and the highest count.
    light : (rows + 2 margin, columns + 2 margin) float32
        Beam, of mean 1 on the camera; wider by a margin.
    margin : int
    """

    gain: Singles
    ring: Singles
    offset: Singles
    dead: Flags
    hot: Flags
    light: Singles
    margin: int


@dataclass(frozen=True, eq=False)
class BeamHistory:
    """What the beam does during a scan.

    Parameters
    ----------
    shifts_px : (n, 2) float64
        Where the light's pattern lies at each frame, rows and columns.
    current_a : (n,) float64
    """

    shifts_px: Floats
    current_a: Floats


def make_camera(settings: RadiographSettings, shape: tuple[int, int], seed: int) -> Camera:
    """Build the camera of an experiment, the same for all of its scans.

    Parameters
    ----------
    settings : RadiographSettings
    shape : (rows, columns)
    seed : int
        Of the experiment.

    Returns
    -------
    Camera
    """
    from scipy import ndimage

    random = np.random.default_rng((seed, _CAMERA))
    gain = 1 + settings.pixel_gain_sd * random.standard_normal(shape)
    blobs = ndimage.gaussian_filter(random.standard_normal(shape), _RING_SIGMA_PX, mode="wrap")
    size = settings.ring_gain * random.uniform(0.4, 1.0, shape) * random.choice([-1.0, 1.0], shape)
    limit = np.quantile(blobs, 1 - settings.ring_fraction)
    ring = np.where(blobs > limit, size, 0.0)
    bad = random.uniform(size=shape)
    margin = math.ceil(2 * settings.beam_drift_px) + 8
    light = _make_light(settings, (shape[0] + 2 * margin, shape[1] + 2 * margin), random)
    light /= light[margin:-margin, margin:-margin].mean()
    return Camera(
        gain=gain.astype(np.float32),
        ring=ring.astype(np.float32),
        offset=(settings.dark_counts + _OFFSET_SD * random.standard_normal(shape)).astype(np.float32),
        dead=bad < settings.bad_fraction / 2,
        hot=bad > 1 - settings.bad_fraction / 2,
        light=light,
        margin=margin,
    )


def _make_light(settings: RadiographSettings, shape: tuple[int, int], random: np.random.Generator) -> Singles:
    """A broad beam with the horizontal stripes of multilayer optics, slightly bent, and speckle."""
    from scipy import ndimage

    y, x = (np.linspace(-1, 1, n) for n in shape)
    profile = 1 - _PROFILE * (y[:, None] ** 2 + x**2) / 2
    rows = np.arange(shape[0])[:, None] + 3 * np.sin(2 * x + random.uniform(0, 2 * np.pi))
    waves = np.zeros(shape)
    for length in np.geomspace(*_STRIPE_PX, 12):
        waves += math.sqrt(length) * np.cos(
            2 * np.pi * (rows / (length * random.uniform(0.85, 1.15)) + random.uniform())
        )
    speckle = ndimage.gaussian_filter(random.standard_normal(shape), _SPECKLE_PX, mode="wrap")
    light = profile * (1 + settings.stripes * waves / waves.std()) * (1 + settings.speckle * speckle / speckle.std())
    return np.asarray(np.maximum(light, 0.05), dtype=np.float32)


def draw_shifts(settings: RadiographSettings, n_angles: int, seed: int, step: int, distance: int) -> Floats:
    """Where the sample stands at each angle of a scan, beside where it should.

    Parameters
    ----------
    settings : RadiographSettings
    n_angles : int
    seed : int
        Of the experiment.
    step, distance : int

    Returns
    -------
    (n_angles, 2) float64
        Along z and u, pixels of the first distance. At the first distance jitter alone: what is constant there is the
        axis, and other distances drift in its frame.
    """
    random = np.random.default_rng((seed, _MOTION, step, distance))
    shifts = settings.jitter_px * random.standard_normal((n_angles, 2))
    if distance > 0:
        shifts += random.uniform(-1, 1, 2) * settings.misalignment_px
        shifts += _draw_slow(random, n_angles) * settings.drift_px
    return np.asarray(shifts)


def draw_beam(settings: RadiographSettings, n_frames: int, seed: int, step: int, distance: int) -> BeamHistory:
    """What the beam does during the frames of a scan.

    Parameters
    ----------
    settings : RadiographSettings
    n_frames : int
    seed : int
        Of the experiment.
    step, distance : int

    Returns
    -------
    BeamHistory
    """
    random = np.random.default_rng((seed, _BEAM, step, distance))
    shifts = (random.uniform(-1, 1, 2) + _draw_slow(random, n_frames)) * settings.beam_drift_px
    decay = 1 - settings.current_decay * np.linspace(0, 1, n_frames)
    current = settings.current_a * decay * (1 + _FLICKER * random.standard_normal(n_frames))
    return BeamHistory(shifts, current)


def _draw_slow(random: np.random.Generator, n: int) -> Floats:
    """Two smooth paths over n frames, in [-1, 1] with mean 0: a few random waves over the whole."""
    time = np.linspace(0, 1, n)[:, None, None]
    cycles = random.uniform(0.3, 2.0, (_SLOW_WAVES, 2))
    waves = random.uniform(0.3, 1.0, (_SLOW_WAVES, 2)) * np.cos(
        2 * np.pi * (cycles * time + random.uniform(size=(_SLOW_WAVES, 2)))
    )
    path = waves.sum(axis=1)
    path -= path.mean(axis=0)
    return np.asarray(path / np.maximum(np.abs(path).max(axis=0), 1e-12) * random.uniform(0.5, 1.0, 2))


def make_sampling(pixels: int, samples: int, *, centre: float, pitch: float, psf_px: float) -> Any:
    """Weights with which a row of pixels sees a finer or wider row of samples.

    Parameters
    ----------
    pixels, samples : int
    centre : float
        Sample upon which the middle of the pixels, (pixels - 1) / 2, falls.
    pitch : float
        Edge of a pixel in samples.
    psf_px : float
        FWHM of the point spread in pixels, besides the pixel's own area.

    Returns
    -------
    (pixels, samples) scipy.sparse.csr_matrix of float32
        Rows sum to 1; what would fall outside is seen at the nearest sample.
    """
    from scipy import sparse, special

    sigma = psf_px * pitch * _SIGMA_PER_FWHM
    reach = math.ceil(pitch / 2 + _REACH_SIGMAS * sigma)
    places = centre + (np.arange(pixels) - (pixels - 1) / 2) * pitch
    columns = np.rint(places).astype(np.int64)[:, None] + np.arange(-reach, reach + 1)
    away = columns - places[:, None]
    edges = [special.erf((away + side * pitch / 2) / (math.sqrt(2) * sigma)) for side in (1, -1)]
    weights = edges[0] - edges[1]
    weights /= weights.sum(axis=1, keepdims=True)
    rows = np.arange(0, columns.size + 1, columns.shape[1])
    inside = np.clip(columns, 0, samples - 1)
    return sparse.csr_matrix((weights.astype(np.float32).ravel(), inside.ravel(), rows), shape=(pixels, samples))


def sample_image(image: Singles, rows: Any, columns: Any) -> Singles:
    """An image as rows and columns of pixels see it.

    Parameters
    ----------
    image : (N, M) float32
    rows, columns : sparse matrices of `make_sampling`
        Of N and M samples.

    Returns
    -------
    (rows, columns) float32
    """
    half = np.ascontiguousarray((rows @ image).T)
    return np.ascontiguousarray((columns @ half).T)


def see_light(camera: Camera, settings: RadiographSettings, shift_px: Floats) -> Singles:
    """The empty beam on the camera, mean about 1, with its pattern shifted.

    Parameters
    ----------
    camera : Camera
    settings : RadiographSettings
    shift_px : (2,) float64

    Returns
    -------
    (rows, columns) float32
    """
    matrices = [
        make_sampling(n, wide, centre=(wide - 1) / 2 - shift, pitch=1.0, psf_px=settings.psf_px)
        for n, wide, shift in zip(camera.gain.shape, camera.light.shape, shift_px, strict=True)
    ]
    return sample_image(camera.light, *matrices)


def expose_frame(camera: Camera, settings: RadiographSettings, light: Singles | None, key: tuple[int, ...]) -> Any:
    """A frame as the camera gives it.

    Parameters
    ----------
    camera : Camera
    settings : RadiographSettings
    light : (rows, columns) float32 or None
        Intensity, 1 for the mean beam at full current; None for a dark.
    key : tuple of int
        What the frame's noise follows from: seed, step, distance, frame.

    Returns
    -------
    (rows, columns) uint16
        Counts.
    """
    random = np.random.default_rng((key[0], _FRAME, *key[1:]))
    counts = camera.offset + settings.read_noise_counts * random.standard_normal(camera.gain.shape, dtype=np.float32)
    if light is not None:
        full = settings.photons_per_pixel
        photons = random.poisson(np.maximum(light, 0) * np.float32(full)).astype(np.float32)
        answer = camera.gain * (1 + camera.ring * (photons / np.float32(full)))
        counts += np.float32(settings.counts_per_photon) * photons * answer
    counts[camera.hot] = FULL_COUNTS
    counts[camera.dead] = 0
    return np.rint(np.clip(counts, 0, FULL_COUNTS)).astype(np.uint16)
