"""Noise of a correlation against window size, from two scans of an unmoved sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voltome.dvc.boxes import Pair
from voltome.dvc.repeat import Drift, Smoothness, component_sd, fit_drift, measure_smoothness
from voltome.dvc.strain import compute_strain
from voltome.dvc.windows import correlate_windows, place_windows
from voltome.errors import InputError
from voltome.fields import DeformationField, FloatArray, NodeStatus, evaluate_affine
from voltome.grid import regular_nodes

DEFAULT_HALF_WINDOWS = (8, 12, 16, 24, 32, 48, 64)
_FEWEST = 8
_RIM_VOX = 4
_LEAST_TRUSTED = 0.5
_SAME_RESIDUAL = 1e-3
_SIGNIFICANT, _DISTORTED = 4.0, 2.5
_MOVED_VOX, _MOVED_SCALE = 0.1, 3.0
_U = np.array([3, 7, 11])
_F = np.array([0, 1, 2, 4, 5, 6, 8, 9, 10])


@dataclass(frozen=True)
class WindowNoise:
    """Noise of windows of one size.

    Parameters
    ----------
    half_window_vox : int
    nodes, used : int
        Windows placed, and trusted ones behind the numbers.
    sd_u_vox : (3,) float64
        Measured standard deviation of displacement, z, y, x, beyond an affine.
    sd_f : (3, 3) float64
        Of the windows' own F.
    predicted_u_vox, predicted_f : (3,), (3, 3) float64
        Root mean square of the sd that the correlation states for the same windows.
    relative_error_u, relative_error_f : float
        Standard deviation of the mean measured sd, as a fraction of it.
    sd_strain_zz, sd_volumetric : float
        Of strain from displacements at 50 % overlap (`compute_strain`'s default), from the measured sd of u.
    drift : Drift
    smoothness : Smoothness
    """

    half_window_vox: int
    nodes: int
    used: int
    sd_u_vox: FloatArray
    sd_f: FloatArray
    predicted_u_vox: FloatArray
    predicted_f: FloatArray
    relative_error_u: float
    relative_error_f: float
    sd_strain_zz: float
    sd_volumetric: float
    drift: Drift
    smoothness: Smoothness

    @property
    def mean_u_vox(self) -> float:
        """Root mean square of the measured sd over the components of u."""
        return root_mean_square(self.sd_u_vox)

    @property
    def mean_f(self) -> float:
        """Root mean square of the measured sd over the components of F."""
        return root_mean_square(self.sd_f)


def root_mean_square(values: NDArray[np.floating]) -> float:
    """Root of the mean square.

    Parameters
    ----------
    values : float array

    Returns
    -------
    float
    """
    return float(np.sqrt(np.mean(np.square(values))))


def choose_half_windows(
    shape: Sequence[int], wanted: Sequence[int] | None = None, *, margin_vox: int = _RIM_VOX
) -> tuple[int, ...]:
    """Half windows of which eight fit a volume side by side, two on each axis.

    Parameters
    ----------
    shape : sequence of int
    wanted : sequence of int, optional
        By default those of `DEFAULT_HALF_WINDOWS` that fit.
    margin_vox : int
        Distance that windows keep from the faces.

    Returns
    -------
    tuple of int
        In ascending order.

    Raises
    ------
    InputError
        If a wanted one does not fit, is below 4 or stands twice, or none fits.
    """

    def fits(half: int) -> bool:
        return min(place_windows(shape, half, margin_vox=margin_vox)[1]) >= 2

    if wanted is None:
        chosen = tuple(half for half in DEFAULT_HALF_WINDOWS if fits(half))
        if not chosen:
            raise InputError(
                f"the volume must hold {_FEWEST} windows of half window {DEFAULT_HALF_WINDOWS[0]} side by side (got "
                f"shape {tuple(shape)}): give a larger volume, or smaller windows with --half-windows"
            )
        return chosen
    if not wanted or min(wanted) < 4 or len(set(wanted)) < len(wanted):
        raise InputError(
            f"half windows must be different whole numbers >= 4 (got {','.join(map(str, wanted))}): give 8,12,16"
        )
    for half in wanted:
        if not fits(half):
            raise InputError(
                f"the volume must hold {_FEWEST} windows side by side (got half window {half} for shape "
                f"{tuple(shape)}): leave it out of --half-windows"
            )
    return tuple(sorted(wanted))


def choose_margin(shape: Sequence[int], phi: FloatArray) -> int:
    """Distance from the faces at which windows stay inside both volumes.

    Parameters
    ----------
    shape : sequence of int
    phi : (4, 4) float64
        Registration relative to the volume's centre.

    Returns
    -------
    int
        At most an eighth of the shortest side: what then leaves the other volume counts as outside.
    """
    size = np.asarray(shape, dtype=np.float64)
    corners = np.stack(np.meshgrid(*[(0.0, n - 1.0) for n in size], indexing="ij"), axis=-1).reshape(-1, 3)
    u = evaluate_affine(phi, (size - 1) / 2, corners)[:, :3, 3]
    return int(min(_RIM_VOX + np.ceil(np.abs(u).max()), max(_RIM_VOX, size.min() // 8)))


def measure_window_noise(
    pair: Pair, half_window_vox: int, phi: FloatArray, *, margin_vox: int = _RIM_VOX, threads: int | None = None
) -> WindowNoise:
    """Correlate a repeat pair in windows side by side and measure how their results scatter.

    One affine is removed: drift and magnification between the scans are real. What neighbours share beyond it is in
    the scatter, and said in `smoothness`.

    Parameters
    ----------
    pair : Pair
        Two scans of an unmoved sample.
    half_window_vox : int
    phi : (4, 4) float64
        Registration relative to the volume's centre.
    margin_vox : int
    threads : int, optional

    Returns
    -------
    WindowNoise

    Raises
    ------
    InputError
        If the scans are the same image, or fewer than half of the windows can be trusted.
    """
    shape = pair.reference.shape
    centre = (np.asarray(shape, dtype=np.float64) - 1) / 2
    positions, grid_shape = place_windows(shape, half_window_vox, margin_vox=margin_vox)
    start = evaluate_affine(phi, centre, positions)
    field = correlate_windows(pair, positions, start, half_window_vox, threads=threads)
    use = field.trusted
    _refuse(field, use, half_window_vox)
    residual = np.zeros((len(field), 3))
    drift, residual[use] = fit_drift(field.positions_vox[use], field.displacement_vox[use], centre)
    f = field.deformation_gradient[use].reshape(-1, 9)
    n = int(use.sum())
    sd_u = component_sd(residual[use], parameters=4)
    strain_zz, volumetric = predict_strain_sd(half_window_vox, sd_u)
    sd = field.sd[use]
    return WindowNoise(
        half_window_vox=half_window_vox,
        nodes=len(field),
        used=n,
        sd_u_vox=sd_u,
        sd_f=component_sd(f - np.median(f, axis=0), parameters=1).reshape(3, 3),
        predicted_u_vox=np.sqrt(np.mean(sd[:, _U] ** 2, axis=0)),
        predicted_f=np.sqrt(np.mean(sd[:, _F] ** 2, axis=0)).reshape(3, 3),
        relative_error_u=float(1 / np.sqrt(2 * max(3 * n - 12, 1))),
        relative_error_f=float(1 / np.sqrt(2 * (9 * n - 9))),
        sd_strain_zz=strain_zz,
        sd_volumetric=volumetric,
        drift=drift,
        smoothness=measure_smoothness(residual, use, grid_shape),
    )


def _refuse(field: DeformationField, use: NDArray[np.bool_], half_window_vox: int) -> None:
    measured = field.status != NodeStatus.MASKED
    if use.sum() < max(_FEWEST, _LEAST_TRUSTED * measured.sum()):
        raise InputError(
            f"these are no repeat scans: at half window {half_window_vox} only {int(use.sum())} of "
            f"{int(measured.sum())} windows can be trusted (at least {_FEWEST} and half of them must): give two scans "
            "of an unmoved sample, or a mask that leaves out what has no texture"
        )
    if np.linalg.matrix_rank(field.positions_vox[use] - field.positions_vox[use].mean(axis=0)) < 3:
        raise InputError(
            f"the trusted windows must span the volume (all {int(use.sum())} of half window {half_window_vox} lie in a "
            "plane): widen the mask, or give smaller --half-windows"
        )
    residual = float(np.median(field.residual[use]))
    if residual < _SAME_RESIDUAL:
        raise InputError(
            f"the two scans must differ by noise (got a grey residual of {residual:.1g}): a volume "
            "compared with itself has no noise, give the second scan"
        )


def judge_motion(rows: Sequence[WindowNoise]) -> tuple[WindowNoise, WindowNoise, tuple[str, ...]]:
    """What moved between the scans, and whether it is more than a scanner's drift.

    Parameters
    ----------
    rows : sequence of WindowNoise

    Returns
    -------
    drift, smooth : WindowNoise
        The windows that know the drift best, and those that show most of what varies smoothly.
    warnings : tuple of str
        A distortion or a smooth displacement that is larger than chance and than the noise.

    Raises
    ------
    InputError
        If matter moved by more than 0.1 voxel and three times the noise: these are no repeat scans.
    """
    best = min(rows, key=lambda row: float(row.drift.translation_sd_vox.max()))
    rough = max(rows, key=lambda row: row.smoothness.significance)
    smooth = rough.smoothness.smooth_vox if rough.smoothness.significance > _SIGNIFICANT else 0.0
    drift = best.drift
    noise = min(*(row.smoothness.noise_vox for row in (best, rough)), root_mean_square(rough.predicted_u_vox))
    distorted = drift.distortion_vox if drift.distortion > _DISTORTED * drift.distortion_sd else 0.0
    moved = float(np.hypot(smooth, distorted))
    if moved > max(_MOVED_VOX, _MOVED_SCALE * noise):
        raise InputError(
            f"these are no repeat scans: beyond drift, rotation and magnification the matter moved by {moved:.2g} "
            f"voxels rms, {moved / noise:.0f} times the noise (uneven strain {100 * drift.distortion:.2g} %): give two "
            "scans of an unmoved sample"
        )
    warnings = []
    if distorted > noise:
        warnings.append(
            f"the second scan is strained unevenly by {100 * drift.distortion:.2g} %, which makes displacements of "
            f"{distorted:.2g} voxels rms: no drift or magnification does that; it is taken out"
        )
    if smooth:
        warnings.append(
            f"displacements of {smooth:.2g} voxels rms vary smoothly over the volume (half window "
            f"{rough.half_window_vox}): not noise; they are in the measured sd"
        )
    return best, rough, tuple(warnings)


def predict_strain_sd(half_window_vox: int, sd_u_vox: FloatArray) -> tuple[float, float]:
    """Sd of axial and volumetric strain at a node whose neighbours stand half a window away, from the sd of u.

    Parameters
    ----------
    half_window_vox : int
    sd_u_vox : (3,) float64

    Returns
    -------
    strain_zz, volumetric : float
        With the noise that overlapping windows share (`gradient.differentiate_field`).
    """
    spacing = half_window_vox
    nodes, grid_shape = regular_nodes((3 * spacing + 1,) * 3, spacing)
    side = 2 * half_window_vox + 1
    variance = np.repeat(sd_u_vox**2, 4) * np.tile([12 / (side**2 - 1)] * 3 + [1.0], 3)
    covariance = np.tile(np.diag(variance).astype(np.float32), (len(nodes), 1, 1))
    field = DeformationField.from_phi(nodes, grid_shape=grid_shape).with_values(covariance=covariance)
    strain = compute_strain(field)
    middle = len(nodes) // 2
    return float(strain.strain_sd[middle, 0, 0]), float(strain.volumetric_sd[middle])
