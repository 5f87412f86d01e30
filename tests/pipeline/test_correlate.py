"""Two volumes on disk to results on disk."""

from __future__ import annotations

import json

import numpy as np
import pytest

from voltome import io, twin
from voltome.errors import InputError
from voltome.fields import EXTRA_COLUMNS, SPAM_COLUMNS
from voltome.pipeline.correlate import CorrelateOptions, correlate_pair, correlate_volumes, middle_slices

SHAPE = (48, 44, 52)
MOTION = twin.make_affine_motion(np.diag([1.02, 0.99, 1.0]), displacement_vox=(1.4, -0.6, 2.2))
SMALL = {"node_spacing_vox": 14, "half_window_vox": 10, "report": False}


@pytest.fixture(scope="module")
def pair():
    return twin.make_speckle_pair(SHAPE, MOTION, noise=0.03)


@pytest.fixture(scope="module")
def files(pair, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    for name in ("reference", "deformed"):
        io.write_volume(folder / f"{name}.tif", getattr(pair, name), voxel_size_m=5e-8)
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[:, :, 18:] = 1
    np.save(folder / "mask.npy", mask)
    return folder


@pytest.fixture(scope="module")
def masked(files):
    """Output folder and summary of a run with a mask."""
    out = files / "masked"
    options = CorrelateOptions(
        files / "reference.tif", files / "deformed.tif", out, **SMALL, mask=files / "mask.npy", threads=2
    )
    seen = []
    return out, correlate_pair(options, on_progress=lambda *report: seen.append(report)), seen


def test_the_summary_tells_what_became_of_every_node(masked):
    out, summary, _ = masked
    nodes = summary["nodes"]
    assert nodes["total"] == 27 == sum(nodes["by_status"].values())
    assert nodes["by_status"]["-5"] == 9
    assert nodes["converged"] == 18 == nodes["by_status"]["2"]
    assert nodes["trusted"] + nodes["suspect"] == nodes["converged"]
    assert nodes["filled"] == nodes["suspect"]  # masked nodes are not filled
    assert set(nodes["suspect_by_reason"]) == {"low_zncc", "residual", "outlier", "jump", "edge"}
    assert json.loads((out / "summary.json").read_text()) == summary


def test_the_summary_holds_medians_times_and_memory(masked):
    _, summary, seen = masked
    assert summary["medians"]["strain_zz"] == pytest.approx(np.log(1.02), abs=0.002)
    assert summary["medians"]["strain_yy"] == pytest.approx(np.log(0.99), abs=0.002)
    assert summary["medians"]["zncc"] > 0.98
    assert {"registration", "spacing 14", "writing"} <= set(summary["seconds"])
    assert summary["peak_memory_bytes"] > 1 << 20
    assert summary["voxel_size_m"] == 5e-8
    assert summary["warnings"] == [] and summary["skipped_levels"] == []
    assert [level["node_spacing_vox"] for level in summary["levels"]] == [14]
    assert {report[0] for report in seen} >= {"registration", "spacing 14", "writing"}


def test_what_made_the_result_is_kept_without_a_word_on_where_it_was_made(masked):
    out, summary, _ = masked
    assert summary["parameters"]["half_window_vox"] == 10
    assert not {"out", "threads", "overwrite"} & set(summary["parameters"])
    assert summary["parameters"]["reference"] == "reference.tif" and summary["parameters"]["mask"] == "mask.npy"
    kept = [path.read_bytes() for path in out.rglob("*") if path.is_file()]
    assert not [content for content in kept if str(out.parent).encode() in content]


def test_masked_nodes_are_minus_5_and_nan_in_the_filtered_table(masked):
    raw, filtered = (io.read_phi_tsv(masked[0] / name) for name in ("phi.tsv", "phi_filtered.tsv"))
    outside = raw.positions_vox[:, 2] == 14
    assert (raw.status[outside] == -5).all() and (filtered.status[outside] == -5).all()
    assert np.isnan(filtered.phi[outside][:, :3]).all()
    assert (filtered.filled[outside] == 0).all()
    np.testing.assert_array_equal(filtered.phi[raw.trusted], raw.phi[raw.trusted])
    assert (raw.filled == 0).all()


def test_spams_columns_come_first(masked):
    header = (masked[0] / "phi.tsv").read_text().splitlines()[0].split("\t")
    assert header == [*SPAM_COLUMNS, *EXTRA_COLUMNS]


def test_no_report_writes_the_other_five(masked):
    assert sorted(path.name for path in masked[0].iterdir()) == [
        "field.zarr", "phi.tsv", "phi_filtered.tsv", "strain.vtu", "summary.json",
    ]  # fmt: skip


def test_the_initial_phi_of_a_file_replaces_the_registration(files, tmp_path):
    io.write_phi_tsv(tmp_path / "one.tsv", twin.true_field(MOTION, np.array([[5.0, 40.0, 9.0]])))
    options = CorrelateOptions(
        files / "reference.tif", files / "deformed.tif", tmp_path / "out", **SMALL, initial_phi=tmp_path / "one.tsv"
    )
    summary = correlate_pair(options)
    assert summary["registration"] is None
    assert summary["nodes"]["converged"] == 27
    assert summary["medians"]["iterations"] <= 4


def test_raw_volumes_take_shape_and_type_and_the_mask_its_own(pair, files, tmp_path):
    for name in ("reference", "deformed"):
        (getattr(pair, name) * 10000).astype("<u2").tofile(tmp_path / f"{name}.raw")
    np.load(files / "mask.npy").tofile(tmp_path / "mask.raw")
    options = CorrelateOptions(
        tmp_path / "reference.raw", tmp_path / "deformed.raw", tmp_path / "out", **SMALL, shape=SHAPE, dtype="<u2",
        mask=tmp_path / "mask.raw",
    )  # fmt: skip
    assert correlate_pair(options)["nodes"]["by_status"]["-5"] == 9


def test_unrelated_volumes_are_reported_not_raised(tmp_path):
    random = np.random.default_rng(0)
    for name in ("a", "b"):
        np.save(tmp_path / f"{name}.npy", random.standard_normal((40, 44, 48)).astype(np.float32))
    options = CorrelateOptions(tmp_path / "a.npy", tmp_path / "b.npy", tmp_path / "out", 14, 8)
    summary = correlate_pair(options)
    assert summary["nodes"]["trusted"] == 0
    assert any("no node was measured" in warning for warning in summary["warnings"])
    assert summary["medians"]["strain_zz"] is None
    assert (tmp_path / "out" / "report.html").stat().st_size > 10000


def test_a_single_layer_of_nodes_has_no_strain_and_says_so(pair, tmp_path):
    options = CorrelateOptions("a", "b", tmp_path, node_spacing_vox=21, half_window_vox=10)
    result = correlate_volumes(pair.reference[:38], pair.deformed[:38], options)
    assert result.correlation.field.grid_shape == (1, 2, 2)
    assert np.isnan(result.strain.strain).all()
    assert any("no strain" in warning for warning in result.warnings)


@pytest.mark.parametrize(
    "options", [{"strain_measure": "true"}, {"strain_gradient": "q20"}, {"median_radius": -1}, {"gaussian_sigma": -1.0}]
)
def test_options_of_the_last_step_are_checked_before_the_first(pair, options):
    seen = []
    job = CorrelateOptions("a", "b", "out", **SMALL, **options)
    with pytest.raises(InputError):
        correlate_volumes(pair.reference, pair.deformed, job, on_progress=lambda *report: seen.append(report))
    assert seen == []


def test_middle_slices_stand_in_the_middle():
    volume = np.arange(7 * 8 * 9).reshape(7, 8, 9)
    slices = middle_slices(volume, 2)
    assert {name: index for name, (index, _) in slices.items()} == {"z": 3, "y": 4, "x": 4}
    np.testing.assert_array_equal(slices["y"][1], volume[::2, 4, ::2])
