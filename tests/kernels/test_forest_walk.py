"""Trees drawn by hand, walked by voxels whose way is known."""

from __future__ import annotations

import numpy as np

from voltome.kernels.forest_walk import SIDE_BY_SIDE, walk_forest

# Tree one: feature 1 at most 0.5 -> leaf (1, 0); else feature 0 at most -1 -> leaf (0, 1), else leaf (0.5, 0.5).
# Tree two is a single leaf (0.25, 0.75).
FEATURE = np.array([1, 0, 0, 0, 0, 0], dtype=np.int16)
THRESHOLD = np.array([0.5, np.inf, -1.0, np.inf, np.inf, np.inf], dtype=np.float32)
CHILD = np.array([1, 1, 3, 3, 4, 5], dtype=np.int32)
PROBABILITY = np.array([[9, 9], [1, 0], [9, 9], [0, 1], [0.5, 0.5], [0.25, 0.75]], dtype=np.float32)
ROOTS = np.array([0, 5], dtype=np.int32)


def walk(features: np.ndarray, start: float = 0.0) -> np.ndarray:
    likely = np.full((2, features.shape[1]), start, dtype=np.float32)
    walk_forest(np.ascontiguousarray(features, dtype=np.float32), FEATURE, THRESHOLD, CHILD, PROBABILITY, ROOTS, likely)
    return likely.T


def test_voxels_arrive_at_the_leaf_that_their_features_lead_to() -> None:
    features = np.tile([[5.0, 0.0], [5.0, 0.5], [-1.0, 0.6], [-0.9, 0.6]], (SIDE_BY_SIDE // 2, 1)).T
    expected = np.tile([[1.25, 0.75], [1.25, 0.75], [0.25, 1.75], [0.75, 1.25]], (SIDE_BY_SIDE // 2, 1))
    np.testing.assert_array_equal(walk(features), expected)


def test_probabilities_are_added_to_what_stands_there() -> None:
    features = np.zeros((2, SIDE_BY_SIDE))
    np.testing.assert_array_equal(walk(features, 10.0), np.tile([11.25, 10.75], (SIDE_BY_SIDE, 1)))


def test_infinite_features_end_at_a_leaf() -> None:
    features = np.full((2, SIDE_BY_SIDE), np.inf)
    np.testing.assert_array_equal(walk(features), np.tile([0.75, 1.25], (SIDE_BY_SIDE, 1)))
