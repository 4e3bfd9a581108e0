"""RUN, and the command lines that RUN, CMD and ENTRYPOINT share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.dockerfile.errors import WordError, did_you_mean
from sandbox.dockerfile.flags import read_flags
from sandbox.dockerfile.instructions import CommandLine, Run
from sandbox.dockerfile.mounts import check_mount

if TYPE_CHECKING:
    from sandbox.dockerfile.flags import Flags
    from sandbox.dockerfile.parser import Node

_NETWORKS = ("default", "none", "host")
_SECURITIES = ("sandbox", "insecure")


def command_line(node: Node) -> CommandLine:
    """The words of the JSON form, or the one text of the shell form."""
    return CommandLine(tuple(word.text for word in node.arguments), not node.json)


def read_run(node: Node) -> Run:
    """Raises DockerfileError."""
    flags = read_flags(node)
    mounts = flags.all("mount")
    return Run(
        node,
        command_line(node),
        node.heredocs,
        mounts,
        _mount_sources(node),
        _one_of(node, flags, "network", _NETWORKS),
        _one_of(node, flags, "security", _SECURITIES),
        flags.all("device"),
    )


def _mount_sources(node: Node) -> tuple[str, ...]:
    sources = []
    for word in node.flags:
        name, _, value = word.text.partition("=")
        if name != "--mount":
            continue
        try:
            sources.append(check_mount(value))
        except WordError as error:
            raise node.error(error.message, word, mend=error.mend) from error
    return tuple(sources)


def _one_of(node: Node, flags: Flags, name: str, known: tuple[str, ...]) -> str:
    value = flags.text(name, known[0])
    if value not in known:
        raise node.error(
            f"invalid {name} {value!r}{did_you_mean(value, known)}",
            flags.words[name],
            expected=f"--{name}={'|'.join(known)}",
        )
    return value
