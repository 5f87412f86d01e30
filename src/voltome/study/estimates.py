"""What a study will cost: nodes, disk, memory, time, before anything is run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from voltome.grid import Shape3
from voltome.study.settings import RegionSettings, StudySettings

NODE_MS = 5.0
"""CPU time of a node, in ms, beside that of its window: between 1 (speckle) and 6 (the twin, T0 to T6 directly)."""

WINDOW_VOXEL_MS = 8e-6
"""CPU time of a voxel of its window: what 71^3 take longer than 25^3."""

VOXEL_MS = 4e-5
"""CPU time of a voxel that is read, registered, reduced and stored."""

FRAME_PIXEL_MS = 7e-4
"""CPU time of a pixel of a radiograph: flat field, registration, phase in mode quality."""

SLICE_VOXEL_MS = 5e-4
"""CPU time of a voxel that is reconstructed and looked at."""

SEGMENTED_VOXEL_MS = 8e-4
"""CPU time of a voxel that is segmented by ONNX Runtime and counted; OpenVINO takes a fourth."""

_STORED_VOXEL_BYTES = 2 * 1.2  # uint16 with its pyramid: noise hardly compresses
_LABELLED_VOXEL_BYTES = 1.0  # phases and confidence with their pyramids: most is plain
_NODE_BYTES = 1500  # of a field on disk, strain and ParaView's file included
_BASE_BYTES = 300 * 2**20
_BLOCKS_BYTES = 768 * 2**20  # what the correlation may take for its blocks
_BLOCK_VOXEL_BYTES = 32
_BLOCK_NODE_BYTES = 10_000
_THREAD_BYTES = 64 * 2**20
_VALUE_BYTES = 4  # of phases and reconstructed volumes
_FLATS = 24  # frames that are kept of each distance: dark, flats, eigenflats
_PHASE_FRAMES = 60  # frames that a thread works with while it retrieves a phase


@dataclass(frozen=True)
class StudyEstimate:
    """What a study will cost, at most where the region is found automatically.

    Parameters
    ----------
    nodes : int
        Of one field.
    pairs, direct_pairs : int
        Increments, and direct correlations with the first scan.
    disk_bytes, memory_bytes : int
    node_ms : float
        CPU milliseconds of a node: the rate that is assumed.
    cpu_s, seconds : float
        CPU time, and the time on all threads.
    """

    nodes: int
    pairs: int
    direct_pairs: int
    disk_bytes: int
    memory_bytes: int
    node_ms: float
    cpu_s: float
    seconds: float


def estimate_study(
    settings: StudySettings, shape: Shape3, *, threads: int, frames: tuple[int, int, int, int] | None = None
) -> StudyEstimate:
    """Estimate what a study needs.

    Parameters
    ----------
    settings : StudySettings
    shape : tuple of int
        Voxels of a scan along z, y, x.
    threads : int
        That work at once.
    frames : tuple of int, optional
        Of a scan that is given as radiographs: distances, angles, rows and columns.

    Returns
    -------
    StudyEstimate
    """
    voxels, scans = math.prod(shape), len(settings.scans)
    nodes = math.prod(count_nodes(settings, shape))
    pairs = max(scans - 1, 0)
    direct = max(scans - 2, 0) if settings.correlation.direct_check else 0  # the first increment is direct
    window = (2 * settings.correlation.window_vox + 1) ** 3
    node_ms = NODE_MS + WINDOW_VOXEL_MS * window
    cpu_s = ((pairs + direct) * (nodes * node_ms + voxels * VOXEL_MS) + scans * voxels * VOXEL_MS) / 1000
    fields = 2 * pairs + direct  # increments, composed and direct ones
    blocks = min(_BLOCKS_BYTES, voxels * _BLOCK_VOXEL_BYTES)
    raw = _estimate_reconstruction(scans, voxels, threads, frames)
    labelled = voxels * sum(settings.segmentation.find_model(scan.name) is not None for scan in settings.scans)
    cpu_s += raw.cpu_s + labelled * settings.segmentation.flips * SEGMENTED_VOXEL_MS / 1000
    return StudyEstimate(
        nodes=nodes,
        pairs=pairs,
        direct_pairs=direct,
        disk_bytes=math.ceil(
            scans * voxels * _STORED_VOXEL_BYTES + fields * nodes * _NODE_BYTES + labelled * _LABELLED_VOXEL_BYTES
        )
        + raw.disk_bytes,
        memory_bytes=_BASE_BYTES + max(raw.memory_bytes, blocks + nodes * _BLOCK_NODE_BYTES + threads * _THREAD_BYTES),
        node_ms=node_ms,
        cpu_s=cpu_s,
        seconds=cpu_s / threads,
    )


@dataclass(frozen=True)
class _Reconstruction:
    """What volumes cost beyond those that are given."""

    disk_bytes: int = 0
    memory_bytes: int = 0
    cpu_s: float = 0.0


def _estimate_reconstruction(
    scans: int, voxels: int, threads: int, frames: tuple[int, int, int, int] | None
) -> _Reconstruction:
    """Volumes stay; the phases of one scan at a time, and its volume once more, go when they have been used."""
    if frames is None:
        return _Reconstruction()
    distances, angles, rows, columns = frames
    frame = rows * columns
    pixel_ms = distances * angles * frame * FRAME_PIXEL_MS
    return _Reconstruction(
        disk_bytes=_VALUE_BYTES * (scans * voxels + angles * frame + voxels),
        memory_bytes=_VALUE_BYTES * frame * (distances * _FLATS + threads * _PHASE_FRAMES),
        cpu_s=scans * (pixel_ms + voxels * SLICE_VOXEL_MS) / 1000,
    )


def count_nodes(settings: StudySettings, shape: Sequence[int]) -> tuple[int, int, int]:
    """Nodes along each axis: multiples of the node spacing inside the volume and the electrode's region.

    Parameters
    ----------
    settings : StudySettings
    shape : sequence of int

    Returns
    -------
    tuple of int
        Along z, y, x; of the whole volume where the region is found automatically.
    """
    region, spacing = settings.electrode.region_m, settings.correlation.node_spacing_vox
    counts = []
    for axis, side in zip("zyx", shape, strict=True):
        low, high = region_edges_vox(region, axis, settings.voxel_size_m, side)
        counts.append(sum(low <= position <= high for position in range(spacing, side, spacing)))
    return counts[0], counts[1], counts[2]


def region_edges_vox(region: object, axis: str, voxel_size_m: float, side: int) -> tuple[float, float]:
    """Where the electrode's region begins and ends along an axis.

    Parameters
    ----------
    region : RegionSettings, "all" or None
    axis : {"z", "y", "x"}
    voxel_size_m : float
    side : int
        Voxels of the volume along the axis.

    Returns
    -------
    low, high : float
        In voxels; the whole side where nothing is given.
    """
    edges = getattr(region, axis) if isinstance(region, RegionSettings) else None
    return (0.0, float(side)) if edges is None else (edges[0] / voxel_size_m, edges[1] / voxel_size_m)
