"""What held-out slices say of probabilities and of volumes: scores, a temperature, and how far volumes err."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.segmentation.model import PhaseClass

Singles = NDArray[np.float32]

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


def calibrate(held: Sequence[HeldOut], classes: Sequence[PhaseClass]) -> dict[str, Any]:
    """What held-out slices say of probabilities and volumes.

    Parameters
    ----------
    held : sequence of HeldOut
    classes : sequence of PhaseClass

    Returns
    -------
    dict
        `temperature`; `volume`: for each class's name the mean and sd over slices of ln(predicted / true volume), the
        former as the sum of calibrated probabilities, and how many slices have the class. Empty if nothing was held
        out.
    """
    if not held:
        return {}
    temperature = find_temperature(
        np.concatenate([one.scores for one in held], axis=1), np.concatenate([one.truth for one in held])
    )
    volume: dict[str, Any] = {}
    for i, phase in enumerate(classes):
        ratios = []
        for one in held:
            true = int((one.truth == i).sum())
            if true >= 0.02 * one.truth.size:
                ratios.append(np.log(soften(one.scores, temperature)[i].sum() / true))
        if len(ratios) > 1:
            volume[phase.name] = {
                "log_ratio": float(np.mean(ratios)),
                "log_ratio_sd": float(np.std(ratios, ddof=1)),
                "slices": len(ratios),
            }
    return {"temperature": temperature, "volume": volume}
