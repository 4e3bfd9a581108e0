"""Manual pages: one for every command, with what its help has; those that are installed are those that are made now."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

from sandbox.cli.index import ALIASES, COMMANDS, NOUN_SUMMARIES
from sandbox.cli.lookup import find_command
from sandbox.cli.main import main
from sandbox.cli.man_pages import make_pages, write_pages
from tests.needs import REPOSITORY

_PAGES = make_pages()


def _plain(page: str) -> str:
    """Roff without its marks, words one blank apart."""
    text = re.sub(r"^\\.[A-Z]+ ?", "", re.sub(r"\\\\f[BIR]|\\\\&", "", page), flags=re.MULTILINE)
    return " ".join(text.replace("\\-", "-").replace("\\e", "\\").split())


@pytest.mark.parametrize("path", COMMANDS)
def test_a_page_says_what_the_help_says(path: str) -> None:
    shown = io.StringIO()
    assert main([*path.split(), "--help"], {"HOME": "/nonexistent"}, "/", shown, io.StringIO()) == 0
    plain = _plain(_PAGES[f"sandbox-{path.replace(' ', '-')}.1"])
    command = find_command(path)
    assert command.examples
    for text in (command.summary, command.usage, *command.examples, *command.further):
        assert " ".join(text.split()) in plain
        assert " ".join(text.split()) in " ".join(shown.getvalue().split())
    options = re.findall(r"^  (?:-\w, |    )(--[\w-]+)", shown.getvalue(), re.MULTILINE)
    assert len(options) == sum(not option.hidden and len(option.key) > 1 for option in command.options)
    for option in options:
        assert re.search(rf"{option}(?![\w-])", plain)


def test_every_name_has_a_page() -> None:
    for name in (*COMMANDS, *ALIASES, *NOUN_SUMMARIES):
        assert f"sandbox-{name.replace(' ', '-')}.1" in _PAGES
    for name, page in _PAGES.items():
        if page.startswith(".so "):
            assert page.removeprefix(".so man1/").strip() in _PAGES, name


def test_nothing_in_a_text_is_a_command_of_roff() -> None:
    known = {"TH", "SH", "B", "BR", "TP", "PP", "EX", "EE", "so"}
    for page in _PAGES.values():
        assert {line[1:].split()[0] for line in page.splitlines() if line.startswith(".")} <= known
        assert not any(line.startswith("'") for line in page.splitlines())


def test_what_is_written_is_what_is_made(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "sandbox.cli.man_pages", str(tmp_path / "new")], check=True)
    assert done.returncode == 0
    assert {path.name: path.read_text() for path in (tmp_path / "new").iterdir()} == _PAGES
    assert write_pages(str(tmp_path)) == sorted(str(tmp_path / name) for name in _PAGES)


def test_installed_pages_are_current() -> None:
    installed = [file for file in distribution("sandbox").files or () if "share/man" in str(file)]
    assert {file.name: Path(str(file.locate())).read_text() for file in installed} == _PAGES


def test_pages_are_made_before_anything_is_installed() -> None:
    """What builds the package has Python's own library and no other: a command imports packages where it uses them."""
    script = (
        f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); sys.dont_write_bytecode = True\n"
        "from sandbox.cli.man_pages import make_pages\n"
        "print(len(make_pages()))"
    )
    done = subprocess.run([sys.executable, "-IS", "-c", script], check=True, capture_output=True, text=True)
    assert int(done.stdout) == len(_PAGES)
