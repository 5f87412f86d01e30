"""From radiographs to a volume: the twin's decrement comes back, and what is wrong with the files is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.io import read_table_tsv, read_volume
from voltome.pipeline.reconstruct import reconstruct_to_file
from voltome.pipeline.reconstruction_settings import ReconstructionSettings
from voltome.twin.scan import DECREMENT_UNIT

from .damage import ANGLES, FIRST_PROJECTION, blacken, copy_radiographs, forget_distance, name_radiographs

AXIS_PX = 37.8
MIDDLE = slice(8, 26)  # rows of electrode: above lies copper, below separator
FAST = {"mode": "fast", "axis_px": AXIS_PX, "shape_vox": (48, 50), "rings_slice": None, "level_slices": False}

Found = tuple[NDArray[np.float32], dict[str, Any]]


def reconstruct(names: list[str], out: Path, *, threads: int = 2, **settings: Any) -> Found:
    summary = reconstruct_to_file(names, out, ReconstructionSettings(**settings), threads=threads)
    return read_volume(out), summary


def correlate(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


@pytest.fixture(scope="module")
def reconstructed(filmed_twin: Path, tmp_path_factory: pytest.TempPathFactory) -> Found:
    out = tmp_path_factory.mktemp("volumes") / "T0.tif"
    return reconstruct(name_radiographs(filmed_twin), out, shape_vox=(48, 50))


@pytest.fixture(scope="module")
def fast(filmed_twin: Path, tmp_path_factory: pytest.TempPathFactory) -> Found:
    return reconstruct(name_radiographs(filmed_twin), tmp_path_factory.mktemp("volumes") / "fast.tif", **FAST)


def test_the_volume_is_the_true_decrement(filmed_twin: Path, reconstructed: Found) -> None:
    volume, summary = reconstructed
    truth = read_volume(filmed_twin / "truth" / "T0" / "decrement.zarr") * DECREMENT_UNIT
    assert volume.shape == truth.shape and volume.dtype == np.float32
    assert (summary["mode"], summary["quantity"]) == ("quality", "delta")
    assert summary["voxel_size_m"] == pytest.approx(3e-7)
    matches = [correlate(one, other) for one, other in zip(volume[MIDDLE], truth[MIDDLE], strict=True)]
    assert min(matches) > 0.45 and np.mean(matches) > 0.57  # 0.53 and 0.65 at a pixel of 300 nm
    inside = volume[MIDDLE] - volume[MIDDLE].mean(axis=(1, 2), keepdims=True)
    true = truth[MIDDLE] - truth[MIDDLE].mean(axis=(1, 2), keepdims=True)
    assert 0.4 < float((inside * true).sum() / (true * true).sum()) < 1.0  # 0.54: of delta itself, but for resolution


def test_phase_shows_more_than_absorption(filmed_twin: Path, reconstructed: Found, tmp_path: Path) -> None:
    truth = read_volume(filmed_twin / "truth" / "T0" / "decrement.zarr")[MIDDLE]
    names = name_radiographs(filmed_twin)[:1]
    volume, summary = reconstruct(names, tmp_path / "out.tif", mode="absorption", axis_px=AXIS_PX, shape_vox=(48, 50))
    assert summary["quantity"] == "attenuation_per_m" and summary["screen"] is None
    assert correlate(reconstructed[0][MIDDLE], truth) > 0.2 + correlate(volume[MIDDLE], truth)


def test_the_axis_is_found_and_told_with_its_estimators(reconstructed: Found) -> None:
    axis = reconstructed[1]["axis"]
    assert axis["axis_px"] == pytest.approx(AXIS_PX, abs=0.2)
    assert 0 < axis["sd_px"] < 0.3 and not axis["given"]
    assert axis["estimates"]["pairs"] == pytest.approx(AXIS_PX, abs=0.2)
    assert axis["warning"] == ""


def test_shifts_of_the_distances_are_those_of_the_sample(filmed_twin: Path, reconstructed: Found) -> None:
    found = reconstructed[1]["shifts"]
    true = []
    for number in (1, 2, 3):
        table = read_table_tsv(filmed_twin / "truth" / "T0" / f"radiographs_{number}.tsv")
        true.append(np.array([table["shift_z_px"].mean(), table["shift_u_px"].mean()]))
    for one, wanted in zip(found[1:], true[1:], strict=True):
        z, u = one["mean_px"] - (wanted - true[0])
        assert abs(z) < 0.35 and abs(u) < 0.12  # copper's edge, a tenth of these few rows, stays behind along z
        assert one["correlation"] > 0.95 and max(one["sd_px"]) < 0.15
    assert found[0]["mean_px"] == [0.0, 0.0]


def test_the_opaque_collector_is_found(reconstructed: Found) -> None:
    row, width, side = reconstructed[1]["screen"]
    assert row == pytest.approx(4.0, abs=1.0) and side == 1.0  # 1.2 um of copper
    assert 0 < width < 3


def test_a_corrupt_frame_is_replaced_and_told(filmed_twin: Path, fast: Found, tmp_path: Path) -> None:
    names = copy_radiographs(filmed_twin, tmp_path, blacken(20), numbers=(2,))
    volume, summary = reconstruct(names, tmp_path / "out.tif", **FAST)
    assert summary["corrupt_frames"] == [[], [FIRST_PROJECTION + 20], []]
    assert fast[1]["corrupt_frames"] == [[], [], []]
    assert correlate(volume[MIDDLE], fast[0][MIDDLE]) > 0.98


def test_many_corrupt_frames_are_refused_before_phases_are_made(filmed_twin: Path, tmp_path: Path) -> None:
    names = copy_radiographs(filmed_twin, tmp_path, blacken(7, 20, 33), numbers=(3,))
    stages = []
    with pytest.raises(InputError, match=r"T0_3.nx.* corrupt projections must be <= 1 % \(got 3 of 56: frames 17,"):
        reconstruct_to_file(
            names, tmp_path / "out.tif", ReconstructionSettings(), on_progress=lambda stage, *_: stages.append(stage)
        )
    assert set(stages) == {"frames"}
    assert [path.name for path in tmp_path.iterdir()] == ["radiographs"]


def test_files_without_geometry_give_an_absorption_volume(filmed_twin: Path, tmp_path: Path) -> None:
    names = copy_radiographs(filmed_twin, tmp_path, forget_distance)[:1]
    _, summary = reconstruct(names, tmp_path / "out.tif", rows=(10, 12))
    assert (summary["mode"], summary["quantity"]) == ("absorption", "attenuation_per_pixel")
    assert summary["voxel_size_m"] is None and summary["divergence_px"] is None
    assert any("energy, pixel or distances are not known" in line for line in summary["warnings"])


def test_geometry_that_is_given_stands_in_for_the_files_own(filmed_twin: Path, fast: Found, tmp_path: Path) -> None:
    names = copy_radiographs(filmed_twin, tmp_path, forget_distance, numbers=(1, 2, 3))
    first = 0.72 * 3e-7 / 6.5e-7
    distances = [
        {"source_sample_m": first * ratio, "sample_detector_m": 0.72 - first * ratio} for ratio in (1, 1.1, 1.4)
    ]
    given = {"energy_kev": 29.6, "detector_pixel_m": 6.5e-7, "distances": distances}
    volume, _ = reconstruct(names, tmp_path / "out.tif", **FAST, **given)
    np.testing.assert_allclose(volume, fast[0], atol=1e-3 * np.abs(fast[0]).max())


def test_rows_and_slices_are_cut_out_of_the_whole(filmed_twin: Path, fast: Found, tmp_path: Path) -> None:
    part = FAST | {"rows": (11, 15), "shape_vox": (20, 24)}
    volume, summary = reconstruct(name_radiographs(filmed_twin), tmp_path / "out.tif", **part)
    assert summary["shape"] == [4, 20, 24]
    np.testing.assert_allclose(volume, fast[0][11:15, 14:34, 13:37], atol=5e-3 * np.abs(fast[0]).max())


def test_any_number_of_threads_gives_the_same_volume(filmed_twin: Path, fast: Found, tmp_path: Path) -> None:
    volume, summary = reconstruct(name_radiographs(filmed_twin), tmp_path / "out.tif", threads=1, **FAST)
    np.testing.assert_array_equal(volume, fast[0])
    assert {**summary, "seconds": 0, "peak_memory_bytes": 0} == {**fast[1], "seconds": 0, "peak_memory_bytes": 0}


def test_an_axis_that_is_given_is_not_looked_for(fast: Found) -> None:
    assert fast[1]["axis"] == {"axis_px": AXIS_PX, "given": True, "warning": ""}


@pytest.mark.parametrize("stage", ["frames", "phases", "slices"])
def test_an_interrupted_reconstruction_leaves_nothing_behind(filmed_twin: Path, tmp_path: Path, stage: str) -> None:
    def interrupt(now: str, done: int, total: int) -> None:
        if now == stage:
            raise KeyboardInterrupt

    settings = ReconstructionSettings(mode="absorption", axis_px=AXIS_PX, rows=(10, 12))
    with pytest.raises(KeyboardInterrupt):
        reconstruct_to_file(
            name_radiographs(filmed_twin)[:1], tmp_path / "deep" / "out.tif", settings, threads=2, on_progress=interrupt
        )
    assert not list(tmp_path.iterdir())


def test_an_output_that_exists_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "out.tif").write_text("precious")
    with pytest.raises(InputError, match=r"out.tif already exists: give another name or add --overwrite"):
        reconstruct_to_file(["nowhere.nx"], tmp_path / "out.tif", ReconstructionSettings())
    with pytest.raises(InputError, match=r"no known suffix \(got '.xyz'\)"):
        reconstruct_to_file(["nowhere.nx"], tmp_path / "out.xyz", ReconstructionSettings())
    assert (tmp_path / "out.tif").read_text() == "precious"


def test_a_volume_inside_an_hdf5_file_can_be_written_into_a_new_folder(filmed_twin: Path, tmp_path: Path) -> None:
    out = f"{tmp_path}/new/out.h5::/entry/data"
    settings = ReconstructionSettings(mode="absorption", axis_px=AXIS_PX, rows=(10, 12))
    summary = reconstruct_to_file(name_radiographs(filmed_twin)[:1], out, settings)
    assert list(read_volume(out).shape) == summary["shape"] == [2, 70, 70]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out.h5"]


def test_the_tooth_is_reconstructed(data_dir: Path, tmp_path: Path) -> None:
    path = data_dir / "tomography" / "tooth.h5"
    if not path.is_file():
        pytest.skip(f"no tooth at {path}")
    volume, summary = reconstruct([str(path)], tmp_path / "tooth.tif")
    assert summary["axis"]["axis_px"] == pytest.approx(296.0, abs=0.25)
    assert (summary["mode"], volume.shape) == ("absorption", (2, 640, 640))
    away = np.hypot(*np.indices((640, 640)) - 319.5)
    tooth, air = volume[:, away < 80], volume[:, (away > 180) & (away < 300)]
    assert 0.004 < tooth.mean() < 0.006 and abs(air.mean()) < 2e-4
    assert np.percentile(tooth, 90) > 1.5 * np.median(tooth)  # enamel beside dentine and pulp


def test_a_scan_of_the_beamline_is_read(data_dir: Path, tmp_path: Path) -> None:
    path = data_dir / "tomography" / "k11-18014.nxs"
    if not path.is_file():
        pytest.skip(f"no scan at {path}")
    volume, summary = reconstruct([str(path)], tmp_path / "k11.tif", axis_px=12.5, rows=(8, 12))
    assert (summary["angles"], volume.shape) == (3001, (4, 26, 26))
    assert np.isfinite(volume).all() and volume.std() > 0


def test_frames_that_are_used_are_the_projections_alone(reconstructed: Found) -> None:
    assert reconstructed[1]["angles"] == ANGLES
