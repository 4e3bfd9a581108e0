"""The tables of this directory: each row on `sandbox`, and what podman does alike on podman too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.contract.standing import published_port
from tests.contract.tables import Answer, Row, Section, differences, read_table

if TYPE_CHECKING:
    from tests.contract.engines import Engine

_TABLES = sorted((Path(__file__).parent / "tables").glob("*.txt"))
_SECTIONS = [(path.name, section) for path in _TABLES for section in read_table(path)]
#: those that have a row for podman
_SHARED = [(name, section) for name, section in _SECTIONS if any(row.shared for row in section.rows)]


def _ids(sections: list[tuple[str, Section]]) -> list[str]:
    return [f"{name.removesuffix('.txt')}-{section.name}" for name, section in sections]


def _failures(engine: Engine, name: str, section: Section, *, of_podman: bool = False) -> str:
    """A text for each row that is answered in another way."""
    found = []
    for written in section.rows:
        if of_podman and written.checked and not written.shared:
            continue
        row = written.with_port(published_port("podman" if of_podman else "sandbox"))
        answer = engine(row.words, "".join(f"{line}\n" for line in row.stdin))
        wrong = differences(row, answer, of_podman=of_podman)
        if wrong:
            found.append(f"{name}:{row.line}: {' '.join(row.words)}\n    " + "\n    ".join(wrong))
    return "\n".join(found)


@pytest.mark.parametrize(("name", "section"), _SECTIONS, ids=_ids(_SECTIONS))
def test_answers_as_docker_does(engine: Engine, name: str, section: Section) -> None:
    failures = _failures(engine, name, section)
    assert not failures, "\n" + failures


@pytest.mark.long
@pytest.mark.requires("podman")
@pytest.mark.parametrize(("name", "section"), _SHARED, ids=_ids(_SHARED))
def test_podman_answers_alike(podman: Engine, name: str, section: Section) -> None:
    failures = _failures(podman, name, section, of_podman=True)
    # what rows make that podman answers in another way is left to it
    for kind, listed, standing in (
        (("rm", "-f", "-v"), ("ps", "-a", "--format", "{{.Names}}"), {"web", "old", "made"}),
        (("volume", "rm", "-f"), ("volume", "ls", "-q"), {"data", "spare"}),
        (("network", "rm", "-f"), ("network", "ls", "--format", "{{.Name}}"), {"podman"}),
    ):
        left = set(podman(listed, "").stdout.split()) - standing
        if left:
            podman([*kind, *left], "")
    assert not failures, "\n" + failures


def test_a_row_says_what_differs() -> None:
    row = Row(1, ("ps",), stdout=("{id}  web", "{...}"), stderr=("gone: {word}",), status=1)
    assert differences(row, Answer(1, "0123456789ab    web\n", "Error: gone: x\n  mend: y\n")) == []
    assert differences(row, Answer(1, "0123456789ab  web\nmore\nand more\n", "gone: x\n")) == []
    assert differences(row, Answer(0, "0123456789ab web\n", "gone\n")) == [
        "status 0, not 1",
        "output '0123456789ab web\\n', not ['{id}  web', '{...}']",
        "no line of talk ends in 'gone: {word}': 'gone\\n'",
    ]
    assert differences(Row(1, ("ps",)), Answer(0, "", "talk\n")) == ["talk 'talk\\n', where there is none"]
    assert differences(Row(1, ("x",), checked=False), Answer(1, "", "no\n")) == ["a step failed: no"]
