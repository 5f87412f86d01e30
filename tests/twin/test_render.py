"""Volumes of the twin: phases, labels and grey values of any block."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from voltome.grid import make_block
from voltome.twin.experiment import ElectrodeTwin
from voltome.twin.phases import PHASES
from voltome.twin.render import block_bytes, find_bubble, make_look, measure_bubble, render_block
from voltome.twin.setting_mapping import dump_settings, parse_settings
from voltome.twin.truths import find_particles

WHOLE = make_block((0, 0, 0), (96, 64, 64))


@pytest.fixture(scope="module")
def volumes(tiny: ElectrodeTwin) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Grey, phases and labels of all four scans."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda number: render_block(tiny, number, WHOLE), range(4)))


def variant(changes: dict[str, object]) -> ElectrodeTwin:
    return ElectrodeTwin(parse_settings({**dump_settings_of_tiny(), **changes}))


def dump_settings_of_tiny() -> dict[str, object]:
    from voltome.twin.configuration import make_settings

    return dict(dump_settings(make_settings("tiny", seed=1)))


def test_pieces_are_the_whole(tiny: ElectrodeTwin, volumes: list[tuple[np.ndarray, ...]]) -> None:
    block = make_block((7, 3, 11), (40, 30, 29))
    for part, whole in zip(render_block(tiny, 2, block), volumes[2], strict=True):
        assert np.array_equal(part, whole[block])


def test_fractions_of_the_pristine_electrode_are_met(
    tiny: ElectrodeTwin, volumes: list[tuple[np.ndarray, ...]]
) -> None:
    positions = np.stack(np.meshgrid(*[np.arange(n) for n in (96, 64, 64)], indexing="ij"), axis=-1).reshape(-1, 3)
    inside = tiny.in_electrode(positions * tiny.voxel_um).reshape(96, 64, 64)
    phases = volumes[0][1][inside]
    assert (phases == PHASES["silicon"]).mean() == pytest.approx(0.554, abs=0.01)
    assert (phases == PHASES["binder"]).mean() == pytest.approx(0.11, abs=0.01)
    assert not (phases == PHASES["lithiated silicon"]).any()


def test_silicon_is_darkest_in_the_electrode_and_copper_darker_still(volumes: list[tuple[np.ndarray, ...]]) -> None:
    grey, phases, _ = volumes[0]
    mean = {name: grey[phases == code].mean() for name, code in PHASES.items() if (phases == code).any()}
    assert mean["collector"] < mean["silicon"] < mean["binder"] < mean["pore"] < mean["separator"]


def test_lithiated_silicon_looks_more_like_electrolyte_than_like_silicon(
    volumes: list[tuple[np.ndarray, ...]],
) -> None:
    from scipy.ndimage import binary_erosion

    grey, phases, _ = volumes[2]
    silicon, reacted, pore = (
        grey[binary_erosion(phases == PHASES[name], iterations=2)].mean()
        for name in ("silicon", "lithiated silicon", "pore")
    )
    assert pore - reacted < 0.45 * (pore - silicon)  # grains that react all through hold less lithium than shells


def test_labels_are_where_silicon_is(volumes: list[tuple[np.ndarray, ...]]) -> None:
    for _, phases, labels in volumes:
        assert np.array_equal(labels > 0, np.isin(phases, (PHASES["silicon"], PHASES["lithiated silicon"])))


def find_inner(volumes: list[tuple[np.ndarray, ...]]) -> list[int]:
    """Labels of the particles that lie wholly in the field at every step."""
    inner = set(np.unique(volumes[0][2])) - {0}
    for _, _, labels in volumes:
        for face in (labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]):
            inner -= set(np.unique(face))
    return sorted(inner)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_silicon_that_shows_keeps_its_mass(
    tiny: ElectrodeTwin, volumes: list[tuple[np.ndarray, ...]], number: int
) -> None:
    """Atoms of whole particles, counted voxel by voxel."""
    inner = find_inner(volumes)
    wanted = tiny.structure.volumes_um3[np.isin(tiny.structure.labels, inner)].sum()
    voxels = np.argwhere(np.isin(volumes[number][2], inner)).astype(np.float64)
    _, gradients, _ = tiny.move_matter(number, tiny.find_matter(number, voxels))
    mass = (1 / np.linalg.det(gradients)).sum() * tiny.voxel_um**3
    assert mass == pytest.approx(wanted, rel=0.01)


@pytest.mark.parametrize("number", [1, 2])
def test_non_lithiated_voxels_are_those_of_the_truth(
    tiny: ElectrodeTwin, volumes: list[tuple[np.ndarray, ...]], number: int
) -> None:
    inner = find_inner(volumes)
    truth = find_particles(tiny, number)
    wanted = truth.columns["non_lithiated_volume_m3"][np.isin(truth.labels, inner)].sum() * 1e18
    _, phases, labels = volumes[number]
    seen = np.count_nonzero(np.isin(labels, inner) & (phases == PHASES["silicon"]))
    assert seen * (tiny.voxel_um / tiny.drifts[number].magnification) ** 3 == pytest.approx(wanted, rel=0.02)


def test_a_repeat_differs_by_noise_and_jitter_alone(volumes: list[tuple[np.ndarray, ...]]) -> None:
    same = (volumes[2][1] == volumes[3][1]).mean()
    assert same > 0.9
    assert not np.array_equal(volumes[2][0], volumes[3][0])


def test_without_contrast_loss_silicon_stays_dark_while_it_moves(tiny: ElectrodeTwin) -> None:
    from voltome.twin.object_loops import fill_block

    step, shape, blocks = tiny.step(2), (30, 30, 30), []
    for visible in (True, False):
        look = make_look(tiny, 2)._replace(visible=visible)
        out = (np.empty(shape, np.float32), np.empty(shape, np.uint8), np.empty(shape, np.uint32))
        fill_block(tiny.cells, step.matter.motion, look, step.drift.affine, np.array([30.0, 20.0, 20.0]), 1.0, *out)
        blocks.append(out)
    shown, hidden = blocks
    assert np.array_equal(shown[1], hidden[1]) and np.array_equal(shown[2], hidden[2])
    silicon = hidden[2] > 0
    assert hidden[0][silicon] == pytest.approx(5.51, abs=0.01)
    assert shown[0][shown[1] == PHASES["lithiated silicon"]].max() < 4.2


def test_the_setting_switches_contrast_loss_off() -> None:
    settings = dump_settings_of_tiny()
    lithiation = settings["lithiation"]
    assert isinstance(lithiation, dict)
    parsed = parse_settings({**settings, "lithiation": {**lithiation, "visible": False}})
    assert parsed.lithiation.visible is False


def test_bubble_sits_among_pores_and_is_brightest() -> None:
    settings = dump_settings_of_tiny()
    steps = settings["steps"]
    assert isinstance(steps, list | tuple)
    changed = [dict(step) for step in steps]
    changed[1]["bubble_radius_m"] = 2e-6
    twin = variant({"steps": changed})
    centre, _, kinds = twin.move_matter(1, find_bubble(twin)[None])
    low = np.maximum(np.rint(centre[0]).astype(int) - 7, 0)
    grey, phases, _ = render_block(twin, 1, make_block(low, low + 14))
    gas = phases == PHASES["bubble"]
    volume = gas.sum() * twin.voxel_um**3
    assert volume == pytest.approx(measure_bubble(twin, 1), rel=0.05)
    assert volume > 0.3 * 4 / 3 * np.pi * 2**3
    assert grey[gas].mean() > grey[~gas].mean() + 8000
    assert kinds[0, 2] < 0


def test_every_voxel_has_an_origin(tiny: ElectrodeTwin) -> None:
    from voltome.twin.object_loops import fill_block

    step, look = tiny.step(2), make_look(tiny, 2)
    shape = (96, 64, 64)
    out = (np.empty(shape, np.float32), np.empty(shape, np.uint8), np.empty(shape, np.uint32))
    motion = step.matter.motion
    assert fill_block(tiny.cells, motion, look, step.drift.affine, np.zeros(3), 1.0, *out) == 0


def test_memory_of_a_block_grows_with_it(tiny: ElectrodeTwin) -> None:
    assert 0 < block_bytes(tiny, (10, 10, 10)) < block_bytes(tiny, (20, 10, 10)) < 2**30
