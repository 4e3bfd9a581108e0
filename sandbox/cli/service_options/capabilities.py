"""Capabilities of a service that are added and dropped, one change after another."""

from __future__ import annotations

from sandbox.grammar.capability_names import normalize_capabilities, normalize_capability

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.service_options.changes import Changes
    from sandbox.container.request.request import ContainerRequest

#: of an update: forget what was said before
_RESET = "CAP_RESET"


def with_capabilities(request: ContainerRequest, changes: Changes) -> ContainerRequest:
    """`request` with the capabilities changed: to add what was dropped takes it off that list, and the other way round;
    of one that is asked for both ways it is added.
    """
    added, dropped = set(request.cap_add), set(request.cap_drop)
    to_add, to_drop = (
        {normalize_capability(text) for text in changes.invocation.texts(key)} for key in ("cap-add", "cap-drop")
    )
    added = set() if _RESET in to_add else added
    dropped = set() if _RESET in to_drop else dropped
    for name in to_drop - to_add - {_RESET}:
        (added.remove if name in added else dropped.add)(name)
    for name in to_add - {_RESET}:
        (dropped.remove if name in dropped else added.add)(name)
    cap_add, cap_drop = normalize_capabilities(added, dropped)
    return request._replace(cap_add=cap_add, cap_drop=cap_drop)
