"""Plain values -> YAML in the form that Go's library has: lists two blanks deep, quotes where a text could be more."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from sandbox.stack.yaml_scalars import resolve_plain

if TYPE_CHECKING:
    from typing import TextIO

_OLD_BOOLEANS = frozenset({"y", "yes", "on", "n", "no", "off"})
#: hours, minutes and seconds to readers of YAML 1.1, and numbers with what only those allow in them
_OLD_NUMBER = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?\Z|[-+]?[0-9][0-9_]*(\.[0-9_]*)?\Z|0b[01_]+\Z")
_STRING = "tag:yaml.org,2002:str"


class _Dumper(yaml.SafeDumper):
    """SafeDumper of PyYAML itself: that of libyaml leaves lists at their key's depth."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        """What is twice in a document is written twice. The stubs leave the value untyped."""
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    if "\n" in text:
        style = "|"
    elif _is_ambiguous(dumper, text):
        style = '"'
    else:
        style = None
    return dumper.represent_scalar(_STRING, text, style)


def _is_ambiguous(dumper: _Dumper, text: str) -> bool:
    return (
        not isinstance(resolve_plain(text), str)
        or text.lower() in _OLD_BOOLEANS
        or _OLD_NUMBER.match(text) is not None
        or dumper.resolve(yaml.ScalarNode, text, (True, False)) != _STRING  # type: ignore[no-untyped-call]  # no stub
    )


_Dumper.add_representer(str, _represent_text)


def write_yaml(document: object, stream: TextIO, depth: int = 2) -> None:
    """Write `document`, which ends with a newline; each level stands `depth` columns further in."""
    yaml.dump(
        document,
        stream,
        Dumper=_Dumper,
        default_flow_style=False,
        sort_keys=False,
        allow_unicode=True,
        width=1 << 30,
        indent=depth,
    )
