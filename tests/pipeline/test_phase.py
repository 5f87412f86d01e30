"""From images at several distances to a wave, and from the wave to an image at a distance that nobody measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from voltome.errors import InputError
from voltome.io import read_wave_field
from voltome.pipeline.phase import predict_plane, retrieve_planes

from .plane_phantom import DISTANCES_UM, DRIFT_PX, FRAME, PIXEL_M, TILT_PX_PER_UM, expose, find_walk, write_scan

MIDDLE = (slice(25, -25), slice(25, -25))


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scan(tmp_path_factory.mktemp("planes"))


@pytest.fixture(scope="module")
def retrieved(scan: Path) -> tuple[Path, dict]:
    out = scan.parent / "field.h5"
    return out, retrieve_planes(scan, out, threads=1)


def check_correlation(path: Path, truth: np.ndarray) -> float:
    image = tifffile.imread(path)
    assert image.shape == FRAME and image.dtype == np.float32
    assert image.min() >= 0
    return float(np.corrcoef(image[MIDDLE].ravel(), truth[MIDDLE].ravel())[0, 1])


def test_tilt_and_drift_are_found(retrieved):
    _, found = retrieved
    truth = np.array([find_walk(distance) for distance in DISTANCES_UM])
    shifts = np.array([plane["shift_px"] for plane in found["planes"]])
    assert np.abs(shifts - truth).max() < 0.4
    assert np.abs(np.array(found["tilt_rad"]) - TILT_PX_PER_UM * PIXEL_M * 1e6).max() < 1e-3
    assert np.abs(np.array(found["planes"][-1]["drift_px"]) - DRIFT_PX).max() < 0.4
    assert found["warnings"] == []


def test_all_planes_agree_with_the_wave_and_with_each_other(retrieved):
    _, found = retrieved
    assert min(plane["agreement"] for plane in found["planes"]) > 0.97
    assert min(plane["left_out"] for plane in found["planes"]) > 0.8


@pytest.mark.parametrize("distance_um", [55, 90])
def test_a_plane_that_was_left_out_is_predicted_where_the_detector_sees_it(distance_um, retrieved, tmp_path):
    truth = expose(distance_um)
    for name, walk in (("walked", True), ("still", False)):
        predict_plane(retrieved[0], distance_um * 1e-6, tmp_path / f"{name}.tif", walk=walk)
    assert check_correlation(tmp_path / "walked.tif", truth) > 0.95
    assert check_correlation(tmp_path / "still.tif", truth) < 0.85


def test_at_the_first_plane_the_prediction_is_its_image(retrieved, tmp_path):
    said = predict_plane(retrieved[0], 15e-6, tmp_path / "p.tif")
    assert np.array_equal(said["shift_px"], [0, 0])
    assert check_correlation(tmp_path / "p.tif", expose(15)) > 0.97
    assert said["mean"] == pytest.approx(float(expose(15).mean()), rel=0.05)  # over the illumination


def test_beyond_the_planes_the_prediction_walks_on_along_the_tilt(retrieved, tmp_path):
    field = read_wave_field(retrieved[0])
    said = predict_plane(retrieved[0], 170e-6, tmp_path / "p.tif")
    assert np.allclose(said["shift_px"], field.shifts_px[-1] + 20e-6 * field.tilt_rad / PIXEL_M)


def test_the_field_says_what_made_it_and_holds_no_clock(retrieved, tmp_path):
    made_by = read_wave_field(retrieved[0]).made_by
    assert made_by["parameters"]["planes"][1] == {"file": "z040.tif", "distance_m": 4e-5}
    assert made_by["parameters"]["cycles"] == 80
    scan = write_scan(tmp_path, distances_um=(40, 75), settings="registered: true")
    for name in ("a.h5", "b.h5"):
        retrieve_planes(scan, tmp_path / name, mode="fast")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_two_planes_are_brought_on_each_other(tmp_path):
    found = retrieve_planes(write_scan(tmp_path, distances_um=(40, 75)), tmp_path / "f.h5", threads=1)
    assert np.abs(np.array(found["planes"][1]["shift_px"]) - (find_walk(75) - find_walk(40))).max() < 0.5
    assert min(plane["agreement"] for plane in found["planes"]) > 0.95


def test_one_plane_and_a_ratio_give_a_wave(tmp_path):
    scan = write_scan(tmp_path, distances_um=(75,), settings="delta_beta: -8")
    found = retrieve_planes(scan, tmp_path / "f.h5", threads=1)
    assert found["planes"][0]["agreement"] > 0.97
    assert np.isnan(found["planes"][0]["left_out"])


def test_registered_planes_are_left_where_they_are(tmp_path):
    found = retrieve_planes(write_scan(tmp_path, settings="registered: true"), tmp_path / "f.h5", threads=1)
    assert all(plane["shift_px"] == [0, 0] for plane in found["planes"])
    assert min(plane["agreement"] for plane in found["planes"]) < 0.9


def test_a_plane_of_something_else_is_told(tmp_path):
    scan = write_scan(tmp_path, distances_um=(40, 75, 110))
    noise = np.random.default_rng(1).normal(9000, 2000, FRAME).clip(0).astype(np.uint16)
    tifffile.imwrite(tmp_path / "z110.tif", noise)
    found = retrieve_planes(scan, tmp_path / "f.h5", mode="fast", threads=1)
    assert any("z110.tif was not found" in warning for warning in found["warnings"])


BAD_IMAGES = {
    "shape": (lambda a: a[:-8], "must have the first one's shape"),
    "nan": (lambda a: np.where(a == a.max(), np.nan, a.astype(np.float32)), "pixels must be finite"),
    "negative": (lambda a: a.astype(np.float32) - 9000, "intensities must be >= 0"),
    "saturated": (lambda a: np.where(a > 9000, 65535, a).astype(np.uint16), "saturated pixels must be <= 0.5 %"),
    "dark": (lambda a: np.full_like(a, 100), "must hold light"),
    "many": (lambda a: np.stack([a, a]), "must hold one image"),
}


@pytest.mark.parametrize("fault", BAD_IMAGES)
def test_an_image_that_is_not_usable_is_one_line_and_nothing_is_left(fault, tmp_path):
    scan = write_scan(tmp_path, distances_um=(40, 75))
    change, said = BAD_IMAGES[fault]
    image = change(tifffile.imread(tmp_path / "z075.tif"))
    tifffile.imwrite(tmp_path / "z075.tif", image)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match=said) as caught:
        retrieve_planes(scan, tmp_path / "f.h5")
    assert "\n" not in str(caught.value) and "z075.tif" in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


def test_a_missing_image_and_a_dead_reference_are_told(tmp_path):
    scan = write_scan(tmp_path, distances_um=(40, 75))
    tifffile.imwrite(tmp_path / "reference.tif", np.full(FRAME, 50, np.uint16))
    with pytest.raises(InputError, match=r"the reference must be > 0 .*reference\.tif"):
        retrieve_planes(scan, tmp_path / "f.h5")
    (tmp_path / "z040.tif").unlink()
    with pytest.raises(InputError, match=r"z040\.tif does not exist"):
        retrieve_planes(scan, tmp_path / "f.h5")


def test_a_few_dead_pixels_of_the_reference_do_no_harm(tmp_path):
    scan = write_scan(tmp_path, settings="registered: true", distances_um=(40, 75))
    reference = tifffile.imread(tmp_path / "reference.tif")
    reference[5, 7] = reference[80, 20] = 0
    tifffile.imwrite(tmp_path / "reference.tif", reference)
    retrieve_planes(scan, tmp_path / "f.h5", mode="fast")
    assert np.isfinite(read_wave_field(tmp_path / "f.h5").wave).all()


def test_distances_that_cannot_be_predicted_are_refused(retrieved, tmp_path):
    with pytest.raises(InputError, match="one Fresnel zone wide"):
        predict_plane(retrieved[0], 80.0, tmp_path / "p.tif")
    with pytest.raises(InputError, match="finite number of metres"):
        predict_plane(retrieved[0], float("nan"), tmp_path / "p.tif")
    assert not (tmp_path / "p.tif").exists()


def test_real_planes_of_green_light_predict_those_left_out(data_dir, tmp_path):
    folder = data_dir / "optics" / "dhm"
    if not folder.is_dir():
        pytest.skip(f"no holograms at {folder}")
    images = {path.stem: tifffile.imread(path)[160:800, 150:790] for path in folder.glob("[rz]*.tif")}
    for name, image in images.items():
        tifffile.imwrite(tmp_path / f"{name}.tif", image)
    lines = ["wavelength_m: 532e-9", "pixel_m: 1.6e-7", "reference: reference.tif", "cycles: 20", "planes:"]
    lines += [f"  - {{file: z+{z:03d}um.tif, distance_m: {z}.0e-6}}" for z in (0, 50, 120, 200, 250)]
    (tmp_path / "scan.yaml").write_text("\n".join(lines))
    found = retrieve_planes(tmp_path / "scan.yaml", tmp_path / "f.h5")
    drifts = [np.hypot(*plane["drift_px"]) for plane in found["planes"]]
    assert drifts[-1] > 2 > 1.2 * max(drifts[:-1])  # the last one has drifted
    for distance_um, least in ((20, 0.62), (80, 0.83), (160, 0.85)):
        predict_plane(tmp_path / "f.h5", distance_um * 1e-6, tmp_path / "p.tif", overwrite=True)
        inner = (slice(60, -60), slice(60, -60))
        measured = images[f"z+{distance_um:03d}um"][inner] / images["reference"][inner]
        predicted = tifffile.imread(tmp_path / "p.tif")[inner]
        assert np.corrcoef(measured.ravel(), predicted.ravel())[0, 1] > least


@pytest.mark.parametrize("name", ["z075.tif", "reference.tif", "scan.yaml"])
def test_what_is_being_read_is_never_written_over(name, tmp_path):
    scan = write_scan(tmp_path, distances_um=(40, 75))
    before = (tmp_path / name).read_bytes()
    with pytest.raises(InputError, match=f"{name} would replace or change .*, which is being read"):
        retrieve_planes(scan, tmp_path / name, overwrite=True)
    assert (tmp_path / name).read_bytes() == before
