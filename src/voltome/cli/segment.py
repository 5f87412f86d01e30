"""`voltome segment`: a network learns from labelled slices, predicts volumes, and is held against the truth."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from voltome.cli import options
from voltome.cli.progress import show_progress
from voltome.cli.segment_evaluate import evaluate
from voltome.cli.summary import print_written
from voltome.errors import InputError

if TYPE_CHECKING:
    from voltome.segmentation.slices import LabelledSlice
    from voltome.segmentation.stages import Epoch

Engine = Literal["auto", "openvino", "onnxruntime", "torch", "cuda"]

segment_app = typer.Typer(
    help="Phases of volumes by a network that learns from some labelled slices.", no_args_is_help=True
)

Labels = Annotated[
    Path,
    typer.Option(
        "--labels",
        metavar="DIR|LABELS.YAML",
        help="Folder of labels named as the images; or slices inside volumes.",
        show_default=False,
    ),
]
Images = Annotated[
    Path | None, typer.Option("--images", metavar="DIR", help="Folder of isolated images.", show_default=False)
]
OutModel = Annotated[Path, typer.Option("--out", metavar="MODEL", help="Model to write, .safetensors.")]


def train(
    labels: Labels,
    out: OutModel,
    images: Images = None,
    names: options.ClassNames = None,
    start: Annotated[
        str | None,
        typer.Option("--start", metavar="MODEL", help="Begin from a model; twin: voltome's own.", show_default=False),
    ] = None,
    base: Annotated[int, typer.Option("--base", min=2, max=64, help="Channels at full resolution.")] = 8,
    planes: Annotated[
        int | None, typer.Option("--planes", help="Slices in, of volumes: odd.", show_default="5; 1 of --images")
    ] = None,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Of 2 million pixels each.")] = 150,
    folds: Annotated[
        int, typer.Option("--folds", min=0, help="Parts held out in turn, for scores and calibration; 0 or 1: none.")
    ] = 3,
    ensemble: Annotated[bool, typer.Option("--ensemble", help="Keep the networks of the folds as well.")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="All that is random follows from it.")] = 0,
    window: options.Window = None,
    device: Annotated[Literal["cpu", "cuda"], typer.Option("--device", help="Where to train.")] = "cpu",
    resume: Annotated[bool, typer.Option("--resume", help="Go on from MODEL.checkpoint.")] = False,
    threads: options.Threads = None,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Train an attention residual U-Net on labelled slices; what is labelled 0 does not count.

    Labels are class codes 1 to 255. Isolated images: --images DIR --labels DIR, paired by name. Slices of volumes, with
    their neighbours: --labels LABELS.yaml. Slices are held out by turns, and the model carries what it scored there.
    """
    from voltome.pipeline.model_training import name_checkpoint, train_model

    slices, known, axis = _read_slices(labels, images, planes)
    from voltome.segmentation.settings import TrainingSettings
    from voltome.segmentation.slices import check_slices

    early = check_slices(slices)
    for warning in early if not quiet else ():
        typer.echo(f"warning: {warning}", err=True)
    with _Live(quiet, name_checkpoint(out)) as live:
        made = train_model(
            slices,
            out,
            names=known | options.parse_class_names(names),
            axis=axis,
            settings=TrainingSettings(base=base, epochs=epochs, folds=folds, ensemble=ensemble, seed=seed),
            start=start,
            window=window,
            device=device,
            threads=threads,
            resume=resume,
            overwrite=overwrite,
            on_epoch=live.show,
        )
    if not quiet:
        late = [warning for warning in made["warnings"] if warning not in early]
        for line in model_lines(made | {"warnings": late}):
            typer.echo(line)
    print_written(out, quiet=quiet)


