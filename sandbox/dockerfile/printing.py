"""Nodes as the JSON of `sandbox builder parse`."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from sandbox.dockerfile.heredocs import Heredoc
    from sandbox.dockerfile.parser import Node


class HeredocDocument(TypedDict):
    name: str
    content: str
    expand: bool
    chomp: bool


class NodeDocument(TypedDict, total=False):
    """One instruction as tools read it; `onbuild`, the instruction inside, is there for ONBUILD alone."""

    instruction: str
    flags: list[str]
    arguments: list[str]
    json: bool
    heredocs: list[HeredocDocument]
    start_line: int
    end_line: int
    original: str
    onbuild: NodeDocument


def document(node: Node) -> NodeDocument:
    """The node as JSON has it; bytes that are no UTF-8 become U+FFFD."""
    found = NodeDocument(
        instruction=_whole(node.instruction),
        flags=[_whole(word.text) for word in node.flags],
        arguments=[_whole(word.text) for word in node.arguments],
        json=node.json,
        heredocs=[_heredoc_document(heredoc) for heredoc in node.heredocs],
        start_line=node.start_line,
        end_line=node.end_line,
        original=_whole(node.original),
    )
    if node.trigger is not None:
        found["onbuild"] = document(node.trigger)
    return found


def _heredoc_document(heredoc: Heredoc) -> HeredocDocument:
    return HeredocDocument(
        name=_whole(heredoc.name), content=_whole(heredoc.content), expand=heredoc.expand, chomp=heredoc.chomp
    )


def _whole(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
