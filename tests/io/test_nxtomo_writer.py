"""NXtomo files: as nxtomo reads them, and never half-written."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.io import open_scan_files, write_nxtomo


def test_nxtomo_reads_what_was_written(make_radiographs, tmp_path):
    nxtomo = pytest.importorskip("nxtomo")
    made = make_radiographs()
    path = made.write(tmp_path / "scan.nx", current_a=np.linspace(0.2, 0.19, 27), exposure_s=0.02)
    read = nxtomo.NXtomo().load(str(path), "entry0000", detector_data_as="as_numpy_array")
    detector = read.instrument.detector
    np.testing.assert_array_equal(detector.data, made.frames)
    assert [key.value for key in detector.image_key] == made.kinds.tolist()
    np.testing.assert_allclose(read.sample.rotation_angle.to("rad").magnitude, made.angles_rad, atol=1e-15)
    assert read.instrument.beam.incident_energy.to("keV").magnitude == pytest.approx(29.6, abs=1e-12)
    assert detector.distance.to("m").magnitude == 0.6
    assert detector.x_pixel_size.to("m").magnitude == detector.y_pixel_size.to("m").magnitude == 0.65e-6
    assert read.sample.x_pixel_size.to("m").magnitude == pytest.approx(50e-9)
    assert read.sample.propagation_distance.to("m").magnitude == pytest.approx(0.03 / 0.65)
    assert read.instrument.source.distance.to("m").magnitude == -0.05
    assert detector.count_time.to("s").magnitude == 0.02
    assert read.control.data.to("A").magnitude[-1] == 0.19


@pytest.mark.parametrize("source_m", [0.0473, math.inf])
def test_our_reader_gets_everything_back_exactly(make_radiographs, tmp_path, source_m):
    made = make_radiographs()
    geometry = replace(made.geometry, source_sample_m=source_m, sample_detector_m=1.0 / 3, detector_pixel_m=0.7e-6 / 3)
    current = np.linspace(0.2, 0.19, 27)
    path = made.write(tmp_path / "scan.nx", geometry=geometry, current_a=current)
    with open_scan_files([path]) as scan:
        (read,) = scan.distances
        np.testing.assert_array_equal(read.frames[:, :, :], made.frames)
        np.testing.assert_array_equal(read.kinds, made.kinds)
        np.testing.assert_allclose(read.angles_rad, made.angles_rad, rtol=1e-15)
        np.testing.assert_array_equal(read.current, current)
    assert read.frames.dtype == np.uint16
    assert read.geometry.source_sample_m == source_m
    assert read.geometry.sample_detector_m == geometry.sample_detector_m
    assert read.geometry.detector_pixel_m == geometry.detector_pixel_m
    assert read.geometry.wavelength_m == pytest.approx(geometry.wavelength_m, rel=1e-15)


def test_blocks_are_taken_one_by_one_and_give_the_same_bytes(make_radiographs, tmp_path):
    made = make_radiographs()
    whole = made.write(tmp_path / "whole.nx")
    parts = (made.frames[start : start + 4] for start in range(0, 27, 4))
    write_nxtomo(tmp_path / "parts.nx", parts, kinds=made.kinds, angles_rad=made.angles_rad, geometry=made.geometry)
    assert (tmp_path / "parts.nx").read_bytes() == whole.read_bytes()


@pytest.mark.parametrize(
    ("blocks", "changes", "message"),
    [
        ([], {}, "at least one"),
        ([slice(0, 20)], {}, "27 frames, as many as kinds has .got 20"),
        ([slice(0, 27), slice(0, 3)], {}, "27 frames, as many as kinds has .got 30"),
        ([slice(0, 27)], {"angles_rad": [0.0]}, "angles_rad must have a value for each of 27 frames .got 1"),
        ([slice(0, 27)], {"angles_rad": [np.nan] * 27}, "angles_rad must be finite"),
        ([slice(0, 27)], {"kinds": [4] * 27}, "kinds must be numbers from 0 to 3"),
    ],
)
def test_what_does_not_fit_is_refused_and_leaves_nothing(make_radiographs, tmp_path, blocks, changes, message):
    made = make_radiographs()
    values = {"kinds": made.kinds, "angles_rad": made.angles_rad, "geometry": made.geometry} | changes
    with pytest.raises(InputError, match=message):
        write_nxtomo(tmp_path / "scan.nx", [made.frames[block] for block in blocks], **values)
    assert list(tmp_path.iterdir()) == []


def test_a_frame_of_another_type_is_refused(make_radiographs, tmp_path):
    made = make_radiographs()
    values = {"kinds": made.kinds, "angles_rad": made.angles_rad, "geometry": made.geometry}
    with pytest.raises(InputError, match="all frames must be"):
        write_nxtomo(tmp_path / "scan.nx", [made.frames[:20], made.frames[20:].astype(np.float32)], **values)
    with pytest.raises(InputError, match="frames must be uint8"):
        write_nxtomo(tmp_path / "scan.nx", [made.frames.astype(np.float64)], **values)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_while_frames_are_made_keeps_what_stood_there(make_radiographs, tmp_path):
    made = make_radiographs()
    path = made.write(tmp_path / "scan.nx")
    before = path.read_bytes()

    def fail():
        yield made.frames[:5]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_nxtomo(path, fail(), kinds=made.kinds, angles_rad=made.angles_rad, geometry=made.geometry, overwrite=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["scan.nx"]
    assert path.read_bytes() == before
