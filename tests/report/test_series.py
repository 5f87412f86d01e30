"""The page of a series of scans, and its figures."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from voltome import report
from voltome.errors import InputError
from voltome.fields import DeformationField, NodeStatus, StrainField
from voltome.report.series import FILES, find_series_warnings, tell_story
from voltome.report.series_figures import FILM_MOST, choose_frames
from voltome.report.wording import write_measured

SHAPE, GRID = (108, 96, 126), (8, 7, 6)
VOXEL_SIZE_M = 5e-8
SOC = (0.0, 0.1, 0.25, 0.44, 0.3)
HOSTILE = "</table><script>alert('x')</script><img src=http://example.org/x onerror=alert(1)>"
REPEATS = [{"reference": "T3", "repeat": "T4", "factor": 1.13, "refused": None}]
NARROW = "\N{NARROW NO-BREAK SPACE}"


def make_slice(seed: int) -> np.ndarray:
    """Speckle with white noise on it, z by x."""
    rng = np.random.default_rng(seed)
    noise = np.fft.rfft2(rng.normal(size=(SHAPE[0], SHAPE[2])))
    frequency = np.hypot(np.fft.fftfreq(SHAPE[0])[:, None], np.fft.rfftfreq(SHAPE[2])[None])
    speckle = np.fft.irfft2(noise * np.exp(-((frequency / 0.09) ** 2)), s=(SHAPE[0], SHAPE[2]))
    return (3e4 + 8e3 * speckle / speckle.std() + 1e3 * rng.normal(size=speckle.shape)).astype(np.float32)


def make_field(swelling: float, seed: int) -> tuple[DeformationField, StrainField]:
    """An electrode that swells along z away from the first plane, with some suspect and some failed nodes."""
    rng = np.random.default_rng(seed)
    axes = [np.round(np.arange(1, g + 1) * n / (g + 1)) for g, n in zip(GRID, SHAPE, strict=True)]
    positions = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    n = len(positions)
    phi = np.tile(np.eye(4), (n, 1, 1))
    phi[:, 0, 3] = 1.0 + swelling * positions[:, 0]
    suspect, failed = rng.random(n) < 0.08, rng.random(n) < 0.05
    status = np.where(failed, NodeStatus.SINGULAR, NodeStatus.CONVERGED).astype(np.int32)
    phi[failed] = np.nan
    field = DeformationField.from_phi(positions, phi, grid_shape=GRID)
    field = field.with_values(status=status, suspect=suspect.astype(np.uint8), zncc=np.where(failed, np.nan, 0.95))
    f = np.tile(np.diag([1.0 + swelling, 1.0, 1.0]), (n, 1, 1))
    strain = StrainField(
        positions_vox=positions, grid_shape=GRID, measure="small", deformation_gradient=f, strain=f - np.eye(3),
        stretch=f, rotation=np.tile(np.eye(3), (n, 1, 1)), volumetric=np.full(n, swelling),
        deviatoric=np.full(n, 2 * swelling / 3), measured=np.where(field.trusted, 1.0, 0.8),
        strain_sd=np.full((n, 3, 3), 1e-3), volumetric_sd=np.full(n, 2e-3),
    )  # fmt: skip
    return field, strain


@dataclass(frozen=True)
class Series:
    """All that a page of a series needs."""

    rows: list[dict[str, Any]]
    fields: Mapping[str, DeformationField]
    strains: Mapping[str, StrainField]
    slices: dict[str, np.ndarray]

    def render(self, summary: Mapping[str, Any] | None = None, **options: Any) -> str:
        given = {"slice_index_vox": 48, "node_spacing_vox": 35, "voxel_size_m": VOXEL_SIZE_M, **options}
        return report.render_series_report(summary or {}, self.rows, self.fields, self.strains, self.slices, **given)

    def film(self) -> Any:
        scans = report.read_scans(self.rows)
        return report.film_figure(
            scans, self.fields, self.strains, self.slices, slice_index_vox=48, voxel_size_m=VOXEL_SIZE_M
        )

    def with_row(self, number: int, **values: Any) -> Series:
        rows = [{**row, **values} if i == number else row for i, row in enumerate(self.rows)]
        return replace(self, rows=rows)


def make_series(count: int = 5) -> Series:
    rows, fields, strains, slices = [], {}, {}, {}
    for number in range(count):
        name, soc = f"T{number}", SOC[number % len(SOC)]
        rows.append({"name": name, "time_s": 3600.0 * number, "soc": soc, "voltage_v": 0.9 - 1.6 * soc})
        slices[name] = make_slice(number)
        if number == 0:
            continue
        field, strain = make_field(0.3 * soc, number)
        fields[name], strains[name] = field, strain
        rows[-1] |= {
            "nodes": len(field), "nodes_converged": int(field.converged.sum()),
            "nodes_trusted": int(field.trusted.sum()), "zncc_median": 0.95,
            "displacement_z_m": 1e-6 * soc, "displacement_z_sd_m": 2.5e-9,
            "strain_volumetric": 0.3 * soc, "strain_volumetric_sd": 0.0042, "strain_zz": 0.29 * soc,
            "strain_zz_sd": 0.002, "strain_yy": 0.005 * soc, "strain_yy_sd": 0.001, "strain_xx": -0.005 * soc,
            "strain_xx_sd": 0.001, "composed_direct_vox": 0.03 * number,
        }  # fmt: skip
    return Series(rows, fields, strains, slices)


@pytest.fixture(scope="module")
def series() -> Series:
    return make_series().with_row(4, repeats="T3", time_s=3 * 3600.0 + 300.0)


@pytest.fixture(scope="module")
def html(series: Series) -> str:
    return series.render({"title": "Cell A", "version": "1.2.3", "parameters": {"a": {"b": 7}}}, repeats=REPEATS)


class Page(HTMLParser):
    """Tags with their attributes, and the text as one line."""

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
    def images(self) -> list[str]:
        return [str(attributes["src"]) for tag, attributes in self.tags if tag == "img"]


def find_warnings(series: Series, repeats: list[dict[str, Any]] | None = None) -> str:
    scans = report.read_scans(series.rows)
    return " ".join(find_series_warnings(scans, REPEATS if repeats is None else repeats, 0.2, VOXEL_SIZE_M))


def test_the_first_sentences_tell_the_largest_strain_and_the_last(html: str) -> None:
    text = Page(html).text
    assert "5 scans, T0 to T4 over 3 h 05 min." in text
    assert f"+13.20 ± 0.42{NARROW}%" in text and f"state of charge 44{NARROW}%" in text
    assert f"displacement is +0.4400 ± 0.0025{NARROW}µm" in text
    assert f"At the end, T4, +9.00 ± 0.42{NARROW}% of volumetric strain" in text
    assert f"35 voxels (1.75{NARROW}\N{GREEK SMALL LETTER MU}m)" in text


def test_every_scan_file_parameter_and_version_is_named(html: str, series: Series) -> None:
    text = Page(html).text
    assert [row["name"] for row in series.rows if f"<td>{row['name']}" not in html] == []
    assert [name for name, _ in FILES if name not in text] == []
    assert "a.b7" in text.replace(" ", "") and "voltome 1.2.3" in text
    assert "T4 (repeats T3)" in text and "T0 (reference)" in text


def test_the_page_needs_nothing_from_elsewhere_and_stays_small(html: str) -> None:
    page = Page(html)
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "base"}
    assert [source.partition(",")[0] for source in page.images] == [
        "data:image/png;base64", "data:image/svg+xml;base64"
    ]  # fmt: skip
    assert not re.search(r"url\(|@import", html)
    assert len(html) < 1e6


def test_the_pictures_can_be_read(html: str) -> None:
    film, curves = (base64.b64decode(source.partition(",")[2]) for source in Page(html).images)
    assert Image.open(io.BytesIO(film)).width > 1000
    assert ElementTree.fromstring(curves).tag.endswith("svg")
    assert b"dc:date" not in curves


def test_the_same_series_gives_the_same_bytes(series: Series) -> None:
    assert series.render(repeats=REPEATS) == series.render(repeats=REPEATS)


def test_nothing_on_the_page_reads_nan_or_none(series: Series) -> None:
    rows = [{"name": row["name"]} for row in series.rows]
    rows[2] = {**series.rows[2], "strain_yy": float("nan"), "zncc_median": None}
    text = Page(replace(series, rows=rows).render({"parameters": {"mask": None}})).text
    assert re.findall(r"\b(nan|NaN|None|inf)\b", text) == []


def test_hostile_texts_stay_text(series: Series) -> None:
    rows = [{**row, "name": row["name"] + HOSTILE, "failure": HOSTILE} for row in series.rows]
    slices = {f"{name}{HOSTILE}": image for name, image in series.slices.items()}
    summary = {
        "title": HOSTILE, "version": HOSTILE, "parameters": {HOSTILE: HOSTILE}, "versions": {HOSTILE: HOSTILE},
        "warnings": [HOSTILE],
    }  # fmt: skip
    truth = [{"scan": HOSTILE, "name": HOSTILE, "true": 3.0, "recovered": 3.0, "error": 0.0, "sd": 1.0, "unit": "m"}]
    repeats = [{"reference": HOSTILE, "repeat": HOSTILE, "factor": None, "refused": HOSTILE}]
    html = replace(series, rows=rows, slices=slices, fields={}).render(summary, truth=truth, repeats=repeats)
    assert "<script" not in html and "<img src=http" not in html
    assert Page(html).text.count("alert('x')") > 10


def test_names_that_look_like_formulas_are_drawn_as_they_are(series: Series) -> None:
    rows = [{"name": f"{row['name']}$_{{"} for row in series.rows]
    slices = {f"{name}$_{{": image for name, image in series.slices.items()}
    html = replace(series, rows=rows, slices=slices, fields={}, strains={}).render()
    assert "T3$_{" in Page(html).text


def test_truth_is_told_where_it_is_known(series: Series) -> None:
    assert "from truth" not in Page(series.render()).text
    row = {"scan": "T3", "name": "strain zz", "true": 0.13, "recovered": 0.131, "error": 0.001, "sd": 0.002, "unit": ""}
    text = Page(series.with_row(3, truth_error_vox=0.0371).render(truth=[row])).text
    assert "from truth (voxels)" in text and "0.0371" in text
    assert "Recovered against true" in text and "0.1310" in text


def test_a_good_series_has_no_warning(series: Series, html: str) -> None:
    assert find_warnings(series) == ""
    assert "Before you trust these numbers" not in Page(html).text


@pytest.mark.parametrize(
    ("number", "values", "warning"),
    [
        (3, {"composed_direct_vox": 0.35}, f"more than 0.20 voxels (10{NARROW}nm) at T3 (0.35 voxels)"),
        (3, {"composed_direct_vox": None}, "The direct correlation gives no check of T3."),
        (2, {"nodes_trusted": 101}, f"Fewer than half of the nodes may be trusted at T2 (30{NARROW}%)"),
        (2, {"nodes_trusted": 0}, "No node may be trusted at T2"),
        (4, {"nodes": None, "failure": "the volume is truncated"}, "no cumulative field of T4 (the volume is trunc"),
        (2, {"strain_zz": 0.003, "strain_yy": 0.003, "strain_xx": 0.003}, "At T2 all three axes stretch by the same"),
    ],
)
def test_a_doubt_is_told_with_the_scan_it_concerns(
    series: Series, number: int, values: dict[str, Any], warning: str
) -> None:
    assert warning in find_warnings(series.with_row(number, **values))


def test_warnings_stand_on_the_page_before_the_numbers(series: Series) -> None:
    text = Page(series.with_row(3, composed_direct_vox=0.35).render({"warnings": ["T2 is dim"]})).text
    told = [text.index(part) for part in ("differ by more than 0.20 voxels", "residual alone", "T2 is dim", "gauge")]
    assert told == sorted(told)


def test_without_a_direct_check_the_page_says_so_once(series: Series) -> None:
    rows = [{**row, "composed_direct_vox": None} for row in series.rows]
    assert find_warnings(replace(series, rows=rows)).startswith("No direct correlation checks the composed fields")


@pytest.mark.parametrize(
    ("repeats", "warning"),
    [
        ([], "Random errors rest on the grey residual alone"),
        ([{**REPEATS[0], "factor": None, "refused": "the sample moved"}], "T4 of T3 was refused: the sample moved."),
        ([{**REPEATS[0], "factor": 2.64}], "displacements scatter 2.6 times what the grey residual predicts"),
    ],
)
def test_random_errors_without_a_good_repeat_scan_are_doubted(
    series: Series, repeats: list[dict[str, Any]], warning: str
) -> None:
    assert warning in find_warnings(series, repeats)


def test_a_long_list_of_scans_is_cut_short() -> None:
    rows = [{"name": "T0"}] + [{"name": f"T{i}", "nodes": 10, "nodes_trusted": 0} for i in range(1, 13)]
    told = find_series_warnings(report.read_scans(rows), REPEATS, 0.2, VOXEL_SIZE_M)
    assert "T1, T2, T3, T4, T5, T6, T7, T8 and 4 more" in told[0]


def test_the_story_names_the_strongest_scan_of_either_sign(series: Series) -> None:
    story = tell_story(report.read_scans(series.with_row(1, strain_volumetric=-0.2).rows))
    assert [s.name if s else None for s in (story.first, story.last, story.peak, story.apart)] == [
        "T0", "T4", "T1", "T4"
    ]  # fmt: skip
    assert tell_story(report.read_scans([{"name": "T0"}])).peak is None


def test_a_series_of_one_scan_says_that_nothing_was_read(series: Series) -> None:
    text = Page(replace(series, rows=series.rows[:1], fields={}, strains={}).render()).text
    assert "1 scan. No strain may be read." in text


@pytest.mark.parametrize(
    ("value", "sd", "text"),
    [
        (-0.0012345, 0.000123, "\N{MINUS SIGN}0.123 ± 0.012"),
        (0.5, float("nan"), "+50"),
        (0.5, 0.3, "+50 ± 30"),
        (0.1, 1e-9, f"+10.0000 ± <{NARROW}0.0001"),
        (float("nan"), 0.1, "\N{EN DASH}"),
    ],
)
def test_an_sd_decides_how_many_decimals_are_written(value: float, sd: float, text: str) -> None:
    assert write_measured(value, sd, 100.0) == text


@pytest.mark.parametrize("rows", [[], [{"name": "T0"}, {"name": "T0"}], [{"time_s": 0.0}]])
def test_rows_without_names_of_their_own_are_refused(rows: list[dict[str, Any]]) -> None:
    with pytest.raises(InputError, match="name every scan once"):
        report.read_scans(rows)


def test_a_film_without_the_slice_of_the_reference_is_refused(series: Series) -> None:
    slices = {name: image for name, image in series.slices.items() if name != "T0"}
    with pytest.raises(InputError, match=r"slices must hold the reference 'T0' \(got \['T1'"):
        replace(series, slices=slices).film()


def find_cell_colours(series: Series, number: int, row: int) -> np.ndarray:
    """Colours of the measured cells in one panel of the film."""
    axes = series.film().axes[3 * number + row]
    return np.asarray(axes.collections[0].get_facecolor())


def test_the_film_has_three_panels_for_each_scan_and_two_colour_bars(series: Series) -> None:
    axes = series.film().axes
    assert len(axes) == 3 * 5 + 3
    assert [a.get_xlabel() for a in axes[15:]] == [
        "$u_z$, axial displacement (µm)".replace("µ", "\N{GREEK SMALL LETTER MU}"),
        r"$\varepsilon_v$, volumetric strain (%)", "",
    ]  # fmt: skip


def test_the_same_strain_has_the_same_colour_in_every_scan(series: Series) -> None:
    twice = replace(series, strains={**series.strains, "T1": series.strains["T3"]})
    first, third = (np.unique(find_cell_colours(twice, number, 2), axis=0) for number in (1, 3))
    np.testing.assert_array_equal(first, third)
    assert not np.array_equal(third, np.unique(find_cell_colours(twice, 2, 2), axis=0))


def test_a_suspect_node_does_not_set_the_colours(series: Series) -> None:
    field = series.fields["T3"]
    phi = field.phi.copy()
    phi[field.suspect != 0, 0, 3] = 1e4
    wild = replace(series, fields={**series.fields, "T3": field.with_values(phi=phi)})
    np.testing.assert_array_equal(find_cell_colours(wild, 2, 1), find_cell_colours(series, 2, 1))


class OnDemand(Mapping[str, Any]):
    """A mapping that counts what is asked of it."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values_by_name, self.asked = values, list[str]()

    def __getitem__(self, name: str) -> Any:
        value = self.values_by_name[name]
        self.asked.append(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_name)

    def __len__(self) -> int:
        return len(self.values_by_name)


