"""The same lines on other array libraries."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.phase import (
    MODES,
    PhaseRetriever,
    PlaneGrid,
    Recipe,
    as_numpy,
    move_like,
    open_device,
    predict_intensities,
)

from .objects import expose, make_bumps

SHAPE = (72, 90)
DISTANCES = [0.005, 0.008, 0.013]
PHASE = -make_bumps(SHAPE, count=60, width_px=2.5)
SEEN = expose(PHASE, PHASE / 170, PlaneGrid(SHAPE, 5e-8, 4.19e-11), DISTANCES)


@pytest.mark.parametrize("mode", MODES)
def test_torch_and_numpy_give_the_same(mode):
    pytest.importorskip("torch")
    found = []
    for device in ("cpu", "torch"):
        like = open_device(device)
        retriever = PhaseRetriever(
            SHAPE, pixel_m=5e-8, wavelength_m=4.19e-11, distances_m=DISTANCES, recipe=Recipe(mode), like=like
        )
        one = retriever.retrieve(move_like(SEEN, like))
        assert type(one.phase) is type(like)
        predicted = predict_intensities(one.wave, retriever.grid, [0.01])[0]
        found.append([as_numpy(array) for array in (one.phase, one.log_amplitude, predicted)])
    for ours, theirs in zip(*found, strict=True):
        assert np.abs(ours - theirs).max() < 1e-4
        assert theirs.dtype == np.float32


def test_numpy_arrays_are_handed_through():
    values = np.arange(6.0)
    assert move_like(values, open_device("cpu")) is values
    assert as_numpy(values) is values


def test_a_device_that_is_none_is_refused():
    pytest.importorskip("torch")
    with pytest.raises(InputError, match="device must be one that torch can reach"):
        open_device("abacus")


def test_a_build_without_cuda_says_so_in_one_line():
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(InputError, match=r"device must be one that torch can reach \(got 'cuda'\)"):
        open_device("cuda")
