"""Series with a known step of matter and a known offset between two models."""

from __future__ import annotations

import math

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.segmentation.switch import judge_switch

STEPS = 9
SWITCH = 3
SDS = np.full(STEPS, 0.005)


def make_series(matter, offset, *, sd=0.005, seed=0, only=slice(None)):
    """Both models' values of a volume that falls, with a step of matter before scan 3 and the second model's offset."""
    rng = np.random.default_rng(seed)
    true = 1.0 - 0.02 * np.arange(STEPS)
    true[SWITCH:] += matter
    first, second = true + rng.normal(0, sd, STEPS), true + offset + rng.normal(0, sd, STEPS)
    unmeasured = np.ones(STEPS, dtype=bool)
    unmeasured[only] = False
    first[unmeasured & (np.arange(STEPS) >= SWITCH)] = np.nan
    second[unmeasured & (np.arange(STEPS) < SWITCH)] = np.nan
    return first, second


@pytest.mark.parametrize("with_sd", [True, False])
@pytest.mark.parametrize(
    ("matter", "offset", "verdict"),
    [(-0.2, 0.0, "matter"), (0.02, -0.2, "model"), (-0.1, -0.1, "both"), (0.02, 0.0, "neither"), (-0.1, 0.1, "both")],
)
def test_the_verdict_is_what_made_the_step(matter, offset, verdict, with_sd):
    sds = {"first_sd": SDS, "second_sd": SDS} if with_sd else {}
    found = judge_switch(*make_series(matter, offset), SWITCH, **sds)
    assert found.verdict == verdict
    assert found.due_to_matter + found.due_to_switch == pytest.approx(found.step_across)
    assert abs(found.due_to_matter - (matter - 0.02)) < 4 * found.due_to_matter_sd
    assert abs(found.due_to_switch - offset) < 4 * found.due_to_switch_sd
    assert 0.001 < found.due_to_switch_sd < 0.012


def test_the_step_is_that_of_the_series_and_of_each_model_alone():
    first, second = make_series(-0.1, -0.3)
    found = judge_switch(first, second, SWITCH)
    assert found.step_across == second[3] - first[2]
    assert (found.step_first_model, found.step_second_model) == (first[3] - first[2], second[3] - second[2])
    assert found.due_to_matter == pytest.approx((found.step_first_model + found.step_second_model) / 2)
    assert found.share == pytest.approx(0.3 / 0.42, abs=0.05)


@pytest.mark.parametrize(("only", "used"), [(2, 2), (3, 3)])
def test_one_scan_measured_by_both_is_enough(only, used):
    first, second = make_series(-0.1, -0.2, only=only)
    found = judge_switch(first, second, SWITCH, first_sd=SDS, second_sd=SDS)
    assert found.verdict == "both"
    assert found.due_to_switch == second[used] - first[used]
    assert math.isnan(found.step_first_model if only == 2 else found.step_second_model)
    assert found.due_to_switch_sd == pytest.approx(0.005 * math.sqrt(2))


def test_scans_far_from_the_switch_tell_as_much_as_they_agree():
    first, second = make_series(-0.1, -0.2, only=slice(6, 9))
    found = judge_switch(first, second, SWITCH, first_sd=SDS, second_sd=SDS)
    drifting = second + np.where(np.arange(STEPS) > 5, 0.1 * (np.arange(STEPS) - 7), 0)
    unsure = judge_switch(first, drifting, SWITCH, first_sd=SDS, second_sd=SDS)
    assert found.verdict == "both" and found.due_to_switch == pytest.approx(-0.2, abs=0.02)
    assert unsure.due_to_switch_sd > 0.09 and unsure.verdict == "neither"


def test_models_that_see_the_step_differently_make_it_uncertain():
    first, second = make_series(0.0, 0.0, sd=0)
    second[SWITCH:] -= 0.2  # only the second model sees anything
    found = judge_switch(first, second, SWITCH, first_sd=SDS, second_sd=SDS)
    assert found.due_to_matter_sd == pytest.approx(0.1, rel=0.01) and found.verdict == "neither"


@pytest.mark.parametrize("with_sd", [True, False])
def test_standard_deviations_are_those_of_many_series(with_sd):
    sds = {"first_sd": SDS, "second_sd": SDS} if with_sd else {}
    found = [judge_switch(*make_series(-0.1, -0.2, seed=seed), SWITCH, **sds) for seed in range(400)]
    for name in ("step_across", "due_to_switch", "share"):
        values = np.array([getattr(one, name) for one in found])
        predicted = np.sqrt(np.mean([getattr(one, f"{name}_sd") ** 2 for one in found]))
        assert 0.85 * values.std() < predicted < 1.5 * values.std()
    still = [judge_switch(*make_series(-0.1, 0.0, seed=seed), SWITCH, **sds) for seed in range(400)]
    alarms = np.mean([one.verdict == "both" for one in still])
    assert alarms < 0.08


def test_without_any_error_nothing_stands_out_by_rounding():
    found = judge_switch(*make_series(0.02, -0.1, sd=0), SWITCH)
    assert (found.verdict, found.share) == ("model", pytest.approx(1))


def test_a_single_pair_without_sds_gives_numbers_and_no_verdict():
    found = judge_switch(*make_series(-0.1, -0.2, only=3), SWITCH)
    assert found.verdict == "unknown" and math.isnan(found.due_to_switch_sd) and math.isnan(found.share)
    assert found.due_to_switch == pytest.approx(-0.2, abs=0.03)
    assert "give standard deviations" in found.sentence


def test_the_sentence_names_scans_numbers_and_what_follows():
    names = [f"S{n}" for n in range(STEPS)]
    found = judge_switch(
        *make_series(0.02, -0.2, sd=1e-9), SWITCH, first_sd=SDS, second_sd=SDS, scans=names,
        quantity="the silicon fraction",
    )  # fmt: skip
    assert found.sentence == (
        "From S2 to S3, where the model changes, the silicon fraction changes by -0.2: "
        f"{found.due_to_matter:+.3g} (sd 0.005) from matter, -0.2 (sd 0.005) from the change of model; the change is "
        "the model's; matter adds none that stands out."
    )


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"switch": 0}, "the switch must be 1 to 8 (got 0)"),
        ({"switch": 9}, "the switch must be 1 to 8 (got 9)"),
        ({"second_model": np.ones(4)}, "both series must be of one length"),
        ({"second_model": np.r_[np.ones(3), np.nan, np.ones(5)]}, "must have values at the switch"),
        ({"first_model": np.r_[np.ones(3), np.full(6, np.nan)], "second_model": np.r_[np.full(3, np.nan), np.ones(6)]},
         "no scan was measured by both models"),
        ({"first_sd": SDS}, "of both models or of none"),
        ({"first_sd": 0 * SDS, "second_sd": SDS}, "standard deviations must be > 0"),
        ({"first_sd": SDS[1:], "second_sd": SDS[1:]}, "standard deviations must be > 0, one for each value"),
        ({"scans": ["T0"]}, "scans must have a name each (got 1 for 9)"),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_line(change, rule):
    first, second = make_series(-0.1, 0.1)
    given = {"first_model": first, "second_model": second, "switch": SWITCH} | change
    with pytest.raises(InputError) as refused:
        judge_switch(**given)
    assert rule in str(refused.value) and "\n" not in str(refused.value)
