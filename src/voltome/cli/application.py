"""The Typer application: every command of `voltome`, in the order in which the help lists them."""

from __future__ import annotations

from typing import Annotated

import typer

from voltome import __version__
from voltome.cli.check import check
from voltome.cli.compose import compose
from voltome.cli.correlate import correlate
from voltome.cli.deform import deform, residual, strain
from voltome.cli.doctor import doctor
from voltome.cli.export import export
from voltome.cli.label import label_app
from voltome.cli.new import new, schema
from voltome.cli.noise import noise
from voltome.cli.phase import phase, propagate
from voltome.cli.reconstruct import reconstruct
from voltome.cli.run import demo, run
from voltome.cli.segment import segment_app
from voltome.cli.simulate import simulate
from voltome.cli.status import status
from voltome.cli.truth import truth
from voltome.cli.volumes import convert, info
from voltome.cli.watch import watch

app = typer.Typer(name="voltome", add_completion=False, pretty_exceptions_enable=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"voltome {__version__}")
        raise typer.Exit


@app.callback()
def _voltome(
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Time-resolved 3D X-ray imaging of battery electrodes: from volumes to strain with its uncertainty.

    Lengths are in voxels unless the option's name carries a unit. Order is z, y, x everywhere.
    """


_COMMANDS = (
    new, check, run, status, watch, export, schema,
    correlate, compose, noise, deform, residual, strain,
    reconstruct, phase, propagate, simulate, truth, convert, info, demo, doctor,
)  # fmt: skip
for command in _COMMANDS:
    app.command()(command)
app.add_typer(label_app, name="label")
app.add_typer(segment_app, name="segment")
