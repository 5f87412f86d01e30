"""Each scan of a study seen from its collector: what stands in the store, and what is said where there is none."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest

from voltome import io
from voltome.alignment import Alignment
from voltome.study.aligning import align_block, read_alignment, surface_block
from voltome.study.composing import derive_strain
from voltome.study.study_file import load_study

from .swelling import DRAWINGS, FACE_M, FOIL, SHAPE, SWELLING, THICKNESS_M, VOXEL_M, edit_study, run


def read_summary(store, name):
    return io.read_json(store / name / "summary.json")


def read_map(store, scan, name):
    return io.read_volume(store / "surface" / scan / f"{name}.tif")[0].astype(float)


def test_a_collector_that_did_not_move_is_said_to_stand_still(foil_store):
    for scan in ("T1", "T2", "T3"):
        said = read_summary(foil_store, f"alignment/{scan}")
        assert said["refused"] is None
        assert abs(said["translation_m"][0]) < 0.1 * VOXEL_M
        assert 0 < said["translation_sd_m"][0] < 0.2 * VOXEL_M
        assert max(map(abs, said["rotation_rad"])) < 1e-3
        assert abs(said["scale"] - 1) <= 2 * said["scale_sd"]
        assert said["face_m"] == pytest.approx(FACE_M, abs=VOXEL_M)
        assert said["blurred_m"] == pytest.approx(3 * said["collector"]["blur_vox"] * VOXEL_M)


def test_the_first_scan_has_a_collector_and_no_motion(foil_store):
    collector, motion, refused = read_alignment(foil_store, "T0")
    assert motion is None and refused is None
    face = collector.face_at(np.array([(SHAPE[1] - 1) / 2]), np.array([(SHAPE[2] - 1) / 2]))
    assert abs(face[0] * VOXEL_M - FACE_M) < VOXEL_M


def test_what_is_read_back_is_what_was_found(foil_store):
    series = str(foil_store / "volumes.zarr")
    found = align_block(series, 1, VOXEL_M, "low-z", "silicon-darkest")
    collector, motion, _ = read_alignment(foil_store, "T1")
    for read, names in ((collector, ("face_vox", "plane", "blur_vox")), (motion, ("covariance", "scale", "tiles"))):
        for name in names:
            np.testing.assert_array_equal(getattr(read, name), found[name])


def test_the_surface_stands_where_it_was_drawn(foil_store):
    y, x = np.meshgrid(*[np.arange(n) for n in SHAPE[1:]], indexing="ij")
    for scan, swelling in SWELLING.items():
        height = read_map(foil_store, scan, "surface")
        true = (FOIL.surface_at(y, x, swelling=swelling) + 0.5) * VOXEL_M  # from the volume's face
        assert np.nanmedian(np.abs(height - true)) < 1.5 * VOXEL_M
        said = read_summary(foil_store, f"surface/{scan}")
        thickness = read_map(foil_store, scan, "thickness")
        assert said["thickness_m"] == pytest.approx(np.nanmean(thickness), rel=1e-5)
        assert said["thickness_m"] == pytest.approx(THICKNESS_M * (1 + swelling), abs=1.5 * VOXEL_M)
        assert said["seen"] == pytest.approx(np.isfinite(thickness).mean())
        assert said["aligned"]


def test_thickness_is_what_lies_between_the_surface_and_the_first_scans_face(foil_store):
    collector, _, _ = read_alignment(foil_store, "T0")
    y, x = np.meshgrid(*[np.arange(n, dtype=float) for n in SHAPE[1:]], indexing="ij")
    gap = read_map(foil_store, "T3", "surface") - collector.face_at(y, x) * VOXEL_M
    np.testing.assert_allclose(read_map(foil_store, "T3", "thickness"), gap, atol=1e-3 * VOXEL_M)


def test_a_field_that_has_drifted_shows_the_same_surface(foil_store, tmp_path):
    """The store says of T1 that its collector stands 2 voxels higher and is turned: so much is taken back."""
    store, turn = tmp_path / "store", 0.02
    for part in ("alignment/T0", "alignment/T1", "volumes.zarr"):
        shutil.copytree(foil_store / part, store / part)
    said = read_summary(store, "alignment/T1")
    said["translation_vox"], said["rotation_rad"], said["scale"] = [2.0, 0.0, 0.0], [0.0, turn, 0.0], 1.0
    io.write_json(store / "alignment" / "T1" / "summary.json", said, overwrite=True)
    found = surface_block(str(store / "volumes.zarr"), 1, VOXEL_M, "low-z", str(store), "T0", "T1")
    before = read_map(foil_store, "T1", "surface") - read_alignment(foil_store, "T1")[1].translation_vox[0] * VOXEL_M
    x = np.arange(SHAPE[2]) - said["centre_vox"][2]
    expected = before + (-2.0 + turn * x) * VOXEL_M  # a turn about y lowers the surface at high x
    apart = (found["surface_m"] - expected)[5:-5, 5:-5]
    assert np.nanmedian(np.abs(apart)) < 0.2 * VOXEL_M


def test_the_composed_field_says_that_it_is_aligned_and_carries_its_bias(foil_store):
    for scan in ("T1", "T2", "T3"):
        path = foil_store / "cumulative" / scan / "field.zarr"
        field = io.read_field_zarr(path)
        assert io.read_field_attributes(path)["parameters"]["aligned"] is True
        assert read_summary(foil_store, f"cumulative/{scan}")["aligned"] is True
        bias = field.sd_bias_vox[field.trusted]
        assert bias.shape[1] == 3 and np.isfinite(bias).mean() > 0.9
        assert 0 < np.nanmedian(bias) < 0.5


def test_a_composed_field_is_seen_from_the_collector(foil_store):
    """What is left of the raw displacement is the collector's own, node by node."""
    raw = io.read_field_zarr(foil_store / "increments" / "T0-T1" / "field.zarr")
    field = io.read_field_zarr(foil_store / "cumulative" / "T1" / "field.zarr")
    motion = read_alignment(foil_store, "T1")[1]
    assert isinstance(motion, Alignment)
    use = raw.trusted & field.trusted
    seen_again = field.displacement_vox + motion.displace(field.positions_vox + field.displacement_vox)
    np.testing.assert_allclose(seen_again[use], raw.displacement_vox[use], atol=5e-3)
    assert np.abs(field.displacement_vox - raw.displacement_vox)[use].max() > 5e-3


