"""What held-out slices say of probabilities and of volumes: scores, a temperature, and how far volumes err."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.segmentation.model import PhaseClass
from voltome.segmentation.slices import LabelledSlice

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

_LEAST_SHARE = 0.02
_HALF_A_PIXEL = 0.5
_TEMPERATURES = np.geomspace(0.4, 4.0, 47)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What a network said of a slice that it had not seen.

    Parameters
    ----------
    number : int
        Of the slice.
    confusion : (C, C) int64
        Pixels by true class (row) and most likely one.
    scores : (C, N) float32
        Of some labelled pixels, drawn at random.
    truth : (N,) int64
        Their true classes.
    """

    number: int
    confusion: NDArray[np.int64]
    scores: Singles
    truth: NDArray[np.int64]

    @classmethod
    def sample(cls, number: int, scores: Singles, truth: NDArray[np.int64], *, most: int) -> HeldOut:
        """From the scores of all labelled pixels, (C, M), and their classes."""
        count = len(scores)
        confusion = np.bincount(truth * count + scores.argmax(axis=0), minlength=count**2).reshape(count, count)
        chosen = np.random.default_rng(number).choice(truth.size, min(most, truth.size), replace=False)
        return cls(number, confusion, scores[:, chosen], truth[chosen])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """For a file."""
        own: dict[str, NDArray[Any]] = {"confusion": self.confusion, "scores": self.scores, "truth": self.truth}
        return {f"held{self.number:04d}.{name}": array for name, array in own.items()}

    @classmethod
    def restore(cls, arrays: Mapping[str, NDArray[Any]], number: int) -> HeldOut:
        """What `arrays` gave."""
        return cls(number, *(arrays[f"held{number:04d}.{name}"] for name in ("confusion", "scores", "truth")))


def score_held_out(held: Sequence[HeldOut], classes: Sequence[PhaseClass]) -> dict[str, Any]:
    """Dice coefficient of each class on held-out slices.

    Parameters
    ----------
    held : sequence of HeldOut
    classes : sequence of PhaseClass

    Returns
    -------
    dict
        `slices`; `dice` by name over all of them together, None of a class that none has; `dice_mean`. Empty if
        nothing was held out.
    """
    if not held:
        return {}
    total = np.sum([one.confusion for one in held], axis=0)
    both = np.diag(total)
    size = total.sum(axis=0) + total.sum(axis=1)
    dice = {one.name: float(2 * both[i] / size[i]) if total[i].sum() else None for i, one in enumerate(classes)}
    known = [value for value in dice.values() if value is not None]
    return {"slices": len(held), "dice": dice, "dice_mean": float(np.mean(known))}


def find_temperature(scores: Singles, truth: NDArray[np.int64]) -> float:
    """Temperature that makes probabilities as often right as they say.

    Parameters
    ----------
    scores : (C, N) float32
        Before the softmax.
    truth : (N,) int64

    Returns
    -------
    float
        Scores are divided by it; above 1 where the network was too sure (Guo et al. 2017, 10.48550/arXiv.1706.04599).
    """
    wide = scores.astype(np.float64)
    losses = []
    for temperature in _TEMPERATURES:
        cooled = wide / temperature
        top = cooled.max(axis=0)
        entropy = top + np.log(np.exp(cooled - top).sum(axis=0)) - cooled[truth, np.arange(truth.size)]
        losses.append(entropy.mean())
    return float(_TEMPERATURES[int(np.argmin(losses))])


def doubt_temperature(calibration: Mapping[str, Any]) -> list[str]:
    """Say where probabilities could not be calibrated.

    Parameters
    ----------
    calibration : mapping
        As `calibrate` gives it.

    Returns
    -------
    list of str
        A warning, if the temperature is the lowest or highest that is tried.
    """
    found = calibration.get("temperature")
    if found is None or _TEMPERATURES[0] < found < _TEMPERATURES[-1]:
        return []
    return [
        f"probabilities could not be calibrated (temperature {found:.2g} is the end of what is tried): do not believe "
        "the confidence; label every class in more slices, of more volumes"
    ]


def soften(scores: Singles, temperature: float) -> Singles:
    """Probabilities of scores, (C, ...).

    Parameters
    ----------
    scores : (C, ...) float32
    temperature : float

    Returns
    -------
    (C, ...) float32
    """
    cooled = scores / np.float32(temperature)
    cooled -= cooled.max(axis=0)
    likely = np.exp(cooled)
    likely /= likely.sum(axis=0)
    out: Singles = likely
    return out


