"""Settings as YAML."""

from __future__ import annotations

import pytest
import yaml

from voltome.errors import InputError
from voltome.io import format_yaml, read_yaml, write_yaml
from voltome.io.yaml_file import read_yaml_lines

VALUES = {
    "shape": [96, 64, 64],
    "voxel_size_m": 4e-7,
    "none": None,
    "yes": True,
    "empty": {},
    "no rows": [],
    "scan": {"third": 1 / 3, "deep": {"text": "a: b # c", "lines": "a\nb"}},
    "steps": [{"name": "T0", "soc": 0.0}, {"name": "null", "soc": 1e-3}],
    "texts": ["5e-8", "1", "true", "T0"],
}


def write(path, text: str):
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_written_reads_back_the_same(tmp_path):
    write_yaml(tmp_path / "a.yaml", VALUES, comments={"scan.third": "one\ntwo"}, heading="made here")
    assert read_yaml(tmp_path / "a.yaml") == VALUES
    text = (tmp_path / "a.yaml").read_text()
    assert text.startswith("# made here\nshape: [96, 64, 64]\n")
    assert "\n  # one\n  # two\n  third: " in text
    assert "\n  - {name: T0, soc: 0.0}\n" in text


def test_any_reader_of_yaml_reads_the_same():
    # of numbers such as 5e-8, which YAML 1.1 takes for texts, none is written
    assert yaml.safe_load(format_yaml(VALUES)) == VALUES


def test_numbers_without_a_point_are_numbers(tmp_path):
    read = read_yaml(write(tmp_path / "a.yaml", "a: 5e-8\nb: -1E3\nc: +2.5e+1\nd: '5e-8'\n"))
    assert read == {"a": 5e-8, "b": -1000.0, "c": 25.0, "d": "5e-8"}


def test_an_empty_file_is_an_empty_mapping(tmp_path):
    assert read_yaml(write(tmp_path / "a.yaml", "# nothing yet\n")) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: [1\nc: 2\n", "a.yaml line 3 is not YAML"),
        ("a: 1\n\tb: 2\n", "a.yaml line 2 is not YAML"),
        ("a:\n  b: 1\n  c: 2\n  b: 3\n", "a.yaml line 4 is not YAML (b stands twice)"),
        ("a: !!python/object/apply:os.getcwd []\n", "a.yaml line 1 is not YAML"),
        ("a: 2026-13-45\n", "a.yaml holds a value that YAML cannot read"),
        ("- 1\n- 2\n", "must hold `name: value` lines"),
        ("1: 2\n", "must hold `name: value` lines"),
        ("{[1]: 2}\n", "a.yaml line 1 is not YAML"),
        ("a: \x01\n", "a.yaml at character 4 is not YAML"),
        ("a: " + "[" * 5000, "nested too deeply"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(text, said, tmp_path):
    with pytest.raises(InputError) as caught:
        read_yaml(write(tmp_path / "a.yaml", text))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_folder_and_binary_are_named(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00scan")
    for path, said in (
        (tmp_path / "b.yaml", "does not exist"),
        (tmp_path, "is not a file"),
        (tmp_path / "a.yaml", "text file"),
    ):
        with pytest.raises(InputError, match=said):
            read_yaml(path)


def test_an_existing_file_is_kept(tmp_path):
    write(tmp_path / "a.yaml", "a: 1\n")
    with pytest.raises(InputError, match="already exists"):
        write_yaml(tmp_path / "a.yaml", {"a": 2})
    assert read_yaml(tmp_path / "a.yaml") == {"a": 1}


def test_every_value_has_the_line_of_its_key_or_of_its_item(tmp_path):
    scans = "scans:\n  - {name: T0, volume: x}\n  - name: T1\n    box: {z: [1,\n      2]}\n"
    text = f"# first\na: 1\n{scans}b:\n  c: |\n    text\n"
    lines = read_yaml_lines(write(tmp_path / "a.yaml", text))
    assert lines[()] == 1
    assert (lines["a",], lines["scans",], lines["b",], lines["b", "c"]) == (2, 3, 8, 9)
    assert lines["scans", 0] == lines["scans", 0, "volume"] == 4
    assert (lines["scans", 1], lines["scans", 1, "name"], lines["scans", 1, "box"]) == (5, 5, 6)
    assert (lines["scans", 1, "box", "z", 0], lines["scans", 1, "box", "z", 1]) == (6, 7)


def test_aliases_keep_the_line_of_their_first_place(tmp_path):
    lines = read_yaml_lines(write(tmp_path / "a.yaml", "a: &one\n  b: 1\nc: *one\nd: &own\n  - *own\n"))
    assert lines == {(): 1, ("a",): 1, ("a", "b"): 2, ("c",): 3, ("d",): 4, ("d", 0): 4}


def test_lines_of_an_empty_and_of_a_broken_file(tmp_path):
    assert read_yaml_lines(write(tmp_path / "a.yaml", "")) == {(): 1}
    with pytest.raises(InputError, match=r"a\.yaml line 1 is not YAML"):
        read_yaml_lines(write(tmp_path / "a.yaml", "a: ["))
