"""Defective pixels: found, and filled from their neighbours."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.radiographs import find_defects, plan_repair, repair_pixels
from voltome.radiographs.defects import REACH_PX

SHAPE = 60, 74


def make_images(seed=0):
    draw = np.random.default_rng(seed)
    dark = (100 + 2 * draw.standard_normal(SHAPE)).astype(np.float32)
    z, u = np.indices(SHAPE)
    flat = 5000 * (1 + 0.2 * np.sin(z / 9.0) * np.cos(u / 7.0)) * (1 + 0.03 * draw.standard_normal(SHAPE))
    return dark, flat.astype(np.float32)


def make_plane():
    z, u = np.indices(SHAPE)
    return (0.5 + 0.004 * z - 0.003 * u).astype(np.float32)


def test_hot_dead_stuck_bright_and_unsteady_pixels_are_found_and_no_others():
    dark, flat = make_images()
    scatter = np.full(SHAPE, 30, np.float32)
    dark[10, 20] += 2000
    flat[30, 5] = 0.0  # stuck: the flat is as the dark
    flat[31, 6] *= 0.3
    flat[50, 70] *= 2.5
    scatter[40, 40] = 400
    found = find_defects(dark, flat, flat_sd=scatter)
    assert np.argwhere(found.mask).tolist() == [[10, 20], [30, 5], [31, 6], [40, 40], [50, 70]]
    assert (found.hot, found.dead, found.unsteady) == (1, 3, 1)
    assert found.share == pytest.approx(5 / (60 * 74))


def test_an_uneven_answer_that_a_flat_can_mend_is_no_defect():
    dark, flat = make_images()
    flat[:, 30] *= 0.8
    dark[20] += 60
    assert find_defects(dark, flat).pixels.size == 0


def test_a_dead_column_is_found_and_a_region_without_light_is_not_judged():
    dark, flat = make_images()
    flat[:, 33] = 0.0
    flat[:12] = 0.3 * np.random.default_rng(1).standard_normal((12, SHAPE[1]))
    mask = find_defects(dark, flat).mask
    assert mask[15:, 33].all() and mask[:9].sum() == 0 and np.delete(mask, 33, axis=1)[15:].sum() == 0


def test_pixels_that_are_not_finite_are_defects():
    dark, flat = make_images()
    flat[3, 4], dark[5, 6] = np.nan, np.inf
    assert np.argwhere(find_defects(dark, flat).mask).tolist() == [[3, 4], [5, 6]]


def test_a_plane_is_filled_exactly_inside_and_nearly_at_the_border():
    plane = make_plane()
    mask = np.zeros(SHAPE, bool)
    mask[20, 30] = mask[40:43, 50:53] = mask[:, 60] = mask[0, 0] = True
    frames = np.stack([plane, 2 * plane])
    frames[:, mask] = np.nan
    repair_pixels(frames, plan_repair(mask))
    away = np.abs(frames - np.stack([plane, 2 * plane]))
    assert away[:, 20, 30].max() < 1e-6 and away[:, 41, 51].max() < 1e-6 and away[:, 1:-1, 60].max() < 1e-6
    assert away.max() < 0.02 and away[:, ~mask].max() == 0


def test_a_cropped_part_with_its_halo_is_filled_as_the_whole():
    draw = np.random.default_rng(3)
    mask = draw.random(SHAPE) < 0.05
    mask[25:30, 30:36] = True
    frame = draw.random(SHAPE, dtype=np.float32)
    whole = frame.copy()
    defects = plan_repair(mask)
    repair_pixels(whole, defects)
    rows, cols = slice(14, 14 + 30), slice(10, 66)
    part = frame[rows, cols].copy()
    repair_pixels(part, defects.crop(rows, cols))
    inner = slice(REACH_PX, -REACH_PX), slice(REACH_PX, -REACH_PX)
    assert np.array_equal(part[inner], whole[rows, cols][inner])
    assert not np.array_equal(part[inner], frame[rows, cols][inner])


def test_no_defects_leave_frames_alone():
    frame = make_plane()
    repair_pixels(frame, plan_repair(np.zeros(SHAPE, bool)))
    assert np.array_equal(frame, make_plane())


def test_what_cannot_be_filled_is_refused():
    mask = np.zeros(SHAPE, bool)
    mask[10:50, 10:50] = True
    with pytest.raises(InputError, match=r"clusters of defective pixels must be < 24 px wide \(one at row"):
        plan_repair(mask)


def test_frames_of_another_shape_and_strided_ones_are_refused():
    mask = np.zeros(SHAPE, bool)
    mask[3, 3] = True
    with pytest.raises(InputError, match="defects' shape"):
        repair_pixels(make_plane()[1:], plan_repair(mask))
    with pytest.raises(InputError, match="contiguous"):
        repair_pixels(np.zeros((60, 148), np.float32)[:, :74], plan_repair(mask))


def test_darks_in_place_of_flats_are_refused():
    dark, flat = make_images()
    flat[::3, ::2] = 0.0
    with pytest.raises(InputError, match="defective pixels must be <= 5 %"):
        find_defects(dark, flat)
    with pytest.raises(InputError, match="one shape"):
        find_defects(dark, flat[1:])
