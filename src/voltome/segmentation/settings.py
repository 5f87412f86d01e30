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
        Of 32 batches of 4 crops, 2 million pixels; independent of how many slices there are.
    folds : int
        Slices are held out in so many parts, each from a network of its own, trained for half as long; they give
        scores and calibration. 0 or 1: none is held out, neither is known.
    ensemble : bool
        Keep the networks of the folds: predictions are the mean of all.
    side : int
        Pixels along the edge of a crop.
    rate : float
        Highest learning rate.
    seed : int
    grey, noise : float
        How strong crops are changed: grey by up to 6 % of gain, 4 % of the window of offset and 12 % of gamma times
        `grey`; up to 6 % of the window of noise and a blur of up to 1.2 pixels times `noise`. Where grey is the same
        in all volumes and tells how far a phase has reacted, strong changes forbid to use it.
    """

    base: int = 8
    depth: int = 4
    epochs: int = 120
    folds: int = 3
    ensemble: bool = False
    side: int = 128
    rate: float = 3e-3
    seed: int = 0
    grey: float = 1.0
    noise: float = 0.5
    batches: int = 32
    batch: int = 4
