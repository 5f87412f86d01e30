"""OME-Zarr 0.5: what stands in the store."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import zarr

from voltome.io import open_volume, write_volume
from voltome.io.zarr_reader import zarrs_pipeline
from voltome.io.zarr_writer import chunk_grid, pyramid_shapes, reduce_grey, reduce_labels

GREY = np.random.default_rng(8).integers(0, 60000, (150, 70, 33), dtype=np.uint16)


def test_metadata_of_the_image(tmp_path):
    write_volume(tmp_path / "scan.ome.zarr", GREY, voxel_size_m=5e-8)
    ome = json.loads((tmp_path / "scan.ome.zarr" / "zarr.json").read_text())["attributes"]["ome"]
    image = ome["multiscales"][0]
    assert (ome["version"], image["name"], image["type"]) == ("0.5", "scan", "mean")
    assert image["axes"] == [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    assert [level["path"] for level in image["datasets"]] == ["0", "1", "2"]
    assert image["datasets"][0]["coordinateTransformations"] == [{"type": "scale", "scale": [0.05] * 3}]
    scale, translation = image["datasets"][2]["coordinateTransformations"]
    assert scale["scale"] == [0.2] * 3
    assert translation["translation"] == pytest.approx([0.075] * 3)  # 1.5 voxels: centres are at integers


def test_arrays_are_sharded_format_3(tmp_path):
    write_volume(tmp_path / "a.zarr", GREY)
    level = zarr.open_group(tmp_path / "a.zarr", mode="r")["0"]
    assert level.metadata.zarr_format == 3
    assert (level.chunks, level.shards) == ((64, 64, 64), (192, 128, 64))
    assert level.metadata.dimension_names == ("z", "y", "x")
    np.testing.assert_array_equal(level[:], GREY)  # zarr's own codecs agree with zarrs


def test_a_shard_is_at_most_256_cubed():
    assert chunk_grid((2048, 257, 60)) == ((64, 64, 64), (256, 256, 64))


def test_many_shards_and_odd_ends_make_the_pyramid_of_the_whole(tmp_path):
    values = np.random.default_rng(1).integers(0, 255, (259, 3, 515), dtype=np.uint8)
    write_volume(tmp_path / "a.zarr", values)
    group = zarr.open_group(tmp_path / "a.zarr", mode="r")
    expected = values
    for i, shape in enumerate(pyramid_shapes(values.shape)):
        assert group[str(i)].shape == shape
        np.testing.assert_array_equal(group[str(i)][:], expected)
        expected = reduce_grey(expected)


def test_the_mean_is_that_of_the_voxels_that_there_are():
    values = np.random.default_rng(2).random((5, 4, 3)).astype(np.float32)
    coarse = reduce_grey(values)
    for z, y, x in itertools.product(*map(range, coarse.shape)):
        block = values[2 * z : 2 * z + 2, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
        assert coarse[z, y, x] == pytest.approx(block.mean(), rel=1e-6)


def test_the_label_is_the_most_frequent_one_and_the_smallest_of_several():
    values = np.random.default_rng(2).integers(0, 4, (5, 6, 7), dtype=np.uint32)
    coarse = reduce_labels(values)
    for z, y, x in itertools.product(*map(range, coarse.shape)):
        labels, counts = np.unique(values[2 * z : 2 * z + 2, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2], return_counts=True)
        assert coarse[z, y, x] == labels[np.argmax(counts)]


def test_labels_never_mix(tmp_path):
    labels = np.where(np.arange(130)[None, None, :] < 70, 7, 900).astype(np.uint32) * np.ones((5, 5, 1), np.uint32)
    write_volume(tmp_path / "a.zarr", labels)
    write_volume(tmp_path / "b.zarr", labels, labels=False)
    kinds = []
    for name in ("a.zarr", "b.zarr"):
        group = zarr.open_group(tmp_path / name, mode="r")
        kinds.append(group.attrs["ome"]["multiscales"][0]["type"])
        assert set(np.unique(group["1"][:])) == {7, 900}
    assert kinds == ["mode", "mean"]


def test_configuration_is_as_it_was_before(tmp_path):
    before = zarr.config.get("codec_pipeline.path")
    write_volume(tmp_path / "a.zarr", GREY)
    open_volume(tmp_path / "a.zarr").close()
    assert zarr.config.get("codec_pipeline.path") == before
    assert zarr.config.get("threading.max_workers") is None
    with zarrs_pipeline():
        assert zarr.config.get("codec_pipeline.path") == "zarrs.ZarrsCodecPipeline"


def test_ome_zarr_04_and_bare_arrays_of_both_formats(tmp_path):
    for zarr_format in (2, 3):
        zarr.create_array(tmp_path / f"bare{zarr_format}.zarr", data=GREY, zarr_format=zarr_format)
        with open_volume(tmp_path / f"bare{zarr_format}.zarr") as volume:
            assert (volume.format, volume.voxel_size_m) == (f"zarr v{zarr_format}", None)
            np.testing.assert_array_equal(volume[5:9, :, 3:20], GREY[5:9, :, 3:20])
    group = zarr.open_group(tmp_path / "old.zarr", mode="w", zarr_format=2)
    group.create_array("s0", data=GREY[None, None])
    axes = [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"}]
    axes += [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
    steps = [{"type": "scale", "scale": [1, 1, 50, 50, 50]}]
    group.attrs["multiscales"] = [{"axes": axes, "datasets": [{"path": "s0", "coordinateTransformations": steps}]}]
    with open_volume(tmp_path / "old.zarr") as volume:
        assert (volume.format, volume.voxel_size_m) == ("ome-zarr", 5e-8)
        np.testing.assert_array_equal(volume[5:9, :, 3:20], GREY[5:9, :, 3:20])
