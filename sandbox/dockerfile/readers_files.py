"""COPY and ADD: sources, a destination, and files written in the Dockerfile itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sandbox.dockerfile.errors import WordError
from sandbox.dockerfile.flags import read_flags
from sandbox.dockerfile.heredocs import Heredoc, read_marker
from sandbox.dockerfile.instructions import Add, Copy, InlineFile

if TYPE_CHECKING:
    from sandbox.dockerfile.parser import Node


class _Paths(NamedTuple):
    sources: tuple[str, ...]
    files: tuple[InlineFile, ...]
    target: str


def read_copy(node: Node) -> Copy:
    """Raises DockerfileError."""
    _check_count(node)
    flags = read_flags(node)
    paths = _read_paths(node)
    return Copy(
        node,
        paths.sources,
        paths.files,
        paths.target,
        flags.text("from"),
        flags.text("chown"),
        flags.text("chmod"),
        flags.switch("link"),
        flags.switch("parents"),
        flags.all("exclude"),
    )


def read_add(node: Node) -> Add:
    """Raises DockerfileError."""
    _check_count(node)
    flags = read_flags(node)
    paths = _read_paths(node)
    return Add(
        node,
        paths.sources,
        paths.files,
        paths.target,
        flags.text("chown"),
        flags.text("chmod"),
        flags.switch("link"),
        flags.switch_if_given("keep-git-dir"),
        flags.text("checksum"),
        flags.switch_if_given("unpack"),
        flags.all("exclude"),
    )


def _check_count(node: Node) -> None:
    if len(node.arguments) < 2:
        given = "only one was given" if node.arguments else "none was given"
        raise node.error(
            f"{node.instruction} requires at least two arguments, {given}",
            node.arguments[0] if node.arguments else None,
            expected=f"{node.instruction} SOURCE … DESTINATION",
        )


def _read_paths(node: Node) -> _Paths:
    *sources, target = node.arguments
    if _marker(target.text):
        raise node.error(f"{node.instruction} takes no heredoc as its destination", target, expected="a path")
    contents = {heredoc.name: heredoc for heredoc in node.heredocs}
    paths: list[str] = []
    files: list[InlineFile] = []
    for source in sources:
        marker = _marker(source.text)
        if marker is None:
            paths.append(source.text)
        else:
            # the JSON form has no bodies: the file is then empty, as BuildKit has it
            content = contents.get(marker.name, marker)._replace(chomp=marker.chomp)
            files.append(InlineFile(marker.name, content.text, marker.expand))
    return _Paths(tuple(paths), tuple(files), target.text)


def _marker(text: str) -> Heredoc | None:
    try:
        return read_marker(text)
    except WordError:
        # the parser has refused it already where it opens a heredoc; elsewhere it is a file name
        return None
