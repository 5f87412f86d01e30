"""Local correlation beside SPAM: time and accuracy in the same run, from the same registration.

    python benchmarks/bench_dvc.py [--full] [--date 2026-01-31] [--scratch DIR] [--spam DIR] [--page FILE]

Writes docs/benchmarks.md. SPAM goes into .venv-peers/spam where it is missing.
"""

from __future__ import annotations

import argparse
import datetime
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from judge import CONVERGED, Errors, Scores, inner_nodes, measure_errors, read_table, score_deviations
from numpy.typing import NDArray
from pages import DOCS, describe_machine, make_table, write_page
from pairs import NOISE, PairFiles, write_speckle_pair, write_texture_pair
from peers import (
    SPAM_FOLDER,
    SPAM_VERSION,
    Cost,
    ensure_spam,
    find_snow,
    run_spam_local,
    run_spam_registration,
    run_voltome,
)

from voltome.twin import best_affine

CONFIGURATIONS = ((20, 12), (35, 35))


@dataclass(frozen=True)
class Result:
    """One tool on one pair and configuration: cost, converged nodes, errors on the nodes both converged."""

    tool: str
    cost: Cost
    converged: int
    total: int
    inner: Errors
    cut: Errors
    scores: Scores | None


def _judge(
    tool: str, tsv: Path, cost: Cost, pair: PairFiles, half_window: int, both: NDArray[np.bool_],
    inside: NDArray[np.bool_],
) -> Result:  # fmt: skip
    table = read_table(tsv)
    truth = best_affine(pair.motion, table.positions_vox, half_window, shape=pair.shape)
    scores = None if table.sd is None else score_deviations(table.phi, truth, table.sd, both & inside)
    return Result(
        tool,
        cost,
        int((table.status == CONVERGED).sum()),
        len(table.status),
        measure_errors(table.phi, truth, both & inside),
        measure_errors(table.phi, truth, both & ~inside),
        scores,
    )


def compare_tools(pair: PairFiles, registration: Path, spam: Path, spacing: int, half_window: int) -> list[Result]:
    """Run both tools on one pair from the same registration and judge them on the nodes both converged."""
    out = registration.parent / f"{spacing}_{half_window}"
    runs = {
        "voltome": run_voltome(
            pair.reference, pair.deformed, registration, out / "voltome", node_spacing=spacing, half_window=half_window
        ),
        "SPAM": run_spam_local(
            spam, pair.reference, pair.deformed, registration, out / "spam", node_spacing=spacing,
            half_window=half_window,
        ),
    }  # fmt: skip
    tables = [read_table(tsv) for tsv, _ in runs.values()]
    if not np.array_equal(tables[0].positions_vox, tables[1].positions_vox):
        raise RuntimeError("the two tools placed their nodes differently: compare the two TSVs' positions")
    both = (tables[0].status == CONVERGED) & (tables[1].status == CONVERGED)
    truth = best_affine(pair.motion, tables[0].positions_vox, half_window, shape=pair.shape)
    inside = inner_nodes(tables[0].positions_vox, truth, half_window, pair.shape)
    # SPAM leaves out the outermost voxel of its window (a margin of 1 for the gradient): it is judged by what it sees
    seen = {"voltome": half_window, "SPAM": half_window - 1}
    return [_judge(tool, tsv, cost, pair, seen[tool], both, inside) for tool, (tsv, cost) in runs.items()]


def _row(label: str, result: Result, peer: Result) -> list[str]:
    ratio = peer.cost.cpu_s / result.cost.cpu_s
    inner, cut = result.inner, result.cut
    return [
        label,
        result.tool,
        f"{result.cost.cpu_s:.1f}",
        f"{ratio:.1f}",
        f"{result.cost.wall_s:.1f}",
        f"{result.cost.peak_rss_bytes / 2**20:.0f}",
        f"{result.converged} / {result.total}",
        str(inner.nodes),
        f"{inner.u_rms:.4f}",
        f"{inner.u_median:.4f}",
        f"{inner.f_rms:.1e}",
        f"{inner.f_median:.1e}",
        f"{cut.u_rms:.3f} ({cut.nodes})" if cut.nodes else "none",
        f"{result.scores.u_sd:.2f} / {result.scores.f_sd:.2f}" if result.scores else "none given",
    ]


