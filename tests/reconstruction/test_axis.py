"""The rotation axis: objects within and beyond the field, half a turn and a whole one, a real scan."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.reconstruction import find_axis

from .analytic import project_ellipses, scatter_grains

COLUMNS = 160


def make_scan(
    *, span: float, count: int = 240, axis_px: float = 82.63, reach: float = 1.6, noise: float = 0.02, seed: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Projections (n, 4, columns) with noise, and their angles; the field sees `1 / reach` of the object's width."""
    angles = np.arange(count) * span / count
    rows = [
        project_ellipses(
            scatter_grains(reach * COLUMNS / 2, int(60 * reach**2), seed=10 * seed + i), angles, COLUMNS, axis_px
        )
        for i in range(4)
    ]
    sinograms = np.stack(rows, axis=1)
    return sinograms + np.random.default_rng(seed).normal(0, noise * sinograms.max(), sinograms.shape), angles


@pytest.mark.parametrize("count", [240, 241])
def test_an_interior_scan_over_a_full_turn_gives_its_axis(count):
    projections, angles = make_scan(span=2 * np.pi, count=count)
    found = find_axis(projections, angles)
    assert found.axis_px == pytest.approx(82.63, abs=0.1)
    assert set(found.estimates) == {"opposites", "sharpness", "wedge"}
    assert found.sd_px < 0.1
    assert found.warning == ""


def test_an_interior_scan_over_half_a_turn_gives_its_axis():
    projections, angles = make_scan(span=np.pi, count=240, noise=0.01)
    found = find_axis(projections, angles)
    assert found.axis_px == pytest.approx(82.63, abs=0.1)
    assert abs(found.axis_px - 82.63) < 3 * found.sd_px
    assert "opposites" not in found.estimates


def test_a_whole_object_with_its_axis_far_off_the_middle():
    projections, angles = make_scan(span=np.pi, axis_px=66.2, reach=0.6)
    found = find_axis(projections, angles)
    assert found.axis_px == pytest.approx(66.2, abs=0.1)
    assert found.agreement_px < 0.2


def test_the_order_of_angles_and_a_start_change_nothing():
    projections, angles = make_scan(span=2 * np.pi)
    order = np.random.default_rng(3).permutation(len(angles))
    plain, shuffled = find_axis(projections, angles), find_axis(projections[order], angles[order])
    assert shuffled.axis_px == pytest.approx(plain.axis_px, abs=1e-6)
    assert find_axis(projections, angles, start_px=80.0).axis_px == pytest.approx(plain.axis_px, abs=0.05)


def test_uneven_angles_do_without_the_double_wedge():
    projections, angles = make_scan(span=2 * np.pi)
    kept = np.random.default_rng(4).uniform(size=len(angles)) > 0.1
    found = find_axis(projections[kept], angles[kept])
    assert "wedge" not in found.estimates
    assert found.axis_px == pytest.approx(82.63, abs=0.1)


def test_noise_alone_is_called_uncertain():
    noise = np.random.default_rng(5).normal(size=(200, 3, 128))
    found = find_axis(noise, np.arange(200) * np.pi / 200)
    assert "uncertain" in found.warning


def test_only_the_rows_that_are_asked_for_are_read():
    projections, angles = make_scan(span=np.pi, count=200)

    class Source:
        shape, dtype = projections.shape, projections.dtype

        def __getitem__(self, part):
            read.append(part[1])
            return projections[part]

    read: list[slice] = []
    find_axis(Source(), angles, rows=2)
    assert read == [slice(1, 2), slice(3, 4)]


def test_the_tooth_turns_about_column_296(data_dir: Path):
    import h5py

    path = data_dir / "tomography" / "tooth.h5"
    if not path.is_file():
        pytest.skip(f"no tooth at {path}")
    with h5py.File(path) as file:
        frames, flats, darks, theta = (
            file[f"exchange/{name}"][:] for name in ("data", "data_white", "data_dark", "theta")
        )
    dark = darks.mean(axis=0)
    transmission = (frames - dark) / (flats.mean(axis=0) - dark)
    found = find_axis(-np.log(np.clip(transmission, 1e-3, None)), np.deg2rad(theta))
    assert found.axis_px == pytest.approx(296.0, abs=0.25)
    assert found.agreement_px < 0.5


def test_bad_input_is_refused():
    projections, angles = np.zeros((100, 2, 64)), np.arange(100) * np.pi / 100
    with pytest.raises(InputError, match="half a turn"):
        find_axis(projections, angles / 2)
    with pytest.raises(InputError, match="agree"):
        find_axis(projections, angles[:50])
    with pytest.raises(InputError, match="rows"):
        find_axis(projections, angles, rows=0)
    with pytest.raises(InputError, match="finite"):
        find_axis(projections + np.nan, angles)
    with pytest.raises(InputError, match="start_px"):
        find_axis(projections, angles, start_px=900.0)
