"""Digital volume correlation beside its peers: time, accuracy and memory, and the targets they are held against.

    python benchmarks/bench_dvc.py [--full] [--date 2026-01-31] [--scratch DIR] [--spam DIR] [--aldvc DIR] [--page FILE]

Writes docs/benchmarks.md. The peers go into .venv-peers/ where they are missing. `--full` works the
large windows on 400^3 voxels instead of 220^3 and adds a pair of 1024^3: some 15 minutes and 13 GB of disk in all.
"""

from __future__ import annotations

import argparse
import datetime
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import aldvc
import deviations
import numpy as np
import particles
from deforming import compare_deforming
from judge import CONVERGED, Errors, Scores, inner_nodes, measure_errors, read_table, score_deviations
from measure import WARM_BYTES
from memory import measure_memory
from noise_free import measure_noise_free
from numpy.typing import NDArray
from pages import DOCS, Section, Target, describe_machine, list_targets, make_table, write_page
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
SPEED_TARGETS = {(220, 20): 15, (400, 35): 30}
"""How many times fewer CPU seconds than SPAM, by the volume's side and the node spacing."""


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
            pair.reference, pair.deformed, out / "voltome", node_spacing=spacing, half_window=half_window,
            registration=registration,
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

*Written by `{command}`; do not edit. {date}.*

{machine}. Peers: SPAM {spam} (GPL) and pyALDVC {aldvc} (BSD-3), each in an environment of its own.

## Targets

{targets}

CPU seconds are user + system time of a whole command and its children, files read and results written, but where
something else is said. voltome's kernels were compiled before: a first run on a small pair took {compiling}. Before
each command, of every tool, another process touches and frees {warm:.0f} GiB of memory: on a virtual machine the first
touch of a cold page can cost seconds a gigabyte, and would fall on whoever runs first.

{sections}
"""

SPAM_TEXT = """## SPAM

SPAM at its defaults. Both tools read the same float32 TIFF files, start from the same registration (`spam-reg`:
{registration}) and use 2 threads or processes. Noise is {noise:.0%} of the image's sd, independent in both states.

{table}

How to read it.
- The peak is that of the largest single process.
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

DEVIATIONS_TEXT = """## Predicted standard deviations

Part of the table in `docs/accuracy.md`: an affine motion with noise of {noise:.0%}, white and correlated.

{table}
"""

PARTICLES_TEXT = """## Discrete correlation of particles

Rigid synthetic particles in a straining matrix, 5 % noise; {count} particles, diameters in voxels. "Windows" is the
local correlation at the particles' centroids. Errors are per component.

{table}
"""


def _target(pair: PairFiles, spacing: int, ours: Result, peer: Result) -> list[Target]:
    wanted = SPEED_TARGETS.get((pair.shape[0], spacing))
    if wanted is None:
        return []
    ratio = peer.cost.cpu_s / ours.cost.cpu_s
    no_worse = ours.inner.u_rms <= peer.inner.u_rms and ours.inner.f_rms <= peer.inner.f_rms
    found = (
        f"{ratio:.1f}; u rms {ours.inner.u_rms:.4f} against {peer.inner.u_rms:.4f}, F {ours.inner.f_rms:.1e} against "
        f"{peer.inner.f_rms:.1e}; {ours.converged} nodes against {peer.converged}"
    )
    what = f"{pair.name}, {spacing} / {dict(CONFIGURATIONS)[spacing]}, beside `spam-ldic`"
    reached = ratio >= wanted and no_worse and ours.converged >= peer.converged
    return [Target(what, f"{wanted} times fewer CPU s, errors no larger, as many nodes converged", found, reached)]


def _write_pairs(folder: Path, spam: Path, full: bool) -> list[tuple[PairFiles, tuple[tuple[int, int], ...]]]:
    fine, coarse = CONFIGURATIONS[:1], CONFIGURATIONS[1:]
    sizes = ((220, fine), (400, coarse)) if full else ((220, CONFIGURATIONS),)
    pairs: list[tuple[PairFiles, tuple[tuple[int, int], ...]]] = []
    for size, configurations in sizes:
        pairs.append((write_speckle_pair(folder, size), configurations))
        pairs.append((write_texture_pair(folder, find_snow(spam), size), configurations))
    return pairs


def compare_spam(folder: Path, spam: Path, *, full: bool) -> tuple[Section, list[aldvc.Case]]:
    """Section of the page, and what was run, for other peers."""
    rows, registrations, targets, cases = [], [], [], []
    for pair, configurations in _write_pairs(folder, spam, full):
        start, cost = run_spam_registration(spam, pair.reference, pair.deformed, folder / pair.name)
        registrations.append(f"{cost.cpu_s:.1f} CPU s on {pair.name}")
        for spacing, half_window in configurations:
            results = compare_tools(pair, start, spam, spacing, half_window)
            rows += [_row(f"{pair.name}, {spacing} / {half_window}", result, results[-1]) for result in results]
            targets += _target(pair, spacing, results[0], results[-1])
            cases.append((pair, start, spacing, half_window))
            print(make_table(HEADER, rows[-2:]), flush=True)
    text = SPAM_TEXT.format(registration=", ".join(registrations), noise=NOISE, table=make_table(HEADER, rows))
    return Section(text, targets), cases


