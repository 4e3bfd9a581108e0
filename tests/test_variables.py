"""The variables that tests take from their environment: handed on by ./check, and written down for people."""

from __future__ import annotations

import re
from pathlib import Path

from tests.needs import REPOSITORY

_READ = re.compile(r'environ(?:\.get\(|\[)"(SANDBOX_\w+)"')


def test_every_variable_is_handed_on_and_documented() -> None:
    read = set()
    for path in Path(REPOSITORY, "tests").rglob("*.py"):
        read |= set(_READ.findall(path.read_text()))
    handed_on = re.search(r'^TEST_VARIABLES="([^"]*)"$', Path(REPOSITORY, ".ci/setup.sh").read_text(), re.M)
    assert handed_on is not None
    assert set(handed_on[1].split()) == read
    documented = Path(REPOSITORY, "docs/testing.md").read_text()
    assert [name for name in sorted(read) if f"| `{name}` |" not in documented] == []
