"""The server: connections taken, each request answered, the end by a signal or when nobody asks any more."""

from __future__ import annotations

import os
import select
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import trio

from sandbox.api.answering import answer_request
from sandbox.api.connection import IDLE_SECONDS, ClientGoneError, Connection
from sandbox.api.doors import NotWelcomeError, let_in
from sandbox.api.engine import Engine
from sandbox.api.errors import ApiError
from sandbox.api.faults import report
from sandbox.api.greeting import ends_wanted
from sandbox.warm.descriptor_limit import more_descriptors
from sandbox.warm.trio_workers import open_workers

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    import h11

    from sandbox.api.engine import ServerOptions
    from sandbox.api.greeting import Arrival, Door, Endings
    from sandbox.api.renewal import Program
    from sandbox.paths import Paths

#: connections at once; more of them wait
_MOST_CONNECTIONS = 2048
#: who has just connected is about to ask: the server does not end meanwhile
_FRESH_SECONDS = 10.0
_FORBIDDEN = (
    b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
    b'{"message":"permission denied: the socket is another user\'s"}\n'
)


class _Business:
    """How many requests are being answered, or awaited of who has just come."""

    def __init__(self) -> None:
        self.count = 0
        #: grows with everything that happens
        self.mark = 0
        self._changed = trio.Event()

    def begin(self) -> None:
        """One more; `end` is owed for it."""
        self.count += 1
        self._tell()

    def end(self) -> None:
        """One less."""
        self.count -= 1
        self._tell()

    @contextmanager
    def busy(self) -> Iterator[None]:
        """One for the length of the block."""
        self.begin()
        try:
            yield
        finally:
            self.end()

    def _tell(self) -> None:
        self.mark += 1
        self._changed.set()
        self._changed = trio.Event()

    async def wait_change(self) -> None:
        """Return when something has happened."""
        await self._changed.wait()

    async def wait_done(self) -> None:
        """Return when there is no request; at once where there is none."""
        while self.count:
            await self._changed.wait()

    async def wait_idle(self, seconds: float) -> None:
        """Return when there was no request for so long."""
        while True:
            changed = self._changed
            if self.count:
                await changed.wait()
                continue
            with trio.move_on_after(seconds) as scope:
                await changed.wait()
            if scope.cancelled_caught:
                return


async def serve(
    paths: Paths,
    environment: Mapping[str, str],
    doors: Sequence[Door],
    options: ServerOptions,
    meanwhile: Callable[[Engine], Awaitable[None]] | None = None,
    *,
    arrival: Arrival | None = None,
    endings: Endings | None = None,
) -> bool:
    """Serve until a signal, or nobody has asked anything for long, or `meanwhile` has returned; or, which it returns,
    until another version has been installed, which is to go on at the doors. The caller closes the doors, and removes
    a path of theirs that is still there. `arrival` is a client that is here already, `endings` has the signals that
    came before.
    """
    with more_descriptors() as limit:
        async with open_workers(descriptors=limit) as workers, trio.open_nursery() as nursery:
            workers.start()
            house = _House(Engine(paths, environment, workers, nursery, options), doors, nursery)
            if options.idle_seconds is not None:
                nursery.start_soon(house.end_when_idle, options.idle_seconds)
            if options.program is not None:
                nursery.start_soon(house.end_when_replaced, options.program)
            if arrival is not None:
                house.receive(*arrival)
            nursery.start_soon(house.take_all)
            if meanwhile is None:
                await _wait_signal(endings)
            else:
                await meanwhile(house.engine)
            nursery.cancel_scope.cancel()
    return house.is_replaced


async def _wait_signal(endings: Endings | None) -> None:
    with trio.open_signal_receiver(*ends_wanted()) as signals:
        if endings is not None and endings.has_come:
            return
        async for _number in signals:
            return


