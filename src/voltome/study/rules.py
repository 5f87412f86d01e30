"""What settings of a study have to be beside each other."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from voltome.settings import BrokenRules, Place, SettingProblem, join_place

if TYPE_CHECKING:
    from voltome.study.segmentation_settings import SegmentationSettings
    from voltome.study.settings import (
        CorrelationSettings,
        ElectrodeSettings,
        RegionSettings,
        StudySettings,
        VolumeSettings,
    )


def refuse(problems: Iterable[SettingProblem]) -> None:
    """Refuse settings in which there are problems.

    Parameters
    ----------
    problems : iterable of SettingProblem

    Returns
    -------
    None
        There are none when this returns.

    Raises
    ------
    BrokenRules
        With all of them.
    """
    found = list(problems)
    if found:
        raise BrokenRules(found)


def find_volume_problems(volumes: VolumeSettings) -> Iterator[SettingProblem]:
    """What is wrong with axes and grey window.

    Parameters
    ----------
    volumes : VolumeSettings

    Yields
    ------
    SettingProblem
    """
    axes, flip = volumes.axes, volumes.flip
    if sorted(axes) != ["x", "y", "z"]:
        yield _problem(("axes",), f"must name z, y and x in the files' order (got {axes!r}): give such as zyx")
    if len(set(flip)) < len(flip) or not set(flip) <= set("zyx"):
        yield _problem(("flip",), f"must name axes of z, y and x, each once (got {flip!r}): give such as z")
    low, high = volumes.grey_low, volumes.grey_high
    if low is not None and low == high:
        yield _problem(("grey_high",), f"must not be grey_low, {low:g} (got {high:g}): widen them")


def find_region_problems(region: RegionSettings) -> Iterator[SettingProblem]:
    """Which edges do not run from low to high.

    Parameters
    ----------
    region : RegionSettings

    Yields
    ------
    SettingProblem
    """
    for axis, edges in (("z", region.z), ("y", region.y), ("x", region.x)):
        if edges is not None and edges[0] >= edges[1]:
            yield _problem((axis,), f"must run from low to high (got {edges[0]:g} to {edges[1]:g}): exchange them")


def find_box_problems(electrode: ElectrodeSettings) -> Iterator[SettingProblem]:
    """Boxes whose name another one has, or a part of the electrode.

    Parameters
    ----------
    electrode : ElectrodeSettings

    Yields
    ------
    SettingProblem
    """
    taken = {"whole", "collector side", "separator side"}
    for number, box in enumerate(electrode.boxes):
        if box.name in taken:
            yield _problem(("boxes", number, "name"), f"must be its own (got {box.name!r} again): choose another name")
        taken.add(box.name)


def find_pyramid_problems(correlation: CorrelationSettings) -> Iterator[SettingProblem]:
    """What is wrong with the pyramid.

    Parameters
    ----------
    correlation : CorrelationSettings

    Yields
    ------
    SettingProblem
    """
    pyramid, spacing = correlation.pyramid, correlation.node_spacing_vox
    listed = ", ".join(map(str, pyramid))
    if any(fine >= coarse for coarse, fine in itertools.pairwise(pyramid)):
        yield _problem(("pyramid",), f"must fall from coarse to fine (got {listed}): sort it")
    elif pyramid[-1] != spacing:
        yield _problem(("pyramid",), f"must end in node_spacing_vox, {spacing} (got {listed}): give only one of them")


def find_segmentation_problems(segmentation: SegmentationSettings) -> Iterator[SettingProblem]:
    """What is wrong with ranges of models and the grey window.

    Parameters
    ----------
    segmentation : SegmentationSettings

    Yields
    ------
    SettingProblem
    """
    seen: set[str] = set()
    for number, one in enumerate(segmentation.ranges):
        twice = sorted(seen & set(one.scans))
        if twice:
            yield _problem(
                ("ranges", number, "scans"), f"must not repeat a scan (got {twice[0]!r} twice): keep one model"
            )
        seen |= set(one.scans)
    window = segmentation.window
    if window is not None and window[0] == window[1]:
        yield _problem(("window",), f"must have two different ends (got {window[0]:g} twice): give those of the model")


def find_scan_problems(study: StudySettings) -> Iterator[SettingProblem]:
    """What is wrong with the list of scans: its length, names, repeats and times.

    Parameters
    ----------
    study : StudySettings

    Yields
    ------
    SettingProblem
    """
    scans = study.scans
    if len(scans) < 2 and study.watch.incoming is None:
        yield _problem(("scans",), f"must hold at least two (got {len(scans)}): add one, or give watch.incoming")
    firsts: dict[str, int] = {}  # names are also those of folders, which some systems take for the same in any case
    for number, scan in enumerate(scans):
        first = firsts.setdefault(scan.name.lower(), number)
        if first < number:
            like = f"beside {scans[first].name}" if scans[first].name != scan.name else "again"
            yield _problem(("scans", number, "name"), f"must be unique (got {scan.name} {like}): rename that scan")
    for number, scan in enumerate(scans):
        before = scans[number - 1].name if number else None
        if scan.repeats is not None and scan.repeats != before:
            wanted = "be left out at the first scan" if before is None else f"be the scan just before, {before}"
            rule = f"must {wanted} (got {scan.repeats}): put a repeat right behind its scan"
            yield _problem(("scans", number, "repeats"), rule)
    yield from _find_source_problems(study)
    timed = [(number, scan) for number, scan in enumerate(scans) if scan.time_s is not None]
    for (_, earlier), (number, scan) in itertools.pairwise(timed):
        if earlier.time_s is not None and scan.time_s is not None and scan.time_s <= earlier.time_s:
            rule = f"must be > {earlier.time_s:g}, that of {earlier.name} (got {scan.time_s:g}): put the scans in order"
            yield _problem(("scans", number, "time_s"), rule)


def _find_source_problems(study: StudySettings) -> Iterator[SettingProblem]:
    """Scans need a volume or radiographs, all of them the same; decrements may run against grey, volumes not."""
    scans = study.scans
    low, high = study.volumes.grey_low, study.volumes.grey_high
    if low is not None and high is not None and low > high and not (scans and scans[0].radiographs):
        rule = f"must be > grey_low, {low:g} (got {high:g}): exchange or widen them"
        yield _problem(("volumes", "grey_high"), rule)
    for number, scan in enumerate(scans):
        if not scan.volume and not scan.radiographs:
            yield _problem(
                ("scans", number, "volume"), f"must name a file (got none at {scan.name}): give volume or radiographs"
            )
        elif scan.volume and scan.radiographs:
            rule = f"must not stand beside volume (got both at {scan.name}): give one of them"
            yield _problem(("scans", number, "radiographs"), rule)
        elif bool(scan.radiographs) != bool(scans[0].radiographs):
            wanted = "radiographs" if scans[0].radiographs else "a volume"
            yield _problem(("scans", number), f"must have {wanted} as {scans[0].name} has: give the same of all scans")
    if scans and scans[0].radiographs and study.watch.incoming is not None:
        yield _problem(("watch", "incoming"), "takes volumes, not radiographs: list the scans instead")


def _problem(place: Place, rule: str) -> SettingProblem:
    return SettingProblem(place, f"{join_place(place)} {rule}")
