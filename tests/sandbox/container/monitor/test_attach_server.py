"""Who is connected to a monitor, and what they are told when nothing more will run."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from sandbox.container.monitor.attach_server import AttachServer
from sandbox.protocol.channel import Channel
from sandbox.protocol.frames import EXIT
from sandbox.protocol.local_sockets import connect_to, listen_at
from sandbox.runtime.reactor import Reactor

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.container.monitor.roles import Desk
    from tests.command import Home


class _EndingDesk:
    """The last run ends while somebody attaches."""

    def __init__(self, end: Callable[[], None]) -> None:
        self._end = end

    def tell(self, _action: str) -> None:
        self._end()


def test_who_has_come_and_not_been_read_yet_hears_the_end(home: Home) -> None:
    directory = str(home.root)
    reactor, listener = Reactor(), listen_at(directory, "socket")

    def end() -> None:
        server.over(7)
        server.close()

    server = AttachServer(reactor, cast("Desk", _EndingDesk(end)), listener)
    silent, asking = (Channel(connect_to(directory, "socket")) for _ in range(2))
    asking.send_message("attach", stdin=False, stdout=True, stderr=True)
    reactor.run()
    reactor.close()
    for channel in (silent, asking):
        frame = channel.receive()
        assert frame is not None
        assert (frame.kind, frame.exit_code) == (EXIT, 7)
        channel.close()