def measure_deviations() -> Section:
    """Section on predicted standard deviations at `NOISE`, and its target."""
    settings = [setting for setting in deviations.list_settings() if setting.noise == NOISE]
    found = list(deviations.compare_deviations(settings))
    table = make_table(deviations.HEADER, [deviations.make_row(one) for one in found])
    print(table, flush=True)
    scores = [z for one in found for z in (one.scores.u_sd, one.scores.f_sd)]
    low, high = deviations.RANGE
    target = Target(
        f"predicted sd against real error, white and correlated noise, {len(found)} settings",
        f"sd of the z-scores {low:g} to {high:g}", f"{min(scores):.2f} to {max(scores):.2f}",
        all(one.holds for one in found),
    )  # fmt: skip
    return Section(DEVIATIONS_TEXT.format(noise=NOISE, table=table), [target])


def measure_particles() -> Section:
    """Section on discrete correlation, and its targets: rms over all particles, one target for each matrix."""
    table = particles.make_rows()
    place = particles.HEADER.index
    targets = []
    for row in table:
        if row[place("measured by")] == "particles" and row[place("diameter")] == "all":
            turn, u = row[place("rotation rms, degrees")], row[place("u rms")]
            what = f"discrete correlation of rigid particles, texture of the matrix: {row[0]}"
            found = f"rms {turn} degree, {u} voxel; largest {row[place('max')]} degree, {row[place('u max')]} voxel"
            reached = float(turn) <= 0.05 and float(u) <= 0.02
            targets.append(Target(what, "rotation within 0.05 degree, translation within 0.02 voxel", found, reached))
    rows = make_table(particles.HEADER, table)
    print(rows, flush=True)
    return Section(PARTICLES_TEXT.format(count=particles.COUNT, table=rows), targets)


def run_benchmark(folder: Path, spam: Path, peer: Path, *, full: bool, date: str) -> str:
    """Run everything and return the page."""
    clock = time.perf_counter()

    def report(stage: str) -> None:
        print(f"--- {time.perf_counter() - clock:.0f} s: {stage}", flush=True)

    report("a small pair, for first compilations")
    small = write_speckle_pair(folder, 80)
    out = folder / "first" / "voltome"
    _, first = run_voltome(small.reference, small.deformed, out, node_spacing=20, half_window=12)
    report("SPAM")
    section, cases = compare_spam(folder, spam, full=full)
    sections = [section]
    report("pyALDVC")
    speckle = [case for case in cases if case[0].name.startswith("speckle")]
    sections.append(aldvc.compare_aldvc(peer, speckle, folder, small))
    report("deformation")
    sections.append(compare_deforming(folder, spam))
    report("noise-free affine")
    sections.append(measure_noise_free())
    report("predicted deviations")
    sections.append(measure_deviations())
    report("particles")
    sections.append(measure_particles())
    if full:
        report("memory")
        memory = measure_memory(folder)
        sections += [memory] if memory else []
    report("done")
    return PAGE.format(
        command="make bench" if full else "python benchmarks/bench_dvc.py",
        date=date,
        machine=describe_machine(),
        spam=SPAM_VERSION,
        aldvc=aldvc.VERSION,
        targets=list_targets(sections),
        compiling=f"{first.cpu_s:.0f} CPU s",
        warm=WARM_BYTES / 2**30,
        sections="\n".join(section.text for section in sections).rstrip(),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--full", action="store_true", help="large windows on 400^3 voxels; memory on 1024^3")
    parser.add_argument("--date", default=datetime.date.today().isoformat())
    parser.add_argument("--scratch", type=Path, help="keep the pairs and results here (default: a temporary folder)")
    parser.add_argument("--spam", type=Path, default=SPAM_FOLDER, help="environment that holds SPAM")
    parser.add_argument("--aldvc", type=Path, default=aldvc.FOLDER, help="environment that holds pyALDVC")
    parser.add_argument("--page", type=Path, default=DOCS / "benchmarks.md")
    options = parser.parse_args()
    spam, peer = ensure_spam(options.spam), aldvc.ensure_aldvc(options.aldvc)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.scratch or Path(temporary)
        page = run_benchmark(folder, spam, peer, full=options.full, date=options.date)
    write_page(options.page, page)
    print(f"written: {options.page}")


if __name__ == "__main__":
    main()
