"""What `voltome check` finds before anything is run: everything, each with its line."""

from __future__ import annotations

import math

import numpy as np
import pytest

from voltome.grid import regular_nodes
from voltome.io import read_volume, write_volume
from voltome.study.check import check_study, check_study_file
from voltome.study.estimates import count_nodes, estimate_study
from voltome.study.study_file import load_study

SHAPE = (44, 40, 36)


def rewrite(folder, *changes):
    """Change the text of a study."""
    path = folder / "study.yaml"
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


def check_only(found, line, *words):
    """There is one problem, at this line, with these words."""
    assert len(found.problems) == 1, found.problems
    assert f"study.yaml line {line}: " in found.problems[0]
    assert "\n" not in found.problems[0]
    for word in words:
        assert word in found.problems[0]


def test_a_sound_study_is_ready_and_described(film):
    found = check_study(load_study(film), out=film / "out", threads=2)
    assert found.problems == found.warnings == ()
    facts = found.facts
    assert facts["scans"] == ["T0", "T1", "T2"]
    assert (facts["shape"], facts["dtype"], facts["polarity"]) == ([44, 40, 36], "uint16", "silicon-darkest")
    assert facts["nodes"] == 5 * 4 * 4
    assert (facts["pairs"], facts["direct_pairs"]) == (2, 1)
    assert facts["pyramid"] == [8]  # 35 and more do not fit 36 voxels
    assert facts["disk_bytes"] > 3 * 2 * math.prod(SHAPE)
    assert facts["seconds"] == pytest.approx(facts["cpu_s"] / 2)
    assert not (film / "out").exists()


def test_a_missing_scan(film):
    (film / "volumes" / "T1.tif").unlink()
    check_only(check_study_file(film), 5, "scans[1].volume cannot be used: ", "T1.tif does not exist: check the name")


def test_a_truncated_scan(film):
    path = film / "volumes" / "T2.tif"
    path.write_bytes(path.read_bytes()[:-2000])
    check_only(check_study_file(film), 7, "scans[2].volume cannot be used: ", "T2.tif")


def test_a_scan_of_another_shape(film):
    write_volume(film / "volumes" / "T1.tif", np.ones((44, 40, 35), np.uint16), voxel_size_m=5e-8, overwrite=True)
    said = "scans[1].volume must have the shape of T0, 44 x 40 x 36 (got 44 x 40 x 35): crop or bin it alike"
    check_only(check_study_file(film), 5, said)


def test_a_scan_of_another_voxel_size(film):
    write_volume(
        film / "volumes" / "T1.tif", read_volume(film / "volumes" / "T0.tif"), voxel_size_m=1e-7, overwrite=True
    )
    said = "scans[1].volume must have voxels of voxel_size_m, 5e-08 (its file says 1e-07): bin it alike, or correct one"
    check_only(check_study_file(film), 5, said)


def test_a_voxel_size_that_no_file_has_is_told_once(film):
    rewrite(film, ("5.0e-08", "5.0e-07"))
    said = "voxel_size_m must be 5e-08, as the scans' files say (got 5e-07): correct it, or write the files again"
    check_only(check_study_file(film), 1, said)
    rewrite(film, ("5.0e-07", "5.004e-08"))  # within 0.1 %
    assert check_study_file(film).problems == ()


def test_two_scans_with_one_name(film):
    rewrite(film, ("name: T1", "name: T0"), ("    repeats: T1\n", ""))
    check_only(check_study_file(film), 5, "scans[1].name must be unique (got T0 again): rename that scan")


def test_a_misspelt_key(film):
    rewrite(film, ("correlation:", "corelation:"))
    check_only(check_study_file(film), 12, "corelation must be a known setting", "did you mean correlation?")


def test_everything_wrong_is_told_at_once(film):
    (film / "volumes" / "T1.tif").unlink()
    (film / "mask.npy").unlink()
    np.save(film / "mask.npy", np.ones((40, 40, 36), np.uint8))
    rewrite(film, ("cycler.csv", "cycle.csv"), ("node_spacing_vox: 8", "node_spacing_vox: 20"))
    problems = check_study_file(film).problems
    assert [int(text.split(" line ")[1].split(":")[0]) for text in problems] == [5, 4, 11, 13]
    assert "scans[0].mask must have the shape of its scan, 44 x 40 x 36 (got 40 x 40 x 36)" in problems[1]
    assert "cycle.csv does not exist" in problems[2]
    assert "node_spacing_vox must be <= 17 for volumes of 44 x 40 x 36 (got 20)" in problems[3]


def test_axes_of_the_files_are_put_in_order(film):
    for name in ("T0", "T1", "T2"):
        path = film / "volumes" / f"{name}.tif"
        write_volume(path, read_volume(path).transpose(2, 1, 0), voxel_size_m=5e-8, overwrite=True)
    np.save(film / "mask.npy", np.ones(SHAPE[::-1], np.uint8))
    rewrite(film, ("electrochemistry:", "volumes: {axes: xyz, flip: z}\nelectrochemistry:"))
    found = check_study_file(film)
    assert found.problems == found.warnings == ()
    assert found.facts["shape"] == [44, 40, 36]


def test_raw_files_need_shape_and_type(film):
    for name in ("T0", "T1", "T2"):
        (film / "volumes" / f"{name}.raw").write_bytes(read_volume(film / "volumes" / f"{name}.tif").tobytes())
    rewrite(film, (".tif", ".raw"))
    problems = check_study_file(film).problems
    assert len(problems) == 3
    assert all("is raw and does not say its shape and dtype" in text for text in problems)
    rewrite(film, ("electrochemistry:", "volumes: {shape: [44, 40, 36], dtype: <u2}\nelectrochemistry:"))
    assert check_study_file(film).problems == ()


