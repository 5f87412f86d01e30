"""Where the collector's face is found, and when there is none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from voltome.alignment import find_collector
from voltome.errors import InputError

from .foil import COPPER, FACE_VOX, SHAPE, VOXEL_M, Foil, Move

MIDDLE = (np.array(SHAPE) - 1) / 2
MIRROR = 45e3


def show(volume, side, darker):
    """The same foil at the other end, or with greys turned round."""
    turned = volume if darker else MIRROR - volume
    return turned[::-1] if side == "high-z" else turned


def face_in_the_middle(collector):
    return float(collector.face_at(MIDDLE[1:2], MIDDLE[2:])[0])


@pytest.fixture(scope="module")
def tilted():
    """Slopes -8e-3 along y and -4e-3 along x."""
    return Foil(1, face_vox=20.3, roughness_vox=0.0).draw(Move((0, 0, 0), (0, 4e-3, -8e-3)))


@pytest.mark.parametrize("side", ["low-z", "high-z"])
@pytest.mark.parametrize("darker", [True, False])
def test_the_face_is_found_to_a_fraction_of_a_pixel_at_both_ends_and_in_both_polarities(side, darker, tilted):
    found = find_collector(show(tilted, side, darker), voxel_size_m=VOXEL_M, collector_side=side, darker=darker)
    assert face_in_the_middle(found) == pytest.approx(20.3, abs=0.1)
    assert found.plane[1:] == pytest.approx([-8e-3, -4e-3], abs=2.5e-3)
    assert found.blur_vox == pytest.approx(1.2, abs=0.25)
    assert found.collector_grey == pytest.approx(COPPER if darker else MIRROR - COPPER, abs=300)
    assert (found.electrode_grey > found.collector_grey) == darker


def test_the_plane_is_within_its_stated_sds():
    z = []
    for seed in range(5):
        found = find_collector(Foil(seed, roughness_vox=0.0).draw(), voxel_size_m=VOXEL_M)
        z.append((found.plane - [FACE_VOX, 0, 0]) / found.plane_sd)
    assert 0.4 < np.sqrt(np.mean(np.square(z))) < 2.0


def test_a_reduced_volume_gives_the_face_in_full_voxels():
    fine = Foil(2, roughness_vox=0.0).draw(refine=2, shape=(64, 44, 50))
    coarse = fine.reshape(64, 2, 44, 2, 50, 2).mean(axis=(1, 3, 5))
    full = find_collector(fine, voxel_size_m=VOXEL_M / 2)
    half = find_collector(coarse, voxel_size_m=VOXEL_M / 2, reduction=2)
    y, x = np.array([0.0, 40, 80]), np.array([10.0, 50, 99])
    assert half.face_at(y, x) == pytest.approx(full.face_at(y, x), abs=0.3)
    assert half.blur_vox == pytest.approx(full.blur_vox, abs=0.25)
    assert half.face_at(np.array(43.5), np.array(49.5)) == pytest.approx(2 * FACE_VOX + 0.5, abs=0.35)


def make_edge(beyond, *, noise=40.0, shape=(64, 40, 48)):
    """A plane face at 15.4 with blur 1.5; `beyond` says the grey at heights above it."""
    z = np.arange(shape[0], dtype=float)
    rise = ndtr((z - 15.4) / 1.5)
    profile = 100 + (beyond(z - 15.4) - 100) * rise
    return profile[:, None, None] + noise * np.random.default_rng(5).standard_normal(shape)


def test_the_face_of_plain_greys_is_exact():
    found = find_collector(make_edge(lambda h: 1000.0 + 0 * h), voxel_size_m=VOXEL_M)
    assert found.face_at(np.array(20.0), np.array(24.0)) == pytest.approx(15.4, abs=0.02)
    assert found.midway_vox == pytest.approx(0.0, abs=0.02)
    assert found.blur_vox == pytest.approx(1.5, abs=0.05)
    assert found.blurred_vox == 3 * found.blur_vox


def test_beside_a_bright_gap_the_face_stands_where_the_profile_is_midway():
    """A wall parts particles: next to it greys are high, and an edge of free greys is drawn aside."""
    volume = make_edge(lambda h: 1000 + 300 * np.exp(-np.clip(h, 0, None) / 3))
    found = find_collector(volume, voxel_size_m=VOXEL_M)
    profile = volume.mean(axis=(1, 2))
    grey = (found.collector_grey + found.electrode_grey) / 2
    above = int(np.argmax(profile > grey))
    crossing = np.interp(grey, profile[above - 1 : above + 1], [above - 1, above])
    assert found.face_at(np.array(19.5), np.array(23.5)) == pytest.approx(crossing, abs=0.05)
    assert found.midway_vox < -0.1


def test_tilt_turns_the_face_about_the_middle_of_the_field():
    found = find_collector(make_edge(lambda h: 1000.0 + 0 * h), voxel_size_m=VOXEL_M)
    y, x = found.rows_vox.mean(), found.columns_vox.mean()
    assert (y, x) == pytest.approx((19.5, 23.5))
    apart = found.face_at(np.array(y + 3), np.array(x + 5)) - found.face_at(np.array(y), np.array(x))
    assert apart == pytest.approx(3 * found.plane[1] + 5 * found.plane[2])


NOISE = 20e3 + 4e3 * np.random.default_rng(8).standard_normal((40, 30, 34))


@pytest.mark.parametrize(
    ("cut", "why"),
    [
        (lambda v: NOISE, "no collector found at the low-z end"),
        (lambda v: np.full((40, 30, 34), 7.0), "no collector found at the low-z end"),
        (lambda v: v[24:], "no collector found at the low-z end"),
        (lambda v: v[::-1], "no collector found at the low-z end"),
        (lambda v: v[19:], "no slab of one grey begins the volume"),
        (lambda v: MIRROR - v, "see electrode.collector_side and polarity"),
        (lambda v: v[:1], "no slab of one grey begins the volume"),
        (lambda v: v[:2], "no slab of one grey begins the volume"),
        (lambda v: v[:, :1], "at least 4"),
        (lambda v: v[:, :, :3], "at least 4"),
    ],
    ids=["noise", "plain", "out of the field", "other end", "too thin", "polarity", "one plane", "two planes",
         "one row", "three columns"],
)  # fmt: skip
def test_without_a_collector_one_line_says_so(cut, why, tilted):
    with pytest.raises(InputError, match=why) as caught:
        find_collector(cut(tilted), voxel_size_m=VOXEL_M)
    assert "\n" not in str(caught.value)


def test_an_end_that_there_is_not_is_refused(tilted):
    with pytest.raises(InputError, match="collector_side must be"):
        find_collector(tilted, voxel_size_m=VOXEL_M, collector_side="top")