def test_fields_and_strains_are_asked_for_once_each(series: Series) -> None:
    fields, strains = OnDemand(series.fields), OnDemand(series.strains)
    replace(series, fields=fields, strains=strains).film()
    assert fields.asked == strains.asked == ["T1", "T2", "T3", "T4"]


def test_a_long_film_keeps_its_ends() -> None:
    scans = report.read_scans([{"name": f"T{i}"} for i in range(61)])
    shown = choose_frames(scans)
    assert len(shown) == FILM_MOST
    assert (shown[0].name, shown[-1].name) == ("T0", "T60")
    assert len({scan.name for scan in shown}) == FILM_MOST


def test_points_of_a_curve_stand_where_the_rows_say(series: Series) -> None:
    figure = report.curves_figure(report.read_scans(series.rows), large_difference_vox=0.2)
    displacement = figure.axes[0].lines[1].get_xydata()
    np.testing.assert_allclose(displacement, [[0, 0], [1, 0.1], [2, 0.25], [3, 0.44]])
    repeat = figure.axes[0].lines[2]
    np.testing.assert_allclose(repeat.get_xydata(), [[3 + 1 / 12, 0.3]])
    assert repeat.get_marker() == "x"
    assert figure.axes[0].get_xlabel() == "time (h)"


@pytest.mark.parametrize(
    ("left_out", "label", "panels"),
    [((), "time (h)", 7), (("soc",), "time (h)", 4), (("time_s",), "state of charge (%)", 4),
     (("time_s", "soc"), "scan", 4)],
)  # fmt: skip
def test_curves_run_over_the_best_that_is_known(
    series: Series, left_out: tuple[str, ...], label: str, panels: int
) -> None:
    rows = [{key: value for key, value in row.items() if key not in left_out} for row in series.rows]
    axes = report.curves_figure(report.read_scans(rows), large_difference_vox=0.2).axes
    assert axes[0].get_xlabel() == label
    assert len(axes) == panels
    if label == "scan":
        assert [tick.get_text() for tick in axes[0].get_xticklabels()] == ["T0", "T1", "T2", "T3", "T4"]


def test_a_panel_without_numbers_says_so() -> None:
    figure = report.curves_figure(report.read_scans([{"name": "T0"}, {"name": "T1"}]), large_difference_vox=0.2)
    assert all("nothing to be read" in [text.get_text() for text in axes.texts] for axes in figure.axes)
