"""What lies on a slice: the grey image, the nodes nearest to it, and what each node may be read as."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.fields import DeformationField, NodeStatus
from voltome.grid import Shape3

AXES = ("z", "y", "x")

Slices = Mapping[str, tuple[int, NDArray[np.float32]]]
"""Axis name to (index in voxels, 2D image); the image's rows and columns are the two other axes, in order z, y, x."""


class NodeKind(IntEnum):
    """How a node is drawn and whether it counts; each node is exactly one of these."""

    TRUSTED = 0
    SUSPECT = 1
    FILLED = 2
    FAILED = 3
    MASKED = 4


@dataclass(frozen=True)
class Section:
    """One grey slice through the volume.

    Parameters
    ----------
    axis : int
        The axis it stands across: 0, 1, 2 for z, y, x.
    index_vox : int
        Where it stands on that axis.
    image : (rows, columns) float array
    scale : int
        Voxels per pixel.
    """

    axis: int
    index_vox: int
    image: NDArray[np.floating]
    scale: int = 1

    @property
    def rows(self) -> int:
        """The axis that runs down the image."""
        return 0 if self.axis else 1

    @property
    def columns(self) -> int:
        """The axis that runs to the right."""
        return 1 if self.axis == 2 else 2

    @property
    def size_vox(self) -> tuple[float, float]:
        """Height and width in voxels."""
        return float(self.image.shape[0] * self.scale), float(self.image.shape[1] * self.scale)


def read_sections(slices: Slices, slice_scale: int = 1) -> list[Section]:
    """Check the slices and put them in order z, y, x.

    Parameters
    ----------
    slices : mapping
        Axis name to (index in voxels, 2D image).
    slice_scale : int
        Voxels per pixel of the images.

    Returns
    -------
    list of Section
        One for each axis that is present.

    Raises
    ------
    InputError
        If an axis is not z, y or x, an image is empty or not 2D, or the scale is below 1.
    """
    if slice_scale < 1:
        raise InputError(f"slice_scale must be >= 1 voxel per pixel (got {slice_scale}): give 1 for full slices")
    unknown = [name for name in slices if name not in AXES]
    if unknown or not slices:
        raise InputError(f"slices must be named z, y or x (got {unknown or 'none'}): give at least one of them")
    sections = []
    for axis, name in enumerate(AXES):
        if name not in slices:
            continue
        index, image = slices[name]
        if np.ndim(image) != 2 or np.size(image) == 0:
            raise InputError(f"slice {name} must be a 2D image (got shape {np.shape(image)}): give one plane")
        sections.append(Section(axis, int(index), np.asarray(image), slice_scale))
    return sections


def classify_nodes(field: DeformationField, filtered: DeformationField) -> NDArray[np.int8]:
    """Say what each node may be read as.

    A suspect node keeps its own measured value in the figures even where the filter replaced it, so that nobody
    sees a smooth map where the measurement was not.

    Parameters
    ----------
    field, filtered : DeformationField
        As measured, and after filtering; N nodes each.

    Returns
    -------
    (N,) int8
        `NodeKind`.

    Raises
    ------
    InputError
        If the two fields do not have the same nodes.
    """
    if len(field) != len(filtered):
        raise InputError(
            f"the filtered field must have the nodes of the raw one (got {len(filtered)} and {len(field)}): "
            "filter the same field"
        )
    kind = np.full(len(field), NodeKind.FAILED, dtype=np.int8)
    kind[filtered.filled != 0] = NodeKind.FILLED
    kind[field.status == NodeStatus.MASKED] = NodeKind.MASKED
    kind[field.converged] = NodeKind.SUSPECT
    kind[field.trusted & np.isfinite(field.displacement_vox).all(axis=1)] = NodeKind.TRUSTED
    return kind


def measure_cell(positions_vox: NDArray[np.floating], grid_shape: Shape3 | None) -> NDArray[np.float64]:
    """Edge lengths of the cell that a point stands for.

    Parameters
    ----------
    positions_vox : (N, 3) float64
    grid_shape : tuple of int or None
        Points along z, y, x; None where they are scattered.

    Returns
    -------
    (3,) float64
        Spacing of the grid, an axis with one point taking the shortest of the others; the median distance to the
        nearest neighbour for scattered points; NaN where a single point has no neighbour.
    """
    if len(positions_vox) < 2:
        return np.full(3, np.nan)
    if grid_shape is None:
        from scipy.spatial import cKDTree

        distance = cKDTree(positions_vox).query(positions_vox, k=2)[0][:, 1]
        return np.full(3, float(np.median(distance)))
    spacing = np.full(3, np.nan)
    grid = positions_vox.reshape(*grid_shape, 3)
    for axis in range(3):
        if grid_shape[axis] > 1:
            spacing[axis] = np.median(np.diff(grid[..., axis], axis=axis))
    return np.where(np.isnan(spacing), np.nanmin(spacing), spacing)


@dataclass(frozen=True)
class PointLayer:
    """The points that lie on one section, as cells in its plane.

    Parameters
    ----------
    points : (M,) int array
        Which of the N points.
    centres_vox : (M, 2) float64
        Column and row position in the section.
    cell_vox : (2,) float64
        Width and height of a cell.
    plane_vox : float
        Where the points stand on the section's axis; NaN where there is none.
    """

    points: NDArray[np.intp]
    centres_vox: NDArray[np.float64]
    cell_vox: NDArray[np.float64]
    plane_vox: float

    def rectangles(self, chosen: NDArray[np.bool_], shrink: float = 1.0) -> NDArray[np.float64]:
        """Corners (K, 4, 2) of the chosen points' cells."""
        corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]) * self.cell_vox * shrink
        return self.centres_vox[chosen][:, None, :] + corners[None]


def lay_points(section: Section, positions_vox: NDArray[np.floating], grid_shape: Shape3 | None) -> PointLayer:
    """Take the layer of points nearest to a section.

    Parameters
    ----------
    section : Section
    positions_vox : (N, 3) float64
    grid_shape : tuple of int or None

    Returns
    -------
    PointLayer
        On a grid exactly one plane of it; of scattered points those within half a cell of the nearest one.
    """
    plane_axes = [section.columns, section.rows]
    if len(positions_vox) == 0:
        return PointLayer(np.zeros(0, dtype=np.intp), np.zeros((0, 2)), np.ones(2), np.nan)
    cell = measure_cell(positions_vox, grid_shape)
    cell[~(cell > 0)] = min(section.size_vox) / 5.0  # a single point: its cell has no neighbour to be measured by
    along = positions_vox[:, section.axis]
    plane = float(along[np.argmin(np.abs(along - section.index_vox))])
    points = np.flatnonzero(np.abs(along - plane) < 0.5 * cell[section.axis])
    return PointLayer(points, positions_vox[points][:, plane_axes].astype(np.float64), cell[plane_axes], plane)