def test_floats_without_a_grey_window_are_warned_of(film):
    for name in ("T0", "T1", "T2"):
        path = film / "volumes" / f"{name}.tif"
        write_volume(path, read_volume(path).astype(np.float32), voxel_size_m=5e-8, overwrite=True)
    found = check_study_file(film)
    assert found.problems == ()
    assert len(found.warnings) == 1
    assert "volumes.grey_low and grey_high are not given (the scans are float32)" in found.warnings[0]
    rewrite(film, ("electrochemistry:", "volumes: {grey_low: 0, grey_high: 65535}\nelectrochemistry:"))
    assert check_study_file(film).warnings == ()


def test_scans_of_two_types_need_a_grey_window(film):
    path = film / "volumes" / "T1.tif"
    write_volume(path, (read_volume(path) // 256).astype(np.uint8), voxel_size_m=5e-8, overwrite=True)
    check_only(check_study_file(film), 5, "scans[1].volume must be of the type of T0, uint16 (got uint8): convert it")


def test_what_the_study_would_be_better_with_is_warned_of(film):
    rewrite(film, ("    repeats: T1\n", ""), (", time_s: 600", ""), ("1200", "9000"), ("volumes/T1", "volumes/T0"))
    found = check_study_file(film)
    assert found.problems == ()
    said = "\n".join(found.warnings)
    assert "line 3: scans should hold a repeat scan (none has repeats): errors rest on the residuals alone" in said
    assert "scans should have time_s (missing at T1)" in said
    assert "line 8: scans[2].time_s is outside the cycler's table, 0 to 1800 s (got 9000)" in said
    assert "line 5: scans[1].volume is the file of T0 as well (volumes/T0.tif)" in said


@pytest.mark.parametrize(
    ("flip", "side", "polarity", "warned"),
    [
        ("", "low-z", "silicon-darkest", False),
        ("", "high-z", "silicon-darkest", True),
        ("", "low-z", "silicon-brightest", True),
        ("z", "high-z", "silicon-darkest", False),
        ("z", "low-z", "silicon-darkest", True),
    ],
)
def test_a_collector_at_the_other_end_is_noticed(flip, side, polarity, warned, film):
    grey = read_volume(film / "volumes" / "T0.tif")
    grey[:4] = 3000  # copper: where silicon is dark, the darkest
    write_volume(film / "volumes" / "T0.tif", grey, voxel_size_m=5e-8, overwrite=True)
    groups = f"volumes: {{flip: '{flip}'}}\nelectrode: {{collector_side: {side}}}\nelectrochemistry:"
    rewrite(film, ("silicon-darkest", polarity), ("electrochemistry:", groups))
    warnings = check_study_file(film).warnings
    assert len(warnings) == warned
    assert all(
        "line 11: electrode.collector_side is" in text and "end is denser: check both" in text for text in warnings
    )


def test_a_region_must_lie_in_the_volume_and_hold_nodes(film):
    rewrite(film, ("electrochemistry:", "electrode:\n  region_m: {z: [1.0e-06, 3.0e-06]}\nelectrochemistry:"))
    check_only(
        check_study_file(film), 11, "electrode.region_m.z must end in the volume, at 2.2e-06 m (got 1e-06 to 3e-06)"
    )
    rewrite(film, ("[1.0e-06, 3.0e-06]", "[1.3e-06, 1.7e-06]"))
    said = "node_spacing_vox must give at least 2 nodes along z (got 1 at a spacing of 8"
    check_only(check_study_file(film), 15, said)


def test_a_disk_that_is_too_small_is_told(film):
    shape = (4000, 40000, 40000)
    with (film / "huge.raw").open("wb") as file:
        file.truncate(2 * math.prod(shape))  # sparse
    rewrite(film, *((f"volumes/T{number}.tif", "huge.raw") for number in range(3)), (", mask: mask.npy", ""))
    rewrite(film, ("electrochemistry:", f"volumes: {{shape: {list(shape)}, dtype: <u2}}\nelectrochemistry:"))
    assert check_study_file(film).problems == ()
    problems = check_study_file(film, out=film / "out").problems
    assert len(problems) == 1
    assert "out needs 140 TB of free disk (there are" in problems[0]


def test_nodes_are_counted_as_they_are_placed(film):
    settings = load_study(film).settings
    assert count_nodes(settings, SHAPE) == regular_nodes(SHAPE, 8)[1]


def test_twice_the_nodes_and_half_the_threads_take_longer(film):
    settings = load_study(film).settings
    one = estimate_study(settings, SHAPE, threads=2)
    deeper = estimate_study(settings, (88, 40, 36), threads=2)
    alone = estimate_study(settings, SHAPE, threads=1)
    assert deeper.seconds > 1.9 * one.seconds
    assert alone.seconds == pytest.approx(2 * one.seconds)


def test_radiographs_add_their_phases_and_volumes(film):
    settings = load_study(film).settings
    plain = estimate_study(settings, SHAPE, threads=2)
    filmed = estimate_study(settings, SHAPE, threads=2, frames=(4, 100, 44, 60))
    volume, phases = 4 * math.prod(SHAPE), 4 * 100 * 44 * 60
    assert filmed.disk_bytes - plain.disk_bytes == 3 * volume + phases + volume
    assert filmed.cpu_s > plain.cpu_s and filmed.seconds == pytest.approx(filmed.cpu_s / 2)
    double = estimate_study(settings, SHAPE, threads=2, frames=(4, 200, 44, 60))
    assert double.disk_bytes - filmed.disk_bytes == phases
    large = estimate_study(settings, SHAPE, threads=2, frames=(4, 100, 2048, 2048))
    assert 1 < large.memory_bytes / 2**30 < 8