HEADER = (
    "pair, spacing / half window", "tool", "CPU s", "SPAM's CPU / this", "wall s", "peak MiB", "converged",
    "nodes judged", "u rms", "u median", "F rms", "F median", "u rms, cut windows", "z of u / F",
)  # fmt: skip

PAGE = """# Benchmarks

*Written by `make bench`; do not edit. {date}.*

{machine}. Peer: SPAM {spam} (GPL, in an environment of its own), at its defaults. Both tools read the same float32
TIFF files, start from the same registration (`spam-reg`, {registration}), and use 2 threads or processes. Noise is
{noise:.0%} of the image's sd, independent in both states.

{table}

How to read it.
- CPU seconds are user + system time of the whole command and its children, files read and results written. The peak
  is that of the largest single process. voltome's kernels were compiled before: a first run on a small pair took
  {compiling}.
- `speckle` is an analytic object, both states sampled from it. `snow` is the real tomogram that SPAM ships (100^3),
  mirrored to size and warped once by a spline of order 5. The motion: a rigid part, 2 % axial swelling, 3 % of smooth
  strain.
- Errors are per component, in voxels for u, against the least-squares affine of the true displacement over each
  window: what a window can at best measure. Judged are the nodes that both tools converged and whose windows lie
  inside both volumes. "Cut windows" are the other nodes both converged (their number in brackets), whose windows reach
  over a face of the volume: SPAM fills them with zeros and reports convergence.
- SPAM leaves out the outermost voxel of its window, so it is judged by the affine of half window - 1.
- z is the root mean square of error / stated standard deviation: 1 is honest for noise alone. Above 1 the error
  also holds what an affine cannot follow (large windows); `docs/accuracy.md` shows noise by itself.
"""


def _standard_pairs(folder: Path, spam: Path, full: bool) -> list[tuple[PairFiles, tuple[tuple[int, int], ...]]]:
    pairs: list[tuple[PairFiles, tuple[tuple[int, int], ...]]] = [
        (write_speckle_pair(folder, 220), CONFIGURATIONS),
        (write_texture_pair(folder, find_snow(spam), 220), CONFIGURATIONS),
    ]
    if full:
        pairs.append((write_speckle_pair(folder, 400), CONFIGURATIONS[1:]))
    return pairs


def run_benchmark(folder: Path, spam: Path, *, full: bool, date: str) -> str:
    """Run everything and return the page."""
    small = write_speckle_pair(folder, 80)
    start, _ = run_spam_registration(spam, small.reference, small.deformed, folder / small.name)
    _, first = run_voltome(
        small.reference, small.deformed, start, folder / "first" / "voltome", node_spacing=20, half_window=12
    )
    rows, registrations = [], []
    for pair, configurations in _standard_pairs(folder, spam, full):
        start, cost = run_spam_registration(spam, pair.reference, pair.deformed, folder / pair.name)
        registrations.append(f"{cost.cpu_s:.1f} CPU s on {pair.name}")
        for spacing, half_window in configurations:
            results = compare_tools(pair, start, spam, spacing, half_window)
            rows += [_row(f"{pair.name}, {spacing} / {half_window}", result, results[-1]) for result in results]
            print(make_table(HEADER, rows[-2:]), flush=True)
    return PAGE.format(
        date=date,
        machine=describe_machine(),
        spam=SPAM_VERSION,
        registration=", ".join(registrations),
        noise=NOISE,
        table=make_table(HEADER, rows),
        compiling=f"{first.cpu_s:.0f} CPU s",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--full", action="store_true", help="also 400^3")
    parser.add_argument("--date", default=datetime.date.today().isoformat())
    parser.add_argument("--scratch", type=Path, help="keep the pairs and results here (default: a temporary folder)")
    parser.add_argument("--spam", type=Path, default=SPAM_FOLDER, help="environment that holds SPAM")
    parser.add_argument("--page", type=Path, default=DOCS / "benchmarks.md")
    options = parser.parse_args()
    spam = ensure_spam(options.spam)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.scratch or Path(temporary)
        page = run_benchmark(folder, spam, full=options.full, date=options.date)
    write_page(options.page, page)
    print(f"written: {options.page}")


if __name__ == "__main__":
    main()
