"""Corrupt and saturated frames."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.radiographs import check_frames, find_replacements, refuse_saturation

COUNT, ROWS, COLS = 130, 48, 56


def make_frames(seed=0):
    """A slab that turns: its shadow is far darker while it lies along the beam, which decays and is topped up."""
    draw = np.random.default_rng(seed)
    angle = np.linspace(0, np.pi, COUNT)
    u = np.arange(COLS) - (COLS - 1) / 2
    width = np.abs(18 * np.cos(angle)) + 2.0
    path = np.where(np.abs(u) < width[:, None], 18.0 / width[:, None], 0.0)
    beam = 1.0 - 0.1 * (np.arange(COUNT) % 50) / 50
    light = 4000 * beam[:, None, None] * np.exp(-0.15 * path)[:, None, :] * np.ones((1, ROWS, 1))
    light[:, -6:] = 0  # metal
    return np.maximum(0, np.rint(light + 10 * draw.standard_normal(light.shape))).astype(np.uint16)


def make_check(frames, **options):
    return check_frames(frames, np.arange(len(frames)), **options)


def test_a_scan_that_turns_decays_and_is_topped_up_has_no_corrupt_frame():
    frames = make_frames()
    check = make_check(frames)
    assert not check.corrupt.any() and check.saturated.max() == 0 and check.missing.max() == 0
    assert np.allclose(check.mean, frames.mean(axis=(1, 2)))


@pytest.mark.parametrize("kind", ["dark", "bright", "half", "lines", "garbage"])
@pytest.mark.parametrize("places", [[0], [64], [129], [20, 21, 22]])
def test_corrupt_frames_are_found_and_no_others(kind, places):
    frames = make_frames()
    for place in places:
        frame = frames[place]
        if kind == "dark":
            frame[:] = 10 * np.random.default_rng(place).random(frame.shape)
        elif kind == "bright":
            frame[:] = np.minimum(frame * 1.5, 65535)
        elif kind == "half":
            frame[:, : COLS // 2] = 0
        elif kind == "lines":
            frame[10:16] = 777
        else:
            frame[5:25] = np.random.default_rng(place).integers(0, 65536, (20, COLS))
    assert np.flatnonzero(make_check(frames).corrupt).tolist() == places


def test_frames_with_many_missing_values_are_corrupt_and_with_a_few_are_not():
    frames = make_frames().astype(np.float32)
    frames[7, 3, 4] = np.nan
    frames[60, 10:20, 10:20] = np.inf
    check = make_check(frames)
    assert np.flatnonzero(check.corrupt).tolist() == [60] and check.missing[7] == pytest.approx(1 / (ROWS * COLS))


def test_the_beam_current_is_divided_out():
    frames = make_frames()
    current = np.ones(COUNT)
    current[40], frames[40] = 0.5, frames[40] // 2
    assert make_check(frames).corrupt[40] and not make_check(frames, current=current).corrupt.any()


def test_replacements_are_linear_between_the_nearest_good_frames():
    frames = make_frames()
    frames[[50, 51, 129]] = 0
    plan = find_replacements(check_frames(frames, np.arange(2, COUNT)), most_share=0.03)
    assert plan[50] == ((49, pytest.approx(2 / 3)), (52, pytest.approx(1 / 3))) and plan[129] == ((128, 1.0),)
    assert sum(weight for _, weight in plan[51]) == pytest.approx(1.0) and set(plan) == {50, 51, 129}


def test_more_than_a_hundredth_corrupt_is_refused_and_a_single_one_never():
    frames = make_frames()
    frames[3] = 0
    assert set(find_replacements(make_check(frames[:60]))) == {3}
    frames[9] = 0
    with pytest.raises(InputError, match=r"a\.nx: corrupt projections must be <= 1 % \(got 2 of 130: frames 3, 9\)"):
        find_replacements(make_check(frames), name="a.nx")


def test_saturated_frames_are_refused_with_their_number():
    frames = make_frames()
    frames[::2, :10, :20] = 65535
    check = make_check(frames)
    assert check.saturated[0] == pytest.approx(200 / (ROWS * COLS))
    with pytest.raises(
        InputError, match=r"saturated pixels must be <= 0.5 % \(got 3.72 %, in 65 of 130 frames .* 65535\)"
    ):
        refuse_saturation(check)
    refuse_saturation(make_check(make_frames()))


def test_a_camera_of_fewer_bits_saturates_where_it_is_told():
    frames = np.minimum(make_frames(), 3000)
    assert make_check(frames).saturated.max() == 0 and make_check(frames, saturation=3000).saturated.max() > 0.3


def test_nothing_to_check_is_refused():
    with pytest.raises(InputError, match="at least one frame"):
        check_frames(make_frames(), np.zeros(0, np.int64))
