"""The few lines that a command prints when it has done its job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer


def print_summary(summary: Mapping[str, Any], out: Path, *, quiet: bool = False) -> None:
    """Print what a correlation measured and where its results lie.

    Parameters
    ----------
    summary : mapping
        As in summary.json.
    out : Path
        Folder of the results.
    quiet : bool
        Print nothing.

    Returns
    -------
    None
        The lines are on standard output.
    """
    if quiet:
        return
    for line in summary_lines(summary):
        typer.echo(line)
    report = out / "report.html"
    typer.echo(f"report: {report}" if report.exists() else f"results: {out}")


def print_written(out: str | Path, *, quiet: bool = False) -> None:
    """Print where a result lies.

    Parameters
    ----------
    out : str or Path
    quiet : bool
        Print nothing.

    Returns
    -------
    None
        The lines are on standard output.
    """
    if not quiet:
        typer.echo(f"wrote {out}")


def summary_lines(summary: Mapping[str, Any]) -> Iterator[str]:
    """Put a summary into words.

    Parameters
    ----------
    summary : mapping
        As in summary.json: `nodes` (total, converged, suspect, filled), and where they are there `particles`,
        `medians`, `truth` (errors against a known truth), `skipped_levels`, `warnings`, `seconds` by stage,
        `peak_memory_bytes`.

    Yields
    ------
    str
        One line at a time.

    Examples
    --------
    >>> nodes = {"total": 64, "converged": 60, "suspect": 3, "filled": 7}
    >>> medians = {"displacement_vox": [0.512345, -2.0, float("nan")]}
    >>> print("\\n".join(summary_lines({"nodes": nodes, "medians": medians, "seconds": {"registration": 1.5}})))
    nodes: 60 of 64 converged, 3 suspect, 7 filled
    median displacement_vox: 0.5123, -2, not measured
    took 1.5 s
    """
    nodes = summary["nodes"]
    others = f"{nodes['suspect']} suspect, {nodes['filled']} filled"
    yield f"nodes: {nodes['converged']} of {nodes['total']} converged, {others}"
    if particles := summary.get("particles"):
        others = f"{particles['suspect']} suspect, {particles['deforming']} deforming"
        yield f"particles: {particles['converged']} of {particles['total']} converged, {others}"
        yield f"median rotation of the particles, degrees: {in_words(particles['medians']['rotation_deg'])}"
    for name, value in _flatten(summary.get("medians") or {}):
        yield f"median {name}: {value}"
    for name, row in (summary.get("truth") or {}).items():
        recovered, true, error = (in_words(row[key]) for key in ("recovered", "true", "error"))
        # a row that is an error itself has no other truth than 0
        yield f"{name}: {recovered}" if "error" in name else f"{name}: {recovered}, true {true} (error {error})"
    if skipped := summary.get("skipped_levels"):
        yield f"skipped pyramid levels, which do not fit the volume: {in_words(skipped)}"
    for warning in summary.get("warnings") or []:
        yield f"warning: {warning}"
    yield from _effort(summary)


def simulation_lines(summary: Mapping[str, Any]) -> Iterator[str]:
    """Put a simulated experiment into words.

    Parameters
    ----------
    summary : mapping
        As `voltome.pipeline.simulate.simulate_experiment` returns it.

    Yields
    ------
    str
        One line at a time.

    Examples
    --------
    >>> summary = {"steps": ["T0", "T1"], "shape": [96, 64, 64], "voxel_size_m": 4e-7, "particles": 300}
    >>> print("\\n".join(simulation_lines(summary)))
    simulated: 2 scans (T0, T1) of 96 x 64 x 64 voxels of 400 nm, 300 particles
    """
    names, shape = summary["steps"], " x ".join(map(str, summary["shape"]))
    listed = ", ".join(names if len(names) <= 4 else (*names[:2], "...", names[-1]))
    size = f"{shape} voxels of {summary['voxel_size_m'] * 1e9:.4g} nm"
    yield f"simulated: {len(names)} scans ({listed}) of {size}, {summary['particles']} particles"
    if filmed := summary.get("radiographs"):
        frames = f"{filmed['angles']} angles of {' x '.join(map(str, filmed['shape']))} pixels"
        yield f"radiographs: {len(filmed['distances'])} distances, {frames}"
    yield from _effort(summary)


def _effort(summary: Mapping[str, Any]) -> Iterator[str]:
    if seconds := summary.get("seconds"):
        memory = summary.get("peak_memory_bytes")
        peak = f", peak memory {memory / 2**30:.2f} GiB" if memory else ""
        yield f"took {sum(seconds.values()):.3g} s{peak}"


def _flatten(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Name and words of every value, nested ones as `outer.inner`."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", in_words(value)


def in_words(value: Any) -> str:
    """One value of a summary as it is printed.

    Parameters
    ----------
    value : number, str, None or a sequence of these

    Returns
    -------
    str
        Fractions with four significant digits.

    Examples
    --------
    >>> in_words([3, 0.123456, float("nan"), None])
    '3, 0.1235, not measured, unknown'
    """
    if value is None:
        return "unknown"
    if value != value:  # NaN
        return "not measured"
    if isinstance(value, list | tuple):
        return ", ".join(in_words(part) for part in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
