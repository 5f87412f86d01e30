"""One twin for all tests of its room: the tiny experiment takes some seconds to pack."""

from __future__ import annotations

import pytest

from voltome.twin.configuration import make_settings
from voltome.twin.experiment import ElectrodeTwin


@pytest.fixture(scope="session")
def tiny() -> ElectrodeTwin:
    """Steps T0, T1, T6 and T6r, which repeats T6."""
    return ElectrodeTwin(make_settings("tiny", seed=1))
