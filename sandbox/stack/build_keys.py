"""Every key of `build`."""

from __future__ import annotations

from sandbox.stack.build_model import Build
from sandbox.stack.measures import Pairs
from sandbox.stack.nodes import Mapping, Scalar, Sequence
from sandbox.stack.part_keys import GRANT, ULIMITS
from sandbox.stack.reading import Reading, text
from sandbox.stack.scalar_readers import boolean, known_pairs, labels, size, text_or_boolean
from sandbox.stack.shapes import Forms, Key, ListOf, Object, Shape
from sandbox.stack.short_forms import hosts, short_grant, ssh_keys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.stack.nodes import Node

_TEXTS = ListOf(text, "a list of texts")
#: what a build context may be beside a directory of this host
_REMOTE = ("http://", "https://", "git://", "ssh://", "git@", "github.com/", "docker-image://", "service:", "target:",
           "oci-layout://")  # fmt: skip


def context(reading: Reading, node: Node, path: str) -> str:
    """A directory, absolute, or a URL as it is. Raises ComposeFileError."""
    written = text(reading, node, path)
    assert isinstance(node, Scalar)
    return written if written.startswith(_REMOTE) or "://" in written else reading.path(node)


def additional_contexts(reading: Reading, node: Node, path: str) -> object:
    """Names and contexts. Raises ComposeFileError."""
    found = labels(reading, node, path)
    if not isinstance(found, Pairs):
        return found
    values = dict(_values(node))
    return Pairs.of(
        (name, context(reading, values[name], f"{path}.{name}") if name in values else value) for name, value in found
    )


def _values(node: Node) -> list[tuple[str, Scalar]]:
    if isinstance(node, Mapping):
        pairs = [(name, entry.node) for name, entry in node.entries.items()]
        return [(name, each) for name, each in pairs if isinstance(each, Scalar) and isinstance(each.value, str)]
    found = []
    for item in node.items if isinstance(node, Sequence) else ():
        if isinstance(item, Scalar):
            name, equals, value = item.text.partition("=")
            if equals:
                found.append((name, item._replace(value=value, text=value)))
    return found


def short_build(reading: Reading, node: Node, path: str) -> Build:
    """A context alone. Raises ComposeFileError."""
    return Build(context(reading, node, path))


_WINDOWS = "of containers of Windows"
BUILD = Forms(
    short_build,
    Object(
        Shape(
            "build",
            Build,
            {
                "additional_contexts": Key(additional_contexts),
                "args": Key(known_pairs),
                "cache_from": Key(_TEXTS),
                "cache_to": Key(_TEXTS),
                "context": Key(context),
                "dockerfile": Key(text),
                "dockerfile_inline": Key(text),
                "entitlements": Key(_TEXTS),
                "extra_hosts": Key(hosts),
                "isolation": Key(text, "warned", _WINDOWS),
                "labels": Key(labels),
                "network": Key(text),
                "no_cache": Key(boolean),
                "no_cache_filter": Key(ListOf(text, may_be_text=True)),
                "platforms": Key(_TEXTS),
                "privileged": Key(boolean, "warned", "a step has no more rights than its user"),
                "provenance": Key(text_or_boolean),
                "pull": Key(boolean),
                "sbom": Key(text_or_boolean, "warned", "no bill of materials is made"),
                "secrets": Key(ListOf(Forms(short_grant, Object(GRANT)))),
                "shm_size": Key(size),
                "ssh": Key(ssh_keys),
                "tags": Key(_TEXTS),
                "target": Key(text),
                "ulimits": Key(ULIMITS),
            },
        )
    ),
)
