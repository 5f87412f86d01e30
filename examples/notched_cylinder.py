"""Correlate a real pair and draw the picture of the README.

The pair is the TomoWarp2 example (SOFTX-D-17-00061), two scans of a notched cylinder before and after loading:
`python examples/notched_cylinder.py FOLDER_WITH_THE_TWO_TIFFS OUT_FOLDER PICTURE.png`
"""

from __future__ import annotations

import sys
from pathlib import Path

from voltome import dvc, io, report
from voltome.pipeline.correlate import CorrelateOptions, correlate_pair, middle_slices


def main(data: Path, out: Path, picture: Path) -> None:
    """Correlate, then draw one row: grey slices, displacement, volumetric strain, correlation."""
    reference, deformed = data / "intact_bin2.tif", data / "deformed_bin2.tif"
    correlate_pair(CorrelateOptions(reference, deformed, out, node_spacing_vox=15, half_window_vox=12, overwrite=True))
    field = io.read_field_zarr(out / "field.zarr")
    filtered = dvc.fill_field(field)
    with io.open_volume(reference) as first, io.open_volume(deformed) as second:
        figure = report.summary_figure(
            field,
            dvc.compute_strain(filtered),
            middle_slices(first),
            filtered=filtered,
            deformed_slices=middle_slices(second),
            axis="y",
        )
    picture.write_bytes(report.figure_to_png(figure, dpi=110))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
