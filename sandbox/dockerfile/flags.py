"""The flags of instructions: which there are, and the values a node gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sandbox.dockerfile.errors import did_you_mean

if TYPE_CHECKING:
    from sandbox.dockerfile.parser import Node
    from sandbox.dockerfile.source_text import Word

#: instruction -> flag -> kind: "text", "list" (may be repeated) or "switch"
FLAGS: dict[str, dict[str, str]] = {
    "ADD": {
        "chown": "text",
        "chmod": "text",
        "link": "switch",
        "keep-git-dir": "switch",
        "checksum": "text",
        "unpack": "switch",
        "exclude": "list",
    },
    "COPY": {
        "chown": "text",
        "from": "text",
        "chmod": "text",
        "link": "switch",
        "exclude": "list",
        "parents": "switch",
    },
    "FROM": {"platform": "text"},
    "HEALTHCHECK": {
        "interval": "text",
        "timeout": "text",
        "start-period": "text",
        "start-interval": "text",
        "retries": "text",
    },
    # "device" is read here and refused where it is carried out, as the stable frontend does
    "RUN": {"mount": "list", "network": "text", "security": "text", "device": "list"},
}


class Flags(NamedTuple):
    """The flags of one node; `words` are where each was last given."""

    texts: dict[str, tuple[str, ...]]
    words: dict[str, Word]

    def text(self, name: str, default: str = "") -> str:
        return self.texts.get(name, (default,))[-1]

    def all(self, name: str) -> tuple[str, ...]:
        return self.texts.get(name, ())

    def switch(self, name: str) -> bool:
        return self.text(name) == "true"

    def switch_if_given(self, name: str) -> bool | None:
        return self.switch(name) if name in self.texts else None


def read_flags(node: Node) -> Flags:
    """The values of a node's flags. Raises DockerfileError for one that is unknown, repeated or has a bad value."""
    known = FLAGS.get(node.instruction, {})
    flags = Flags({}, {})
    values: dict[str, list[str]] = {}
    for word in node.flags:
        name, equals, value = word.text[2:].partition("=")
        if name not in known:
            raise node.error(
                f"unknown flag: --{name}{did_you_mean(name, known)}", word, expected=_known_flags(node.instruction)
            )
        if name in values and known[name] != "list":
            raise node.error(f"duplicate flag: --{name}", word, expected=f"--{name} once")
        if known[name] == "switch":
            value = _read_switch(node, word, name, equals, value)
        elif not equals:
            raise node.error(f"missing a value on flag: --{name}", word, expected=f"--{name}=VALUE")
        values.setdefault(name, []).append(value)
        flags.words[name] = word
    flags.texts.update((name, tuple(found)) for name, found in values.items())
    return flags


def _read_switch(node: Node, word: Word, name: str, equals: str, value: str) -> str:
    lowered = value.lower() if equals else "true"
    if lowered not in ("true", "false"):
        raise node.error(f"flag --{name} takes no such value: {value!r}", word, expected=f"--{name} or --{name}=false")
    return lowered


def _known_flags(instruction: str) -> str:
    known = sorted(set(FLAGS.get(instruction, ())) - {"device"})
    return f"{instruction} takes " + (", ".join(f"--{name}" for name in known) or "no flags")
