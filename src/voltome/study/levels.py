"""How soon a setting is shown to who begins a study."""

from __future__ import annotations

from typing import Literal

from pydantic.types import JsonValue

Level = Literal["required", "common", "all"]

REQUIRED: dict[str, JsonValue] = {"level": "required"}
COMMON: dict[str, JsonValue] = {"level": "common"}
RARE: dict[str, JsonValue] = {"level": "all"}
