"""`voltome segment evaluate`: how good labels are, against labels that are known."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from voltome.cli import options
from voltome.cli.progress import show_progress
from voltome.errors import InputError

if TYPE_CHECKING:
    from voltome.segmentation.evaluation import ClassScore, Comparison


def evaluate(
    predicted: Annotated[
        str, typer.Argument(metavar="PREDICTED", help="Labels to judge: a volume or an image.", show_default=False)
    ],
    truth: Annotated[
        str,
        typer.Argument(
            metavar="TRUTH", help="Labels that are known, of the same shape; 0 is not labelled.", show_default=False
        ),
    ],
    names: options.ClassNames = None,
    merge: Annotated[
        str | None,
        typer.Option(
            "--map",
            metavar="CODE=CODE,...",
            help="What codes of TRUTH count as, such as 3=2,7=0 (0: do not count); others stay as they are.",
            show_default=False,
        ),
    ] = None,
    slices: Annotated[
        bool, typer.Option("--slices", help="Planes are single slices, no neighbours: judge each by itself.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Overlap alone: neither surfaces nor objects, a hundred times faster.")
    ] = False,
    shape: options.RawShape = None,
    dtype: options.RawDtype = None,
    threads: options.Threads = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all that was found as JSON.")] = False,
    quiet: options.Quiet = False,
) -> None:
    """Tell how good labels are: overlap, surfaces and volume of each class, and which sizes of objects are found.

    Nothing is written. Distances are in voxels.
    """  # fmt: skip
    from voltome import io
    from voltome.pipeline.evaluate import evaluate_labels

    raw_shape = options.parse_shape(shape)
    named = options.parse_class_names(names)
    merged = options.parse_codes("--map", merge, example="3=2,7=0")
    try:
        codes = {code: int(other) for code, other in merged.items()}
    except ValueError:
        raise InputError(f"--map must join codes with codes (got {merge!r}): give such as 3=2,7=0") from None
    with show_progress(quiet=quiet) as on_progress:
        found = evaluate_labels(
            predicted,
            truth,
            names=named,
            merge=codes,
            planes_apart=slices,
            overlap_only=quick,
            shape=raw_shape,
            dtype=dtype,
            threads=threads,
            on_progress=on_progress,
        )
    if as_json:
        typer.echo(json.dumps(io.plain_json(asdict(found)), indent=2, ensure_ascii=False))
        return
    for line in comparison_lines(found):
        typer.echo(line)


def comparison_lines(found: Comparison) -> Iterator[str]:
    """Put a comparison of labels into a table.

    Parameters
    ----------
    found : Comparison

    Yields
    ------
    str
        What was compared; one line for each class; one for each size of each class's objects.
    """
    yield (
        f"{found.labelled_vox} of {found.volume_vox} voxels are labelled: {_share(found.accuracy)} right, "
        f"mean Dice {_number(found.mean_dice)}"
    )
    with_surfaces = any(one.surface is not None for one in found.classes)
    header = ["class", "code", "voxels", "Dice", "IoU", "precision", "recall", "volume"]
    if with_surfaces:
        header += [f"F1 at {tolerance:g}" for tolerance in found.tolerances_vox]
        header += ["distance", "median", "95 %", "beyond"]
    yield from _align([header, *(_class_row(one) for one in found.classes)])
    objects = [
        [one.name, f"{size.low_vox:g} to {size.high_vox:g}", str(size.objects), _share(size.recovered),
         _number(size.dice)]
        for one in found.classes
        for size in one.sizes
    ]  # fmt: skip
    if objects:
        yield from _align([["objects of", "diameter", "number", "recovered", "Dice"], *objects])


def _class_row(one: ClassScore) -> list[str]:
    row = [one.name, str(one.code), str(one.truth_vox)]
    row += [_number(value) for value in (one.dice, one.iou, one.precision, one.recall, one.volume_ratio)]
    if one.surface is not None:
        row += [_number(value) for value in one.surface.f1]
        row += [f"{_number(value, 2)}" for value in (one.surface.mean_vox, one.surface.median_vox, one.surface.p95_vox)]
        row.append(_share(one.surface.beyond))
    return row


def _number(value: float, digits: int = 4) -> str:
    return f"{value:.{digits}f}" if value == value else "-"


def _share(value: float) -> str:
    return f"{100 * value:.1f} %" if value == value else "-"


def _align(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for first, *others in rows:
        cells = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        yield "  ".join((first.ljust(widths[0]), *cells)).rstrip()
