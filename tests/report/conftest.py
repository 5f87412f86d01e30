"""Seeded fields for the report: a swelling electrode with a noisy corner, suspect, filled, failed and masked nodes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from voltome.fields import DeformationField, NodeStatus, StrainField
from voltome.grid import regular_nodes
from voltome.measurement import Measurement, Share
from voltome.report import render_correlation_report
from voltome.report.electrode_findings import (
    AxialMap,
    BoxStrain,
    CellCurve,
    ElectrodeFindings,
    Histogram,
    SegmentedSlice,
    SiliconRegion,
)

SHAPE = (60, 84, 108)


def make_slices(shape: tuple[int, int, int] = SHAPE, seed: int = 1) -> dict[str, tuple[int, np.ndarray]]:
    """Speckle on the three central slices."""
    rng = np.random.default_rng(seed)
    out = {}
    for axis, name in enumerate("zyx"):
        plane = [n for a, n in enumerate(shape) if a != axis]
        noise = np.fft.rfft2(rng.normal(size=plane))
        frequency = np.hypot(np.fft.fftfreq(plane[0])[:, None], np.fft.rfftfreq(plane[1])[None])
        speckle = np.fft.irfft2(noise * np.exp(-((frequency / 0.09) ** 2)), s=plane)
        out[name] = (shape[axis] // 2, (100 + 40 * speckle / speckle.std()).astype(np.float32))
    return out


def make_field(spacing_vox: int = 12, seed: int = 2, swelling: float = 0.03) -> DeformationField:
    """Axial swelling with a noisy, suspect corner, one failed block and masked margins."""
    rng = np.random.default_rng(seed)
    positions, grid_shape = regular_nodes(SHAPE, spacing_vox)
    n, unit = len(positions), positions / np.array(SHAPE)
    z, y, x = unit.T
    field = DeformationField.from_phi(positions, grid_shape=grid_shape)
    phi = field.phi.copy()
    phi[:, 0, 3] = 1.5 + swelling * SHAPE[0] * (z - 0.5) * (1 + 0.5 * np.cos(3 * x)) + rng.normal(0, 0.01, n)
    phi[:, 1, 3] = -0.6 + 0.4 * (y - 0.5) + rng.normal(0, 0.01, n)
    phi[:, 2, 3] = 0.2 + 0.3 * (x - 0.5) * z + rng.normal(0, 0.01, n)
    noisy = (x > 0.62) & (y > 0.5)
    phi[noisy, :3, 3] += rng.normal(0, 0.8, (int(noisy.sum()), 3))
    status = np.full(n, NodeStatus.CONVERGED, dtype=np.int32)
    status[(x < 0.2) & (y < 0.5)] = NodeStatus.MASKED
    status[(x < 0.42) & (y > 0.7) & (z > 0.5)] = NodeStatus.ITERATIONS_SPENT
    status[(x < 0.42) & (y > 0.55) & (y < 0.7) & (z < 0.45)] = NodeStatus.SINGULAR
    phi[(status == NodeStatus.MASKED) | (status == NodeStatus.SINGULAR)] = np.nan
    run = status != NodeStatus.MASKED
    sd = np.where(noisy, 0.03, 0.006) * rng.lognormal(0, 0.3, n)
    covariance = np.einsum("n,ij->nij", sd**2, np.diag([0.003, 0.003, 0.003, 1] * 3))
    covariance[~run] = np.nan
    zncc = np.where(noisy, 0.55, 0.975) + rng.normal(0, 0.008, n)
    return field.with_values(
        phi=phi,
        status=status,
        iterations=np.where(run, rng.integers(4, 12, n) + 20 * noisy, 0).astype(np.int32),
        zncc=np.where(run, zncc, np.nan),
        suspect=(noisy & (status == NodeStatus.CONVERGED)).astype(np.uint8),
        covariance=covariance.astype(np.float32),
    )


def fill_field(field: DeformationField) -> DeformationField:
    """Nodes that failed with a number, and suspect ones, replaced by the median of the trusted ones."""
    replaced = (field.status == NodeStatus.ITERATIONS_SPENT) | (field.suspect != 0)
    phi = field.phi.copy()
    if field.trusted.any():
        phi[replaced] = np.median(phi[field.trusted], axis=0)
    return field.with_values(phi=phi, filled=replaced.astype(np.uint8), suspect=np.where(replaced, 0, field.suspect))


def make_strain(field: DeformationField, filtered: DeformationField) -> StrainField:
    """Strain at the nodes by central differences, with the share of trusted neighbours behind each."""
    assert field.grid_shape is not None
    spacing = field.node_spacing_vox
    assert spacing is not None
    u = filtered.displacement_vox.reshape(*field.grid_shape, 3)
    gradient = np.zeros((*field.grid_shape, 3, 3))
    trusted = field.trusted.reshape(field.grid_shape)
    behind = trusted.astype(float)
    for axis in range(3):
        if field.grid_shape[axis] > 1:
            gradient[..., axis] = np.gradient(u, spacing[axis], axis=axis)
            for step in (-1, 1):
                behind = np.minimum(behind, np.where(np.roll(trusted, step, axis), 1.0, 0.8))
    f = gradient.reshape(-1, 3, 3) + np.eye(3)
    strain = 0.5 * (f + f.transpose(0, 2, 1)) - np.eye(3)
    trace = np.trace(strain, axis1=1, axis2=2)
    deviator = strain - trace[:, None, None] * np.eye(3) / 3
    return StrainField(
        positions_vox=field.positions_vox,
        grid_shape=field.grid_shape,
        measure="small",
        deformation_gradient=f,
        strain=strain,
        stretch=strain + np.eye(3),
        rotation=np.tile(np.eye(3), (len(field), 1, 1)),
        volumetric=np.where(np.isfinite(f).all(axis=(1, 2)), np.linalg.det(np.nan_to_num(f)) - 1, np.nan),
        deviatoric=np.sqrt(2 / 3 * np.einsum("nij,nij->n", deviator, deviator)),
        measured=behind.ravel(),
        strain_sd=np.full(f.shape, 1e-3),
        volumetric_sd=np.full(len(f), 2e-3),
    )


def make_summary() -> dict[str, Any]:
    """What the pipeline writes to summary.json, but for the nodes, which the report counts itself."""
    phi = np.eye(4)
    phi[:3, :3] *= 1.003
    phi[:3, 3] = (1.5, -0.6, 0.2)
    return {
        "version": "0.1.0",
        "registration": {"phi": phi.tolist(), "status": 2, "zncc": 0.94},
        "seconds": {"registration": 1.84, "correlation": 12.3, "filtering": 0.2, "strain": 0.05},
        "peak_memory_bytes": 412_000_000,
        "medians": {"zncc": 0.9751, "iterations": 7.0},
        "parameters": {"node_spacing_vox": 12, "half_window_vox": 12, "pyramid": [24, 12], "interpolation": "cubic"},
        "warnings": ["the reference has 3 saturated slices"],
        "skipped_levels": [100, 70],
    }


@dataclass(frozen=True)
class Case:
    """All that a report needs."""

    field: DeformationField
    filtered: DeformationField
    strain: StrainField
    slices: dict[str, tuple[int, np.ndarray]]
    summary: dict[str, Any]

    def with_field(self, field: DeformationField) -> Case:
        """The same with another field, filtered and differentiated anew, on one slice."""
        filtered = fill_field(field)
        strain = make_strain(field, filtered)
        return replace(self, field=field, filtered=filtered, strain=strain, slices={"y": self.slices["y"]})

    def render(self, **options: Any) -> str:
        return render_correlation_report(self.field, self.filtered, self.strain, self.slices, self.summary, **options)


@pytest.fixture(scope="session")
def case() -> Case:
    field = make_field()
    filtered = fill_field(field)
    return Case(field, filtered, make_strain(field, filtered), make_slices(), make_summary())


# The electrode of the paper
SOC = (0.0, 0.18, 0.33, 0.5, 0.62, 0.74, 0.85, 0.85, 0.7, 0.55)
THICKNESS_UM = (20.7, 21.9, 23.2, 25.8, 27.3, 28.9, 30.0, 30.02, 28.6, 27.4)
PIXEL_M, FACE_UM, SIZE_UM = 0.25e-6, 5.0, (42.0, 96.0, 100.0)
EACH_SIDE = {"whole": 1.0, "collector side": 0.78, "separator side": 1.17}


def make_shares(noise: float, bias: float, *, repeated: bool = True, window: float = 0.5) -> tuple[Share, ...]:
    """Five causes, two of them random; without a repeat scan the size of the noise is not known."""
    return (
        Share("noise", noise if repeated else math.nan),
        Share("alignment", 0.6 * noise),
        Share("magnification", 0.4 * bias, "bias"),
        Share("contrast loss", bias, "bias"),
        Share("window shape", window * bias, "bias"),
    )


def make_bumps(shape: tuple[int, int], seed: int, smooth: float) -> np.ndarray:
    """A smooth random surface with unit sd."""
    rng = np.random.default_rng(seed)
    noise = np.fft.rfft2(rng.normal(size=shape))
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None])
    bumps = np.fft.irfft2(noise * np.exp(-((frequency * smooth) ** 2)), s=shape)
    return np.asarray((bumps - bumps.mean()) / bumps.std())


def measure_scan(number: int, scan: str, soc: float, thickness_um: float, repeated: bool) -> list[Measurement]:
    """All numbers of one scan."""
    growth = thickness_um / THICKNESS_UM[0] - 1.0
    swell = soc / 0.85
    shares = make_shares(6e-8, 9e-8, repeated=repeated)
    out = [
        Measurement("thickness", scan, 1e-6 * thickness_um, "m", shares=(*shares, Share("surface", 7e-8))),
        Measurement("thickness_spread", scan, 1e-6 * (0.7 + 1.4 * swell), "m"),
    ]
    if number == 0:
        return out
    strain = make_shares(0.004, 0.006, repeated=repeated)
    before = THICKNESS_UM[(number - 1) % len(THICKNESS_UM)]
    out += [
        Measurement("expansion", scan, growth, "1", shares=strain),
        Measurement("expansion_increment", scan, thickness_um / before - 1.0, "1", shares=strain),
        Measurement("alignment_scale", scan, 1 + 3e-4 * math.sin(number), "1", shares=(Share("noise", 6e-5),)),
        Measurement("alignment_residual", scan, 3e-9 * (3 + number % 4), "m"),
    ]
    for i, axis in enumerate("zyx"):
        value = 2e-6 * math.sin(1.7 * number + i)
        out.append(Measurement(f"alignment_{axis}", scan, value, "m", shares=(Share("noise", 9e-9 * (1 + i)),)))
    for region, factor in EACH_SIDE.items():
        size = 1.0 if region == "whole" else 1.5
        for name, value, scale in (
            ("volumetric_strain", factor * (growth + 0.015 * swell), size),
            ("axial_strain", factor * growth, size),
            ("in_plane_strain_yy", 0.012 * swell * factor, 0.25 * size),
            ("in_plane_strain_xx", 0.008 * swell * factor + 1e-3 * math.sin(number), 0.25 * size),
        ):
            shares = make_shares(0.003 * scale, 0.005 * scale, repeated=repeated)
            out.append(Measurement(name, scan, value, "1", region, shares))
    out += measure_silicon(scan, 1.0 - 0.4 * swell + (0.06 if number > 7 else 0.0))
    if number > 7:
        for region, factor in EACH_SIDE.items():
            left = Share("noise", 0.006), Share("contrast loss", 0.004, "bias")
            out.append(
                Measurement("hysteresis_volumetric_strain", scan, 0.05 * factor * (number - 7), "1", region, left)
            )
    return out


def measure_silicon(scan: str, left: float) -> list[Measurement]:
    """What has not reacted, and the same for other thresholds."""
    name = "non_lithiated_silicon"
    shares = Share("segmentation", 0.014, "bias"), Share("region", 0.004), Share("motion", 0.002, "bias")
    return [
        Measurement(name, scan, left, "1", shares=shares),
        Measurement(f"{name}_threshold_0.7", scan, left - 0.05 * (1 - left), "1"),
        Measurement(f"{name}_threshold_0.3", scan, left + 0.08 * (1 - left), "1"),
    ]


def make_segmented(image: np.ndarray) -> SegmentedSlice:
    """Dark is silicon (1), bright the collector (2), and between them is the matrix (3)."""
    likely = 1 / (1 + np.exp((image - 28000.0) / 1200.0))
    copper = image > 50000.0
    phases = np.where(copper, 2, np.where(likely > 0.5, 1, 3)).astype(np.uint8)
    return SegmentedSlice(phases, np.where(copper, 1.0, np.maximum(likely, 1 - likely)).astype(np.float32))


def make_axial_map(number: int, growth: float) -> AxialMap:
    """Strain that rises towards the separator, patchy, with nodes lost and nodes in doubt."""
    z, x = 1e-6 * np.arange(FACE_UM + 2.0, FACE_UM + THICKNESS_UM[0], 1.75), 1e-6 * np.arange(3.0, 98.0, 1.75)
    rng = np.random.default_rng(number)
    patchy = make_bumps((len(z), len(x)), 40, 6.0)
    depth = (1e6 * z - FACE_UM) / THICKNESS_UM[0]
    strain = growth * (0.55 + 0.9 * depth[:, None] + 0.3 * patchy)
    down = np.cumsum(strain, axis=0) * 1.75e-6
    lost = rng.random(strain.shape) < 0.015
    strain[lost] = np.nan
    down[lost & (rng.random(strain.shape) < 0.7)] = np.nan
    across = 2e-7 * growth * patchy
    return AxialMap(z, x, down, across, strain, rng.random(strain.shape) > 0.05)


def make_slice_of(number: int, growth: float, surface_um: np.ndarray) -> np.ndarray:
    """Copper, an electrode with dark particles that move apart, a light separator, and noise."""
    rng = np.random.default_rng(7)
    shape = tuple(round(1e-6 * n / PIXEL_M) for n in (SIZE_UM[0], SIZE_UM[2]))
    z = (np.arange(shape[0]) + 0.5)[:, None] * PIXEL_M * 1e6
    x = (np.arange(shape[1]) + 0.5)[None] * PIXEL_M * 1e6
    image = np.full(shape, 34000.0)
    for _ in range(260):
        radius, cx = rng.uniform(0.5, 2.6), rng.uniform(0, 100)
        cz = FACE_UM + (1 + growth) * rng.uniform(0, THICKNESS_UM[0])
        image[(z - cz) ** 2 + (x - cx) ** 2 < radius**2] = 21000.0 + 4000.0 * growth
    fibres = make_bumps(shape, 5, 12.0)
    below = z > surface_um[None]
    image = np.where(below, 40000.0 + 3500.0 * np.roll(fibres, number, 1), image)
    image = np.where(z < FACE_UM, 56000.0, image)
    return (image + np.random.default_rng(number).normal(scale=1800.0, size=shape)).astype(np.float32)


def make_histograms(growth: float, scan: str) -> list[Histogram]:
    rng = np.random.default_rng(3)
    edges = np.linspace(-0.6, 1.6, 111)
    out = []
    for region in ("collector side", "separator side"):
        values = EACH_SIDE[region] * growth * (0.85 + 0.5 * rng.gamma(2.0, 0.5, 3000) - 0.3) + rng.normal(
            scale=0.02 + 0.35 * growth, size=3000
        )
        counts = np.histogram(values, edges)[0].astype(np.float64)
        out.append(Histogram(scan, region, edges, counts, 0.95 * EACH_SIDE[region] * growth, 0.008))
    return out


def make_accuracy(measurements: list[Measurement]) -> list[dict[str, Any]]:
    """Truth drawn about each number with the sd that it states; one number is far off."""
    rng = np.random.default_rng(11)
    rows = []
    for m in measurements:
        if m.shares and math.isfinite(m.sd):
            off = 7.3 if (m.label, m.scan) == ("thickness", "T5") else rng.normal()
            rows.append({"name": m.label, "step": m.scan, "true": m.value - off * m.sd, "recovered": m.value,
                         "sd_random": m.sd_random, "sd_bias": m.sd_bias, "unit": m.unit})  # fmt: skip
    return rows


def make_cell() -> CellCurve:
    """Constant current to 4.3 V, held there, then half a discharge."""
    time = np.linspace(0.0, 9 * 3600.0, 900)
    charge, hold = time < 2.6 * 3600, (time >= 2.6 * 3600) & (time < 6 * 3600)
    voltage = np.where(charge, 3.4 + 0.9 * (time / 9360.0) ** 0.45, np.where(hold, 4.3, 0.0))
    discharge = ~charge & ~hold
    voltage[discharge] = 4.1 - 1.3 * ((time[discharge] - 21600) / 10800.0) ** 1.6
    current = np.where(charge, 4e-5, np.where(hold, 4e-5 * np.exp(-(time - 9360) / 5000), -2.5e-5))
    return CellCurve(time, voltage, current)


def make_boxes(scan: str, growth: float, repeated: bool) -> list[BoxStrain]:
    out = []
    for i, factor in enumerate((0.6, 0.95, 1.3, 1.1)):
        low = 1e-6 * np.array([FACE_UM, 5.0 + 46 * (i // 2), 6.0 + 48 * (i % 2)])
        value = Measurement("volumetric_strain", scan, factor * growth, "1", f"VOI {i + 1}",
                            make_shares(0.008, 0.01, repeated=repeated))  # fmt: skip
        out.append(BoxStrain(f"VOI {i + 1}", low, low + 4e-5, value))
    return out


def make_electrode(count: int = 10, *, repeated: bool = True) -> ElectrodeFindings:
    """An electrode like the paper's: 20.7 um, 30.0 um at 85 %, T7 a repeat of T6, then half a discharge."""
    scans = tuple(f"T{i}" for i in range(count))
    path = np.interp(np.linspace(0, len(SOC) - 1, count), np.arange(len(SOC)), np.arange(len(SOC)))
    socs = {s: float(np.interp(p, np.arange(10), SOC)) for s, p in zip(scans, path, strict=True)}
    if count == len(SOC) or count < 3:
        socs = dict(zip(scans, SOC, strict=False))
        thick = dict(zip(scans, THICKNESS_UM, strict=False))
    else:
        thick = {s: float(np.interp(p, np.arange(10), THICKNESS_UM)) for s, p in zip(scans, path, strict=True)}
    bumps = make_bumps((96, 100), 9, 18.0)
    measurements: list[Measurement] = []
    slices, surfaces, maps, axial, histograms, boxes = {}, {}, {}, {}, [], []
    for number, scan in enumerate(scans):
        growth = thick[scan] / THICKNESS_UM[0] - 1.0
        measurements += measure_scan(number, scan, socs[scan], thick[scan], repeated)
        local = thick[scan] + (0.7 + 3.0 * growth) * (0.7 * bumps + 0.3 * make_bumps((96, 100), number, 10.0))
        line = FACE_UM + np.interp(np.arange(400) * 0.25, np.arange(100), local[48])
        surfaces[scan] = (np.full(400, 1e-6 * FACE_UM), 1e-6 * line)
        slices[scan] = make_slice_of(number, growth, line)
        maps[scan] = (1e-6 * local).astype(np.float32)
        if number:
            axial[scan] = make_axial_map(number, growth)
            histograms += make_histograms(growth, scan)
            boxes += make_boxes(scan, growth, repeated)
    left = Share("noise", 9e-8), Share("contrast loss", 6e-8, "bias")
    if count == len(SOC):
        measurements.append(Measurement("irreversible_thickness", "T9", 6.7e-6, "m", shares=left))
    return ElectrodeFindings(
        scans=scans, measurements=measurements, slices=slices, slice_pixel_m=PIXEL_M, slice_y_m=4.8e-5,
        surfaces=surfaces, thickness_maps=maps, map_pixel_m=1e-6, axial_maps=axial, histograms=histograms,
        boxes=boxes, blurred_zone_m=2e-6, segmented={s: make_segmented(image) for s, image in slices.items()},
        phase_names=("silicon", "collector", "matrix"),
        silicon_region=SiliconRegion(1.3e-6, (2e-6, 9.4e-5), (1e-6, 9.9e-5)),
        cell=make_cell(), socs=socs,
        times_s={s: 9 * 3600.0 * i / max(count - 1, 1) for i, s in enumerate(scans)},
        repeats={"T7": "T6"} if repeated and count > 7 else {}, warnings=["Scan T5 was aligned on texture alone."],
        remarks=["The paper's thickness is that of the slice; ours is the mean over the field."],
        accuracy=make_accuracy(measurements),
    )  # fmt: skip


@pytest.fixture(scope="session")
def build_electrode() -> Callable[..., ElectrodeFindings]:
    """`make_electrode`."""
    return make_electrode


@pytest.fixture(scope="session")
def electrode() -> ElectrodeFindings:
    return make_electrode()
