"""Predicted standard deviation against real error, for white noise and for noise as reconstruction correlates it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from judge import Scores, inner_nodes, score_deviations
from numpy.typing import NDArray

from voltome.dvc import correlate_local, register_affine
from voltome.fields import DeformationField
from voltome.twin import AnalyticMotion, SpecklePair, best_affine, make_affine_motion, make_speckle_pair
from voltome.twin.pairs import make_noise

SHAPE = (230, 210, 220)
MOTION = make_affine_motion(
    [[1.03, 0.010, 0.004], [-0.006, 0.985, 0.008], [0.005, -0.003, 1.01]],
    displacement_vox=(1.3, -2.4, 0.7),
    centre_vox=(np.asarray(SHAPE) - 1) / 2,
)
WINDOWS = ((12, 20), (24, 25), (35, 30))
NOISES = (0.05, 0.10, 0.20)
CORRELATIONS = (0.0, 0.6, 1.0, 2.0)
RANGE = (0.8, 1.25)


@dataclass(frozen=True)
class Setting:
    """Half window and node spacing in voxels; noise as a fraction of the image's sd, correlated by a Gaussian."""

    half_window: int
    spacing: int
    noise: float
    correlation_vox: float


@dataclass(frozen=True)
class Deviation:
    """What a setting gave on trusted nodes whose windows lie inside: root mean square of the stated sd and of the
    error, (2,) each for u (voxels) and F, and the z-scores."""

    setting: Setting
    nodes: int
    predicted: NDArray[np.float64]
    measured: NDArray[np.float64]
    scores: Scores

    @property
    def holds(self) -> bool:
        """Whether the sd of the z-scores of u and of F lies in `RANGE`."""
        return all(RANGE[0] <= z <= RANGE[1] for z in (self.scores.u_sd, self.scores.f_sd))


def list_settings() -> list[Setting]:
    """All settings: every window with every noise and every correlation."""
    return [Setting(*window, noise, length) for window, length, noise in product(WINDOWS, CORRELATIONS, NOISES)]


def _add_noise(clean: SpecklePair, setting: Setting) -> list[NDArray[np.float32]]:
    noisy = []
    for number, volume in enumerate((clean.reference, clean.deformed)):
        sd = setting.noise * float(volume.std(dtype=np.float64))
        seed = (17, number, round(1000 * setting.noise), round(1000 * setting.correlation_vox))
        noisy.append(volume + make_noise(clean.shape, sd, setting.correlation_vox, seed))
    return noisy


def _compare(setting: Setting, field: DeformationField, motion: AnalyticMotion) -> Deviation:
    truth = best_affine(motion, field.positions_vox, setting.half_window, shape=SHAPE)
    use = inner_nodes(field.positions_vox, truth, setting.half_window, SHAPE) & field.trusted
    error = (field.phi - truth)[use, :3, :].reshape(-1, 12)
    is_u = np.arange(12) % 4 == 3
    sd = field.sd[use]
    sizes = [[float(np.sqrt(np.mean(v[:, part] ** 2))) for part in (is_u, ~is_u)] for v in (sd, error)]
    scores = score_deviations(field.phi, truth, field.sd, use)
    return Deviation(setting, int(use.sum()), np.array(sizes[0]), np.array(sizes[1]), scores)


def compare_deviations(settings: Iterable[Setting]) -> Iterator[Deviation]:
    """Correlate one affine pair with each setting's noise; all start from the registration of the clean pair."""
    clean = make_speckle_pair(SHAPE, MOTION, seed=11)
    start = register_affine(clean.reference, clean.deformed)
    initial = DeformationField.from_phi(start.centre_vox[None], start.phi[None])
    last, volumes = None, []
    for setting in sorted(settings, key=lambda s: (s.noise, s.correlation_vox)):
        if (setting.noise, setting.correlation_vox) != last:
            last = (setting.noise, setting.correlation_vox)
            volumes = _add_noise(clean, setting)
        field = correlate_local(
            volumes[0], volumes[1], node_spacing_vox=setting.spacing, half_window_vox=setting.half_window,
            initial_phi=initial,
        ).field  # fmt: skip
        yield _compare(setting, field, MOTION)