def calibrate(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Model file; twin: voltome's own weights.", show_default=False)
    ],
    labels: Labels,
    out: OutModel,
    images: Images = None,
    window: options.Window = None,
    threads: options.Threads = None,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Score a model on labelled slices that it has not seen, and calibrate its probabilities and volumes there.

    Weights stay. Do so with the twin's weights before their band is believed on a real electrode.
    """
    from voltome.pipeline.model_training import calibrate_model
    from voltome.pipeline.segment import load_model

    planes = int(load_model(model).settings.get("planes", 1))
    slices, _, axis = _read_slices(labels, images, None if images is not None else planes)
    with show_progress(quiet=quiet) as on_progress:
        made = calibrate_model(
            model,
            slices,
            out,
            axis=axis,
            window=window,
            threads=threads,
            overwrite=overwrite,
            on_progress=on_progress,
        )
    if not quiet:
        for line in model_lines(made):
            typer.echo(line)
    print_written(out, quiet=quiet)


def _read_slices(
    labels: Path, images: Path | None, planes: int | None
) -> tuple[list[LabelledSlice], dict[int, str], str]:
    from voltome.pipeline.label_files import read_label_file, read_pairs

    if labels.suffix in (".yaml", ".yml"):
        if images is not None:
            raise InputError("--images goes with a folder of labels; LABELS.yaml names its volumes itself")
        return read_label_file(labels, planes=5 if planes is None else planes)
    if images is None:
        raise InputError(f"{labels} is not a LABELS.yaml: give the images' folder with --images DIR as well")
    if planes is not None:
        raise InputError("--planes goes with LABELS.yaml: isolated images have no neighbours")
    return read_pairs(images, labels), {}, "z"


def apply(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Model file; twin: voltome's own weights.", show_default=False)
    ],
    volume: Annotated[str, typer.Argument(metavar="VOLUME", help="Volume to segment.", show_default=False)],
    out: options.OutVolume,
    engine: Annotated[
        Engine, typer.Option("--engine", help="auto: OpenVINO where installed, else ONNX Runtime. cuda: a GPU.")
    ] = "auto",
    flips: Annotated[int, typer.Option("--flips", help="Mean over 1, 2, 4 or 8 mirror images and turns.")] = 1,
    window: options.Window = None,
    shape: options.RawShape = None,
    dtype: options.RawDtype = None,
    voxel_size_m: options.VoxelSize = None,
    threads: options.Threads = None,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Write the phase of each voxel (uint8 codes), and beside it how sure that is (probability times 255)."""
    raw_shape = options.parse_shape(shape)
    from voltome.pipeline.segment import apply_model

    with show_progress(quiet=quiet) as on_progress:
        found = apply_model(
            model,
            volume,
            out,
            kind="network",
            engine=engine,
            flips=flips,
            window=window,
            shape=raw_shape,
            dtype=dtype,
            voxel_size_m=voxel_size_m,
            threads=threads,
            overwrite=overwrite,
            on_progress=on_progress,
        )
    if not quiet:
        for line in phase_lines(found):
            typer.echo(line)
    print_written(out, quiet=quiet)


def show(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Model file; twin: voltome's own weights.", show_default=False)
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print all that the model says of itself as JSON.")] = False,
) -> None:
    """Tell what a model knows, what it was made from, and how good it was on what it had not seen."""
    from voltome import io
    from voltome.pipeline.segment import load_model
    from voltome.segmentation.model import describe_model

    described = describe_model(load_model(model))
    if as_json:
        typer.echo(json.dumps(io.plain_json(described), indent=2, ensure_ascii=False))
        return
    for line in model_lines(described):
        typer.echo(line)


