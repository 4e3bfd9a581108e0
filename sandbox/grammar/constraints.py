"""Placement constraints of services, `node.role == manager`, and whether a machine fits them."""

from __future__ import annotations

from sandbox.errors import UsageError
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_FORM = "node.role==manager, node.hostname!=NAME, node.platform.os==linux"
_KEYS = ("node.id", "node.ip", "node.hostname", "node.role", "node.platform.os", "node.platform.arch")
_PREFIXES = ("node.labels.", "engine.labels.")


class Constraint(NamedTuple):
    key: str
    is_equal: bool
    value: str

    def fits(self, facts: Mapping[str, str]) -> bool:
        """Whether a machine of which these are the values fits; what it has no value for is none."""
        return (facts.get(self.key, "").lower() == self.value.lower()) == self.is_equal


def read_constraint(text: str) -> Constraint:
    """The constraint a text says. Raises UsageError."""
    is_equal = "==" in text
    key, operator, value = text.partition("==" if is_equal else "!=")
    key, value = key.strip(), value.strip()
    if not operator:
        raise UsageError("constraint expected one operator from ==, !=", mend=_FORM)
    if not key or not all(c.isascii() and (c.isalnum() or c in "-_.") for c in key):
        raise UsageError(f"key '{key}' is invalid", mend=_FORM)
    known = key.lower()
    if known not in _KEYS and not known.startswith(_PREFIXES):
        raise UsageError(f"there is no key {key!r} of constraints", mend=_FORM)
    if not value or not all(c.isprintable() for c in value):
        raise UsageError(f"value '{value}' is invalid", mend=_FORM)
    return Constraint(known if known in _KEYS else key, is_equal, value)


def parse_constraint(text: str) -> str:
    """`text` again. Raises UsageError."""
    read_constraint(text)
    return text


def parse_preference(text: str) -> str:
    """What a placement preference, `spread=node.labels.zone`, has replicas spread over. Raises UsageError."""
    strategy, equals, over = text.partition("=")
    if not equals or not strategy:
        raise UsageError(
            'placement preference must be of the format "<strategy>=<arg>"', mend="spread=node.labels.zone"
        )
    if strategy != "spread":
        raise UsageError(
            f"unsupported placement preference {strategy} (only spread is supported)", mend="spread=node.labels.zone"
        )
    return over