class _House:
    """A server's doors, and who is inside."""

    def __init__(self, engine: Engine, doors: Sequence[Door], nursery: trio.Nursery) -> None:
        self.engine = engine
        self._doors = doors
        self._nursery = nursery
        self._business = _Business()
        # each its own: who may not come in at one takes no place at another
        self._limits = {door: trio.CapacityLimiter(_MOST_CONNECTIONS) for door in doors}
        self._taking = trio.CancelScope()
        self._takes_nobody = trio.Event()
        self.is_replaced = False
        for door in doors:
            # who was there when it was looked may have gone when he is taken
            door.listener.setblocking(False)

    async def end_when_idle(self, seconds: float) -> None:
        """End the server when nobody has asked anything for so long, and nobody may be about to."""
        engine, business = self.engine, self._business
        while True:
            await business.wait_idle(seconds)
            mark = business.mark
            # a container that has the socket may ask at any time, and would get no other one
            if engine.execs.are_running or await engine.call("api.is_mounted", engine.socket_path):
                continue
            if business.mark == mark:
                break
        await self._close()
        self._nursery.cancel_scope.cancel()

    async def end_when_replaced(self, program: Program) -> None:
        """End the server when its program was replaced, and nothing goes on; who comes then waits at the doors."""
        business = self._business
        while True:
            await business.wait_idle(0)
            if not self.engine.execs.are_running and program.is_replaced():
                break
            await business.wait_change()
        await self._take_nobody()
        await business.wait_done()
        self.is_replaced = True
        self._nursery.cancel_scope.cancel()

    async def _close(self) -> None:
        """Take nobody any more, and answer those who have come already."""
        await self._take_nobody()
        for door in self._doors:
            if door.path:
                with suppress(FileNotFoundError):
                    os.unlink(door.path)
                # they found the path while it was there; those at a socket of systemd's get the next server
                while select.select([door.listener], [], [], 0)[0]:
                    with suppress(OSError):
                        await self._take(door)
        await self._business.wait_done()

    async def _take_nobody(self) -> None:
        self._taking.cancel()
        # one who was just being taken is in the house then
        await self._takes_nobody.wait()

    async def take_all(self) -> None:
        """Take who comes, at every door."""
        with self._taking:
            async with trio.open_nursery() as nursery:
                for door in self._doors:
                    nursery.start_soon(self._take_at, door)
        self._takes_nobody.set()

    async def _take_at(self, door: Door) -> None:
        while True:
            try:
                await trio.lowlevel.wait_readable(door.listener)
                await self._take(door)
            except BlockingIOError:
                continue  # somebody who has gone again
            except OSError:
                # out of descriptors: in a moment there may be some
                await trio.sleep(0.1)

    async def _take(self, door: Door) -> None:
        """Take one. Raises BlockingIOError where there is none any more, OSError where there are no descriptors."""
        limit = self._limits[door]
        await limit.acquire_on_behalf_of(token := object())
        try:
            taken, _address = door.listener.accept()
        except BaseException:
            limit.release_on_behalf_of(token)
            raise
        self._begin(door, taken, token)

    def receive(self, door: Door, client: socket.socket) -> None:
        """Serve one that was taken before; its to close then."""
        self._limits[door].acquire_on_behalf_of_nowait(token := object())
        self._begin(door, client, token)

    def _begin(self, door: Door, client: socket.socket, token: object) -> None:
        self._business.begin()
        self._nursery.start_soon(self._serve_connection, door, trio.socket.from_stdlib_socket(client), token)

    async def _serve_connection(self, door: Door, client: trio.socket.SocketType, token: object) -> None:
        connection: Connection | None = None
        try:
            try:
                connection = Connection(await let_in(client, door.tls))
                # who has just come is about to ask
                request = await connection.next_request(_FRESH_SECONDS)
            finally:
                self._business.end()
            await self._answer(connection, request)
        except NotWelcomeError:
            if door.tls is None:
                with suppress(OSError):
                    await client.send(_FORBIDDEN)
        except ClientGoneError:
            pass
        except ApiError as error:
            with suppress(Exception):
                if connection is not None:
                    await connection.refuse(error.status, error.message)
        except Exception as error:  # noqa: BLE001  # one client's request ends no other's
            report(error)
        finally:
            if connection is not None:
                await connection.aclose()
            client.close()
            self._limits[door].release_on_behalf_of(token)

    async def _answer(self, connection: Connection, request: h11.Request | None) -> None:
        """Answer a client's requests until it goes, or asks nothing for long."""
        request = request or await connection.next_request(IDLE_SECONDS)
        while request is not None:
            with self._business.busy():
                await answer_request(self.engine, connection, request)
                if not await connection.next_cycle():
                    return
            request = await connection.next_request(IDLE_SECONDS)
