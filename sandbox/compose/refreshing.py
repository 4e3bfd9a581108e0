"""Images that services want pulled again after a time: `pull_policy` daily, weekly and every_SPAN."""

from __future__ import annotations

import time

from sandbox.stack.measures import parse_duration_ns
from sandbox.state import open_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from sandbox.operation_context import OperationContext
    from sandbox.stack.project import Project

_DAY_NS = 24 * 3600 * 10**9
_WINDOWS_NS = {"daily": _DAY_NS, "weekly": 7 * _DAY_NS}


def window_ns(policy: str) -> int | None:
    """How old an image may be, in ns since it was pulled; None where the policy knows no time."""
    if policy.startswith("every_"):
        return parse_duration_ns(policy.removeprefix("every_"))
    return _WINDOWS_NS.get(policy)


def stale_images(context: OperationContext, project: Project, present: Collection[str]) -> set[str]:
    """Those of the images that are here which were pulled too long ago for a service that says so."""
    from sandbox.image.store import find_image

    wanted = [
        (service.image, window)
        for _, service in project.services
        if service.image in present and (window := window_ns(service.pull_policy)) is not None
    ]
    if not wanted:
        return set()
    now_ns = time.time_ns()
    with open_state(context.paths, durable=False) as connection:
        found = [(name, window, find_image(connection, name)) for name, window in wanted]
    return {name for name, window, image in found if image is not None and image.pulled_ns + window <= now_ns}
