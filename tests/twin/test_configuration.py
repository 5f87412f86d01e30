"""The twin's settings: the paper's figures by default, and every impossible one refused in one clear line."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from voltome.errors import InputError
from voltome.twin.configuration import SIZE_NAMES, TwinSettings, make_settings
from voltome.twin.setting_mapping import dump_settings, make_schema, parse_settings


def _step(name, soc, thickness_um, **more):
    return {"name": name, "soc": soc, "thickness_m": thickness_um * 1e-6, **more}


PRISTINE = _step("T0", 0, 20.7)


@pytest.mark.parametrize("size", SIZE_NAMES)
def test_every_size_shows_the_same_field(size):
    height, width, depth = make_settings(size).field_m
    assert height == pytest.approx(38.4e-6)
    assert (width, depth) == pytest.approx((25.6e-6, 25.6e-6), rel=0.04)


def test_tiny_has_the_first_and_the_last_charged_step_and_its_repeat():
    steps = make_settings("tiny").steps
    assert [step.name for step in steps] == ["T0", "T1", "T6", "T6r"]
    assert steps[-1].repeat and steps[-1].thickness_m == steps[-2].thickness_m


def test_steps_have_the_papers_thickness_and_volumetric_strain():
    settings = make_settings("paper")
    thickness = {step.name: step.thickness_m / settings.electrode.thickness_m for step in settings.steps}
    final = thickness["T6"] - 1
    assert [round(thickness[name] * 20.7, 6) for name in ("T0", "T3", "T6")] == [20.7, 25.8, 30.0]
    for name, volumetric in (("T1", 0.06), ("T2", 0.12), ("T8", 0.32)):
        in_plane = settings.kinematics.in_plane_strain * (thickness[name] - 1) / final
        assert thickness[name] * (1 + in_plane) ** 2 - 1 == pytest.approx(volumetric, abs=1e-4)


def test_pores_are_what_silicon_and_binder_leave():
    assert make_settings().electrode.pore_fraction == pytest.approx(0.336)


@pytest.mark.parametrize(("size", "fwhm_m"), [("tiny", 800e-9), ("small", 300e-9), ("paper", 300e-9)])
def test_the_resolution_is_never_below_two_voxels(size, fwhm_m):
    assert make_settings(size).image_fwhm_m == pytest.approx(fwhm_m)


def test_settings_cannot_be_changed():
    settings = make_settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.seed = 2


@pytest.mark.parametrize("size", SIZE_NAMES)
def test_settings_survive_a_file(size):
    settings = make_settings(size, seed=2**63 - 1)
    assert parse_settings(json.loads(json.dumps(dump_settings(settings)))) == settings


def test_a_mapping_changes_what_it_names_and_nothing_else():
    settings = parse_settings({"size": "tiny", "cell": {"resistance_ohm": "5e4"}, "scan": None})
    assert settings.cell.resistance_ohm == 5e4
    changed = dump_settings(settings)
    changed["cell"]["resistance_ohm"] = make_settings("tiny").cell.resistance_ohm
    assert changed == dump_settings(make_settings("tiny"))


def test_the_schema_describes_every_setting():
    schema = make_schema()
    groups = {name: group["properties"] for name, group in schema["$defs"].items()} | {"": schema["properties"]}
    settings = {f"{group}.{name}": field for group, fields in groups.items() for name, field in fields.items()}
    assert len(settings) > 60
    assert [path for path, field in settings.items() if "description" not in field and "$ref" not in field] == []
    assert schema["properties"]["size"]["enum"] == list(SIZE_NAMES)
    assert "required" not in schema


def test_a_step_is_found_by_its_name():
    assert make_settings("tiny").find_step("T6") == 2
    with pytest.raises(InputError, match=r"step 'T5' must be one of .* \(got T0, T1, T6, T6r\)"):
        make_settings("tiny").find_step("T5")


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        (5, r"the twin must be a group of settings \(got 5\): give e.g. size: small"),
        ({"size": "huge"}, r"size must be one of tiny, small, paper \(got 'huge'\)"),
        ({"size": ["tiny"]}, r"size must be one of tiny, small, paper"),
        ({"voxel_size_m": 0}, r"voxel_size_m must be >= 5e-09 \(got 0\): give the edge of a voxel, e.g. 1.5e-07"),
        ({"shape": [96, 64.5, 64]}, r"shape\[1\] must be a valid integer \(got 64.5\)"),
        ({"shape": [96, 64]}, r"shape\[2\] must be given: give the voxels along z"),
        ({"shape": 96}, r"shape must be a list \(got 96\)"),
        ({"electrode": 5}, r"electrode must be a group of settings \(got 5\): give thickness_m, thickness_sd_m"),
        ({"electrode": {"silicon_fraction": 2}}, r"electrode.silicon_fraction must be < 1 \(got 2\): .*0.554"),
        ({"scan": {"noise": float("nan")}}, r"scan.noise must be a finite number \(got nan\)"),
        ({"lithiation": {"visible": "maybe"}}, r"lithiation.visible must be a valid boolean \(got 'maybe'\)"),
        ({"lithiation": {"visibel": 1}}, r"visibel must be a known .*: did you mean lithiation.visible\?"),
        ({"silicon_fraction": 0.5}, r"^silicon_fraction must .*: did you mean electrode.silicon_fraction\?"),
        ({"zzz": 0.5}, r"zzz must be a known setting \(got 0.5\): known here are shape, voxel_size_m"),
        ({1: 2}, r"\[1\] must be a known setting \(got 1\)"),
        ({"steps": [_step("T 0", 0, 20.7)]}, r"steps\[0\].name must match pattern"),
        ({"steps": [{**PRISTINE, "socc": 1}]}, r"steps\[0\].socc .*: did you mean steps\[0\].soc\?"),
        ({"steps": [{"name": "T0", "thickness_m": 2e-5}]}, r"steps\[0\].soc must be given: give the state of charge"),
        ({"steps": []}, r"steps must have at least 1 item"),
        ({"steps": [3]}, r"steps\[0\] must be a group of settings \(got 3\): give name, thickness_m, soc"),
    ],
)
def test_what_is_no_setting_is_refused_with_its_path(mapping, message):
    with pytest.raises(InputError, match=message) as caught:
        parse_settings(mapping)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"electrode": {"silicon_fraction": 0.95}}, r"silicon_fraction \+ binder_fraction must be < 1 \(got 0.95 \+"),
        ({"electrode": {"silicon_fraction": 0.72}}, r"silicon_fraction must be <= 0.605, .* room to swell \(got 0.72"),
        ({"electrode": {"diameter_d10_m": 5e-6}}, r"diameter_d10_m < diameter_d50_m < .* \(got 5e-06, 4.25e-06"),
        ({"electrode": {"binder_fraction": 0.01}}, r"binder_zone_fraction must be <= the binder fraction, 0.01"),
        (
            {"lithiation": {"core_shell_fraction": 0.7, "one_sided_fraction": 0.6}},
            r"must be <= 1 \(got 0.7 \+ 0.6 \+ 0\)",
        ),
        (
            {"voxel_size_m": 100e-9},
            r"must hold collector, thickest step, .* \(got 2.56e-05 m\): raise shape\[0\] to 375",
        ),
        ({"scan": {"drift_m": 3e-6}}, r"must hold collector, thickest step, 2 sd of thickness and drift"),
        ({"scan": {"black_delta": 1e-7, "white_delta": 1e-7}}, r"black_delta and white_delta must differ \(got 1e-07"),
        ({"cell": {"cutoff_rate": 0.5}}, r"cell.cutoff_rate must be < charge_rate, 0.333"),
        ({"cell": {"sei_charge_fraction": 0.5, "sei_saturation": 0.1}}, r"cell.sei_charge_fraction must leave charge"),
        ({"electrode": {"thickness_m": 25e-6}}, r"steps\[0\] must be the pristine electrode: .* thickness_m 2.5e-05"),
        ({"steps": [_step("T1", 0.1, 20.7)]}, r"steps\[0\] must be the pristine electrode: .* \(got T1 with soc 0.1"),
        ({"steps": [PRISTINE, _step("T0", 0.1, 21)]}, r"steps\[1\].name must be unique \(got T0 again\)"),
        (
            {"steps": [PRISTINE, _step("T2", 0.3, 22), _step("T1", 0.1, 21), _step("T3", 0.5, 24)]},
            r"soc must rise .* then fall \(got 0.5 at T3 after 0.1 at T1\): put the steps in order",
        ),
        ({"steps": [PRISTINE, _step("T1", 0, 20.7)]}, r"\(got 0 at T1 after 0 at T0\): .* set repeat"),
        (
            {"steps": [PRISTINE, _step("T1", 0.3, 22), _step("T1r", 0.3, 23, repeat=True)]},
            r"steps\[2\] \(T1r\) repeats T1 and must have its thickness_m, soc and bubble \(got 2.3e-05, 0.3, 0\)",
        ),
        ({"steps": [PRISTINE, _step("T1", 0.5, 22), _step("T2", 0.01, 21)]}, r"steps\[2\].soc must be >= 0.05"),
    ],
)
def test_what_is_impossible_is_refused_before_any_work(mapping, message):
    with pytest.raises(InputError, match=message) as caught:
        parse_settings(mapping)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, True, "1"])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(InputError, match="seed must be a whole number"):
        make_settings("tiny", seed=seed)


def test_a_wider_field_and_other_steps_are_welcome():
    settings = parse_settings({"shape": [512, 2048, 2048], "steps": [PRISTINE, _step("end", 1, 33, bubble_radius_m=0)]})
    assert isinstance(settings, TwinSettings)
    assert settings.thickest_m == pytest.approx(33e-6)
