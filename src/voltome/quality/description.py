"""All that is said of a volume's quality, in one dictionary of plain numbers."""

from __future__ import annotations

import math

from voltome.errors import InputError
from voltome.grid import VolumeSource
from voltome.quality.anchors import Anchors, find_anchors
from voltome.quality.contrast import measure_grey_bias
from voltome.quality.edges import measure_edges
from voltome.quality.rings import measure_rings
from voltome.quality.shell_correlation import ShellCorrelation, correlate_shells

Description = dict[str, dict[str, float | int | bool | str]]

_DETAIL_M = 1.0e-6


def describe_quality(
    volume: VolumeSource,
    *,
    voxel_size_m: float,
    truth: VolumeSource | None = None,
    truth_anchors: tuple[float, float] | None = None,
    halves: tuple[VolumeSource, VolumeSource] | None = None,
    axis_vox: tuple[float, float] | None = None,
    seed: int = 0,
) -> Description:
    """Quality of a reconstructed volume: anchors, edges, rings, and shell correlation where there is a second volume.

    Parameters
    ----------
    volume : (z, y, x) volume
        Refractive decrement of the electrode, without collector.
    voxel_size_m : float
    truth : (z, y, x) volume, optional
        What it should be, on the same grid.
    truth_anchors : two float, optional
        Decrement of silicon and electrolyte in the truth, for the grey bias.
    halves : two volumes, optional
        Reconstructed from every other projection.
    axis_vox : (y, x), optional
        Rotation axis in the volume; by default the middle of a slice.
    seed : int
        Of the draws of blocks.

    Returns
    -------
    dict of dict
        `anchors` (silicon, electrolyte, their standard deviations, contrast, contrast_to_noise, valley), `edges`
        (`EdgeResolution.summarise`), `rings` (amplitude and floor, in the volume's unit and as a share of the
        contrast), `truth` (fsc_half_m and whether that is Nyquist's, coarsest_m, error_below_1_um), `grey_bias`
        (worst, gain, offset), `halves` (fsc_0143_m, fsc_half_bit_m, fsc_truth_m). What cannot be measured is
        missing, with a `reason` in its place.

    Raises
    ------
    InputError
        If shapes differ, the volume is too small to look at, or values are not finite.
    """
    anchors, reason = _try_anchors(volume, seed)
    contrast = math.nan if anchors is None else anchors.contrast
    edges = measure_edges(volume, voxel_size_m=voxel_size_m, contrast=None if anchors is None else contrast, seed=seed)
    found: Description = {
        "anchors": {"reason": reason} if anchors is None else _tell_anchors(anchors),
        "edges": dict(edges.summarise()),
        "rings": _tell_rings(volume, axis_vox, contrast),
    }
    if truth is not None:
        shells = correlate_shells(volume, truth, voxel_size_m=voxel_size_m)
        found["truth"] = _tell_truth(shells)
        if truth_anchors is not None:
            bias = measure_grey_bias(volume, truth, anchors=truth_anchors)
            found["grey_bias"] = {"worst": bias.worst, "gain": bias.gain, "offset": bias.offset}
    if halves is not None:
        found["halves"] = _tell_halves(correlate_shells(*halves, voxel_size_m=voxel_size_m))
    return found


def _try_anchors(volume: VolumeSource, seed: int) -> tuple[Anchors | None, str]:
    try:
        return find_anchors(volume, seed=seed), ""
    except InputError as error:
        return None, str(error)


def _tell_anchors(anchors: Anchors) -> dict[str, float | int | bool | str]:
    return {
        "silicon": anchors.silicon.mean,
        "silicon_sd": anchors.silicon.sd,
        "electrolyte": anchors.electrolyte.mean,
        "electrolyte_sd": anchors.electrolyte.sd,
        "contrast": anchors.contrast,
        "contrast_to_noise": anchors.contrast_to_noise,
        "valley": anchors.valley,
    }


def _tell_rings(
    volume: VolumeSource, axis_vox: tuple[float, float] | None, contrast: float
) -> dict[str, float | int | bool | str]:
    try:
        rings = measure_rings(volume, axis_vox=axis_vox)
    except InputError as error:
        return {"reason": str(error)}
    return {
        "amplitude": rings.amplitude,
        "floor": rings.floor,
        "share_of_contrast": rings.amplitude / contrast,
        "floor_share_of_contrast": rings.floor / contrast,
    }


def _tell_truth(shells: ShellCorrelation) -> dict[str, float | int | bool | str]:
    half = shells.find_resolution(0.5)
    return {
        "fsc_half_m": half.length_m,
        "at_nyquist": half.at_nyquist,
        "coarsest_m": half.coarsest_m,
        "error_below_1_um": shells.find_error(longest_m=_DETAIL_M),
    }


def _tell_halves(shells: ShellCorrelation) -> dict[str, float | int | bool | str]:
    half_bit, truth = shells.find_resolution("half-bit"), shells.predict_truth().find_resolution(0.5)
    return {
        "fsc_0143_m": shells.find_resolution(0.143).length_m,
        "fsc_half_bit_m": half_bit.length_m,
        "fsc_truth_m": truth.length_m,
        "at_nyquist": truth.at_nyquist,
    }