def phase_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Put a segmented volume into words.

    Parameters
    ----------
    found : mapping
        As `voltome.pipeline.segment.apply_model` returns it.

    Yields
    ------
    str
    """
    yield f"{' x '.join(map(str, found['shape']))} voxels, by {found['engine']}"
    for row in found["phases"]:
        share = f"{row['fraction']:8.2%} of the voxels"
        share += f", mean confidence {row['confidence']:.3f}" if row["fraction"] else ""
        yield f"{row['code']:4d} {row['name']:20s} {share}"
    for warning in found["warnings"]:
        yield f"warning: {warning}"
    yield f"confidence: {found['confidence_file']}"


def model_lines(made: Mapping[str, Any]) -> Iterator[str]:
    """Put a model into words.

    Parameters
    ----------
    made : mapping
        As `voltome.segmentation.describe_model` gives it.

    Yields
    ------
    str
    """
    settings = ", ".join(f"{name} {value}" for name, value in made["settings"].items())
    yield f"{made['kind']}: {settings}"
    yield f"grey values {made['grey']['low']:.6g} to {made['grey']['high']:.6g} are 0 and 1"
    dice, scores = made["scores"].get("dice", {}), made["scores"]
    for one in made["classes"]:
        score = dice.get(one["name"])
        yield f"{one['code']:4d} {one['name']:20s}" + ("" if score is None else f" Dice {score:.4f} held out")
    if "dice_mean" in scores:
        how = "of others" if "calibrated_on" in made["made"] else "that were held out by turns"
        yield f"mean Dice {scores['dice_mean']:.4f} on {_count_slices(scores['slices'])} {how}"
    if "start" in scores:
        learned = scores["start"].get("learned")
        before = f", of which it had learned {learned}: both are too good" if learned else ""
        was = scores["start"]["dice_mean"]
        yield f"mean Dice {was:.4f} of the model that it began from, on the same slices{before}"
    if "out_of_bag" in scores:
        yield "Dice out of bag: " + ", ".join(
            f"{name} {value:.4f}" for name, value in scores["out_of_bag"]["dice"].items() if value is not None
        )
    if "temperature" in made["calibration"]:
        yield f"probabilities are calibrated there (temperature {made['calibration']['temperature']:.2f})"
    yield from _origin_lines(made["made"])
    for warning in made.get("warnings", ()):
        yield f"warning: {warning}"


def _origin_lines(made: Mapping[str, Any]) -> Iterator[str]:
    """What a model was made from."""
    slices, training = made.get("slices", ()), made.get("training", {})
    if slices:
        more = f" and {len(slices) - 3} more" if len(slices) > 3 else ""
        yield f"trained on {_count_slices(len(slices))}: {', '.join(slices[:3])}{more}"
    if "calibrated_on" in made:
        yield f"scored and calibrated on {_count_slices(len(made['calibrated_on']))} of others"
    if "data" in made:
        yield f"SHA-256 of what it was trained on: {made['data']}"
    told = {name: training[name] for name in ("epochs", "folds", "seed") if name in training}
    told |= {name: made[name] for name in ("seed", "version") if name in made}
    if told:
        yield ", ".join(f"{name} {value}" for name, value in told.items())


def _count_slices(number: int) -> str:
    return f"{number} slice{'' if number == 1 else 's'}"


class _Live:
    """Loss and Dice while networks learn: on a terminal one line that is rewritten, elsewhere a line an epoch."""

    def __init__(self, quiet: bool, checkpoint: Path) -> None:
        self._quiet, self._rewrite, self._checkpoint = quiet, sys.stderr.isatty(), checkpoint
        self._running: dict[str, str] = {}

    def __enter__(self) -> _Live:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._rewrite and not self._quiet:
            typer.echo(err=True)
        if kind is KeyboardInterrupt and self._checkpoint.exists():
            typer.echo("what was learned is kept: the same command with --resume goes on", err=True)

    def show(self, epoch: Epoch) -> None:
        """Say how an epoch went."""
        if self._quiet:
            return
        what = "whole" if epoch.stage == epoch.stages - 1 else f"fold {epoch.stage + 1} of {epoch.stages - 1}"
        line = f"{what}: epoch {epoch.number} of {epoch.epochs}, loss {epoch.loss:.4f}, Dice {epoch.dice:.4f}"
        width = shutil.get_terminal_size().columns - 1
        if not self._rewrite:
            typer.echo(line, err=True)
        elif epoch.number == epoch.epochs:
            self._running.pop(what, None)
            typer.echo("\r" + line.ljust(width), err=True)
        else:
            self._running[what] = f"{what} {epoch.number}/{epoch.epochs} loss {epoch.loss:.3f} Dice {epoch.dice:.3f}"
            typer.echo("\r" + " | ".join(self._running.values())[:width].ljust(width), nl=False, err=True)


for command in (train, apply, evaluate, calibrate, show):
    segment_app.command()(command)
