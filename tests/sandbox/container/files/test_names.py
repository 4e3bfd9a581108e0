"""Docker's rules for the paths of a copy."""

from __future__ import annotations

import pytest

from sandbox.container.files.names import (
    Aim,
    Argument,
    Found,
    absolute,
    aim_copy,
    asserts_directory,
    split,
    split_argument,
    top_name,
)
from sandbox.errors import SandboxError


@pytest.mark.parametrize(
    ("text", "container", "path"),
    [
        ("web:/etc", "web", "/etc"), ("web:etc", "web", "etc"), ("web:", "web", ""), ("web:/a:b", "web", "/a:b"),
        ("/a:b", "", "/a:b"), ("./a:b", "", "./a:b"), ("../a:b", "", "../a:b"), ("file", "", "file"), ("-", "", "-"),
        (":/etc", "", "/etc"),
    ],
)  # fmt: skip
def test_a_colon_tells_a_container(text: str, container: str, path: str) -> None:
    assert split_argument(text) == Argument(container, path)


@pytest.mark.parametrize(
    ("path", "whole", "parts"),
    [
        ("/a/b", "/a/b", ("/a", "b")), ("/a/b/", "/a/b/", ("/a", "b")), ("/a/b/.", "/a/b/.", ("/a/b", ".")),
        ("a", "/a", ("/", "a")), ("a/../../b", "/b", ("/", "b")), ("/", "/", ("/", "/")), ("", "/.", ("/", ".")),
        (".", "/.", ("/", ".")), ("./", "/.", ("/", ".")), ("//a//b", "/a/b", ("/a", "b")), ("..", "/", ("/", "/")),
        ("/a/./", "/a/.", ("/a", ".")),
    ],
)  # fmt: skip
def test_paths_are_made_absolute_and_split(path: str, whole: str, parts: tuple[str, str]) -> None:
    assert absolute(path) == whole
    assert split(whole) == parts


@pytest.mark.parametrize(("path", "name"), [("/a", "a"), ("/a/", "a"), ("/a/.", "."), ("/", "."), ("/.", ".")])
def test_an_archive_is_named_by_its_path(path: str, name: str) -> None:
    assert top_name(path) == name


@pytest.mark.parametrize(("path", "whether"), [("/a/", True), ("/a/.", True), ("/a", False), ("/a.", False)])
def test_what_can_only_be_a_directory(path: str, whether: bool) -> None:
    assert asserts_directory(path) is whether


@pytest.mark.parametrize(
    ("path", "exists", "is_directory", "source_is_directory", "aim"),
    [
        # Docker's table: SRC is a file
        ("/no", False, False, False, Aim("/", "no")),
        ("/file", True, False, False, Aim("/", "file")),
        ("/dir", True, True, False, Aim("/dir")),
        ("/dir/", True, True, False, Aim("/dir/")),
        # SRC is a directory
        ("/no", False, False, True, Aim("/", "no")),
        ("/no/", False, False, True, Aim("/", "no")),
        ("/dir/.", True, True, True, Aim("/dir/.")),
    ],
)
def test_where_a_copy_goes(path: str, exists: bool, is_directory: bool, source_is_directory: bool, aim: Aim) -> None:
    found = Found(path, exists=exists, is_directory=is_directory)
    assert aim_copy(found, source_is_directory=source_is_directory) == aim


@pytest.mark.parametrize(
    ("found", "source_is_directory", "message"),
    [
        (Found("/no/", exists=False, is_directory=False), False, "no such directory"),
        (Found("/file", exists=True, is_directory=False), True, "cannot copy directory"),
    ],
)
def test_what_cannot_be_copied_is_said_as_docker_says_it(found: Found, source_is_directory: bool, message: str) -> None:
    with pytest.raises(SandboxError) as caught:
        aim_copy(found, source_is_directory=source_is_directory)
    assert caught.value.message == message
