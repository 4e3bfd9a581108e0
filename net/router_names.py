"""All that the keeper does for names and egress in one router: its sockets, its rules, and what they refuse."""

from __future__ import annotations

import socket
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import trio

from net.dns_exchange import Exchange
from net.dns_server import NameServer
from net.dns_sockets import NAME_PORT, make_router_sockets
from net.egress_gate import EgressGate
from net.egress_log import open_refusal_log, read_refusals
from net.errors import NetError
from net.nft import NftContext
from net.router import call_in_thread
from net.router_vips import RouterVips

if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable, Sequence

    from net.dns_upstream import Upstream
    from net.egress import Refusal
    from net.names import ContainerNames

#: octets of the log that are read at once
_LOG_PART = 1 << 16
#: seconds in which the same refusal is told once, and at most so many others of one container
_QUIET, _MOST = 1.0, 10


class RouterNames:
    """Serves the containers of the router whose network namespace is `net_fd`, which stays the caller's.

    `on_refusal` is told what restricted containers are kept from: in a second the same once, and ten things of one
    container. `vips` is the file of the single addresses of services, and `note` is told what of them cannot be had.
    `sockets` are the router's where they are bound already; else `run` binds them. `upstream` and
    `name_port` are for tests.
    """

    def __init__(
        self,
        net_fd: int,
        on_refusal: Callable[[Refusal], None],
        *,
        sockets: Sequence[_socket.socket] = (),
        upstream: Upstream | None = None,
        name_port: int = NAME_PORT,
        vips: str = "",
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._net_fd = net_fd
        self._sockets = sockets
        self._on_refusal = on_refusal
        self._gate = EgressGate(self._run_nft, is_there=self._is_there)
        self._nft: NftContext | None = None
        self._log: _socket.socket | None = None
        self._restricted = trio.Event()
        #: what was told in the second that began at this time
        self._told: dict[str, set[str]] = {}
        self._told_since = 0.0
        # servers of --dns are asked from where the containers are: they may be containers themselves
        ask_from = Exchange(
            lambda family, kind: call_in_thread(net_fd, partial(socket.socket, family, kind)), port=name_port
        )
        self._note = note
        self._server = NameServer(
            upstream, gate=self._gate, ask_from=ask_from, on_refusal=self._refused, look_again=lambda: self._vips.look()
        )
        self._vips = RouterVips(net_fd, vips, self._server.table, self._run_nft)

    def join(self, container: str, names: ContainerNames) -> None:
        """Know a container by `names` and hold it to its rules. Raises NetError and ValueError; then as before."""
        if names.egress and self._log is None:
            # a kernel without it refuses as well, and says nothing of it
            with suppress(NetError):
                self._log = call_in_thread(self._net_fd, open_refusal_log)
                self._restricted.set()
        self._server.join(container, names)
        self._vips.changed()

    def leave(self, container: str) -> None:
        """Forget a container; one that is not known is no error."""
        self._server.leave(container)
        self._vips.changed()

    async def run(self) -> None:
        """Answer the containers' questions to the router, and read what is refused. Raises NetError."""
        sockets = self._sockets or call_in_thread(self._net_fd, make_router_sockets)
        self._sockets = ()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._server.serve_router, sockets)
            nursery.start_soon(self._read_refusals)
            nursery.start_soon(self._vips.run, self._note)

    async def serve_container(self, container: str, sockets: Sequence[_socket.socket]) -> None:
        """Answer on a container's own sockets, which are closed at last."""
        await self._server.serve_container(container, sockets)

    async def _read_refusals(self) -> None:
        await self._restricted.wait()
        log = self._log
        assert log is not None
        try:
            while True:
                await trio.lowlevel.wait_readable(log)
                try:
                    octets = log.recv(_LOG_PART)
                except OSError:  # nothing after all, or more than the kernel kept for us
                    await trio.lowlevel.checkpoint()
                    continue
                for refusal in read_refusals(octets, self._gate.container_of):
                    self._refused(refusal)
        finally:
            trio.lowlevel.notify_closing(log)
            log.close()
            self._log = None

    def _refused(self, refusal: Refusal) -> None:
        if trio.current_time() >= self._told_since + _QUIET:
            self._told_since = trio.current_time()
            self._told.clear()
        told = self._told.setdefault(refusal.container, set())
        if refusal.what not in told and len(told) < _MOST:
            told.add(refusal.what)
            self._on_refusal(refusal)

    def _is_there(self, interface: str) -> bool:
        def look() -> bool:
            try:
                return bool(socket.if_nametoindex(interface))
            except OSError:
                return False

        return call_in_thread(self._net_fd, look)

    def _run_nft(self, commands: str) -> None:
        if self._nft is None:
            self._nft = call_in_thread(self._net_fd, NftContext)
        if self._nft.needs_namespace:
            call_in_thread(self._net_fd, partial(self._nft.run, commands))
        else:
            # each thread would have the library allocate in an arena of its own: megabytes
            self._nft.run(commands)
