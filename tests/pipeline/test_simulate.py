"""A simulated experiment on disk: complete, the same on any number of threads, and nothing half-written."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from voltome.errors import InputError, ResourceError
from voltome.grid import make_block
from voltome.io import open_volume, read_phi_tsv, read_volume, read_yaml
from voltome.pipeline.simulate import cut_blocks, estimate_bytes, simulate_experiment, write_scan
from voltome.pipeline.twin_folder import load_settings
from voltome.twin.configuration import make_settings
from voltome.twin.phases import PHASES
from voltome.twin.render import render_block

STEPS = ("T0", "T1", "T2")


@pytest.fixture(scope="module")
def settings(miniature):
    return load_settings(miniature)


def read_rows(path):
    with path.open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_folder_holds_scans_cycler_study_and_truth(experiment):
    pieces = {"twin.yaml", "study.yaml", "cycler.csv", *(f"volumes/{step}.zarr" for step in STEPS)}
    pieces |= {f"truth/{name}" for name in ("steps.tsv", "ledger.tsv", "events.tsv", "summary.json")}
    for step in STEPS:
        names = ("phases.zarr", "labels.zarr", "phi.tsv", "particles.tsv", "thickness.tif")
        pieces |= {f"truth/{step}/{name}" for name in names}
    found = {str(path.relative_to(experiment)) for path in experiment.rglob("*") if ".zarr/" not in str(path)}
    assert found == pieces | {"volumes", "truth", *(f"truth/{step}" for step in STEPS)}


@pytest.mark.parametrize("step", STEPS)
def test_volumes_are_the_twins_own_blocks_however_they_are_cut(step, experiment, electrode_twin):
    block = make_block((9, 5, 3), (31, 30, 34))
    places = (f"volumes/{step}.zarr", f"truth/{step}/phases.zarr", f"truth/{step}/labels.zarr")
    rendered = render_block(electrode_twin, STEPS.index(step), block)
    for place, values in zip(places, rendered, strict=True):
        with open_volume(experiment / place) as volume:
            assert (volume.shape, volume.dtype) == ((44, 32, 34), values.dtype)
            assert volume.voxel_size_m == pytest.approx(3e-7)
            np.testing.assert_array_equal(volume[block], values)


def test_any_number_of_threads_and_either_format_gives_the_same_voxels(experiment, electrode_twin, tmp_path):
    for threads, tiff in ((1, False), (5, False), (3, True)):
        folder = tmp_path / f"{threads}"
        write_scan(folder_of(folder), electrode_twin, 1, tiff=tiff, threads=threads, on_progress=None)
    assert files(tmp_path / "1") == files(tmp_path / "5")
    assert len(files(tmp_path / "1")) > 3
    for place in ("volumes/T1", "truth/T1/phases", "truth/T1/labels"):
        np.testing.assert_array_equal(
            read_volume(tmp_path / "3" / f"{place}.tif"), read_volume(experiment / f"{place}.zarr")
        )


def folder_of(path):
    path.mkdir()
    return path


def test_silicon_is_the_darkest_of_the_electrode_and_copper_lies_at_low_z(experiment):
    grey, phases = (read_volume(experiment / name) for name in ("volumes/T0.zarr", "truth/T0/phases.zarr"))
    means = {name: grey[phases == PHASES[name]].mean() for name in ("silicon", "binder", "pore")}
    assert means["silicon"] < means["binder"] < means["pore"]
    assert (phases[:3] == PHASES["collector"]).all()
    assert not (phases[8:] == PHASES["collector"]).any()


def test_tables_tell_the_same_story_as_the_volumes(experiment, settings, electrode_twin):
    shown, voxels = np.unique(read_volume(experiment / "truth/T0/labels.zarr"), return_counts=True)
    particles = read_rows(experiment / "truth/T0/particles.tsv")
    assert set(shown[voxels > 30]) - {0} <= {int(row["Label"]) for row in particles}
    for row, step in zip(read_rows(experiment / "truth/steps.tsv"), settings.steps, strict=True):
        thickness = read_volume(experiment / "truth" / step.name / "thickness.tif")
        assert row["step"] == step.name
        assert float(row["soc"]) == step.soc
        assert thickness.mean() == pytest.approx(float(row["thickness_m"]), rel=1e-4)
        assert thickness.mean() == pytest.approx(step.thickness_m, rel=0.02)
    assert [row["step"] for row in read_rows(experiment / "truth/ledger.tsv")] == list(STEPS)
    events = {(row["event"], row["step"]) for row in read_rows(experiment / "truth/events.tsv")}
    assert events == {("bubble", "T1"), ("bubble", "T2"), ("repeat scan", "T2")}
    summary = json.loads((experiment / "truth/summary.json").read_text())
    assert summary["phases"] == PHASES
    assert summary["particles"] == len(particles)


def test_phi_goes_from_the_first_scan_to_each(experiment, electrode_twin):
    for number, step in enumerate(STEPS):
        field = read_phi_tsv(experiment / "truth" / step / "phi.tsv")
        assert field.grid_shape is not None
        true = electrode_twin.true_field(number, field.positions_vox)
        np.testing.assert_allclose(field.phi, true.phi, atol=1e-9)
        np.testing.assert_array_equal(field.status, true.status)
        assert np.abs(field.displacement_vox).max() < (1e-9 if number == 0 else 10)


def test_the_study_names_its_scans_with_time_and_state_of_charge(experiment):
    study = read_yaml(experiment / "study.yaml")
    assert [scan["name"] for scan in study["scans"]] == list(STEPS)
    assert [scan["soc"] for scan in study["scans"]] == [0, 0.3, 0.3]
    assert study["scans"][2]["repeats"] == "T1"
    assert study["voxel_size_m"] == 3e-7
    with (experiment / study["electrochemistry"]["cycler"]).open() as file:
        times = [float(row["Test Time / s"]) for row in csv.DictReader(file)]
    for scan in study["scans"]:
        assert (experiment / scan["volume"]).is_dir()
        assert scan["time_s"] in times


def test_twin_yaml_gives_the_same_settings_again(experiment, settings):
    assert load_settings(experiment / "twin.yaml") == settings


def test_the_disk_estimate_covers_what_is_written(experiment, settings):
    written = sum(len(content) for content in files(experiment).values())
    assert written < estimate_bytes(settings) < 4 * written


def test_a_disk_that_is_too_small_is_told_before_any_work(tmp_path):
    seen = []
    huge = make_settings("paper").model_copy(update={"shape": (4096, 4096, 4096)})
    with pytest.raises(ResourceError, match=r"out needs .*TB of free disk \(there are "):
        simulate_experiment(huge, tmp_path / "out", tiff=True, on_progress=lambda *report: seen.append(report))
    assert seen == []
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_react_is_told_before_the_first_scan(settings, tmp_path):
    seen = []
    cell = settings.cell.model_copy(update={"areal_capacity_ah_m2": 40.0})
    with pytest.raises(InputError, match="T1"):
        simulate_experiment(
            settings.model_copy(update={"cell": cell}),
            tmp_path / "out",
            on_progress=lambda *report: seen.append(report),
        )
    assert {stage for stage, _, _ in seen} <= {"electrode"}
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_refused_before_any_work(settings, tmp_path):
    (tmp_path / "notes.txt").write_text("precious")
    seen = []
    for overwrite, said in ((False, "already exists"), (True, r"holds notes\.txt")):
        with pytest.raises(InputError, match=said):
            simulate_experiment(
                settings, tmp_path, overwrite=overwrite, on_progress=lambda *report: seen.append(report)
            )
    assert seen == []
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ValueError])
def test_nothing_is_left_when_it_is_stopped_within_a_scan(stop, settings, tmp_path):
    def interrupt(stage: str, done: int, total: int) -> None:
        if (stage, done) == ("scan T0", 2):
            raise stop("now")

    with pytest.raises(stop, match="now"):
        simulate_experiment(settings, tmp_path / "out", threads=2, on_progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_threads_below_one_are_refused(settings, tmp_path):
    with pytest.raises(InputError, match="threads must be >= 1"):
        simulate_experiment(settings, tmp_path / "out", threads=0)


@pytest.mark.parametrize(
    ("shape", "most", "at_least"), [((96, 64, 64), 2**30, 3), ((100, 37, 61), 5000, 1), ((33, 40, 32), 1, 7)], ids=str
)
def test_blocks_fill_a_volume_without_overlap(shape, most, at_least):
    blocks = cut_blocks(shape, lambda block: int(np.prod(block)) <= most, at_least=at_least)
    count = np.zeros(shape, dtype=int)
    for block in blocks:
        count[block] += 1
    assert (count == 1).all()
    assert len(blocks) >= at_least or min(shape) <= 32
    assert all(edge.stop - edge.start >= 5 for block in blocks for edge in block)
