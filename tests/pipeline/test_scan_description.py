"""What is said of a scan's radiographs."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.io import RadiographFiles, write_nxtomo
from voltome.optics import Geometry, find_wavelength
from voltome.pipeline.scan_description import describe_radiographs


def test_a_description_has_frames_angles_and_geometry(tmp_path):
    kinds = [2, 1, 1] + [0] * 30 + [3]
    angles = np.radians([0, 0, 0, *(6.0 * np.arange(30)), 0])
    frames = np.random.default_rng(2).integers(100, 900, (34, 3, 4), dtype=np.uint16)
    frames[1:3] += 1000
    names = []
    for k, length in enumerate((1.2, 1.19)):
        geometry = Geometry(find_wavelength(29.6), 1.25 - length, length, 0.65e-6)
        names.append(str(tmp_path / f"{k}.nx"))
        write_nxtomo(names[-1], [frames], kinds=kinds, angles_rad=angles, geometry=geometry)
    described = describe_radiographs(RadiographFiles(tuple(names)))
    assert described["warnings"] == []
    first, second = described["distances"]
    assert [first[name] for name in ("projections", "flats", "darks", "unused")] == [30, 2, 1, 1]
    assert (first["shape"], first["dtype"]) == ([34, 3, 4], "uint16")
    assert first["angles_deg"] == pytest.approx([0, 174])
    assert first["angle_step_deg"] == pytest.approx(6)
    assert first["magnification"] == pytest.approx(25)
    assert second["effective_m"] == pytest.approx(0.06 * 1.19 / 1.25)
    assert second["pixel_m"] == pytest.approx(0.65e-6 * 0.06 / 1.25)
    number = second["pixel_m"] ** 2 / (second["wavelength_m"] * second["effective_m"])
    assert second["fresnel_number"] == pytest.approx(number)
