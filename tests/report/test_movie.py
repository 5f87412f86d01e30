"""The movie's pictures: an electrode that swells between a collector above and a separator below."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice, pairwise

import numpy as np
import pytest

from voltome.measurement import Measurement, Share
from voltome.report.electrode_findings import AxialMap, ElectrodeFindings
from voltome.report.movie import FRAMES_PER_SECOND, draw_movie_frames, schedule_frames

PIXEL = 0.4e-6


def make_findings(
    strains: tuple[float, ...] = (0.0, 0.3, 0.6), shape: tuple[int, int] = (90, 70), seed: int = 3
) -> ElectrodeFindings:
    """Matter below the collector (the upper sixth) is stretched by a strain that grows towards the separator."""
    random = np.random.default_rng(seed)
    rows, columns = np.arange(shape[0], dtype=np.float64), np.arange(shape[1], dtype=np.float64)
    face, end = shape[0] / 6, shape[0] / 2
    noise = np.fft.rfft2(random.normal(size=shape))
    texture = np.fft.irfft2(noise * np.exp(-((np.hypot(np.fft.fftfreq(shape[0])[:, None],
                            np.fft.rfftfreq(shape[1])[None]) / 0.12) ** 2)), s=shape)  # fmt: skip
    texture *= 30 / texture.std()
    texture += np.where(rows < face, 160.0, np.where(rows < end, 0.0, -40.0))[:, None]
    names = tuple(f"T{i}" for i in range(len(strains)))
    nodes_z, nodes_x = np.arange(face + 2, end + 1, 4), np.arange(3, shape[1] - 2, 5)
    slices, maps, surfaces, measurements = {}, {}, {}, []
    for i, (name, strain) in enumerate(zip(names, strains, strict=True)):
        depth = np.clip(rows - face, 0, end - face)
        shift = strain * depth**2 / (end - face)
        slices[name] = np.empty(shape, dtype=np.float32)
        for j in range(shape[1]):
            slices[name][:, j] = 300 + np.interp(rows, rows + shift, texture[:, j]) + random.normal(0, 3, shape[0])
        local = 2 * strain * (nodes_z - face) / (end - face)
        field = local[:, None] + 0.15 * strain * np.sin(nodes_x / 6)[None]
        u_z = np.interp(nodes_z, rows, shift)[:, None] + 0 * nodes_x
        if i:
            maps[name] = AxialMap(nodes_z * PIXEL, nodes_x * PIXEL, u_z * PIXEL, 0 * u_z, field, field < 9)
        thickness = (end - face) * (1 + strain) * PIXEL
        surfaces[name] = np.full(shape[1], face * PIXEL), face * PIXEL + thickness + 0 * columns
        shares = (Share("noise", 2e-7), Share("magnification", 1e-7, "bias"))
        measurements.append(Measurement("thickness", name, thickness, "m", shares=shares))
        measurements.append(Measurement("axial_strain", name, strain, "1", shares=(Share("noise", 0.01),)))
    return ElectrodeFindings(
        scans=names,
        measurements=measurements,
        slices=slices,
        slice_pixel_m=PIXEL,
        slice_y_m=1.2e-5,
        surfaces=surfaces,
        thickness_maps={},
        map_pixel_m=PIXEL,
        axial_maps=maps,
        socs={name: 0.12 * i for i, name in enumerate(names)},
        times_s={name: 3600.0 * i * (1 + 0.2 * i) for i, name in enumerate(names)},
    )


def draw(findings: ElectrodeFindings) -> list[np.ndarray]:
    frames = draw_movie_frames(findings)
    assert frames is not None
    return list(frames)


def picture_of(frame: np.ndarray) -> np.ndarray:
    """The slice in a frame of the default findings, which are taller than wide."""
    return frame[38:662, 40:525].astype(int)


def redness(frame: np.ndarray) -> np.ndarray:
    """Rows that are coloured as stretched."""
    inner = picture_of(frame)[:, 100:-100]
    return (inner[..., 0] - inner[..., 2] > 40).mean(axis=1)


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    return draw(make_findings())


def test_frames_are_of_one_even_size(frames):
    assert {(frame.shape, frame.dtype.name) for frame in frames} == {((720, 1280, 3), "uint8")}


def test_scans_are_held_and_the_way_between_them_moves(frames):
    same = [bool((a == b).all()) for a, b in pairwise(frames)]
    assert same == [True] * 8 + [False] * 10 + [True] * 8 + [False] * 10 + [True] * 17


def test_the_electrode_gets_red_and_swells(frames):
    red = [np.flatnonzero(redness(frame) > 0.9) for frame in frames]
    assert len(red[0]) == 0
    ends = [rows[-1] for rows in red if len(rows)]
    assert ends[-1] > red[18][-1] + 40  # rows of the picture, seven to a pixel of the slice
    assert ends == sorted(ends)


def test_only_frames_between_scans_say_that_they_are_interpolated(frames):
    held, between = (frames[i][105:128, 570:].reshape(-1, 3).astype(int) for i in (0, 12))
    assert (held == 255).all()
    assert ((between[:, 0] - between[:, 2]) > 100).sum() > 100


def test_same_findings_give_the_same_frames_whatever_the_style(frames):
    import matplotlib

    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "lines.linewidth": 9}):
        again = draw_movie_frames(make_findings())
        assert again is not None
        assert all((a == b).all() for a, b in islice(zip(frames, again, strict=False), 12))


@pytest.mark.parametrize(("scans", "least", "most"), [(2, 1, 4), (10, 10, 14), (30, 12, 25), (90, 12, 25)])
def test_ten_scans_take_twelve_seconds_and_many_less_than_twenty_five(scans, least, most):
    frames = schedule_frames(scans)
    assert least <= len(frames) / FRAMES_PER_SECOND <= most
    assert frames == sorted(frames) and {scan for scan, part in frames if part == 0} == set(range(scans))


@pytest.mark.parametrize("scans", [("T0",), ("T1",), ()])
def test_one_scan_is_no_movie(scans):
    whole = make_findings()
    kept = {name: whole.slices[name] for name in scans}
    assert draw_movie_frames(replace(whole, slices=kept)) is None
    assert draw_movie_frames(replace(whole, axial_maps={})) is None


def test_repeat_scans_are_passed_over():
    assert draw_movie_frames(replace(make_findings((0.0, 0.3)), repeats={"T1": "T0"})) is None


def test_a_movie_needs_neither_times_nor_numbers_nor_faces():
    bare = replace(make_findings((0.0, 0.3), (24, 60)), times_s={}, socs={}, measurements=(), surfaces={})
    assert len(draw(bare)) == 36
    timeless = replace(make_findings((0.0, 0.3), (24, 60)), times_s={"T1": 60.0}, socs={"T0": 0.0})
    assert len(draw(timeless)) == 36


def test_strain_without_value_is_bare():
    whole = make_findings((0.0, 0.6))
    axial = whole.axial_maps["T1"]
    without = replace(axial, strain=np.full_like(axial.strain, np.nan))
    picture = picture_of(draw(replace(whole, axial_maps={"T1": without}))[-1])
    assert (np.ptp(picture, axis=2) == 0).all()


def test_strain_that_is_not_trusted_is_lighter():
    whole = make_findings((0.0, 0.6))
    axial = whole.axial_maps["T1"]
    doubted = replace(whole, axial_maps={"T1": replace(axial, trusted=np.zeros_like(axial.trusted))})
    tint = [np.ptp(picture_of(draw(findings)[-1]), axis=2).mean() for findings in (doubted, whole)]
    assert 0.2 * tint[1] < tint[0] < 0.6 * tint[1]
