"""All numbers of a volume at once."""

from __future__ import annotations

import json

import numpy as np
import pytest

from voltome.quality import describe_quality

from .phantoms import CONTRAST, ELECTROLYTE, SILICON, draw_electrode, draw_noise

SHAPE = (72, 96, 104)
VOXEL_M = 50e-9


def test_a_volume_is_described_with_all_that_is_known_of_it():
    truth = draw_electrode(SHAPE)
    halves = tuple(truth + draw_noise(SHAPE, 0.14 * CONTRAST, seed=k) for k in (1, 2))
    volume = 0.5 * (halves[0] + halves[1])
    found = describe_quality(
        volume, voxel_size_m=VOXEL_M, truth=truth, truth_anchors=(SILICON, ELECTROLYTE), halves=halves
    )
    assert found["anchors"]["contrast"] == pytest.approx(CONTRAST, rel=0.06)
    assert 150e-9 < found["edges"]["quadratic_m"] < 260e-9
    assert found["rings"]["share_of_contrast"] < 0.03
    assert found["truth"]["fsc_half_m"] == pytest.approx(found["halves"]["fsc_truth_m"], rel=0.1)
    assert abs(found["grey_bias"]["worst"]) < 0.01
    json.dumps(found, allow_nan=True)


def test_what_cannot_be_measured_says_why():
    found = describe_quality(draw_noise((36, 38, 40), 1.0), voxel_size_m=VOXEL_M)
    assert "cannot be told apart" in found["anchors"]["reason"]
    assert "circles about the axis" in found["rings"]["reason"]
    assert np.isnan(found["edges"]["quadratic_m"])
    assert set(found) == {"anchors", "edges", "rings"}
