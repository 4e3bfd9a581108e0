"""The conformance vectors of Compose files, read from `SANDBOX_VECTORS`."""

from __future__ import annotations

import json
from typing import Any

from tests.needs import vectors_directory


def document(file: str) -> dict[str, Any]:
    """The whole of a file of vectors; every test that reads one requires them."""
    with open(vectors_directory() / file) as stream:
        found = json.load(stream)
    assert isinstance(found, dict)
    return found


def pairs(rows: Any) -> dict[str, Any]:
    """A mapping of the original tables, which keep them as lists of a key and a value."""
    return {row["key"]: row["value"] for row in rows}
