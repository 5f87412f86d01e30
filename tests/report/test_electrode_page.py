"""The page of a series that has an electrode: its story, its figures with their numbers, its doubts."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from voltome import report
from voltome.report import ElectrodeFindings, tabulate_figure
from voltome.report.electrode_page import find_electrode_warnings, tell_electrode, write_accuracy

NARROW = "\N{NARROW NO-BREAK SPACE}"
MICROMETRES = f"{NARROW}\N{GREEK SMALL LETTER MU}m"
HOSTILE = "</table><script>alert('x')</script><img src=http://example.org/x onerror=alert(1)>"


def render(electrode: ElectrodeFindings | None, summary: Mapping[str, Any] | None = None) -> str:
    scans = electrode.scans if electrode is not None else ("T0", "T1")
    image = electrode.slices[scans[0]][::4, ::4] if electrode is not None else [[0.0, 1.0], [1.0, 0.0]]
    return report.render_series_report(
        summary or {}, [{"name": scan} for scan in scans], {}, {}, {scans[0]: image}, slice_index_vox=48,
        node_spacing_vox=35, voxel_size_m=5e-8, electrode=electrode,
    )  # fmt: skip


class Page(HTMLParser):
    """Headings, links, tags and the text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.parts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.parts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"[ \n]+", " ", "".join(self.parts))

    @property
    def sections(self) -> list[str]:
        return [str(attributes["id"]) for tag, attributes in self.tags if tag == "section"]

    @property
    def data(self) -> dict[str, str]:
        """Name of a file to its address."""
        return {str(a["download"]): str(a["href"]) for tag, a in self.tags if tag == "a" and "download" in a}


@pytest.fixture(scope="module")
def page(electrode: ElectrodeFindings) -> Page:
    return Page(render(electrode, {"title": "Cell A", "files": [("movie.mp4", "axial strain over time")]}))


def test_the_story_is_told_in_the_order_of_the_paper(page: Page) -> None:
    assert page.sections == [
        "result", "swelling", "silicon", "strain", "remains", "errors", "displacement", "noise", "accuracy", "reading",
        "numbers", "scans", "parameters",
    ]  # fmt: skip


def test_the_first_sentences_give_every_headline_with_its_error(page: Page) -> None:
    for text in (
        f"Between T0 and T6 (state of charge 85{NARROW}%) the electrode's thickness goes from 20.70 ± 0.15 to "
        f"30.00 ± 0.15{MICROMETRES}, an expansion of +44.93 ± 0.85{NARROW}%.",
        f"At T6 its mean volumetric strain is +46.43 ± 0.69{NARROW}%: +36.2 ± 1.0{NARROW}% on the side of the "
        f"collector, +54.3 ± 1.0{NARROW}% on that of the separator.",
        f"In the plane it is +1.20 ± 0.17{NARROW}% along y and +0.77 ± 0.17{NARROW}% along x.",
        f"a thickness of 27.40 ± 0.15{MICROMETRES} remain; against the charging curve at the same state of charge that "
        f"is a difference of +6.70 ± 0.11{MICROMETRES}.",
    ):
        assert text in page.text


def test_every_figure_carries_its_numbers(page: Page, electrode: ElectrodeFindings) -> None:
    assert len(page.data) == 15
    for name, address in page.data.items():
        kind, _, content = address.partition(",")
        assert kind == "data:text/csv;base64"
        assert base64.b64decode(content).decode() == tabulate_figure(electrode, name.removesuffix(".csv"))


def test_the_page_needs_nothing_from_elsewhere(page: Page) -> None:
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "base"}
    addresses = [str(a.get("src") or a.get("href")) for tag, a in page.tags if tag in ("img", "a")]
    assert {address.partition(":")[0] for address in addresses if not address.startswith("#")} == {"data"}


def test_figures_are_numbered_without_a_gap(page: Page) -> None:
    assert re.findall(r"Figure (\d+)\.", page.text) == [str(n) for n in range(1, 18)]


