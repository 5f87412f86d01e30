"""How far the sample has drifted between two scans: at the collector, from which the electrode swells away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.fields import evaluate_affine
from voltome.grid import Block, VolumeSource, make_block

if TYPE_CHECKING:
    from voltome.study.settings import ElectrodeSettings

_INSCRIBED = 0.7
"""Side of the square that lies inside the circle which a reconstruction fills, over the volume's."""

_SLAB_PLANES = (32, 192)
_SLAB_SHARE = 4
_SLAB_SIDE = 1024
_SLAB_VOXELS = 1 << 22
_LEAST_SIDE = 10


@dataclass(frozen=True)
class Drift:
    """How a scan lies beside an earlier one, at the collector.

    Parameters
    ----------
    translation_m : tuple of float
        Displacement of the collector's face in the middle of the field, z, y, x.
    rotation_mrad : tuple of float
        Rotation vector z, y, x, right-handed in x, y, z. The tilts, about y and x, hold what swelling bends too.
    magnification : float
        In-plane stretch.
    zncc : float
        Zero-normalised cross-correlation of the two slabs after registration.
    """

    translation_m: tuple[float, float, float]
    rotation_mrad: tuple[float, float, float]
    magnification: float
    zncc: float

    @property
    def length_m(self) -> float:
        """Length of the translation."""
        return float(np.linalg.norm(self.translation_m))


def cut_middle(n: int, most: int) -> slice:
    """The middle of an axis, inside the circle that a reconstruction fills.

    Parameters
    ----------
    n : int
        Voxels along the axis.
    most : int
        Voxels to take at most.

    Returns
    -------
    slice
    """
    side = min(n, most, max(round(_INSCRIBED * n), 8))
    start = (n - side) // 2
    return slice(start, start + side)


def find_drift(
    before: VolumeSource,
    after: VolumeSource,
    *,
    electrode_z_vox: tuple[int, int],
    electrode: ElectrodeSettings,
    voxel_size_m: float,
) -> Drift | None:
    """Drift of the collector from one scan to another: an affine registration of slabs at its end.

    The slabs are reduced to some four million voxels (`voltome.dvc.registration.register_affine`). The affine's
    displacement at the collector's face is the drift: swelling does not move that.

    Parameters
    ----------
    before, after : VolumeSource
        Of one shape.
    electrode_z_vox : tuple of int
        First and last plane with texture in `before`.
    electrode : ElectrodeSettings
    voxel_size_m : float

    Returns
    -------
    Drift or None
        None where there is no texture, or too little has a grey value.

    Raises
    ------
    InputError, ResourceError
        If one of the scans cannot be read.
    """
    from voltome.dvc.particle_motion import rotation_vectors
    from voltome.dvc.registration import register_affine

    face, low, high = find_collector_box(before.shape, electrode_z_vox, electrode, voxel_size_m)
    factor = 1
    while np.prod((high - low) // factor) > _SLAB_VOXELS and min(high - low) >= 2 * factor * _LEAST_SIDE:
        factor *= 2
    slabs = [_read_slab(source, low, high, factor) for source in (before, after)]
    known = np.isfinite(slabs[0]) & np.isfinite(slabs[1])
    for slab in slabs:
        _keep_texture(slab, known)
    if min(known.shape) < _LEAST_SIDE or known.mean() < 0.5 or not all(np.ptp(slab) > 0 for slab in slabs):
        return None
    found = register_affine(*slabs, mask=None if known.all() else known.astype(np.float32))
    if not np.isfinite(found.zncc):
        return None
    place = np.array([face, *((low + high - 1) / 2)[1:]])
    reduced = (place - low - (factor - 1) / 2) / factor
    phi = evaluate_affine(found.phi, found.centre_vox, reduced[None])[0]
    z, y, x = (float(step) for step in phi[:3, 3] * factor * voxel_size_m)
    turn_z, turn_y, turn_x = (float(turn) for turn in rotation_vectors(phi[None, :3, :3])[0] * 1e3)
    stretch = float(np.sqrt(abs(np.linalg.det(phi[1:3, 1:3]))))
    return Drift((z, y, x), (turn_z, turn_y, turn_x), stretch, found.zncc)


def _keep_texture(slab: NDArray[np.float32], known: NDArray[np.bool_]) -> None:
    """Take each plane's mean out, in place: layers alone would match wherever the field lies."""
    slab[~known] = 0.0
    slab -= (slab.sum(axis=(1, 2)) / np.maximum(known.sum(axis=(1, 2)), 1))[:, None, None]
    slab[~known] = 0.0


def find_collector_box(
    shape: tuple[int, ...], electrode_z_vox: tuple[int, int], electrode: ElectrodeSettings, voxel_size_m: float
) -> tuple[float, NDArray[np.int64], NDArray[np.int64]]:
    """The collector's face in a scan, and the box around it in which drift is measured.

    The box is a quarter of the volume deep, 32 to 192 planes, a quarter of it on the collector's side of the face: deep
    enough for the texture of some particles, thin enough that these move with the collector.

    Parameters
    ----------
    shape : tuple of int
    electrode_z_vox : tuple of int
        First and last plane with texture.
    electrode : ElectrodeSettings
        Its region along z, where the study gives one, tells the face instead.
    voxel_size_m : float

    Returns
    -------
    face_z_vox : float
    low_vox, high_vox : (3,) int64
        Corners of the box, half-open.
    """
    region, nz = electrode.region_m, shape[0]
    edges = None if region is None or isinstance(region, str) else region.z
    first, last = electrode_z_vox if edges is None else (round(edge / voxel_size_m) for edge in edges)
    low_side = electrode.collector_side == "low-z"
    face = min(max(first if low_side else last, 0), nz - 1)
    depth = min(nz, max(_SLAB_PLANES[0], min(_SLAB_PLANES[1], nz // _SLAB_SHARE)))
    start = face - depth // 4 if low_side else face + depth // 4 - depth
    start = min(max(start, 0), nz - depth)
    y, x = (cut_middle(n, _SLAB_SIDE) for n in shape[1:])
    return float(face), np.array([start, y.start, x.start]), np.array([start + depth, y.stop, x.stop])


def _read_slab(
    source: VolumeSource, low: NDArray[np.int64], high: NDArray[np.int64], factor: int
) -> NDArray[np.float32]:
    from voltome.dvc.blocks import reduce_volume

    part = _Part(source, low, high)
    reduced = reduce_volume(part, factor)
    return np.array(reduced[make_block((0, 0, 0), reduced.shape)], dtype=np.float32)


class _Part:
    """A box of a volume as a volume of its own."""

    def __init__(self, source: VolumeSource, low: NDArray[np.int64], high: NDArray[np.int64]) -> None:
        self._source, self._low = source, low
        self.shape = tuple(int(n) for n in high - low)
        self.dtype: np.dtype[Any] = source.dtype
        self.chunk_shape: tuple[int, ...] = getattr(source, "chunk_shape", (1, 1, 1))

    def __getitem__(self, block: Block) -> NDArray[Any]:
        start, stop = (np.array([getattr(edge, end) for edge in block]) for end in ("start", "stop"))
        return self._source[make_block(self._low + start, self._low + stop)]
