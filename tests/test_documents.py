"""What the documents claim, held against the code: settings, links, and that commands they name are there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.cli.index import ALIASES, COMMANDS, NOT_BUILT, NOUN_SUMMARIES
from sandbox.cli.lookup import find_command
from sandbox.cli.topics.pages import TOPICS
from sandbox.config import _KNOWN, Config, load_config
from sandbox.paths import Paths

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = Path(__file__).parent.parent
_DOCS = [_ROOT / "README.md", _ROOT / "CONTRIBUTING.md", *sorted((_ROOT / "docs").rglob("*.md"))]
_FILES = {
    path.relative_to(_ROOT).as_posix()
    for place in ("sandbox", "net", "storage", "tests", "benchmarks", ".ci")
    for path in (_ROOT / place).rglob("*.*")
}
_CONFIGURATION = (_ROOT / "docs/configuration.md").read_text()
_KEYS = {f"{section}.{key}" for section, keys in _KNOWN.items() for key in keys}


def _examples() -> list[str]:
    return re.findall(r"^```toml\n(.*?)^```$", _CONFIGURATION, re.MULTILINE | re.DOTALL)


def _rows(heading: str) -> dict[str, list[str]]:
    """The table that begins with this heading: the first column's name -> the other columns."""
    table = _CONFIGURATION.partition(f"| {heading} |")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table.splitlines()[2:]]
    return {name.strip("`"): rest for name, *rest in rows}


def test_the_page_has_every_key_and_no_other() -> None:
    assert set(_rows("key")) == _KEYS


def test_defaults_are_those_of_the_code() -> None:
    registries, driver = Config()[:2]
    values = {f"registries.{field.removesuffix('_files')}": value for field, value in registries._asdict().items()}
    values["storage.driver"] = driver
    for key, (_kind, default, *_text) in _rows("key").items():
        if key in values:
            shown: tuple[object, ...] = {"none": ((), {}), '`""`': ("",)}.get(default) or (int(default),)
            assert values[key] in shown, key


def test_examples_are_taken_and_one_has_every_key(tmp_path: Path) -> None:
    seen = []
    for text in _examples():
        (tmp_path / "config.toml").write_text(text)
        load_config(Paths(str(tmp_path), str(tmp_path), str(tmp_path)))
        document: dict[str, Any] = tomllib.loads(text)
        seen.append({f"{section}.{key}" for section, content in document.items() for key in content})
    assert _KEYS in seen
    assert {"registries.mirrors"} in seen


def test_every_variable_is_read_somewhere() -> None:
    source = "".join(
        path.read_text() for package in ("sandbox", "net", "storage") for path in (_ROOT / package).rglob("*.py")
    )
    named = [name for row in _rows("variable") for name in re.findall(r"[A-Z_]{4,}", row)]
    assert len(named) > 10
    for name in named:
        # those of proxies are put together from their schemes
        assert name in source or name.endswith("_PROXY"), name


@pytest.mark.parametrize("page", _DOCS, ids=lambda path: path.relative_to(_ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        place = page.parent / path if path else page
        assert place.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.+)$", place.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", _DOCS, ids=lambda path: path.relative_to(_ROOT).as_posix())
def test_files_that_are_named_are_there(page: Path) -> None:
    """In full or from within a package: `sandbox/state.py`, `model/claims.py`."""
    named = set(re.findall(r"`((?:[\w.]+/)+\w+\.(?:py|c|S|json|sh|txt))`", page.read_text()))
    gone = {name for name in named if not any(f"/{path}".endswith(f"/{name}") for path in _FILES)}
    assert gone == set()


def _commands_named() -> Iterator[tuple[str, str]]:
    for page in (_ROOT / "README.md", _ROOT / "docs/configuration.md", _ROOT / "docs/coming-from-docker.md"):
        text = page.read_text()
        for line in (
            *re.findall(r"`(sandbox [^`]+)`", text),
            *re.findall(r"^    (sandbox [^#\n]+)", text, re.MULTILINE),
        ):
            yield page.name, line.strip()


@pytest.mark.parametrize(("page", "line"), sorted(set(_commands_named())))
def test_commands_and_their_options_are_there(page: str, line: str) -> None:
    words = line.split()[1:]
    if words[0].startswith("--"):
        return
    if words[0] == "help":
        assert words[1] in (*TOPICS, "topics"), f"{page}: {line}"
        return
    path = " ".join(words[:2]) if words[0] in NOUN_SUMMARIES and words[0] not in ALIASES else words[0]
    target = ALIASES.get(path, path)
    if target in NOT_BUILT:
        return
    assert target in COMMANDS, f"{page}: {line}"
    names = {name for option in find_command(target).options for name in option.names} | {"--help"}
    for option in re.findall(r"(?<=\s)(--[a-z][\w-]*)", line.partition(" IMAGE")[0]):
        assert option in names, f"{page}: {line}"
