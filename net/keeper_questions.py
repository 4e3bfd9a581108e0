"""What a command asks of the keeper: what it does. One connection for each question."""

from __future__ import annotations

import socket

from net.errors import NetError
from net.keeper_protocol import (
    KEEPER_ADDRESS,
    KEEPER_VERSION,
    decode_info,
    decode_message,
    receive_message,
    send_message,
)
from net.router import call_in_router

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from net.keeper_protocol import KeeperInfo
    from net.router import Router

_PATIENCE_SECONDS = 4.0


def ask_info(router: Router, *, join_user: bool) -> KeeperInfo | None:
    """What the keeper does, None where there is none; `join_user` is `net.router.call_in_router`'s. Raises NetError."""
    fds = call_in_router(router, connect_to_keeper, join_user=join_user)
    if not fds:
        return None
    with socket.socket(fileno=fds[0]) as connection:
        try:
            connection.settimeout(_PATIENCE_SECONDS)
            send_message(connection, {"type": "info", "version": KEEPER_VERSION})
            data, _fds = receive_message(connection)
            return decode_info(decode_message(data)["info"]) if data else None
        except ConnectionError:
            return None
        except (OSError, ValueError, KeyError) as error:
            raise NetError("the keeper of the containers' names does not answer", cause=str(error)) from error


def connect_to_keeper() -> Sequence[int]:
    """A connected socket, as a descriptor, for `net.router.call_in_router`; none where no keeper listens."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    try:
        connection.connect(KEEPER_ADDRESS)
    except ConnectionError:
        connection.close()
        return ()
    return (connection.detach(),)