def test_remarks_warnings_files_and_truth_are_shown(page: Page) -> None:
    assert "Scan T5 was aligned on texture alone." in page.text
    assert "The paper's thickness is that of the slice" in page.text
    assert "movie.mp4" in page.text
    assert "volumetric strain, separator side" in page.text
    assert re.findall(r"\b(nan|NaN|None|inf)\b", page.text) == []


def test_without_an_electrode_the_page_is_that_of_the_displacement() -> None:
    sections = Page(render(None)).sections
    assert sections == ["result", "film", "curves", "scans", "noise", "parameters"]


def test_a_scan_alone_has_a_page(build_electrode: Callable[..., ElectrodeFindings]) -> None:
    one = replace(build_electrode(1), cell=None, thickness_maps={}, accuracy=(), segmented={})
    page = Page(render(one))
    assert f"At T0 the electrode is 20.70 ± 0.15{MICROMETRES} thick." in page.text
    assert page.sections == ["result", "swelling", "errors", "displacement", "noise", "reading", "numbers", "scans",
                             "parameters"]  # fmt: skip


def test_hostile_texts_stay_text(build_electrode: Callable[..., ElectrodeFindings]) -> None:
    one = build_electrode(1)
    name = f"T0{HOSTILE}"
    odd = replace(
        one, scans=(name,), measurements=[replace(m, scan=name) for m in one.measurements], cell=None,
        thickness_maps={}, slices={name: one.slices["T0"]}, surfaces={}, warnings=[HOSTILE], remarks=[HOSTILE],
        accuracy=[{**one.accuracy[0], "name": HOSTILE, "step": HOSTILE}], socs={}, times_s={},
    )  # fmt: skip
    html = render(odd, {"files": [(HOSTILE, HOSTILE)]})
    assert "<script" not in html
    assert "<img src=http" not in html
    assert Page(html).text.count("alert('x')") > 6


def test_what_is_not_known_is_left_out_of_the_sentences(electrode: ElectrodeFindings) -> None:
    thickness = [m for m in electrode.measurements if m.name == "thickness" and m.scan in ("T0", "T6")]
    sentences = tell_electrode(replace(electrode, measurements=thickness, socs={}, accuracy=()))
    assert sentences == [
        f"Between T0 and T6 the electrode's thickness goes from 20.70 ± 0.15 to 30.00 ± 0.15{MICROMETRES}."
    ]
    assert tell_electrode(replace(electrode, measurements=[])) == [
        "Nothing is known of the electrode's thickness or strain."
    ]


def test_scans_that_could_not_be_measured_are_named(electrode: ElectrodeFindings) -> None:
    lost = [
        replace(m, value=math.nan) if m.scan == "T3" and m.name == "thickness" else m for m in electrode.measurements
    ]
    assert find_electrode_warnings(electrode) == []
    assert find_electrode_warnings(replace(electrode, measurements=lost)) == ["No thickness could be measured at T3."]


def test_errors_that_are_not_known_are_named(build_electrode: Callable[..., ElectrodeFindings]) -> None:
    blind = build_electrode(3, repeated=False)
    assert find_electrode_warnings(blind) == [
        "The random error of the thickness is not known at T0, T1, T2: what stands after ± is bias alone.",
        "The random error of the volumetric strain is not known at T1, T2: what stands after ± is bias alone.",
    ]
    bare = replace(blind, measurements=[replace(m, shares=()) for m in blind.measurements])
    assert find_electrode_warnings(bare)[0] == "The error of the thickness is not known at T0, T1, T2."


def test_rows_of_truth_are_written_in_readable_units() -> None:
    row = {"name": "in_plane_strain_yy_collector_side", "step": "T4", "true": 0.0123, "recovered": 0.0125,
           "sd_random": 0.0001, "sd_bias": None, "unit": "1"}  # fmt: skip
    assert write_accuracy([row]) == [
        ["in-plane strain yy, collector side", "T4", "1.2300", "1.2500", "+0.020", "0.010", "\N{EN DASH}", "%", "+2"]
    ]
