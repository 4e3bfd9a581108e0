"""The conformance vectors of Dockerfiles, read from `SANDBOX_VECTORS`."""

from __future__ import annotations

import json
import os
from typing import Any

_DIRECTORY = os.environ.get("SANDBOX_VECTORS") or os.path.join(os.path.dirname(__file__), "../../../../shared/vectors")


def cases(file: str, table: str = "") -> list[Any]:
    """The rows of a file or of one of its tables; none where the vectors are not there (the test then skips)."""
    try:
        with open(os.path.join(_DIRECTORY, file)) as stream:
            rows = json.load(stream)["cases"]
    except FileNotFoundError:
        return []
    found = rows[table] if table else rows
    assert isinstance(found, list)
    return found


def dockerfiles() -> dict[str, list[Any]]:
    """The Dockerfiles of the corpus by file, with what BuildKit makes of each."""
    try:
        names = sorted(os.listdir(os.path.join(_DIRECTORY, "dockerfile-parser")))
    except FileNotFoundError:
        return {}
    return {name: cases(f"dockerfile-parser/{name}") for name in names if name != "json-forms.json"}
