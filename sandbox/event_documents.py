"""Events in the forms of Docker's API and templates."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sandbox.events import Happened

_NS = 10**9
#: fields that are written otherwise in JSON, and left out where they are empty
_JSON_NAMES = {"Status": "status", "ID": "id", "From": "from", "Scope": "scope", "Time": "time", "TimeNano": "timeNano"}


def event_fields(happened: Happened) -> dict[str, Any]:  # Any: JSON
    """What a template can ask for, by the names of Docker's type."""
    _id, time_ns, (kind, action, actor, attributes) = happened
    is_container = kind == "container"
    has_status = is_container or kind == "image"
    return {
        "Status": action if has_status else "",
        "ID": actor if has_status else "",
        "From": attributes.get("image", "") if is_container else "",
        "Type": kind,
        "Action": action,
        "Actor": {"ID": actor, "Attributes": dict(sorted(attributes.items()))},
        "Scope": "local",
        "Time": time_ns // _NS,
        "TimeNano": time_ns,
    }


def event_document(fields: dict[str, Any]) -> dict[str, Any]:
    """The document of Docker's API, of an event's fields."""
    return {_JSON_NAMES.get(name, name): value for name, value in fields.items() if value or name not in _JSON_NAMES}
