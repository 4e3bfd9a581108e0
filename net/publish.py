"""Publishing ports for a caller without an event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from net.errors import NetError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from net.ports import PortMapping


def publish_ports(
    api_socket: str, mappings: Sequence[PortMapping], timeout_seconds: float = 20.0
) -> tuple[PortMapping, ...]:
    """`net.slirp_api.publish` for a caller without an event loop; imports trio. Raises NetError."""
    # here, not on top: a command without -p reads this module's name only, and trio costs 135 ms
    import trio

    from net.slirp_api import publish

    async def main() -> tuple[PortMapping, ...]:
        with trio.fail_after(timeout_seconds):
            return await publish(api_socket, mappings)

    try:
        return trio.run(main)
    except trio.TooSlowError:
        raise NetError(
            "publishing the ports took too long",
            cause=f"slirp4netns did not answer within {timeout_seconds:g} seconds",
        ) from None
