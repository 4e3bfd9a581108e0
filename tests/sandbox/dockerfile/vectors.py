"""The conformance vectors of Dockerfiles, read from `SANDBOX_VECTORS`."""

from __future__ import annotations

import json
from typing import Any

from tests.needs import vectors_directory


def cases(file: str, table: str = "") -> list[Any]:
    """The rows of a file or of one of its tables; none where the vectors are not there (the test then is left out)."""
    try:
        with open(vectors_directory() / file) as stream:
            rows = json.load(stream)["cases"]
    except FileNotFoundError:
        return []
    found = rows[table] if table else rows
    assert isinstance(found, list)
    return found


def dockerfiles() -> dict[str, list[Any]]:
    """The Dockerfiles of the corpus by file, with what BuildKit makes of each."""
    try:
        names = sorted(path.name for path in (vectors_directory() / "dockerfile-parser").iterdir())
    except FileNotFoundError:
        return {}
    return {name: cases(f"dockerfile-parser/{name}") for name in names if name != "json-forms.json"}
