"""Settings of the twin in a file."""

from __future__ import annotations

import itertools
import json

import pytest

from voltome.errors import InputError
from voltome.io import read_yaml
from voltome.pipeline.twin_folder import describe_settings, format_settings, load_settings, schema_text
from voltome.twin.configuration import make_settings


def leaves(values, above=""):
    for name, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{above}{name}.")
        else:
            yield above + name


@pytest.mark.parametrize("size", ["tiny", "small", "paper"])
def test_the_commented_settings_read_back_the_same(size, tmp_path):
    settings = make_settings(size, seed=7)
    (tmp_path / "twin.yaml").write_text(format_settings(settings))
    assert load_settings(tmp_path / "twin.yaml") == settings


def test_every_setting_has_a_comment_above_it(tmp_path):
    (tmp_path / "twin.yaml").write_text(format_settings(make_settings()))
    assert set(leaves(read_yaml(tmp_path / "twin.yaml"))) <= set(describe_settings())
    lines = (tmp_path / "twin.yaml").read_text().splitlines()
    for above, line in itertools.pairwise(lines):
        if not line.lstrip().startswith(("#", "- ")):
            assert above.lstrip().startswith("# "), line
    assert any(line.endswith("(0 to 2)") for line in lines if "sd of the noise" in line)


def test_the_command_line_wins_over_the_file(tmp_path):
    (tmp_path / "a.yaml").write_text("seed: 3\nsize: small\nscan: {noise: 0.3}\n")
    settings = load_settings(tmp_path / "a.yaml", size="tiny", seed=4)
    assert (settings.seed, settings.shape, settings.scan.noise) == (4, make_settings("tiny").shape, 0.3)
    assert load_settings(tmp_path / "a.yaml").seed == 3
    assert load_settings() == make_settings("small")


def test_what_is_wrong_is_told_with_the_file(tmp_path):
    (tmp_path / "a.yaml").write_text("scan: {noize: 0.3}\n")
    with pytest.raises(InputError, match=r"a\.yaml: scan\.noize .*scan\.noise"):
        load_settings(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").write_text("shape: [90, 60, 64]\n")
    with pytest.raises(InputError, match=r"a size sets the shape that .*b\.yaml has as well \(got tiny\)"):
        load_settings(tmp_path / "b.yaml", size="tiny")


def test_the_schema_knows_every_setting():
    schema = json.loads(schema_text())
    assert {"size", "seed", "scan", "steps"} <= set(schema["properties"])
    assert schema["$defs"]["ScanSettings"]["properties"]["noise"]["description"]
