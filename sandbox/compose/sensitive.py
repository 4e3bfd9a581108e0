"""What looks like a secret in what is about to be published. Pure."""

from __future__ import annotations

import re

from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.stack.nodes import Node


class Finding(NamedTuple):
    """What was found: its kind, the key it stands under, "" where it has none, and itself."""

    kind: str
    key: str
    value: str


#: in what is written down here nothing but the form of each can be known
_KINDS = (
    ("AWS Client ID", re.compile(r"(?:A3T[A-Z0-9]|AKIA|AGPA|AIDA|AROA|AIPA|ANPA|ANVA|ASIA)[A-Z0-9]{16}")),
    ("AWS Secret Key", re.compile(r"""aws.{0,20}?["'][0-9a-zA-Z/+]{40}["']""", re.IGNORECASE)),
    ("Github authentication", re.compile(r"(?:ghp|gho|ghu|ghs|ghr)_[0-9a-zA-Z]{36}|github_pat_\w{22,82}")),
    ("JSON Web Token", re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*")),
    (
        "Private Key",
        re.compile(
            r"-----BEGIN (?:(?:[DR]SA|EC|OPENSSH|ENCRYPTED|PGP|SSH2) )?PRIVATE KEY(?: BLOCK)?-----"
            r"(?:[^-]*-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----)?"
        ),
    ),
    ("Slack token", re.compile(r"xox[baprs]-[0-9A-Za-z-]{10,}")),
    ("Basic authentication", re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@]{3,}:[^/\s:@]{3,}@\S+")),
)
_WORDS = re.compile(
    r"passw(or)?d|pwd|passphrase|secret|token|credential|(api|auth|service|account|db|database|priv|private|client|"
    r"access)_?-?key|(db|database|key)_?-?pass",
    re.IGNORECASE,
)
#: neither a variable, nor a template that ends with one, nor nothing to speak of
_LITERAL = re.compile(r"[^${\s].+[^}\s]", re.DOTALL)
#: lists of these are NAME=value
_NAMED = frozenset({"environment", "args", "labels"})


def is_suspicious(name: str, value: str) -> bool:
    """Whether a variable of this name and value is a secret that is written out."""
    return bool(_WORDS.search(name)) and is_literal(value)


def is_literal(value: str) -> bool:
    """Whether the value says something itself; `$$` is a dollar."""
    return bool(_LITERAL.search(value.replace("$$", "X")))


def findings_in(text: str, key: str = "") -> Iterator[Finding]:
    """What a text has of them."""
    for kind, pattern in _KINDS:
        for match in pattern.finditer(text):
            yield Finding(kind, key, match.group())


def findings_of(node: Node, path: str = "") -> Iterator[Finding]:
    """What a file has of them, by the keys of its values: services.web.environment.TOKEN."""
    from sandbox.stack.nodes import Mapping, Scalar, Sequence

    if isinstance(node, Mapping):
        for key, entry in node.entries.items():
            yield from findings_of(entry.node, f"{path}.{key}" if path else key)
    elif isinstance(node, Sequence):
        is_named = path.rpartition(".")[2] in _NAMED
        for number, item in enumerate(node.items):
            if is_named and isinstance(item, Scalar) and "=" in item.text:
                name, _, value = item.text.partition("=")
                yield from findings_in(value, f"{path}.{name}")
            else:
                yield from findings_of(item, f"{path}[{number}]")
    elif isinstance(node, Scalar) and isinstance(node.value, str):
        yield from findings_in(node.text, path)
