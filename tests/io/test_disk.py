"""Room on a disk."""

from __future__ import annotations

import shutil

import pytest

from voltome.errors import ResourceError
from voltome.io import check_free_space


def test_what_fits_passes_and_what_does_not_is_said_before_it_begins(tmp_path):
    out = tmp_path / "not" / "yet" / "there"
    check_free_space(out, 1)
    needed = 2 * shutil.disk_usage(tmp_path).total
    with pytest.raises(ResourceError, match=r"there needs .*B of free disk \(there are .*B\): ") as caught:
        check_free_space(out, needed)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "not").exists()
