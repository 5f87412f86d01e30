"""Draw the picture of the README: some scans of a study, how far they moved and how much they strained.

    voltome simulate --size small --out experiment
    voltome run experiment --out results
    python examples/study_pictures.py results study_film.png T0 T1 T3 T6 T8

The first scan has to be the study's first; without names all scans are drawn, as in its report.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from voltome import io, report
from voltome.study.composing import derive_strain
from voltome.study.study_file import load_study


def main(results: Path, picture: Path, wanted: list[str]) -> None:
    """Draw one column for each scan: grey slice, displacement along z, volumetric strain."""
    settings, series = load_study(results).settings, io.open_series(results / "volumes.zarr")
    names = wanted or list(series.names)
    middle = series.shape[1] // 2
    fields, strains, slices = {}, {}, {}
    for name in names:
        with io.open_scan(results / "volumes.zarr", series.names.index(name)) as volume:
            slices[name] = volume[:, middle : middle + 1, :][:, 0].astype(np.float32)
        if name != series.names[0]:
            fields[name] = io.read_field_zarr(results / "cumulative" / name / "field.zarr")
            strains[name] = derive_strain(fields[name], settings.strain)
    rows = [scan.model_dump(include={"name", "soc"}) for scan in settings.scans if scan.name in names]
    figure = report.film_figure(
        report.read_scans(rows), fields, strains, slices, slice_index_vox=middle, voxel_size_m=settings.voxel_size_m
    )
    picture.write_bytes(report.figure_to_png(figure, dpi=110, levels=32))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
