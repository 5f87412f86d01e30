"""A number with its errors."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voltome.measurement import Measurement, Share


def measured(*shares, region="whole"):
    return Measurement("strain", "T1", 0.4, "1", region, shares)


@given(st.lists(st.tuples(st.floats(0, 1e3), st.booleans()), min_size=1, max_size=8))
def test_kinds_add_in_quadrature_and_apart(parts):
    found = measured(*(Share(str(k), sd, "bias" if bias else "random") for k, (sd, bias) in enumerate(parts)))
    for kind, sd in ((False, found.sd_random), (True, found.sd_bias)):
        own = [value for value, bias in parts if bias == kind]
        assert sd == pytest.approx(math.hypot(*own)) if own else math.isnan(sd)
    assert found.sd == pytest.approx(math.hypot(*(value for value, _ in parts)))


def test_without_shares_nothing_is_known_of_the_error():
    assert all(math.isnan(sd) for sd in (measured().sd_random, measured().sd_bias, measured().sd))


def test_a_cause_of_unknown_size_makes_its_kind_unknown_and_leaves_the_other():
    found = measured(Share("noise", 0.3), Share("alignment", math.nan), Share("face", 0.4, "bias"))
    assert math.isnan(found.sd_random) and found.sd_bias == 0.4 and found.sd == 0.4


def test_nothing_known_is_no_error_of_zero():
    assert measured(Share("noise", 0.0)).sd == 0.0
    assert math.isnan(measured(Share("noise", math.nan)).sd)


def test_shares_of_one_cause_are_read_together():
    found = measured(Share("face", 3.0), Share("face", 4.0, "bias"), Share("noise", 1.0))
    assert found.share("face") == 5.0 and found.share("noise") == 1.0
    assert math.isnan(found.share("weather"))


def test_the_label_names_the_region_unless_it_is_the_whole():
    assert measured().label == "strain"
    assert measured(region="collector side").label == "strain_collector_side"


def test_what_is_not_said_is_random_and_whole():
    assert Share("noise", 1.0).kind == "random"
    assert Measurement("strain", "T1", 0.4, "1").region == "whole"
