"""What lies on a slice, and what a node may be read as."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.fields import DeformationField, NodeStatus
from voltome.grid import regular_nodes
from voltome.report.sections import NodeKind, classify_nodes, lay_points, measure_cell, read_sections


def test_rows_and_columns_of_a_slice_are_the_other_axes_in_order() -> None:
    image = np.zeros((3, 5), dtype=np.float32)
    sections = read_sections({"x": (1, image), "z": (2, image), "y": (3, image)})
    assert [(s.axis, s.rows, s.columns, s.index_vox) for s in sections] == [(0, 1, 2, 2), (1, 0, 2, 3), (2, 0, 1, 1)]


def test_a_reduced_slice_keeps_its_size_in_voxels() -> None:
    (section,) = read_sections({"z": (0, np.zeros((3, 5), dtype=np.float32))}, slice_scale=4)
    assert section.size_vox == (12.0, 20.0)


@pytest.mark.parametrize(
    ("slices", "scale", "message"),
    [
        ({}, 1, "named z, y or x"),
        ({"t": (0, np.zeros((2, 2)))}, 1, "named z, y or x"),
        ({"z": (0, np.zeros((2, 2, 2)))}, 1, "must be a 2D image"),
        ({"z": (0, np.zeros((2, 2)))}, 0, "slice_scale must be >= 1"),
    ],
)
def test_a_bad_slice_is_named(slices: dict[str, tuple[int, np.ndarray]], scale: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_sections(slices, scale)


def test_the_layer_of_a_grid_is_its_plane_nearest_to_the_slice() -> None:
    positions, grid_shape = regular_nodes((50, 60, 70), 10)
    (section,) = read_sections({"y": (27, np.zeros((50, 70), dtype=np.float32))})
    layer = lay_points(section, positions.astype(float), grid_shape)
    assert layer.plane_vox == 30
    assert len(layer.points) == grid_shape[0] * grid_shape[2]
    np.testing.assert_array_equal(layer.centres_vox, positions[layer.points][:, [2, 0]])
    np.testing.assert_array_equal(
        layer.rectangles(np.ones(len(layer.points), bool))[0], [[5, 5], [15, 5], [15, 15], [5, 15]]
    )


def test_an_axis_with_one_node_takes_the_cell_of_the_others() -> None:
    positions, grid_shape = regular_nodes((15, 60, 40), 10)
    assert grid_shape[0] == 1
    np.testing.assert_array_equal(measure_cell(positions.astype(float), grid_shape), [10, 10, 10])


def test_scattered_points_within_half_a_cell_lie_on_the_slice() -> None:
    points = np.array([[10.0, 0, 0], [11, 0, 6], [9, 6, 0], [14, 6, 6]])
    (section,) = read_sections({"z": (10, np.zeros((8, 8), dtype=np.float32))})
    assert lay_points(section, points, None).points.tolist() == [0, 1, 2]


def test_a_single_point_has_a_cell_to_be_seen_by() -> None:
    (section,) = read_sections({"z": (10, np.zeros((40, 60), dtype=np.float32))})
    layer = lay_points(section, np.array([[12.0, 20, 30]]), (1, 1, 1))
    assert layer.points.tolist() == [0]
    assert layer.cell_vox.tolist() == [8.0, 8.0]


def test_each_node_is_read_as_one_thing() -> None:
    field = DeformationField.from_phi(np.arange(18).reshape(6, 3)).with_values(
        status=np.array([2, 2, 2, 1, -2, NodeStatus.MASKED], dtype=np.int32),
        suspect=np.array([0, 1, 1, 1, 0, 0], dtype=np.uint8),
    )
    filtered = field.with_values(filled=np.array([0, 1, 0, 1, 0, 0], dtype=np.uint8), suspect=np.zeros(6, np.uint8))
    kinds = [NodeKind.TRUSTED, NodeKind.SUSPECT, NodeKind.SUSPECT, NodeKind.FILLED, NodeKind.FAILED, NodeKind.MASKED]
    assert classify_nodes(field, filtered).tolist() == kinds


def test_fields_of_different_nodes_are_refused() -> None:
    with pytest.raises(InputError, match="must have the nodes of the raw one"):
        classify_nodes(DeformationField.from_phi(np.zeros((2, 3))), DeformationField.from_phi(np.zeros((3, 3))))
