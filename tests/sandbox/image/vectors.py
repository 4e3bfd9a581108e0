"""The conformance vectors of this room: tables of public projects' tests, read from `SANDBOX_VECTORS`."""

from __future__ import annotations

import json
from typing import Any

from tests.needs import vectors_directory


def cases(file: str, table: str) -> list[Any]:
    """The rows of one table; none where the vectors are not there (the test then is left out)."""
    try:
        with open(vectors_directory() / file) as stream:
            rows = json.load(stream)["cases"][table]
    except FileNotFoundError:
        return []
    return [evaluated(row) for row in rows]


def evaluated(value: Any) -> Any:
    """The tables keep a few Go expressions (`a + b`, strings.Repeat): their values."""
    if isinstance(value, list):
        return [evaluated(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("$op") == "+":
        return evaluated(value["a"]) + evaluated(value["b"])
    if value.get("$call") == "strings.Repeat":
        return value["args"][0] * value["args"][1]
    if value.get("$call") == "digestReference":
        return value["args"][0]
    return {key: evaluated(item) for key, item in value.items()}
