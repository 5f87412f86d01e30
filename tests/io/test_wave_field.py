"""Wave fields on disk."""

from __future__ import annotations

import dataclasses

import h5py
import numpy as np
import pytest

from voltome.errors import InputError
from voltome.io import WaveField, read_volume, read_wave_field, write_wave_field

RNG = np.random.default_rng(2)
FIELD = WaveField(
    wave=(RNG.normal(size=(12, 15)) + 1j * RNG.normal(size=(12, 15))).astype(np.complex64),
    phase=RNG.normal(size=(8, 10)).astype(np.float32),
    log_amplitude=RNG.normal(size=(8, 10)).astype(np.float32),
    first=(2, 3),
    pixel_m=1.6e-7,
    wavelength_m=5.32e-7,
    files=("a.tif", "µ.tif"),
    distances_m=np.array([0.0, 5e-5]),
    shifts_px=np.array([[0.0, 0], [1.5, -2]]),
    shift_sd_px=np.array([[0.1, 0.1], [np.inf, np.inf]]),
    agreement=np.array([0.9, 0.8]),
    left_out=np.array([np.nan, 0.7]),
    tilt_rad=np.array([0.005, -0.006]),
    made_by={"voltome": "0", "parameters": {"mode": "quality"}},
)


def test_what_was_written_is_read(tmp_path):
    write_wave_field(tmp_path / "f.h5", FIELD)
    found = read_wave_field(tmp_path / "f.h5")
    for one in dataclasses.fields(WaveField):
        ours, theirs = getattr(FIELD, one.name), getattr(found, one.name)
        if isinstance(ours, np.ndarray):
            assert np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f") and ours.dtype == theirs.dtype
        else:
            assert ours == theirs
    assert found.inside == (slice(2, 10), slice(3, 13))


def test_phase_is_a_volume_of_one_slice_for_other_commands(tmp_path):
    write_wave_field(tmp_path / "f.h5", FIELD)
    assert np.array_equal(read_volume(f"{tmp_path / 'f.h5'}::/phase"), FIELD.phase[None])


def test_the_same_field_gives_the_same_bytes(tmp_path):
    for name in "ab":
        write_wave_field(tmp_path / name, FIELD)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with pytest.raises(InputError, match="already exists"):
        write_wave_field(tmp_path / "a", FIELD)


def test_what_is_no_field_is_one_line(tmp_path):
    path = tmp_path / "f.h5"
    write_wave_field(path, FIELD)
    whole = path.read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 2])
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = np.zeros(3)
    with h5py.File(path, "r+") as file:
        del file["phase"]
    for name, said in {
        "none.h5": "does not exist",
        "other.h5": "is no wave field",
        "cut.h5": "damaged or no HDF5",
        "f.h5": "damaged or no HDF5",
    }.items():
        with pytest.raises(InputError, match=said) as caught:
            read_wave_field(tmp_path / name)
        assert "\n" not in str(caught.value)
