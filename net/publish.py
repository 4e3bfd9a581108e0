"""`python -m net.publish SOCKET MAPPINGS`: publish ports from a process that must not import trio itself.

MAPPINGS is a JSON array of [host_ip, host_port, container_port, protocol, host_port_end]. Prints one JSON object,
{"ports": [...]} with what was bound, or {"error": {"message", "cause", "mend"}}, and exits 0 or 1.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from net.errors import NetError
from net.ports import PortMapping

if TYPE_CHECKING:
    from collections.abc import Sequence


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


def encode_mappings(mappings: Sequence[PortMapping]) -> str:
    """The MAPPINGS argument."""
    return json.dumps(mappings)


def decode_mappings(text: str) -> tuple[PortMapping, ...]:
    """The mappings of a MAPPINGS argument, or of "ports" in what was printed."""
    return tuple(PortMapping(*row) for row in json.loads(text))


def main(arguments: Sequence[str]) -> int:
    api_socket, mappings_text = arguments
    try:
        bound = publish_ports(api_socket, decode_mappings(mappings_text))
    except NetError as error:
        print(json.dumps({"error": {"message": error.message, "cause": error.cause, "mend": error.mend}}))
        return 1
    print(json.dumps({"ports": bound}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
