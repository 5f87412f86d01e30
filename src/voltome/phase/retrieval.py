"""Phase retrieval as a whole: from the intensities at several distances to phase and absorption behind the sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.phase.alternating import Planes, make_planes, project_in_turn, project_together
from voltome.phase.backend import Array, find_namespace, move_like
from voltome.phase.extension import Extension, plan_extension
from voltome.phase.fresnel import PlaneGrid, predict_intensities
from voltome.phase.linear import LinearFilter, make_ctf, make_paganin
from voltome.phase.screen import Screen, shade

Mode = Literal["fast", "quality", "paper"]
MODES: tuple[Mode, ...] = get_args(Mode)
"""fast: transfer functions alone. quality: three cycles of projections in turn after them. paper: Paganin, then twenty
iterations of projections together, as Haeusler et al., EES Batteries 2026, 2, 446 (10.1039/D5EB00193E) did."""

_LEAST_INTENSITY = 1e-4
_DIM = 0.2  # less light than this behind a screen tells nothing of the sample
_MIRROR_PX = 2


@dataclass(frozen=True)
class Recipe:
    """How phase is retrieved.

    Parameters
    ----------
    mode : {"fast", "quality", "paper"}
    delta_beta : float or None
        Ratio of refractive decrement and absorption index for the first guess; the projections do not assume one. None:
        absorption is found apart from phase, but not in mode paper.
    iterations : int or None
        Cycles of projections in turn (quality) or iterations of projections together (paper). None: 3 and 20.
    relaxation : float or None
        None: 0.6 in turn, 1 together.
    padding : float
        Side of the grid over that of the frames; 1.25 as 2048 -> 2560.
    """

    mode: Mode = "quality"
    delta_beta: float | None = 170.0
    iterations: int | None = None
    relaxation: float | None = None
    padding: float = 1.25

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise InputError(f"mode must be one of {', '.join(MODES)} (got {self.mode!r}): name one of these")
        if self.mode == "paper" and (self.delta_beta is None or not 0 < self.delta_beta < math.inf):
            raise InputError(
                f"mode paper needs a positive delta_beta (got {self.delta_beta}): give it, or mode quality"
            )


@dataclass(frozen=True)
class Retrieved:
    """What was found behind the sample.

    Parameters
    ----------
    phase : (rows, columns) float32 array
        Radians, unwrapped relative to the first guess; negative where X-rays meet matter.
    log_amplitude : (rows, columns) float32 array
        Half the logarithm of the transmission.
    wave : (padded rows, padded columns) complex64 array
        Both of them and what lies beyond the frame, which is at `PhaseRetriever.extension.inside`.
    """

    phase: Array
    log_amplitude: Array
    wave: Array


class PhaseRetriever:
    """Retrieves the phase of frames of one size; may be used by several threads at a time.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the frames.
    pixel_m : float
        At the sample, the same at all distances.
    wavelength_m : float
    distances_m : sequence of float
        Effective distances; may be 0 or negative.
    recipe : Recipe
    like : array, optional
        Kind of array and device on which frames will come; NumPy by default.

    Raises
    ------
    InputError
        If a length, a distance or the recipe is out of its range.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        *,
        pixel_m: float,
        wavelength_m: float,
        distances_m: Sequence[float],
        recipe: Recipe | None = None,
        like: Array | None = None,
    ) -> None:
        self.recipe = Recipe() if recipe is None else recipe
        self.distances_m = tuple(float(z) for z in distances_m)
        if not all(math.isfinite(z) for z in self.distances_m):
            raise InputError(f"distances must be finite (got {self.distances_m}): give effective distances in metres")
        self.extension: Extension = plan_extension(shape, padding=self.recipe.padding)
        self.grid = PlaneGrid(self.extension.padded, pixel_m, wavelength_m)
        self._filter = self._make_filter(like)
        self._planes: Planes | None = None
        if self.recipe.mode != "fast":
            self._planes = make_planes(self.grid, self.distances_m, like=like)
        self._shades: dict[Screen, NDArray[np.float64]] = {}
        self._weight = self.extension.weigh(np.empty(0, np.float32) if like is None else like)

    def _make_filter(self, like: Array | None) -> LinearFilter:
        ratio = self.recipe.delta_beta
        if self.recipe.mode == "paper" and ratio is not None:
            return make_paganin(self.grid, self.distances_m, delta_beta=ratio, like=like)
        return make_ctf(self.grid, self.distances_m, delta_beta=ratio, like=like)

    def retrieve(self, intensities: Array, *, screen: Screen | None = None) -> Retrieved:
        """Phase and absorption of one projection.

        Parameters
        ----------
        intensities : (distances, rows, columns) float32 array
            Over the illumination; registered to each other.
        screen : Screen, optional
            An opaque edge: the first guess is found from what its light would be without it.

        Returns
        -------
        Retrieved

        Raises
        ------
        InputError
            If there is not one frame for each distance.
        """
        wave, guess = self._solve(intensities, screen)
        xp = find_namespace(guess)
        rows, columns = self.extension.inside
        inner, guess = wave[rows, columns], guess[rows, columns]
        turned = inner * xp.exp(-1j * guess)
        amplitude = xp.maximum(xp.abs(inner), xp.asarray(_LEAST_INTENSITY, dtype=guess.dtype))
        return Retrieved(guess + xp.atan2(xp.imag(turned), xp.real(turned)), xp.log(amplitude), wave)

    def predict(self, intensities: Array, *, screen: Screen | None = None) -> list[Array]:
        """The intensities that the retrieved wave gives at the distances of measurement.

        They tell how well the planes agree: what stays the same from angle to angle is the illumination's, what is
        displaced was not registered.

        Parameters
        ----------
        intensities : (distances, rows, columns) float32 array
        screen : Screen, optional
            As of `retrieve`.

        Returns
        -------
        list of (rows, columns) float32 array
        """
        wave, _ = self._solve(intensities, screen)
        rows, columns = self.extension.inside
        return [seen[rows, columns] for seen in predict_intensities(wave, self.grid, self.distances_m)]

    def solve(self, intensities: Array, *, screen: Screen | None = None) -> Array:
        """The wave behind the sample on the whole padded grid.

        Parameters
        ----------
        intensities : (distances, rows, columns) float32 array
        screen : Screen, optional
            As of `retrieve`.

        Returns
        -------
        (padded rows, padded columns) complex64 array
            Its frame lies at `extension.inside`.
        """
        return self._solve(intensities, screen)[0]

    def _solve(self, intensities: Array, screen: Screen | None) -> tuple[Array, Array]:
        if int(intensities.shape[0]) != len(self.distances_m):
            raise InputError(
                f"there must be one frame for each distance, {len(self.distances_m)} (got {intensities.shape[0]}): "
                "name a distance for each file"
            )
        xp = find_namespace(intensities)
        least = xp.asarray(_LEAST_INTENSITY, dtype=intensities.dtype)
        frames = xp.maximum(intensities, least)
        guess, log_amplitude = self._filter.retrieve(self.extension.extend(self._unshade(frames, screen)))
        if screen is not None:
            log_amplitude = log_amplitude + self._darken(screen, log_amplitude)
        wave = xp.exp(log_amplitude + 1j * guess)
        if self._planes is None:
            return wave, guess
        amplitudes = [xp.sqrt(self.extension.extend(frame)) for frame in frames]
        keywords = {} if self.recipe.relaxation is None else {"relaxation": self.recipe.relaxation}
        if self.recipe.mode == "paper":
            count = 20 if self.recipe.iterations is None else self.recipe.iterations
            wave = project_together(wave, amplitudes, self._planes, iterations=count, weight=self._weight, **keywords)
        else:
            count = 3 if self.recipe.iterations is None else self.recipe.iterations
            wave = project_in_turn(wave, amplitudes, self._planes, cycles=count, weight=self._weight, **keywords)
        return wave, guess

    def _unshade(self, frames: Array, screen: Screen | None) -> Array:
        """Frames as they would be without the screen, its own rows filled with the mirror of what lies beside."""
        if screen is None:
            return frames
        rows = self.extension.shape[0]
        seen = self._shades.get(screen)
        if seen is None:
            seen = self._shades[screen] = shade(screen, rows, self.grid, self.distances_m)
        frames = frames / move_like(np.maximum(seen, _DIM).astype(np.float32)[:, :, None], frames)
        dark = screen.dark_rows(rows)
        inner = round(screen.width_px) + _MIRROR_PX
        place = np.arange(rows)
        if screen.at_top:
            first = min(dark.stop + inner, rows - 1)
            source = np.where(place < first, 2 * first - place, place)
        else:
            last = max(dark.start - 1 - inner, 0)
            source = np.where(place > last, 2 * last - place, place)
        source = np.clip(source, 0, rows - 1)
        return find_namespace(frames).take(frames, move_like(source, frames), axis=-2)

    def _darken(self, screen: Screen, like: Array) -> Array:
        """Logarithm of the screen's amplitude on the grid's rows; the dark goes on to the middle of the gap."""
        rows, padded = self.extension.inside[0], self.extension.padded[0]
        place = np.arange(padded) - rows.start
        gap = padded - self.extension.shape[0]
        # What lies beyond the frame's end belongs to the next period's beginning from the middle of the gap on.
        far = place - padded
        beyond = place >= self.extension.shape[0] + gap // 2
        place = np.where(beyond, far, place)
        below = place < -(gap - gap // 2)
        place = np.where(below, place + padded, place)
        amplitude = np.log(screen.amplitude(place.astype(np.float64))).astype(np.float32)
        return move_like(amplitude[:, None].copy(), like)
