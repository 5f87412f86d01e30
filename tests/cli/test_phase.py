"""`voltome phase` and `voltome propagate`, as they are typed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from voltome.cli import main
from voltome.phase import PlaneGrid, predict_intensities

SHAPE = (96, 112)


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """Three planes of a field of soft grains in X-rays."""
    rng = np.random.default_rng(5)
    z, u = (np.fft.fftfreq(n) for n in SHAPE)
    soft = np.exp(-2 * (np.pi * 2.5) ** 2 * (z[:, None] ** 2 + u**2))
    grains = np.fft.ifft2(np.fft.fft2(rng.uniform(size=SHAPE) > 0.98) * soft).real
    wave = np.exp((1 / 170 - 1j) * -grains / grains.max())
    lines = ["energy_kev: 29.6", "pixel_m: 5e-8", "planes:"]
    for number, distance in enumerate((0.005, 0.008, 0.013)):
        seen = predict_intensities(wave.conj(), PlaneGrid(SHAPE, 5e-8, 4.1887e-11), [distance])[0]
        tifffile.imwrite(tmp_path / f"{number}.tif", (20000 * seen).astype(np.uint16))
        lines.append(f"  - {{file: {number}.tif, distance_m: {distance}}}")
    (tmp_path / "scan.yaml").write_text("\n".join(lines))
    return tmp_path / "scan.yaml"


def test_planes_go_to_a_field_and_to_a_plane_in_between(scan, tmp_path, capfd):
    field, image = tmp_path / "field.h5", tmp_path / "out" / "plane.tif"
    assert main(["phase", str(scan), "--out", str(field), "--threads", "1"]) == 0
    said = capfd.readouterr().out.splitlines()
    assert said[0].startswith("3 planes of 96 x 112 pixels of 5e-08 m at 4.189e-11 m; mode quality, 80 cycles")
    assert [line.split()[-1] for line in said[2:5]] == ["0.tif", "1.tif", "2.tif"]
    assert said[-1] == f"wrote {field}"
    assert not any(line.startswith("warning") for line in said)
    assert main(["propagate", str(field), "--to-m", "0.008", "--out", str(image)]) == 0
    said = capfd.readouterr().out.splitlines()
    assert said[0].startswith("intensity at 0.008 m:") and said[1] == f"wrote {image}"
    predicted, measured = tifffile.imread(image), tifffile.imread(tmp_path / "1.tif")
    assert predicted.dtype == np.float32 and predicted.shape == SHAPE
    assert np.corrcoef(predicted.ravel(), measured.ravel())[0, 1] > 0.98


def test_device_and_mode_change_nothing_but_the_way(scan, tmp_path, capfd):
    pytest.importorskip("torch")
    import h5py

    phases = []
    for device in ("cpu", "torch"):
        out = tmp_path / f"{device}.h5"
        assert main(["phase", str(scan), "--out", str(out), "--mode", "fast", "--device", device, "--quiet"]) == 0
        with h5py.File(out) as file:
            phases.append(file["phase"][0])
    assert np.abs(phases[0] - phases[1]).max() < 1e-3  # shifts differ in their last digits
    assert capfd.readouterr().out == ""


def test_what_cannot_be_done_is_one_line_and_leaves_nothing(scan, tmp_path, capfd):
    field, image = str(tmp_path / "f.h5"), str(tmp_path / "p.tif")
    (tmp_path / "bad.yaml").write_text(scan.read_text().replace("5e-8", "0.05"))
    (tmp_path / "far.yaml").write_text(scan.read_text().replace("0.013", "13"))
    before = sorted(tmp_path.iterdir())
    for command, said in (
        (["phase", str(tmp_path / "none.yaml"), "--out", field], "does not exist"),
        (["phase", str(tmp_path / "bad.yaml"), "--out", field], "it looks like um, give 5e-08"),
        (["phase", str(tmp_path / "far.yaml"), "--out", field], "it looks like mm, give 0.013"),
        (["phase", str(scan), "--out", str(scan)], "already exists"),
        (["phase", str(scan), "--out", field, "--device", "abacus"], "device must be one that"),
        (["phase", str(scan), "--out", field, "--threads", "0"], "threads must be >= 1"),
        (["phase", str(scan), "--out", field, "--mode", "best"], "--mode must be one of"),
        (["propagate", str(scan), "--to-m", "0.01", "--out", image], "scan.yaml is damaged or no HDF5"),
        (["propagate", field, "--to-m", "0.01", "--out", image], "f.h5 does not exist"),
    ):
        assert main(command) == 2, command
        shown = capfd.readouterr().err
        assert said in shown and shown.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before
