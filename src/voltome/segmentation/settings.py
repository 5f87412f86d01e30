"""How a network is trained; known without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingSettings:
    """How a network is trained.

    Parameters
    ----------
    base, depth : int
        Channels at full resolution, and levels below it.
    epochs : int
        Of 128 crops, 2 million pixels; independent of how many slices there are.
    folds : int
        Slices are held out in so many parts, each from a network of its own, trained for a third as long; they give
        scores and calibration. 0 or 1: none is held out, neither is known.
    ensemble : bool
        Keep the networks of the folds: predictions are the mean of all.
    side : int
        Pixels along the edge of a crop.
    rate : float
        Highest learning rate.
    seed : int
    batches, batch : int
        Steps of an epoch, and crops of a step: many small steps learn more than few large ones.
    """

    base: int = 8
    depth: int = 4
    epochs: int = 150
    folds: int = 3
    ensemble: bool = False
    side: int = 128
    rate: float = 3e-3
    seed: int = 0
    batches: int = 128
    batch: int = 1
