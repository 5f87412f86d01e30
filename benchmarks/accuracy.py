"""Accuracy of the local correlation against known truth: errors, honesty of the deviations, cracks, resolution.

    python benchmarks/accuracy.py [--date 2026-01-31] [--page FILE] [--only WORD]

Writes docs/accuracy.md and docs/pictures/sd_predicted_measured.png. Everything runs on arrays through `voltome.dvc`.
"""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import deviations
import numpy as np
from judge import Errors, Scores, inner_nodes, measure_errors, score_deviations
from numpy.typing import NDArray
from pages import DOCS, describe_machine, make_table, write_page, write_picture

from voltome.dvc import correlate_local
from voltome.fields import DeformationField
from voltome.twin import (
    AnalyticMotion,
    SpecklePair,
    best_affine,
    make_affine_motion,
    make_band_motion,
    make_jump_motion,
    make_rigid_motion,
    make_sine_motion,
    make_smooth_motion,
    make_speckle_pair,
)

SHAPE = (180, 150, 160)
TALL = (240, 90, 100)
CENTRE = (np.asarray(SHAPE) - 1) / 2

NodeChoice = Callable[[NDArray[np.float64]], NDArray[np.bool_]]


def _everywhere(positions_vox: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.ones(len(positions_vox), dtype=bool)


@dataclass(frozen=True)
class Case:
    """One phantom and one way to measure it; `chosen` restricts the nodes that are judged."""

    name: str
    motion: AnalyticMotion
    half_window: int
    spacing: int
    shape: tuple[int, int, int] = SHAPE
    noise: float = 0.0
    correlation_vox: float = 0.0
    gain: float = 1.0
    pyramid: tuple[int, ...] | None = None
    chosen: NodeChoice = _everywhere


@dataclass(frozen=True)
class Verdict:
    """What one case gave: nodes inside the chosen part, how many converged and are trusted, errors, z-scores."""

    case: Case
    nodes: int
    converged: int
    trusted: int
    errors: Errors
    scores: Scores


# Cases that differ only in which nodes they judge follow each other and share the pair and its field.
@lru_cache(maxsize=1)
def make_pair(
    shape: tuple[int, int, int], motion: AnalyticMotion, noise: float, correlation_vox: float, gain: float
) -> SpecklePair:
    """The pair of a case."""
    return make_speckle_pair(
        shape, motion, seed=11, noise=noise, noise_correlation_vox=correlation_vox, gain=gain, offset=0.3 * (1 - gain)
    )


@lru_cache(maxsize=1)
def correlate_pair(
    pair: SpecklePair, spacing: int, half_window: int, pyramid: tuple[int, ...] | None
) -> DeformationField:
    """Registration, then local correlation, at the defaults."""
    return correlate_local(
        pair.reference, pair.deformed, node_spacing_vox=spacing, half_window_vox=half_window, pyramid=pyramid
    ).field


def measure_field(case: Case) -> DeformationField:
    """What the correlation makes of a case."""
    pair = make_pair(case.shape, case.motion, case.noise, case.correlation_vox, case.gain)
    return correlate_pair(pair, case.spacing, case.half_window, case.pyramid)


def judge_case(case: Case) -> Verdict:
    """Run a case; judged are trusted nodes whose windows lie inside both volumes."""
    field = measure_field(case)
    truth = best_affine(case.motion, field.positions_vox, case.half_window, shape=case.shape)
    chosen = case.chosen(field.positions_vox)
    chosen &= inner_nodes(field.positions_vox, truth, case.half_window, case.shape)
    sd = field.sd
    return Verdict(
        case,
        int(chosen.sum()),
        int((field.converged & chosen).sum()),
        int((field.trusted & chosen).sum()),
        measure_errors(field.phi, truth, field.trusted & chosen),
        score_deviations(field.phi, truth, sd, field.trusted & chosen),
    )


def _between(low: float, high: float, half_window: int) -> NodeChoice:
    """Nodes whose whole window lies between two heights."""
    return lambda positions: (positions[:, 0] - half_window >= low) & (positions[:, 0] + half_window <= high)


def _across_crack(beyond: bool, half_window: int) -> NodeChoice:
    """Nodes whose window the open part of the crack of `JUMP` cuts well inside (or does not touch at all)."""

    def choose(positions: NDArray[np.float64]) -> NDArray[np.bool_]:
        height = np.abs(positions[:, 0] - JUMP_HEIGHT)
        cut = (height <= half_window / 2) & (positions[:, 2] - half_window >= JUMP_OPEN)
        clear = (height > half_window + 1) & (positions[:, 2] - half_window >= JUMP_OPEN)
        return cut if beyond else clear

    return choose


JUMP_HEIGHT, JUMP_FRONT, JUMP_TAPER = 85.0, 30.0, 20.0
JUMP_OPEN = JUMP_FRONT + JUMP_TAPER
AFFINE = make_affine_motion(
    [[1.03, 0.010, 0.004], [-0.006, 0.985, 0.008], [0.005, -0.003, 1.01]],
    displacement_vox=(1.3, -2.4, 0.7),
    centre_vox=CENTRE,
)
SMOOTH = make_rigid_motion(displacement_vox=(1.3, -2.4, 0.7), centre_vox=CENTRE) + make_smooth_motion(
    SHAPE, strain=0.03, swelling=0.02, seed=4
)
JUMP = make_jump_motion((3.0, 0.6, 0.0), point_vox=(JUMP_HEIGHT, 0, JUMP_FRONT), taper_vox=JUMP_TAPER)
STRETCHED = make_band_motion(90, 150, 1.5, join_vox=5) + make_rigid_motion(displacement_vox=(-45, 0, 0))
PRESSED = make_band_motion(70, 170, -0.5, join_vox=5) + make_rigid_motion(displacement_vox=(25, 0, 0))

CASES = (
    Case("affine, no noise", AFFINE, 12, 20),
    Case("affine, no noise", AFFINE, 35, 25),
    Case("affine, no noise, gain 1.5 and offset", AFFINE, 12, 20, gain=1.5),
    Case("affine, 5 % white noise", AFFINE, 12, 20, noise=0.05),
    Case("affine, 5 % white noise", AFFINE, 35, 25, noise=0.05),
    Case("smooth, 5 % white noise", SMOOTH, 12, 20, noise=0.05),
    Case("smooth, 5 % white noise", SMOOTH, 35, 25, noise=0.05),
    Case("smooth, 20 % white noise", SMOOTH, 12, 20, noise=0.2),
    Case("smooth, 5 % noise correlated over 1 voxel", SMOOTH, 12, 20, noise=0.05, correlation_vox=1.0),
    Case("smooth, 5 % noise correlated over 1 voxel", SMOOTH, 35, 25, noise=0.05, correlation_vox=1.0),
    Case("no motion, 5 % white noise (repeat scan)", make_rigid_motion(), 12, 20, noise=0.05),
    Case("band of +150 %: inside it", STRETCHED, 8, 10, TALL, 0.05, pyramid=(40, 20, 10), chosen=_between(96, 144, 8)),
    Case("band of +150 %: below it", STRETCHED, 8, 10, TALL, 0.05, pyramid=(40, 20, 10), chosen=_between(46, 82, 8)),
    Case("band of -50 %: inside it", PRESSED, 12, 10, TALL, 0.05, pyramid=(40, 20, 10), chosen=_between(80, 160, 12)),
    Case("jump of 3 voxels: windows across it", JUMP, 12, 10, noise=0.05, chosen=_across_crack(True, 12)),
    Case("jump of 3 voxels: windows beside it", JUMP, 12, 10, noise=0.05, chosen=_across_crack(False, 12)),
)

SWEEP_STRAIN, SWEEP_WINDOW, SWEEP_SPACING = 0.04, 12, 10
# No divisor of twice the spacing: there every node would stand where the sine is 0.
SWEEP_PERIODS = (25.0, 30.0, 40.0, 60.0, 80.0, 120.0)


def sweep_period(period_vox: float) -> list[str]:
    """Row of the sweep: period, trusted nodes, share of a sine's amplitude measured and in the best affine.

    The sine is a shear, u_z along x with a gradient amplitude of 4 %.
    """
    amplitude = SWEEP_STRAIN * period_vox / (2 * np.pi)
    case = Case("sine", make_sine_motion(amplitude, period_vox), SWEEP_WINDOW, SWEEP_SPACING, (90, 90, 300), 0.05)
    field = measure_field(case)
    ideal = best_affine(case.motion, field.positions_vox, SWEEP_WINDOW, shape=case.shape)
    inner = inner_nodes(field.positions_vox, ideal, SWEEP_WINDOW, case.shape)
    use = inner & field.trusted
    row = [f"{period_vox:.0f}", f"{use.sum()} / {inner.sum()}"]
    if not use.any():
        return [*row, "none", "none"]
    wave = case.motion.displacement(field.positions_vox[use])[:, 0]
    shares = [u[use, 0] @ wave / (wave @ wave) for u in (field.displacement_vox, ideal[:, :3, 3])]
    return [*row, *(f"{share:.3f}" for share in shares)]


PICTURE = "sd_predicted_measured.png"

HEADER = (
    "phantom", "spacing / half window", "nodes", "converged", "suspect", "u rms", "u median", "F rms", "F median",
    "z of u", "z of F", "beyond 3 sd",
)  # fmt: skip

PAGE = """# Accuracy

Numbers of whole studies, thickness and strain of the electrode:
[accuracy of the electrode's numbers](accuracy-electrode.md).

*Written by `make accuracy`; do not edit. {date}.*

{machine}. Analytic speckle, both states sampled from the object (never interpolated from an image), registration and
local correlation at their defaults unless said.

{table}

- Errors are per component, in voxels for u, against the least-squares affine of the true displacement over each
  window: what a window can at best measure. Judged are trusted nodes (converged, not suspect) whose windows lie
  inside both volumes; "nodes" counts those before trust is asked for.
- z is the root mean square of error / stated standard deviation (random part): 1 is honest, above 1 overconfident.
  None without noise. On the affine phantoms it is noise alone; elsewhere the error also holds what an affine cannot
  follow, which the random part does not claim to know.
- Across a crack a window has no strain: there "suspect" should be all of the nodes, beside it none.

## Standard deviations

The random part of the stated standard deviation against the real error, under an affine motion (strains up to 3 %,
{deviation_shape} voxels) with fresh noise for each strength and correlation: white, or smoothed by a Gaussian of the
given sd and scaled back to its strength. Trusted nodes whose windows lie inside both volumes; rms over nodes and
components. {held} of {settings} settings have a z of {low:g} to {high:g} for both u and F.

![Predicted standard deviation against measured error](pictures/{picture})

{deviations}

## Spatial resolution

Share of the displacement amplitude of a sine (u_z along x, gradient 4 %, 5 % noise) that trusted nodes at half window
{window} measure, beside that of the best affine of each window.

{sweep}
"""


def _row(verdict: Verdict) -> list[str]:
    case, errors, scores = verdict.case, verdict.errors, verdict.scores
    values = [f"{errors.u_rms:.1e}", f"{errors.u_median:.1e}", f"{errors.f_rms:.1e}", f"{errors.f_median:.1e}"]
    honesty = [f"{scores.u_sd:.2f}", f"{scores.f_sd:.2f}", f"{scores.beyond_three:.1%}"]
    counts = [str(verdict.nodes), str(verdict.converged), str(verdict.converged - verdict.trusted)]
    return [
        case.name,
        f"{case.spacing} / {case.half_window}",
        *counts,
        *(values if errors.nodes else ["none"] * 4),
        *(honesty if errors.nodes and case.noise else ["none"] * 3),
    ]


def _sorted_rows(found: list[deviations.Deviation]) -> list[list[str]]:
    def order(one: deviations.Deviation) -> tuple[int, float, float]:
        return one.setting.half_window, one.setting.correlation_vox, one.setting.noise

    return [deviations.make_row(one) for one in sorted(found, key=order)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--date", default=datetime.date.today().isoformat())
    parser.add_argument("--page", type=Path, default=DOCS / "accuracy.md")
    parser.add_argument("--only", default="", help="only phantoms whose name holds this word; writes no page")
    options = parser.parse_args()
    rows = []
    for case in CASES:
        if options.only in case.name:
            rows.append(_row(judge_case(case)))
            print(make_table(HEADER, rows[-1:]), flush=True)
    if options.only:
        return
    found = []
    for one in deviations.compare_deviations(deviations.list_settings()):
        found.append(one)
        print(make_table(deviations.HEADER, [deviations.make_row(one)]).splitlines()[-1], flush=True)
    write_picture(options.page.parent / "pictures" / PICTURE, deviations.draw_deviations(found))
    sweep = [sweep_period(period) for period in SWEEP_PERIODS]
    page = PAGE.format(
        date=options.date,
        machine=describe_machine(),
        table=make_table(HEADER, rows),
        deviation_shape=" x ".join(map(str, deviations.SHAPE)),
        held=sum(one.holds for one in found),
        settings=len(found),
        low=deviations.RANGE[0],
        high=deviations.RANGE[1],
        picture=PICTURE,
        deviations=make_table(deviations.HEADER, _sorted_rows(found)),
        window=SWEEP_WINDOW,
        sweep=make_table(("period, voxels", "trusted", "measured", "best affine"), sweep),
    )
    write_page(options.page, page)
    print(f"written: {options.page}")


if __name__ == "__main__":
    main()
