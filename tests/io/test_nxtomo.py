"""NXtomo as others write it: units, versions, several entries, links."""

from __future__ import annotations

import math
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from voltome.errors import InputError
from voltome.frames import DARK, FLAT, PROJECTION, UNUSED
from voltome.io import open_scan_files

DATA = Path(os.environ.get("VOLTOME_DATA", "../shared/data")) / "tomography"
ENTRY = "entry0000"


def read_geometry(path):
    with open_scan_files([path]) as scan:
        return scan.distances[0].geometry


def replace_value(path, name, value, units=None):
    with h5py.File(path, "r+") as file:
        group, _, last = f"{ENTRY}/{name}".rpartition("/")
        holder = file.require_group(group)
        if last in holder:
            del holder[last]
        if value is not None:
            holder[last] = value
            if units:
                holder[last].attrs["units"] = units


@pytest.mark.parametrize(
    ("name", "value", "units"),
    [
        ("instrument/beam/incident_energy", 29600.0, "eV"),
        ("instrument/beam/incident_energy", 29.6, "kev"),
        ("instrument/beam/incident_energy", 0.0296, b"MeV"),
        ("instrument/beam/incident_energy", 4.7424428366e-15, "J"),
        ("instrument/detector/distance", 600.0, "mm"),
        ("instrument/detector/distance", [60.0], "cm"),
        ("instrument/source/distance", 50.0, "mm"),
        ("instrument/detector/x_pixel_size", 0.65, "µm"),
        ("instrument/detector/x_pixel_size", 650.0, "nm"),
        ("instrument/detector/x_pixel_size", 6500.0, "angstrom"),
    ],
)
def test_units_are_read(make_radiographs, tmp_path, name, value, units):
    made = make_radiographs()
    path = made.write(tmp_path / "scan.nx")
    replace_value(path, name, value, units)
    geometry = read_geometry(path)
    for quantity in ("energy_kev", "source_sample_m", "sample_detector_m", "detector_pixel_m"):
        assert getattr(geometry, quantity) == pytest.approx(getattr(made.geometry, quantity), rel=1e-9)


def test_angles_in_radians_are_read(make_radiographs, tmp_path):
    made = make_radiographs()
    path = made.write(tmp_path / "scan.nx")
    replace_value(path, "sample/rotation_angle", made.angles_rad, "rad")
    with open_scan_files([path]) as scan:
        np.testing.assert_array_equal(scan.distances[0].angles_rad, made.angles_rad)


def test_an_unknown_unit_is_refused(make_radiographs, tmp_path):
    path = make_radiographs().write(tmp_path / "scan.nx")
    replace_value(path, "instrument/detector/distance", 2.0, "furlong")
    with pytest.raises(InputError, match="unknown unit 'furlong'"):
        read_geometry(path)


def test_older_files_state_the_pixel_at_the_sample(make_radiographs, tmp_path):
    path = make_radiographs().write(tmp_path / "scan.nx")
    replace_value(path, "sample/x_pixel_size", None)
    replace_value(path, "instrument/detector/x_pixel_size", 50e-9, "m")
    with h5py.File(path, "r+") as file:
        file[ENTRY].attrs["version"] = 1.4
    geometry = read_geometry(path)
    assert geometry.pixel_m == pytest.approx(50e-9)
    assert geometry.detector_pixel_m == pytest.approx(0.65e-6)


def test_behind_a_lens_the_pixel_at_the_sample_counts(make_radiographs, tmp_path):
    path = make_radiographs().write(tmp_path / "scan.nx")
    replace_value(path, "instrument/detector/x_pixel_size", 6.5e-6, "m")
    assert read_geometry(path).detector_pixel_m == pytest.approx(0.65e-6)


def test_the_source_follows_from_the_propagation_distance(make_radiographs, tmp_path):
    path = make_radiographs().write(tmp_path / "scan.nx")
    replace_value(path, "instrument/source/distance", None)
    assert read_geometry(path).source_sample_m == pytest.approx(0.05)


def test_without_source_the_beam_is_parallel(make_radiographs, tmp_path):
    path = make_radiographs().write(tmp_path / "scan.nx")
    for name in ("instrument/source/distance", "sample/propagation_distance", "sample/x_pixel_size"):
        replace_value(path, name, None)
    geometry = read_geometry(path)
    assert geometry.source_sample_m == math.inf
    assert geometry.magnification == 1


def test_without_energy_there_is_no_geometry(make_radiographs, tmp_path):
    path = make_radiographs().write(tmp_path / "scan.nx")
    replace_value(path, "instrument/beam/incident_energy", None)
    assert read_geometry(path) is None


def test_alignment_frames_are_not_used(make_radiographs, tmp_path):
    made = make_radiographs()
    path = made.write(tmp_path / "scan.nx")
    control = made.kinds.astype(np.int64)
    control[23] = -1
    replace_value(path, "instrument/detector/image_key_control", control)
    replace_value(path, "instrument/detector/image_key", np.where(control == -1, 0, control))
    with open_scan_files([path]) as scan:
        kinds = scan.distances[0].kinds
    assert kinds[23] == UNUSED
    assert np.sum(kinds == PROJECTION) == 19


