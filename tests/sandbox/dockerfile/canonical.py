"""Nodes back to text, which parsed again must give nodes that say the same.

The text is canonical: one line an instruction, the name in capitals, one space between the parts, comments and blank
lines gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.dockerfile.parser import INSTRUCTIONS

if TYPE_CHECKING:
    from sandbox.dockerfile.parser import Dockerfile, Node


def print_dockerfile(dockerfile: Dockerfile) -> str:
    """The whole file in canonical form, directives included."""
    values = {"escape": dockerfile.escape} | {name: found.value for name, found in dockerfile.directives.values.items()}
    head = [f"# {name}={value}\n" for name, value in values.items()]
    return "".join([*head, *(_print_node(node, dockerfile.escape) for node in dockerfile.nodes)])


def _print_node(node: Node, escape: str) -> str:
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
