"""Stages of a training run: what each has done so far, told and kept while several of them are worked at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Any

from numpy.typing import NDArray

from voltome.errors import VoltomeError

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Epoch:
    """What training tells after an epoch: `stage` counts folds, then the whole; loss, Dice of the crops."""

    stage: int
    stages: int
    number: int
    epochs: int
    loss: float
    dice: float


@dataclass(frozen=True)
class State:
    """All that a run needs to go on where it was cut off.

    Parameters
    ----------
    arrays : dict of str to ndarray
        Names begin with the number of their stage and a point.
    numbers : dict of str to int
        Epochs done, by number of the stage.
    """

    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)


OnEpoch = Callable[[Epoch], None]
OnState = Callable[[State], None]


class StoppedError(VoltomeError):
    """Another stage failed, or the run was interrupted."""


class Progress:
    """What the stages of a run have done, for all the threads that work at them.

    Parameters
    ----------
    state : State, optional
        Of a run that was cut off.
    on_epoch, on_state : callable, optional
        Called one at a time, from any thread.
    """

    def __init__(self, state: State | None, on_epoch: OnEpoch | None, on_state: OnState | None) -> None:
        self._state = state or State()
        self._on_epoch, self._on_state = on_epoch, on_state
        self._lock, self._stopped = Lock(), Event()

    def stop(self) -> None:
        """Have all threads end at their next check."""
        self._stopped.set()

    def check(self) -> None:
        """Called often by each thread.

        Raises
        ------
        StoppedError
            If the run was stopped.
        """
        if self._stopped.is_set():
            raise StoppedError("training was stopped")

    def read(self, stage: int) -> tuple[int, dict[str, NDArray[Any]]]:
        """What was kept of a stage.

        Parameters
        ----------
        stage : int

        Returns
        -------
        epochs : int
        arrays : dict of str to ndarray
        """
        prefix = f"{stage}."
        with self._lock:
            found = {k[len(prefix) :]: v for k, v in self._state.arrays.items() if k.startswith(prefix)}
            return self._state.numbers.get(str(stage), 0), found

    def tell(self, epoch: Epoch) -> None:
        """Tell that an epoch is done.

        Parameters
        ----------
        epoch : Epoch

        Returns
        -------
        None
            What `on_epoch` raises ends the stage, and with it the run.
        """
        with self._lock:
            if self._on_epoch is not None:
                self._on_epoch(epoch)

    def keep(self, stage: int, epochs: int, arrays: Arrays) -> None:
        """Keep what a stage needs to go on, instead of what was kept of it before.

        Parameters
        ----------
        stage : int
        epochs : int
            That it has done.
        arrays : mapping of str to ndarray

        Returns
        -------
        None
            When `on_state` has returned.
        """
        prefix = f"{stage}."
        with self._lock:
            others = {k: v for k, v in self._state.arrays.items() if not k.startswith(prefix)}
            own = {prefix + k: v for k, v in arrays.items()}
            self._state = State(others | own, self._state.numbers | {str(stage): epochs})
            if self._on_state is not None:
                self._on_state(self._state)