def test_each_entry_is_a_distance(make_radiographs, tmp_path):
    path = tmp_path / "scan.nx"
    with h5py.File(path, "w") as file:
        for k, length in enumerate((0.6, 0.7)):
            made = make_radiographs(sample_detector_m=length, seed=k)
            with h5py.File(made.write(tmp_path / f"{k}.nx")) as one:
                one.copy(one[ENTRY], file, name=f"entry{k:04d}")
    with open_scan_files([path]) as scan:
        assert [one.geometry.sample_detector_m for one in scan.distances] == [0.6, 0.7]
        np.testing.assert_array_equal(scan.distances[1].frames[:, :, :], made.frames)
    with open_scan_files([f"{path}::entry0001"]) as scan:
        assert [one.name for one in scan.distances] == [f"{path}::/entry0001"]
    with pytest.raises(InputError, match=r"has no entry /entry0007: it has /entry0000, /entry0001"):
        read_geometry(f"{path}::entry0007")


@pytest.mark.parametrize("virtual", [False, True])
def test_frames_in_another_file_are_followed_and_missed(make_radiographs, tmp_path, virtual):
    made = make_radiographs()
    path = made.write(tmp_path / "scan.nx")
    name = f"{ENTRY}/instrument/detector/data"
    with h5py.File(tmp_path / "frames.h5", "w") as other:
        other["frames"] = made.frames
    with h5py.File(path, "r+") as file:
        del file[name]
        if virtual:
            layout = h5py.VirtualLayout(made.frames.shape, made.frames.dtype)
            layout[:] = h5py.VirtualSource("frames.h5", "frames", made.frames.shape)
            file.create_virtual_dataset(name, layout)
        else:
            file[name] = h5py.ExternalLink("frames.h5", "frames")
    with open_scan_files([path]) as scan:
        np.testing.assert_array_equal(scan.distances[0].frames[:, :, :], made.frames)
    (tmp_path / "frames.h5").unlink()
    with pytest.raises(InputError, match=r"needs frames\.h5.*missing"):
        read_geometry(path)


def test_image_keys_that_do_not_add_up_are_refused(make_radiographs, tmp_path):
    path = make_radiographs().write(tmp_path / "scan.nx")
    for name in ("image_key", "image_key_control"):
        replace_value(path, f"instrument/detector/{name}", np.zeros(26, int))
    with pytest.raises(InputError, match=r"image_key must have a value for each of 27 frames .* has 26"):
        read_geometry(path)


def test_fewer_angles_than_projections_are_refused(make_radiographs, tmp_path):
    path = make_radiographs().write(tmp_path / "scan.nx")
    replace_value(path, "sample/rotation_angle", np.linspace(0, 170, 18), "deg")
    with pytest.raises(InputError, match=r"an angle for each of 20 projections .* has 18"):
        read_geometry(path)


def test_angles_of_the_projections_alone_are_enough(make_radiographs, tmp_path):
    made = make_radiographs()
    path = made.write(tmp_path / "scan.nx")
    replace_value(path, "sample/rotation_angle", 9.0 * np.arange(20), "deg")
    with open_scan_files([path]) as scan:
        angles = scan.distances[0].angles_rad[scan.distances[0].find(PROJECTION)]
    np.testing.assert_allclose(angles, made.angles_rad[made.kinds == PROJECTION])


def test_a_frame_that_cannot_be_read_is_nan(make_radiographs, tmp_path):
    made = make_radiographs()
    path = made.write(tmp_path / "scan.nx")
    name = f"{ENTRY}/instrument/detector/data"
    with h5py.File(path, "r+") as file:
        del file[name]
        data = file.create_dataset(name, data=made.frames, chunks=(1, 5, 7), compression="gzip")
        chunk = data.id.get_chunk_info_by_coord((9, 0, 0))
    with open(path, "r+b") as raw:
        raw.seek(chunk.byte_offset)
        raw.write(b"\xff" * chunk.size)
    with open_scan_files([path]) as scan:
        read = scan.distances[0].frames[7:12, :, :]
        good = scan.distances[0].frames[7:9, :, :]
    assert np.isnan(read[2]).all()
    np.testing.assert_array_equal(read[[0, 1, 3, 4]], made.frames[[7, 8, 10, 11]])
    assert good.dtype == np.uint16


@pytest.mark.skipif(not (DATA / "k11-18014.nxs").exists(), reason="needs k11-18014.nxs")
def test_a_scan_of_diamond_is_read():
    with open_scan_files([DATA / "k11-18014.nxs"]) as scan:
        (one,) = scan.distances
        assert [one.find(kind).size for kind in (PROJECTION, FLAT, DARK)] == [3001, 100, 100]
        assert one.frame_shape == (22, 26)
        angles = np.degrees(one.angles_rad[one.find(PROJECTION)])
        np.testing.assert_allclose(angles[[0, -1]], [90, 270], atol=0.01)
        assert one.frames[one.find(FLAT)[:3], :, :].mean() > one.frames[one.find(DARK)[:3], :, :].mean()
