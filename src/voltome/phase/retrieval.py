"""Phase retrieval as a whole: from the intensities at several distances to phase and absorption behind the sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from voltome.errors import InputError
from voltome.phase.alternating import Planes, make_planes, project_in_turn, project_together
from voltome.phase.backend import Array, find_namespace, move_like
from voltome.phase.extension import Extension, plan_extension
from voltome.phase.fresnel import PlaneGrid, predict_intensities
from voltome.phase.linear import LinearFilter, make_ctf, make_paganin

Mode = Literal["fast", "quality", "paper"]
MODES: tuple[Mode, ...] = get_args(Mode)
"""fast: transfer functions alone. quality: two cycles of projections in turn after them. paper: Paganin, then twenty
iterations of projections together, as Haeusler et al., EES Batteries 2026, 2, 446 (10.1039/D5EB00193E) did."""

_LEAST_INTENSITY = 1e-4


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
        Cycles of projections in turn (quality) or iterations of projections together (paper). None: 2 and 20.
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
            raise InputError(f"mode paper needs a positive delta_beta (got {self.delta_beta}): give it, or mode quality")


@dataclass(frozen=True)
class Retrieved:
    """What was found behind the sample.

    Parameters
    ----------
    phase : (rows, columns) float32 array
        Radians, unwrapped relative to the first guess; negative where X-rays meet matter.
    log_amplitude : (rows, columns) float32 array
        Half the logarithm of the transmission.
    """

    phase: Array
    log_amplitude: Array


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
        self._weight = self.extension.weigh(np.empty(0, np.float32) if like is None else like)

    def _make_filter(self, like: Array | None) -> LinearFilter:
        ratio = self.recipe.delta_beta
        if self.recipe.mode == "paper" and ratio is not None:
            return make_paganin(self.grid, self.distances_m, delta_beta=ratio, like=like)
        return make_ctf(self.grid, self.distances_m, delta_beta=ratio, like=like)

    def retrieve(self, intensities: Array, *, opaque_rows: slice | None = None) -> Retrieved:
        """Phase and absorption of one projection.

        Parameters
        ----------
        intensities : (distances, rows, columns) float32 array
            Over the illumination; registered to each other.
        opaque_rows : slice, optional
            Rows through which no light comes, at the frame's top or bottom: the first guess knows nothing of them and
            takes the mirror of what lies beside; the projections see the dark as it is.

        Returns
        -------
        Retrieved

        Raises
        ------
        InputError
            If there is not one frame for each distance.
        """
        wave, guess = self._solve(intensities, opaque_rows)
        xp = find_namespace(guess)
        rows, columns = self.extension.inside
        wave, guess = wave[rows, columns], guess[rows, columns]
        turned = wave * xp.exp(-1j * guess)
        amplitude = xp.maximum(xp.abs(wave), xp.asarray(_LEAST_INTENSITY, dtype=guess.dtype))
        return Retrieved(guess + xp.atan2(xp.imag(turned), xp.real(turned)), xp.log(amplitude))

    def predict(self, intensities: Array, *, opaque_rows: slice | None = None) -> list[Array]:
        """The intensities that the retrieved wave gives at the distances of measurement.

        They tell how well the planes agree: what stays the same from angle to angle is the illumination's, what is
        displaced was not registered.

        Parameters
        ----------
        intensities : (distances, rows, columns) float32 array
        opaque_rows : slice, optional
            As of `retrieve`.

        Returns
        -------
        list of (rows, columns) float32 array
        """
        wave, _ = self._solve(intensities, opaque_rows)
        rows, columns = self.extension.inside
        return [seen[rows, columns] for seen in predict_intensities(wave, self.grid, self.distances_m)]

    def solve(self, intensities: Array, *, opaque_rows: slice | None = None) -> Array:
        """The wave behind the sample on the whole padded grid.

        Parameters
        ----------
        intensities : (distances, rows, columns) float32 array
        opaque_rows : slice, optional
            As of `retrieve`.

        Returns
        -------
        (padded rows, padded columns) complex64 array
            Its frame lies at `extension.inside`.
        """
        return self._solve(intensities, opaque_rows)[0]

    def _solve(self, intensities: Array, opaque_rows: slice | None) -> tuple[Array, Array]:
        if int(intensities.shape[0]) != len(self.distances_m):
            raise InputError(
                f"there must be one frame for each distance, {len(self.distances_m)} (got {intensities.shape[0]}): "
                "name a distance for each file"
            )
        xp = find_namespace(intensities)
        least = xp.asarray(_LEAST_INTENSITY, dtype=intensities.dtype)
        frames = xp.maximum(intensities, least)
        guess, log_amplitude = self._filter.retrieve(self.extension.extend(_fill_rows(frames, opaque_rows)))
        if opaque_rows is not None:
            log_amplitude = _darken(log_amplitude, self.extension, opaque_rows, float(xp.min(frames[0])))
        wave = xp.exp(log_amplitude + 1j * guess)
        if self._planes is None:
            return wave, guess
        amplitudes = [xp.sqrt(self.extension.extend(frame)) for frame in frames]
        keywords = {} if self.recipe.relaxation is None else {"relaxation": self.recipe.relaxation}
        if self.recipe.mode == "paper":
            count = 20 if self.recipe.iterations is None else self.recipe.iterations
            wave = project_together(
                wave, amplitudes, self._planes, iterations=count, weight=self._weight, **keywords
            )
        else:
            count = 2 if self.recipe.iterations is None else self.recipe.iterations
            wave = project_in_turn(wave, amplitudes, self._planes, cycles=count, weight=self._weight, **keywords)
        return wave, guess


def _fill_rows(frames: Array, opaque_rows: slice | None) -> Array:
    """Frames with the mirror of what lies beside in place of opaque rows."""
    if opaque_rows is None:
        return frames
    rows = int(frames.shape[-2])
    first, stop, _ = opaque_rows.indices(rows)
    place = np.arange(rows)
    source = np.where(place < stop, 2 * stop - 1 - place, place) if first == 0 else place
    source = np.where(place >= first, 2 * first - 1 - place, source) if stop == rows and first > 0 else source
    return find_namespace(frames).take(frames, move_like(np.clip(source, 0, rows - 1), frames), axis=-2)


def _darken(log_amplitude: Array, extension: Extension, opaque_rows: slice, least: float) -> Array:
    """A first guess whose opaque rows let no light through."""
    rows, _ = extension.inside
    first, stop, _ = opaque_rows.indices(extension.shape[0])
    # The dark goes on beyond the frame up to the middle of the gap, where the grid closes.
    half = (extension.padded[0] - extension.shape[0]) // 2
    dark = np.zeros((extension.padded[0], 1), np.float32)
    low = rows.start + first - (half if first == 0 else 0)
    high = rows.start + stop + (extension.padded[0] - rows.stop if stop == extension.shape[0] else 0)
    dark[max(low, 0) : high] = 0.5 * math.log(max(least, _LEAST_INTENSITY))
    return log_amplitude + move_like(dark, log_amplitude)
