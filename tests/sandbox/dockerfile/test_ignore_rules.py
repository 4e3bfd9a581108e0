"""`.dockerignore`: moby's tables, walking, and patterns that would be slow elsewhere."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.dockerfile import path_patterns
from sandbox.dockerfile.dockerignore import (
    clean_path,
    ignore_file_names,
    read_ignore_file,
    read_ignore_lines,
    read_patterns,
)
from sandbox.dockerfile.errors import DockerfileError, LanguageError, WordError
from sandbox.dockerfile.path_patterns import PathPattern
from tests.sandbox.dockerfile.vectors import cases

FILE = "dockerignore.json"


@pytest.mark.requires("vectors")
@pytest.mark.parametrize("table", ["single", "multi", "glob"])
def test_tables(table: str) -> None:
    wrong = []
    for case in cases(FILE, table):
        expected = "error" if case.get("error") else case["match"]
        try:
            found: object = read_patterns(case.get("patterns") or [case["pattern"]]).ignores(case["path"])
        except WordError:
            found = "error"
        if found != expected:
            wrong.append((case, found))
    assert not wrong


@pytest.mark.parametrize("case", cases(FILE, "read"), ids=lambda _: "read")
def test_read(case: dict[str, Any]) -> None:
    assert [line.pattern for line in read_ignore_lines(case["content"])] == case["expected"]


def test_where_the_patterns_are() -> None:
    assert ignore_file_names("docker/web.Dockerfile") == ("docker/web.Dockerfile.dockerignore", ".dockerignore")


def test_a_bad_pattern_has_its_place() -> None:
    with pytest.raises(DockerfileError) as raised:
        read_ignore_file(b"\xef\xbb\xbf*.log\n\na[b\n")
    assert str(raised.value.place) == ".dockerignore:3:1"


def test_an_exception_within_an_ignored_directory() -> None:
    rules = read_ignore_file("node_modules\n!node_modules/keep\n# no\n*.md\n!README.md\n")
    assert rules.has_exceptions
    ignored = {path: rules.ignores(path) for path in ("node_modules/a/b", "node_modules/keep/b", "a.md", "README.md")}
    assert list(ignored.values()) == [True, False, True, False]


def test_a_class_is_a_class_of_characters() -> None:
    rules = read_patterns(["[a-c.]x", "[^a]y", "\\*z", "[\\]\\-]w"])
    paths = ["ax", ".x", "dx", "by", "ay", "*z", "az", "]w", "-w"]
    assert [rules.ignores(path) for path in paths] == [True, True, False, True, False, True, False, True, True]


def test_many_stars_take_no_time() -> None:
    assert not read_patterns(["*a" * 30 + "b"]).ignores("a" * 2000)
    assert not read_patterns(["**/a" * 30 + "/b"]).ignores("a/" * 1000 + "c")


@pytest.mark.parametrize(("path", "clean"), [("", "."), ("a//b/../c/.", "a/c"), ("/../a", "/a"), ("../a", "../a")])
def test_clean_path(path: str, clean: str) -> None:
    assert clean_path(path) == clean


_PATTERNS = st.lists(st.sampled_from(["a", "b", "/", "*", "?", "**", "**/", "[ab]", "\\a"]), max_size=7).map("".join)
_PATHS = st.lists(st.sampled_from(["a", "b", "ab", "ba"]), min_size=1, max_size=4).map("/".join)


@given(_PATTERNS.map(clean_path), _PATHS)
def test_states_and_regular_expressions_agree(pattern: str, path: str) -> None:
    """The two ways through the matcher, whichever a pattern would take."""
    found = PathPattern(f"x**{pattern}") if pattern != "." else PathPattern("x**")
    regex = re.compile("".join(map(path_patterns._to_regex, found._tokens)), re.DOTALL)
    states = path_patterns._States(found._tokens)
    path = f"x{path}"
    assert states.match(path) == (regex.fullmatch(path) is not None)
    above = [path[:i] for i, char in enumerate(path) if char == "/"]
    assert states.match(path, above=True) == any(regex.fullmatch(each) for each in (path, *above))


@given(st.lists(_PATTERNS | _PATTERNS.map("!".__add__), max_size=4), _PATHS)
def test_walking_gives_what_asking_gives(patterns: list[str], path: str) -> None:
    try:
        rules = read_patterns(patterns)
    except WordError:
        return
    inherited = None
    ignored = False
    parts = path.split("/")
    for i in range(len(parts)):
        ignored, inherited = rules.step("/".join(parts[: i + 1]), inherited)
    # an exception that a directory met before anything was ignored there is not met again below it
    if not rules.has_exceptions:
        assert ignored == rules.ignores(path)


@given(st.text(max_size=60))
def test_nothing_else_is_raised(text: str) -> None:
    try:
        rules = read_ignore_file(text)
    except LanguageError:
        return
    rules.ignores("some/path")
