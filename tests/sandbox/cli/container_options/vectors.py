"""The conformance vectors of this room, read when the tests are collected; none where the folder is missing."""

from __future__ import annotations

import json
from typing import Any

from tests.needs import vectors_directory


def load_cases(file: str) -> dict[str, list[Any]]:
    """The tables of one file by name; empty where the file is not there (the test then says so by its marker)."""
    try:
        with open(vectors_directory() / file, encoding="utf-8") as stream:
            cases = json.load(stream)["cases"]
    except FileNotFoundError:
        return {}
    assert isinstance(cases, dict)
    return cases


def words(case: object) -> str:
    """A short name for a case."""
    return json.dumps(case, ensure_ascii=True)[:60]
