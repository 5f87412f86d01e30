"""The page of one correlation."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from voltome.fields import DeformationField, NodeStatus
from voltome.report.correlation import FILES

HOSTILE = "</table><script>alert('x')</script><img src=http://example.org/x onerror=alert(1)>"


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def html(case: Any) -> str:
    summary = {
        **case.summary,
        "version": HOSTILE,
        "seconds": {HOSTILE: 1.0},
        "parameters": {HOSTILE: HOSTILE, "mask": "a&b.tif"},
        "warnings": [HOSTILE],
    }
    row = {"name": HOSTILE, "true": 3.0, "recovered": 3.02, "error": 0.02, "sd": 0.05, "unit": HOSTILE}
    truth = {"errors": [row], "error_u_vox": np.abs(case.field.phi[:, 2, 3])}
    return replace(case, summary=summary).render(
        voxel_size_m=5e-8, truth=truth, zncc_threshold=0.8, deformed_slices=case.slices
    )


def test_the_page_needs_nothing_from_elsewhere(html: str) -> None:
    page = Page(html)
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "base"}
    sources = [value for _, attributes in page.tags for key, value in attributes.items() if key in ("src", "href")]
    assert len(sources) == 6
    assert all(value is not None and value.startswith("data:image/png;base64,") for value in sources)
    assert not re.search(r"url\(|@import", html)
    assert len(html) < 6e6


def test_hostile_names_stay_text(html: str) -> None:
    assert "<script" not in html
    assert Page(html).text.count(HOSTILE) == 8


def test_every_file_and_status_is_named(html: str) -> None:
    text = Page(html).text
    assert [name for name, _ in FILES if name not in text] == []
    cells = re.findall(r'<td class="n">(-?\d+)</td><td>[a-z]', html)
    assert cells == [str(int(status)) for status in NodeStatus]


def test_figures_are_numbered_in_the_order_of_reading(html: str) -> None:
    titles = re.findall(r"<b>Figure (\d)\. ([^.]*)\.</b>", html)
    assert [int(number) for number, _ in titles] == [1, 2, 3, 4, 5, 6]
    assert [title for _, title in titles][2:] == ["Displacement", "Strain", "Distributions", "Quality of each node"]


def test_lengths_are_told_in_voxels_and_metres(html: str) -> None:
    assert "12 voxels (0.600\N{NARROW NO-BREAK SPACE}\N{GREEK SMALL LETTER MU}m)" in html


def test_a_page_without_voxel_size_registration_or_seconds_renders_the_same_bytes_twice(case: Any) -> None:
    bare = replace(case, slices={"z": case.slices["z"]}, summary={})
    first = bare.render()
    assert first == bare.render()
    text = Page(first).text
    assert "The voxel size is not known" in text
    assert "Skipped: the correlation started from a deformation that was given" in text


def test_a_field_that_is_all_masked_says_so(case: Any) -> None:
    n = len(case.field)
    masked = DeformationField.from_phi(
        case.field.positions_vox, np.full((n, 4, 4), np.nan), grid_shape=case.field.grid_shape
    ).with_values(status=np.full(n, NodeStatus.MASKED, dtype=np.int32))
    text = Page(case.with_field(masked).render()).text
    assert "No node may be trusted" in text
    assert "No strain may be read" in text


@pytest.mark.parametrize("grid_shape", [(1, 1, 1), None])
def test_a_field_of_one_node_renders(case: Any, grid_shape: tuple[int, int, int] | None) -> None:
    one = DeformationField.from_phi(np.array([[30, 42, 54]]), grid_shape=(1, 1, 1)).with_values(
        status=np.array([2], dtype=np.int32)
    )
    small = case.with_field(one)
    small = replace(
        small,
        field=one.with_values(grid_shape=grid_shape),
        filtered=one.with_values(grid_shape=grid_shape),
        strain=replace(small.strain, grid_shape=grid_shape),
    )
    assert "Of 1 node, 1 has enough" in " ".join(Page(small.render(voxel_size_m=1e-6)).text.split())


def test_strain_of_nan_alone_renders_with_a_warning(case: Any) -> None:
    nothing = {key: np.full_like(value, np.nan) for key, value in vars(case.strain).items()
               if key in ("strain", "volumetric", "deviatoric", "deformation_gradient")}  # fmt: skip
    page = replace(case, strain=replace(case.strain, **nothing), slices={"z": case.slices["z"]}).render()
    assert "No strain may be read" in Page(page).text
    assert "N = 0 gauges" in page