def calibrate(
    held: Sequence[HeldOut], classes: Sequence[PhaseClass], slices: Sequence[LabelledSlice]
) -> dict[str, Any]:
    """What held-out slices say of probabilities and volumes.

    Parameters
    ----------
    held : sequence of HeldOut
    classes : sequence of PhaseClass
    slices : sequence of LabelledSlice
        All of them, by number.

    Returns
    -------
    dict
        `temperature`; `volume`: by class's name what is known of ln(measured / true volume), measured as the sum of
        calibrated probabilities: mean `log_ratio`, its sd `log_ratio_sd` from volume to volume of one group (less what
        the choice of slices adds to it), and the number of `volumes`; `by_voxel_size`: the same for each size of voxel,
        where there are several. A class counts in a volume of which it is a fiftieth. Empty if nothing was held out.
    """
    if not held:
        return {}
    temperature = find_temperature(
        np.concatenate([one.scores for one in held], axis=1), np.concatenate([one.truth for one in held])
    )
    said: dict[str, Any] = {}
    for i, phase in enumerate(classes):
        parts_of: dict[tuple[str, str], list[list[float]]] = {}
        for one in held:
            place = slices[one.number].group, slices[one.number].volume
            found = [soften(one.scores, temperature)[i].sum(dtype=np.float64), (one.truth == i).sum(), one.truth.size]
            parts_of.setdefault(place, []).append(found)
        ratios = {}
        for place, found in parts_of.items():
            measured, true, known = np.array(found, dtype=np.float64).T
            if true.sum() >= _LEAST_SHARE * known.sum():
                found_sum = max(float(measured.sum()), _HALF_A_PIXEL)  # of a class that it does not know at all
                ratios[place] = _Ratio(math.log(found_sum / true.sum()), _find_slice_variance(measured, true))
        if len(ratios) > 1:
            said[phase.name] = _describe(ratios)
            sizes = {(one.group, one.volume): one.voxel_size_m for one in slices}
            known = sorted({size for place in ratios if (size := sizes[place]) is not None})
            parts = [(size, {p: r for p, r in ratios.items() if sizes[p] == size}) for size in known]
            if len(parts) > 1:
                said[phase.name]["by_voxel_size"] = [
                    {"voxel_size_m": size} | _describe(part) for size, part in parts if len(part) > 1
                ]
    return {"temperature": temperature, "volume": said}


@dataclass(frozen=True)
class _Ratio:
    """ln(measured / true volume) of a volume, and its variance from slice to slice; NaN of one slice."""

    value: float
    slice_variance: float


def _find_slice_variance(measured: Floats, true: Floats) -> float:
    """Variance of ln(sum of measured / sum of true) because only these slices of the volume were looked at."""
    count = len(true)
    if count < 2:
        return math.nan
    ratio = max(float(measured.sum()), _HALF_A_PIXEL) / true.sum()
    return float(count / (count - 1) * ((measured / ratio - true) ** 2).sum() / true.sum() ** 2)


def _describe(ratios: Mapping[tuple[str, str], _Ratio]) -> dict[str, Any]:
    return {
        "log_ratio": float(np.mean([one.value for one in ratios.values()])),
        "log_ratio_sd": _spread_within(ratios),
        "volumes": len(ratios),
    }


def _spread_within(ratios: Mapping[tuple[str, str], _Ratio]) -> float:
    """Standard deviation about the mean of each group; of all where no group has two.

    What comes from the choice of slices is taken out where volumes have several, as whole volumes do not err by it; at
    least half of the standard deviation stays.
    """
    groups: dict[str, list[float]] = {}
    for (group, _), one in ratios.items():
        groups.setdefault(group, []).append(one.value)
    parts = [np.array(values) for values in groups.values() if len(values) > 1]
    if not parts:
        parts = [np.array([one.value for one in ratios.values()])]
    squares = sum(float(((part - part.mean()) ** 2).sum()) for part in parts)
    variance = squares / sum(len(part) - 1 for part in parts)
    known = [one.slice_variance for one in ratios.values() if not math.isnan(one.slice_variance)]
    share = len(known) / len(ratios)
    return math.sqrt(max(variance - share * float(np.mean(known)) if known else variance, variance / 4))