HEADER = (
    "half window", "noise", "correlated over, voxels", "nodes", "u sd predicted", "u error rms", "F sd predicted",
    "F error rms", "z of u", "z of F", "beyond 3 sd",
)  # fmt: skip


def make_row(found: Deviation) -> list[str]:
    """A line of the table with `HEADER`."""
    setting, scores = found.setting, found.scores
    sizes = [f"{v:.1e}" for pair in zip(found.predicted, found.measured, strict=True) for v in pair]
    return [
        str(setting.half_window),
        f"{setting.noise:.0%}",
        f"{setting.correlation_vox:g}" if setting.correlation_vox else "white",
        str(found.nodes),
        *sizes,
        f"{scores.u_sd:.2f}",
        f"{scores.f_sd:.2f}",
        f"{scores.beyond_three:.1%}",
    ]


def draw_deviations(found: Sequence[Deviation]) -> bytes:
    """Picture, PNG: sd predicted against measured, u and F side by side, both axes logarithmic."""
    from matplotlib.figure import Figure

    from voltome.report import figure_to_png
    from voltome.report.panels import BLUE, GREY, INK, ORANGE, PAPER_WIDTH_IN, VERMILION, paper_style

    colours = dict(zip(CORRELATIONS, (INK, BLUE, ORANGE, VERMILION), strict=True))
    shapes = dict(zip((window for window, _ in WINDOWS), "^os", strict=True))
    with paper_style():
        figure = Figure(figsize=(PAPER_WIDTH_IN, 3.05))
        panels = figure.subplots(1, 2)
        figure.subplots_adjust(left=0.08, right=0.8, bottom=0.14, top=0.92, wspace=0.26)
        for k, (axes, name) in enumerate(
            zip(panels, ("displacement u, voxels", "deformation gradient F"), strict=True)
        ):
            values = np.array([(f.predicted[k], f.measured[k]) for f in found])
            ends = np.array([values.min() / 1.5, values.max() * 1.5])
            axes.fill_between(ends, RANGE[0] * ends, RANGE[1] * ends, color=GREY, alpha=0.25, lw=0)
            axes.plot(ends, ends, color=GREY, lw=0.8)
            for item, (x, y) in zip(found, values, strict=True):
                axes.plot(
                    x, y, shapes[item.setting.half_window], color=colours[item.setting.correlation_vox], ms=4.5,
                    mfc="none", mew=0.9,
                )  # fmt: skip
            axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends, aspect="equal", title=name)
            axes.set_xlabel("predicted standard deviation")
            axes.set_ylabel("measured (rms error)" if k == 0 else "")
            axes.spines[["top", "right"]].set_visible(False)
        _draw_key(figure, colours, shapes)
        return figure_to_png(figure)


def _draw_key(figure, colours: dict[float, str], shapes: dict[int, str]) -> None:  # type: ignore[no-untyped-def]
    """Say beside the panels what colours and shapes stand for."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    from voltome.report.panels import GREY, INK

    def dot(shape: str, colour: str, label: str) -> Line2D:
        return Line2D([], [], ls="", marker=shape, color=colour, mfc="none", mew=0.9, ms=4.5, label=label)

    noise = [dot("o", c, f"over {v:g} voxel{'s' * (v != 1)}" if v else "white") for v, c in colours.items()]
    windows = [dot(s, INK, f"{w} voxels") for w, s in shapes.items()]
    band = [Line2D([], [], color=GREY, lw=0.8, label="equal"),
            Patch(color=GREY, alpha=0.25, lw=0, label=f"z {RANGE[0]:g} to {RANGE[1]:g}")]  # fmt: skip
    keys = (("noise correlated", noise, 0.93), ("half window", windows, 0.63), ("", band, 0.38))
    for title, handles, top in keys:
        key = figure.legend(
            handles=handles, title=title or None, loc="upper left", bbox_to_anchor=(0.81, top), alignment="left",
            title_fontsize=8.0,
        )  # fmt: skip
        figure.add_artist(key)
