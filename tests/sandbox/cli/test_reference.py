"""The reference pages of docs/cli: those that lie there are those that the command tables make now."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sandbox.cli.index import ALIASES, COMMANDS, NOUN_SUMMARIES
from sandbox.cli.lookup import find_command
from sandbox.cli.reference import make_pages
from tests.needs import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

_PAGES = make_pages()
_PLACE = REPOSITORY / "docs/cli"


def _plain(page: str) -> str:
    """Markdown without the marks that keep a text as it is."""
    return re.sub(r"\\([\\|<>*_`\[\]])", r"\1", page)


def test_the_pages_in_the_repository_are_current() -> None:
    stale = [
        name for name, text in _PAGES.items() if not (_PLACE / name).exists() or (_PLACE / name).read_text() != text
    ]
    assert not stale, "run: python -m sandbox.cli.reference docs/cli"
    assert {path.name for path in _PLACE.iterdir()} == _PAGES.keys()


@pytest.mark.parametrize("path", COMMANDS)
def test_a_page_has_what_the_table_has(path: str) -> None:
    page = _plain(_PAGES[f"{path.replace(' ', '-')}.md"])
    command = find_command(path)
    for text in (command.summary, command.usage, *command.examples, *command.further):
        assert text in page
    rows = re.findall(r"^\| (`-.*?) \| ", page, re.MULTILINE)
    assert len(rows) == sum(not option.hidden for option in command.options)
    for option in command.options:
        assert option.hidden or any(f"`{option.names[0]}`" in row for row in rows)


def test_the_index_names_every_command_by_every_name() -> None:
    index = _PAGES["README.md"]
    for name in (*COMMANDS, *ALIASES):
        assert f"`{name}`" in index
    assert [line[3:] for line in index.splitlines() if line.startswith("## ")][1:] == list(NOUN_SUMMARIES)


def test_a_command_line_writes_them_and_removes_those_of_commands_that_are_gone(tmp_path: Path) -> None:
    (tmp_path / "container-gone.md").write_text("# sandbox container gone\n")
    (tmp_path / "picture.png").write_bytes(b"not ours")
    subprocess.run([sys.executable, "-m", "sandbox.cli.reference", str(tmp_path)], check=True)
    assert (tmp_path / "picture.png").read_bytes() == b"not ours"
    (tmp_path / "picture.png").unlink()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == _PAGES