def test_without_a_collector_the_film_is_finished_and_it_is_said_once(speckle_film, speckle_store):
    warnings = io.read_json(speckle_store / "electrode" / "measurements.json")["warnings"]
    assert len(warnings) == 1 and "\n" not in warnings[0]
    assert re.fullmatch(r"No scan is aligned, .*: no collector found at the low-z end .* polarity\.", warnings[0])
    page = (speckle_store / "report.html").read_text()
    assert page.count("no collector found") == 1
    raw = io.read_field_zarr(speckle_store / "increments" / "T0-T1" / "field.zarr")
    path = speckle_store / "cumulative" / "T1" / "field.zarr"
    field = io.read_field_zarr(path)
    assert io.read_field_attributes(path)["parameters"]["aligned"] is False
    np.testing.assert_array_equal(field.phi[raw.trusted], raw.phi[raw.trusted])
    strain = derive_strain(field, load_study(speckle_film).settings.strain).strain[:, 0, 0]
    rows = io.read_parquet(speckle_store / "tables" / "scans.parquet")
    assert rows["aligned"][1] == 0 and rows["strain_zz"][1] == pytest.approx(np.nanmean(strain), abs=1e-3)


def test_a_collector_at_high_z_gives_the_same_numbers_for_the_flipped_volumes(foil_film, foil_store, tmp_path):
    film, store = shutil.copytree(foil_film, tmp_path / "film"), tmp_path / "store"
    for scan in ("T0", "T1"):
        io.write_volume(film / f"{scan}.tif", io.read_volume(film / f"{scan}.tif")[::-1].copy(), overwrite=True)
    edit_study(film, "collector_side: low-z", "collector_side: high-z")
    lines = (film / "study.yaml").read_text().splitlines(keepends=True)
    (film / "study.yaml").write_text("".join(line for line in lines if "T2" not in line and "T3" not in line))
    run(film, store, without=DRAWINGS)
    low, high = (
        {(m["name"], m["region"]): m for m in io.read_json(where / "electrode" / "measurements.json")["measurements"]
         if m["scan"] == "T1"}
        for where in (foil_store, store)
    )  # fmt: skip
    assert high["alignment_z", "whole"]["value"] == pytest.approx(-low["alignment_z", "whole"]["value"], abs=1e-9)
    compared = 0
    for key, number in low.items():
        if not key[0].startswith("alignment"):
            share = 0.02 * VOXEL_M if number["unit"] == "m" else 5e-3
            share = 0.02 if key[0] == "most_frequent_strain" else share  # of few gauges
            assert high[key]["value"] == pytest.approx(number["value"], abs=share), key
            compared += 1
    assert compared >= 12
    assert {("thickness", "whole"), ("volumetric_strain", "collector side")} < low.keys()
