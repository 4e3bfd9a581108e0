"""The bridges' own network namespace, made by the first who needs it."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def make_router_namespace(meanwhile: Callable[[], None] = lambda: None) -> int:
    """A descriptor of a new one, for root of the shared user namespace; `meanwhile` is called in this process.

    Raises NetError.
    """
    from net.router import make_router  # only the first of all makes one

    router, routing = make_router(meanwhile)
    routing.close()
    os.close(router.user_fd)
    return router.net_fd
