"""What the keeper answers names with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from net.name_table import ContainerNames


class NoNames:
    """Answers nothing."""

    def join(self, container: str, names: ContainerNames) -> None:
        """Nothing to know."""

    def leave(self, container: str) -> None:
        """Nothing to forget."""

    async def serve_container(self, container: str, sockets: Sequence[socket.socket]) -> None:
        """Wait."""
        await trio.sleep_forever()
