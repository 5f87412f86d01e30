"""Places of planes: what a line is, what is drift, and where a plane in between lies."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.pipeline.plane_registration import correlate_middles, find_place, find_tilt, move_frame, register_planes

DISTANCES = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
LINE = DISTANCES[:, None] * np.array([2.0, -1.0])


def make_frame(seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    z, u = (np.fft.fftfreq(n) for n in (80, 96))
    soft = np.exp(-2 * (np.pi * 1.5) ** 2 * (z[:, None] ** 2 + u**2))
    image = np.fft.ifft2(np.fft.fft2(rng.normal(size=(80, 96))) * soft).real
    return (1 + 0.2 * image / image.std()).astype(np.float32)


@pytest.mark.parametrize("jump", [1, 3, 4])
def test_one_plane_that_drifted_does_not_bend_the_line(jump):
    shifts = LINE.copy()
    shifts[jump] += [7.0, 5.0]
    assert find_tilt(DISTANCES, shifts) == pytest.approx([2.0, -1.0])


def test_one_plane_has_no_tilt_and_two_have_that_of_their_line():
    assert find_tilt(DISTANCES[:1], LINE[:1]).tolist() == [0, 0]
    assert find_tilt(np.array([3.0, 1.0]), np.array([[0, 0], [4.0, 1.0]])).tolist() == [-2, -0.5]


def test_a_plane_lies_between_its_neighbours_and_beyond_them_on_along_the_tilt():
    order = [2, 0, 4, 1, 3]  # planes need not stand in order of distance
    shifts, tilt = LINE - LINE[2], np.array([2.0, -1.0])
    shifts[4] += [3.0, 0.0]
    for distance, place in ((2.5, [1, -0.5]), (4.0, [7, -2]), (3.5, [4.5, -1.5]), (5.0, [9, -3]), (-1.0, [-6, 3])):
        assert find_place(distance, DISTANCES[order], shifts[order], tilt) == pytest.approx(place)


def test_shifts_of_frames_that_look_alike_are_found_exactly_and_the_first_stays():
    truth = np.array([[0.0, 0.0], [3.3, -2.1], [-4.6, 5.2]])
    whole = make_frame()
    frames = np.stack([move_frame(whole, -shift) for shift in truth])
    seen: list[tuple[tuple[int, ...], int]] = []

    def predict(aligned: np.ndarray, numbers: list[int], wanted: int) -> np.ndarray:
        seen.append((tuple(numbers), wanted))
        return aligned.mean(axis=0)

    found = register_planes(frames, np.array([0.0, 1.0, 2.0]), predict)
    assert found.shifts_px[0].tolist() == [0, 0]
    assert np.abs(found.shifts_px - truth).max() < 0.1
    assert (found.sd_px < 0.1).all() and (found.left_out > 0.95).all()
    assert seen[:2] == [((0,), 1), ((0, 1), 2)]  # nearest first, then each against all others
    assert all(wanted not in numbers for numbers, wanted in seen)


def test_a_plane_that_shows_something_else_keeps_what_is_expected():
    frames = np.stack([make_frame(), make_frame(), make_frame(8)])
    found = register_planes(frames, np.array([0.0, 1.0, 2.0]), lambda aligned, numbers, wanted: aligned[0])
    assert np.isinf(found.sd_px[2]).all()
    assert np.isfinite(found.shifts_px).all()


def test_correlation_is_that_of_the_middle_and_undefined_for_nothing():
    frame = make_frame()
    spoilt = frame.copy()
    spoilt[:8] = 0
    assert correlate_middles(frame, spoilt) == pytest.approx(1.0)
    assert correlate_middles(frame, -frame) == pytest.approx(-1.0)
    assert np.isnan(correlate_middles(frame, np.ones_like(frame)))
