"""The bridges' own network namespace, made by the first who needs it."""

from __future__ import annotations

import os


def make_router_namespace() -> int:
    """A descriptor of a new one, for root of the shared user namespace. Raises NetError."""
    from net.router import make_router  # only the first of all makes one

    router, routing = make_router()
    routing.close()
    os.close(router.user_fd)
    return router.net_fd
