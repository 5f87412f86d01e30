"""Settings of a study: the paper's by default, completed from what is given, and each wrong one named."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from voltome.settings import SettingError, describe_schema, validate_settings
from voltome.study.settings import StudySettings

SCANS = [{"name": "T0", "volume": "a.tif"}, {"name": "T1", "volume": "b.tif"}]


def make(**changes):
    return validate_settings(StudySettings, {"voxel_size_m": 5e-8, "scans": SCANS} | changes)


def test_what_is_left_out_is_the_papers():
    settings = make()
    assert settings.polarity == "silicon-darkest"
    assert settings.correlation.node_spacing_vox == 35
    assert settings.correlation.window_vox == 35
    assert settings.correlation.pyramid == (100, 70, 35)
    assert (settings.strain.measure, settings.strain.gradient) == ("hencky", "geers")
    assert settings.electrode.region_m is None


def test_a_group_of_which_nothing_is_given_is_as_if_it_were_left_out():
    assert make(volumes=None, watch=None, polarity=None) == make()


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        make().voxel_size_m = 1e-7


def test_settings_survive_a_file():
    given = {
        "electrode": {"region_m": {"z": [1e-6, 2e-5]}},
        "volumes": {"axes": "xyz", "flip": "zx", "shape": [3, 4, 5], "dtype": "<u2"},
        "correlation": {"pyramid": [50, 20]},
    }
    settings = make(**given)
    assert validate_settings(StudySettings, settings.model_dump(mode="json")) == settings


@pytest.mark.parametrize(
    ("given", "spacing", "pyramid"),
    [
        ({"node_spacing_vox": 12}, 12, (100, 70, 35, 12)),
        ({"node_spacing_vox": 70}, 70, (100, 70)),
        ({"node_spacing_vox": 120}, 120, (120,)),
        ({"pyramid": [60, 30]}, 30, (60, 30)),
        ({"node_spacing_vox": 30, "pyramid": None}, 30, (100, 70, 35, 30)),
        (None, 35, (100, 70, 35)),
    ],
)
def test_of_node_spacing_and_pyramid_one_follows_from_the_other(given, spacing, pyramid):
    correlation = make(correlation=given).correlation
    assert (correlation.node_spacing_vox, correlation.pyramid) == (spacing, pyramid)


@pytest.mark.parametrize(
    ("shape", "levels"), [((300, 201, 250), (100, 70, 35)), ((256, 200, 168), (70, 35)), ((20, 20, 20), (35,))]
)
def test_levels_too_coarse_for_a_volume_are_passed_over_but_the_finest_stays(shape, levels):
    assert make().correlation.fit_pyramid(shape) == levels


def test_the_whole_volume_may_be_asked_for():
    assert make(electrode={"region_m": "all"}).electrode.region_m == "all"


def test_a_beam_time_may_begin_without_scans():
    assert make(scans=[], watch={"incoming": "incoming/*.tif"}).scans == ()


@pytest.mark.parametrize("schema", [StudySettings.model_json_schema()])
def test_every_setting_has_a_description_and_a_level(schema):
    groups = [schema, *schema["$defs"].values()]
    assert len(groups) == 14
    for group in groups:
        for name, field in group["properties"].items():
            assert "description" in field or "$ref" in field, name
            assert field["level"] in ("required", "common", "all"), name
    assert schema["required"] == ["voxel_size_m", "scans"]


def test_comments_tell_bounds_and_choices():
    comments = describe_schema(StudySettings.model_json_schema())
    assert comments["correlation.half_window_vox"].endswith("(4 to 1000)")
    assert comments["electrode.collector_side"].endswith("(low-z or high-z)")
    assert comments["correlation.min_coverage"].endswith("(> 0 and <= 1)")
    assert "\nsoc: state of charge when the scan starts (0 to 1)\n" in comments["scans"]


def _scans(*changes):
    rows = [{"name": f"T{number}", "volume": f"{number}.tif"} for number in range(len(changes))]
    return {"scans": [row | change for row, change in zip(rows, changes, strict=True)]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (_scans({}, {"name": "T0"}), r"^scans\[1\].name must be unique \(got T0 again\): rename that scan"),
        (_scans({}, {"name": "t0"}), r"scans\[1\].name must be unique \(got t0 beside T0\)"),
        (_scans({}, {"name": "T0-T1"}), r"scans\[1\].name must match pattern .* \(got 'T0-T1'\): give the name of"),
        (_scans({}, {"name": ".."}), r"scans\[1\].name must match pattern"),
        (_scans({}, {"name": "T" * 41}), r"scans\[1\].name must match pattern"),
        (_scans({}, {"name": 1}), r"scans\[1\].name must be a valid string \(got 1\)"),
        (_scans({}), r"scans must hold at least two \(got 1\): add one, or give watch.incoming"),
        (_scans({"repeats": "T1"}, {}), r"scans\[0\].repeats must be left out at the first scan \(got T1\)"),
        (_scans({}, {}, {"repeats": "T0"}), r"scans\[2\].repeats must be the scan just before, T1 \(got T0\)"),
        (
            _scans({"time_s": 5}, {}, {"time_s": 5}),
            r"scans\[2\].time_s must be > 5, that of T0 \(got 5\): put the scans in order",
        ),
        (_scans({}, {"soc": 44}), r"scans\[1\].soc must be <= 1 \(got 44\): give the state of charge .*, or leave it"),
        ({"voxel_size_m": 50}, r"voxel_size_m must be <= 0.001 \(got 50\): give the edge of a voxel .*, e.g. 5e-08"),
        ({"voxel_size_m": None}, r"voxel_size_m must be a valid number \(got None\)"),
        ({"scans": 5}, r"scans must be a list \(got 5\): give name, volume"),
        ({"polarity": "dark"}, r"polarity must be 'silicon-darkest' or 'silicon-brightest' \(got 'dark'\)"),
        ({"corelation": {}}, r"corelation must be a known setting .*: did you mean correlation\?"),
        ({"node_spacing_vox": 3}, r"^node_spacing_vox must be a known .*: did you mean correlation.node_spacing_vox\?"),
        ({"correlation": {"half_window_vox": 3}}, r"correlation.half_window_vox must be >= 4 \(got 3\)"),
        ({"correlation": {"pyramid": [35, 70]}}, r"correlation.pyramid must fall from coarse to fine \(got 35, 70\)"),
        (
            {"correlation": {"node_spacing_vox": 20, "pyramid": [70, 35]}},
            r"correlation.pyramid must end in node_spacing_vox, 20 \(got 70, 35\): give only one of them",
        ),
        ({"correlation": {"node_spacing_vox": "wide"}}, r"correlation.node_spacing_vox must be a valid integer"),
        ({"correlation": 35}, r"correlation must be a group of settings \(got 35\)"),
        ({"volumes": {"axes": "zzx"}}, r"volumes.axes must name z, y and x .* \(got 'zzx'\): give such as zyx"),
        ({"volumes": {"flip": "zz"}}, r"volumes.flip must name axes of z, y and x, each once \(got 'zz'\)"),
        ({"volumes": {"grey_low": 2, "grey_high": 1}}, r"volumes.grey_high must be > grey_low, 2 \(got 1\)"),
        (
            {"volumes": {"shape": [3, 4]}},
            r"volumes.shape\[2\] must be given: give the voxels [^,]+, in the file's order$",
        ),
        ({"electrode": {"region_m": "whole"}}, r"electrode.region_m must be .* \(got 'whole'\): give z, y, x or 'all'"),
        (
            {"electrode": {"region_m": {"u": [0, 1]}}},
            r"electrode.region_m.u must be a known setting \(got \[0, 1\]\): known here are z, y, x",
        ),
        (
            {"electrode": {"region_m": {"z": [2e-5, 1e-5]}}},
            r"electrode.region_m.z must run from low to high \(got 2e-05 to 1e-05\): exchange them",
        ),
        ({"electrode": {"region_m": {"z": [-1, 1e-5]}}}, r"electrode.region_m.z\[0\] must be >= 0 \(got -1\)"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_its_path(changes, message):
    with pytest.raises(SettingError, match=message) as caught:
        make(**changes)
    assert "\n" not in str(caught.value)


def test_all_that_is_wrong_is_told_and_a_misspelt_key_first():
    with pytest.raises(SettingError) as caught:
        make(voxel_size_m=-1, **_scans({"volum": "c.tif"}, {"name": "T0"}), volumes={"flip": "q", "axes": "abc"})
    places = [problem.place for problem in caught.value.problems]
    assert places[0] == ("scans", 0, "volum")
    assert set(places[1:]) == {("voxel_size_m",), ("volumes", "axes"), ("volumes", "flip")}


def test_a_misspelt_required_key_is_one_problem():
    with pytest.raises(SettingError) as caught:
        make(scans=[SCANS[0], {"nam": "T1", "volume": "b.tif"}])
    assert [problem.place for problem in caught.value.problems] == [("scans", 1, "nam")]
