"""Analytic motions with known displacement, gradient and inverse: the truth that a correlation is judged by.

One motion is a sum of an affine part, plane waves, axially stretched bands and at most one crack; the makers below
give the usual ones, and motions add up (``make_rigid_motion(...) + make_smooth_motion(...)``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voltome.errors import InputError

Floats = NDArray[np.float64]
Arrays = tuple[Floats, Floats, Floats, Floats, Floats]


def _no_rows(columns: int) -> Floats:
    return np.zeros((0, columns))


def _points(points_vox: ArrayLike) -> Floats:
    points = np.ascontiguousarray(points_vox, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3:
        raise InputError(f"points must have shape (N, 3) (got {points.shape}): give z, y, x in voxels, one row each")
    return points


@dataclass(frozen=True, eq=False)
class AnalyticMotion:
    """A displacement field in closed form; voxels, order z, y, x. See `motion_loops` for its arrays.

    Parameters
    ----------
    translation_vox : (3,) float64
        Displacement of the origin (voxel 0, 0, 0).
    linear : (3, 3) float64
        F - I of the affine part.
    waves : (M, 7) float64
    bands : (B, 4) float64
    cracks : (0 or 1, 12) float64
    """

    translation_vox: Floats = field(default_factory=lambda: np.zeros(3))
    linear: Floats = field(default_factory=lambda: np.zeros((3, 3)))
    waves: Floats = field(default_factory=lambda: _no_rows(7))
    bands: Floats = field(default_factory=lambda: _no_rows(4))
    cracks: Floats = field(default_factory=lambda: _no_rows(12))

    def __post_init__(self) -> None:
        if len(self.cracks) > 1:
            raise InputError(f"a motion holds at most 1 crack (got {len(self.cracks)}): leave one of them out")

    def __add__(self, other: AnalyticMotion) -> AnalyticMotion:
        """Sum of the two displacement fields, both functions of the reference position."""
        return AnalyticMotion(
            self.translation_vox + other.translation_vox,
            self.linear + other.linear,
            np.concatenate([self.waves, other.waves]),
            np.concatenate([self.bands, other.bands]),
            np.concatenate([self.cracks, other.cracks]),
        )

    @property
    def arrays(self) -> Arrays:
        """The five arrays in the order the compiled loops take them."""
        return self.translation_vox, self.linear, self.waves, self.bands, self.cracks

    def _inverse_linear(self) -> Floats:
        return np.linalg.inv(np.eye(3) + self.linear).astype(np.float64)

    def _evaluate(self, points_vox: ArrayLike) -> tuple[Floats, Floats]:
        from voltome.twin.motion_loops import evaluate_points

        points = _points(points_vox)
        displacement: Floats = np.empty(points.shape)
        gradient: Floats = np.empty((len(points), 3, 3))
        evaluate_points(points, *self.arrays, displacement, gradient)
        return displacement, gradient

    def displacement(self, points_vox: ArrayLike) -> Floats:
        """Displacement u of material points.

        Parameters
        ----------
        points_vox : (N, 3) array
            Reference positions.

        Returns
        -------
        (N, 3) float64
            In voxels.

        Raises
        ------
        InputError
            If the points are not (N, 3).
        """
        return self._evaluate(points_vox)[0]

    def gradient(self, points_vox: ArrayLike) -> Floats:
        """Deformation gradient F = I + du/dX at material points.

        Parameters
        ----------
        points_vox : (N, 3) array
            Reference positions.

        Returns
        -------
        (N, 3, 3) float64
            F[:, i, j] = d x_i / d X_j; on a crack's plane that of its moving side.

        Raises
        ------
        InputError
            If the points are not (N, 3).
        """
        return self._evaluate(points_vox)[1]

    def inverse(self, points_vox: ArrayLike) -> Floats:
        """Material points that arrive at the given positions, by Newton to better than 1e-6 voxel.

        Parameters
        ----------
        points_vox : (N, 3) array
            Deformed positions.

        Returns
        -------
        (N, 3) float64
            Reference positions; NaN where no matter arrives (inside an open crack).

        Raises
        ------
        InputError
            If the points are not (N, 3), or the motion folds there and has no inverse.
        """
        from voltome.twin.motion_loops import invert_points

        points = _points(points_vox)
        out: Floats = np.empty(points.shape)
        failed = invert_points(points, self._inverse_linear(), *self.arrays, out)
        if failed:
            raise InputError(
                f"the motion must be invertible (no inverse at {failed} of {len(points)} points): "
                "give smaller strains or a longer period"
            )
        return out


def make_affine_motion(
    deformation_gradient: ArrayLike, *, displacement_vox: ArrayLike = (0, 0, 0), centre_vox: ArrayLike = (0, 0, 0)
) -> AnalyticMotion:
    """Affine motion: x = X + u + (F - I)(X - centre).

    Parameters
    ----------
    deformation_gradient : (3, 3) array
        F, with a positive determinant.
    displacement_vox : (3,) array
        Displacement u of the centre.
    centre_vox : (3,) array

    Returns
    -------
    AnalyticMotion

    Raises
    ------
    InputError
        If det F is not positive.

    Examples
    --------
    >>> motion = make_affine_motion(np.diag([1.1, 1, 1]), centre_vox=(10, 10, 10))
    >>> motion.displacement([[20, 10, 10]]).round(6).tolist()
    [[1.0, 0.0, 0.0]]
    """
    linear = np.asarray(deformation_gradient, dtype=np.float64) - np.eye(3)
    determinant = float(np.linalg.det(linear + np.eye(3)))
    if determinant <= 0:
        raise InputError(f"det F must be > 0 (got {determinant:.3g}): give a deformation that does not turn inside out")
    centre = np.asarray(centre_vox, dtype=np.float64)
    return AnalyticMotion(np.asarray(displacement_vox, dtype=np.float64) - linear @ centre, linear)


def make_rigid_motion(
    *, displacement_vox: ArrayLike = (0, 0, 0), rotation_rad: ArrayLike = (0, 0, 0), centre_vox: ArrayLike = (0, 0, 0)
) -> AnalyticMotion:
    """Rigid motion: a rotation about a centre and a translation.

    Parameters
    ----------
    displacement_vox : (3,) array
    rotation_rad : (3,) array
        Rotation vector (z, y, x): its direction is the axis, its length the angle.
    centre_vox : (3,) array

    Returns
    -------
    AnalyticMotion

    Raises
    ------
    InputError
        Never for finite input; shares the check of `make_affine_motion`.
    """
    vector = np.asarray(rotation_rad, dtype=np.float64)
    angle = float(np.linalg.norm(vector))
    z, y, x = vector / angle if angle > 0 else vector
    # In z, y, x order the cross product changes sign against x, y, z: this turns like the right-handed x, y, z one.
    cross = np.array([[0, x, -y], [-x, 0, z], [y, -z, 0]])
    rotation = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return make_affine_motion(rotation, displacement_vox=displacement_vox, centre_vox=centre_vox)


def make_sine_motion(
    amplitude_vox: float, period_vox: float, *, component: int = 0, along: int = 2, phase_rad: float = 0.0
) -> AnalyticMotion:
    """One displacement component as a sine along one axis: sweeps of spatial resolution.

    Parameters
    ----------
    amplitude_vox : float
    period_vox : float
        The largest gradient is 2 pi amplitude / period; below 1 if component and axis are the same.
    component, along : int
        Which component moves, and along which axis it varies (0, 1, 2 are z, y, x).
    phase_rad : float

    Returns
    -------
    AnalyticMotion

    Raises
    ------
    InputError
        If the period is not positive.
    """
    if not period_vox > 0:
        raise InputError(f"period_vox must be > 0 (got {period_vox}): give the wave length in voxels")
    wave = np.zeros((1, 7))
    wave[0, component] = amplitude_vox
    wave[0, 3 + along] = 2 * np.pi / period_vox
    wave[0, 6] = phase_rad
    return AnalyticMotion(waves=wave)


def make_smooth_motion(
    shape: Sequence[int], *, strain: float = 0.03, swelling: float = 0.0, waves: int = 6, seed: int = 0
) -> AnalyticMotion:
    """Smooth heterogeneous motion: low-frequency waves of random direction, and axial swelling about the centre.

    Parameters
    ----------
    shape : sequence of int
        Volume (z, y, x) that sets the wave lengths: 0.7 to 1.4 times its longest side.
    strain : float
        Root-mean-square size of the displacement gradient's largest components from all waves together.
    swelling : float
        Mean axial strain added, a fraction.
    waves : int
        Number of waves.
    seed : int

    Returns
    -------
    AnalyticMotion

    Raises
    ------
    InputError
        If there is no wave to carry the strain.
    """
    if waves < 1:
        raise InputError(f"waves must be >= 1 (got {waves}): give 6, or use make_affine_motion")
    random = np.random.default_rng(seed)
    direction = random.normal(size=(waves, 3))
    number = 2 * np.pi / (max(shape) * random.uniform(0.7, 1.4, waves))
    rows = np.empty((waves, 7))
    rows[:, 3:6] = direction / np.linalg.norm(direction, axis=1, keepdims=True) * number[:, None]
    polarisation = random.normal(size=(waves, 3))
    size = strain * np.sqrt(2 / waves) / number
    rows[:, :3] = polarisation / np.linalg.norm(polarisation, axis=1, keepdims=True) * size[:, None]
    rows[:, 6] = random.uniform(0, 2 * np.pi, waves)
    centre = (np.asarray(shape, dtype=np.float64) - 1) / 2
    return make_affine_motion(np.diag([1 + swelling, 1, 1]), centre_vox=centre) + AnalyticMotion(waves=rows)


def make_band_motion(start_vox: float, stop_vox: float, stretch: float, *, join_vox: float = 4.0) -> AnalyticMotion:
    """A band in z with an axial stretch of its own; matter below does not move, matter above moves with it.

    Parameters
    ----------
    start_vox, stop_vox : float
        Where the band begins and ends in the reference.
    stretch : float
        Axial strain inside: 1.5 is +150 %, -0.5 is -50 %.
    join_vox : float
        Length over which the strain rises and falls (a tanh of this width).

    Returns
    -------
    AnalyticMotion

    Raises
    ------
    InputError
        If the band is empty, the join is not positive or the stretch closes the band.
    """
    if not stop_vox > start_vox or not join_vox > 0:
        raise InputError(
            f"a band needs start < stop and a join > 0 (got {start_vox}, {stop_vox}, {join_vox}): widen the band"
        )
    if stretch <= -1:
        raise InputError(f"stretch must be > -1 (got {stretch}): -0.5 halves the band's thickness")
    return AnalyticMotion(bands=np.array([[start_vox, stop_vox, join_vox, stretch]], dtype=np.float64))


def make_jump_motion(
    opening_vox: ArrayLike,
    *,
    point_vox: ArrayLike,
    normal: ArrayLike = (1, 0, 0),
    direction: ArrayLike = (0, 0, 1),
    taper_vox: float = 30.0,
) -> AnalyticMotion:
    """A crack: the matter beyond a plane moves off, from a front onwards; where it opens no matter is left.

    Parameters
    ----------
    opening_vox : (3,) array
        Displacement jump where fully open.
    point_vox : (3,) array
        A point on the crack's front: ahead of it (against `direction`) nothing moves.
    normal : (3,) array
        Normal of the crack's plane; the side it points to moves.
    direction : (3,) array
        In the plane, from the front to the mouth.
    taper_vox : float
        Distance from the front to where the crack is fully open.

    Returns
    -------
    AnalyticMotion

    Raises
    ------
    InputError
        If the taper is not positive, or the direction does not lie in the plane.
    """
    unit, along = (np.asarray(v, dtype=np.float64) / np.linalg.norm(v) for v in (normal, direction))
    if not taper_vox > 0:
        raise InputError(f"taper_vox must be > 0 (got {taper_vox}): give the length over which the crack opens")
    if abs(unit @ along) > 1e-6:
        raise InputError(
            f"direction must lie in the crack's plane (got normal . direction = {unit @ along:.3g}): "
            "give a direction at right angles to the normal"
        )
    point = np.asarray(point_vox, dtype=np.float64)
    row = np.concatenate(
        [unit, [unit @ point], along, [along @ point, taper_vox], np.asarray(opening_vox, dtype=np.float64)]
    )
    return AnalyticMotion(cracks=row[None])
