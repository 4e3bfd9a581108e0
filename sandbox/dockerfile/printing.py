"""Nodes back to text, and to the JSON of `sandbox builder parse`.

The text is canonical: one line an instruction, the name in capitals, one space between the parts, comments and blank
lines gone. Parsed again it gives nodes that say the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from sandbox.dockerfile.parser import INSTRUCTIONS

if TYPE_CHECKING:
    from sandbox.dockerfile.heredocs import Heredoc
    from sandbox.dockerfile.parser import Dockerfile, Node


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


def print_dockerfile(dockerfile: Dockerfile) -> str:
    """The whole file in canonical form, directives included."""
    values = {"escape": dockerfile.escape} | {name: found.value for name, found in dockerfile.directives.values.items()}
    head = [f"# {name}={value}\n" for name, value in values.items()]
    return "".join([*head, *(print_node(node, dockerfile.escape) for node in dockerfile.nodes)])


def print_node(node: Node, escape: str) -> str:
    """One instruction with its heredocs, each line ended."""
    parts = [_head(node), node.raw_flags, _head(node.trigger) if node.trigger else ""]
    last = node.trigger or node
    parts += [node.trigger.raw_flags if node.trigger else "", last.rest.text]
    text = " ".join(part for part in parts if part)
    if not text:
        # a file may end in a continued line with nothing in it: there, and nowhere else, an instruction is empty
        text = escape
    elif text.endswith(escape) and text[-2:-1] != escape:
        # such an end would continue the line; white space that is no blank keeps it apart and is no part of it
        text += "\f"
    bodies = (f"{heredoc.content}{heredoc.name}\n" for heredoc in node.heredocs)
    return "".join([text, "\n", *bodies])


def _head(node: Node) -> str:
    return node.instruction if node.instruction in INSTRUCTIONS else node.keyword.text


def _heredoc_document(heredoc: Heredoc) -> HeredocDocument:
    return HeredocDocument(
        name=_whole(heredoc.name), content=_whole(heredoc.content), expand=heredoc.expand, chomp=heredoc.chomp
    )


def _whole(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
