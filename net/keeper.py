"""The keeper: one process for each user while containers run on bridges, for their names and their way out.

    monitors ── join, update, end of stream ──▶ keeper ──▶ names, rules of the way out
                                                  │
                                                  └──▶ slirp4netns, started again where it ends

A trio program, and nothing that runs hangs on it: when it is killed, ports, connections and slirp4netns go on, a
monitor starts the next one, and all of them tell that what they told this one. It keeps no state of its own.

It stands in the host's network namespace, as root of the containers' user namespace, and holds sockets of theirs.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import trio

from net.errors import NetError
from net.keeper_connection import Connection, as_sockets, close_all
from net.keeper_protocol import KEEPER_VERSION, KeeperInfo, WayOut, decode_member, peer_of
from net.router_link import dead_sockets, finish_tap, slirp_plan
from net.router_names import RouterNames
from net.slirp import probe_features
from net.slirp_forwards import SlirpForwards
from net.slirp_supervisor import SlirpSupervisor

if TYPE_CHECKING:
    import _socket
    from collections.abc import Sequence

    from net.egress import Refusal
    from net.router_link import RouterLink
    from net.slirp import SlirpProcess


#: after the last monitor: of one container after the other each needs a keeper
LINGER_SECONDS = 2.0
_LOG_LINES = 200
#: without a free descriptor nobody is let in, until one has gone
_FULL_SECONDS = 0.1
#: between two tries to have the router's port for names
_AGAIN_SECONDS = 0.1


class Keeper:
    """Serves who connects to `listener`, over `link`. Made in a trio program."""

    def __init__(self, link: RouterLink, listener: socket.socket, name_sockets: Sequence[_socket.socket] = ()) -> None:
        listener.setblocking(False)
        self._link, self._listener = link, listener
        self._names = RouterNames(link.netns_fd, self._refused, sockets=name_sockets, vips=link.vips, note=self.note)
        self._forwards = SlirpForwards(link.api_socket, self.note)
        self._slirp = SlirpSupervisor(
            lambda: slirp_plan(link),
            told=self._tell_all,
            came_up=lambda: finish_tap(link),
            reopened=self._forwards.reopen,
            note=self.note,
        )
        self._connections: dict[Connection, None] = {}
        self._changed = trio.Event()
        self._accepting = trio.CancelScope()
        self._scope = trio.CancelScope()
        self._started = time.time()
        self._log: deque[tuple[float, str]] = deque(maxlen=_LOG_LINES)
        #: whether another keeper goes on with the same listening socket and slirp4netns
        self.is_succeeded = False

    async def run(self, process: SlirpProcess | None, failure: NetError | None) -> None:
        """Serve until the last monitor has been gone for a while, or one of a newer program takes over."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._slirp.run, process, failure)
                nursery.start_soon(self._forwards.run)
                nursery.start_soon(self._answer_router)
                nursery.start_soon(self._end_after_the_last)
                nursery.start_soon(self._accept, nursery)

    def note(self, text: str) -> None:
        """Keep a line for people."""
        self._log.append((time.time(), text))

    def _refused(self, refusal: Refusal) -> None:
        row = [refusal.time, refusal.kind, refusal.what]
        for connection in self._connections:
            if connection.container == refusal.container:
                connection.tell({"type": "refusals", "rows": [row]})

    async def _answer_router(self) -> None:
        while True:
            try:
                await self._names.run()
            except NetError as error:
                # the port may be that of a keeper that hands over and has not ended yet
                self.note(f"{error.message}: {error.cause}")
            await trio.sleep(_AGAIN_SECONDS)

    async def _accept(self, nursery: trio.Nursery) -> None:
        with self._accepting:
            while True:
                await trio.lowlevel.wait_readable(self._listener)
                try:
                    stream, _address = self._listener.accept()
                except BlockingIOError:
                    continue
                except OSError as error:
                    self.note(f"a monitor waits: {error.strerror}")
                    await trio.sleep(_FULL_SECONDS)
                    continue
                connection = Connection(stream)
                if peer_of(stream)[1] != os.geteuid():
                    connection.close()
                    continue
                self._connections[connection] = None
                self._changed.set()
                nursery.start_soon(self._serve, connection)

    async def _serve(self, connection: Connection) -> None:
        try:
            with connection.scope:
                async with trio.open_nursery() as nursery:
                    async for document, fds in connection.messages():
                        self._answer(connection, nursery, document, fds)
                    nursery.cancel_scope.cancel()
        except Exception as error:  # noqa: BLE001  # the trouble of one container is not that of all
            self.note(f"container {connection.container[:12] or '?'}: {error!r}")
        finally:
            connection.close()
            del self._connections[connection]
            # its monitor may have come a second time before its first connection was seen to end
            if connection.member and all(other.container != connection.container for other in self._connections):
                self._names.leave(connection.container)
                self._forwards.leave(connection.container)
            self._changed.set()

    async def _end_after_the_last(self) -> None:
        while True:
            self._changed = trio.Event()
            if self._connections:
                await self._changed.wait()
                continue
            with trio.move_on_after(LINGER_SECONDS):
                await self._changed.wait()
            if not self._connections:
                self._scope.cancel()
                return

    def _answer(self, connection: Connection, nursery: trio.Nursery, document: dict[str, Any], fds: list[int]) -> None:
        kind = document["type"]
        try:
            if int(document.get("version", 0)) > KEEPER_VERSION:
                self._hand_over(connection)
            elif kind == "join":
                self._join(connection, nursery, document, fds)
            elif kind == "update":
                self._know(connection, document)
            elif kind == "info":
                connection.tell({"type": "info", "info": self._account()})
        finally:
            close_all(fds)

    def _join(self, connection: Connection, nursery: trio.Nursery, document: dict[str, Any], fds: list[int]) -> None:
        self._know(connection, document)
        connection.tell(*self._way_out_message(self._slirp.way_out, self._slirp.process))
        connection.serving.cancel()
        connection.serving = trio.CancelScope()
        if fds:
            nursery.start_soon(self._serve_names, connection, connection.serving, as_sockets(fds))

    def _know(self, connection: Connection, document: dict[str, Any]) -> None:
        connection.member = decode_member(document)
        self._forwards.know(connection.member)
        try:
            self._names.join(connection.container, connection.member.names)
        except (NetError, ValueError) as error:
            self.note(f"container {connection.container[:12]}: {error}")
            connection.tell({"type": "error", "message": str(error), "cause": getattr(error, "cause", "")})
        if connection.member.wants_way_out:
            self._slirp.want()

    async def _serve_names(self, connection: Connection, scope: trio.CancelScope, sockets: list[socket.socket]) -> None:
        try:
            with scope:
                await self._names.serve_container(connection.container, sockets)
        finally:
            # each keeps the container's network namespace alive
            for one in sockets:
                one.close()

    def _hand_over(self, connection: Connection) -> None:
        if self.is_succeeded:
            return
        self.is_succeeded = True
        self._accepting.cancel()
        process = self._slirp.process
        fds = (process.pidfd, process.exit_fd, process.log_fd) if process is not None else ()
        connection.tell(
            {**self._way_out_message(self._slirp.way_out, None)[0], "type": "successor"},
            (self._listener.fileno(), *fds),
        )
        self._scope.cancel()

    def _tell_all(self, way_out: WayOut, process: SlirpProcess | None) -> None:
        message = self._way_out_message(way_out, process)
        for connection in self._connections:
            if connection.member is not None:
                connection.tell(*message)

    def _way_out_message(self, way_out: WayOut, process: SlirpProcess | None) -> tuple[dict[str, Any], Sequence[int]]:
        document = {"type": "way_out", **way_out._asdict()}
        return document, (process.pidfd, process.exit_fd, process.log_fd) if process is not None else ()

    def _account(self) -> dict[str, Any]:
        try:
            version = probe_features().version
        except NetError:
            version = ""
        members = [(one.container, one.member.pid) for one in self._connections if one.member is not None]
        info = KeeperInfo(
            KEEPER_VERSION, os.getpid(), self._started, version, self._link.mtu, self._link.ipv6,
            self._slirp.way_out, tuple(members), tuple(self._log),
        )  # fmt: skip
        return {**info._asdict(), "way_out": self._slirp.way_out._asdict()}


def run_keeper(
    link: RouterLink,
    listener_fd: int,
    slirp: SlirpProcess | None,
    failure: NetError | None,
    name_sockets: Sequence[_socket.socket],
) -> None:
    """Be the keeper, in the process that was forked to be it; all descriptors are its own. Returns at its end.

    `name_sockets` are those of `net.dns_sockets.make_router_sockets`, or none where they could not be had yet.
    """
    # who ends a session ends its monitors, each in its time: the keeper goes after the last of them
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with socket.socket(fileno=listener_fd) as listener:
        trio.run(_run, link, listener, slirp, failure, name_sockets)


async def _run(
    link: RouterLink,
    listener: socket.socket,
    slirp: SlirpProcess | None,
    failure: NetError | None,
    name_sockets: Sequence[_socket.socket],
) -> None:
    for path in dead_sockets(link.directory):
        with suppress(FileNotFoundError):
            os.unlink(path)
    keeper = Keeper(link, listener, name_sockets)
    await keeper.run(slirp, failure)
    if not keeper.is_succeeded:
        with suppress(FileNotFoundError):
            os.unlink(link.api_socket)
