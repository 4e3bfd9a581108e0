"""The server: connections taken, each request answered, the end by a signal or when nobody asks any more."""

from __future__ import annotations

import signal
import sys
import traceback
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import trio

from sandbox.api.answering import answer_request
from sandbox.api.connection import ClientGoneError, Connection
from sandbox.api.engine import Engine
from sandbox.api.errors import ApiError
from sandbox.warm.trio_workers import open_workers

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from sandbox.api.engine import ServerOptions
    from sandbox.paths import Paths

#: connections at once; more of them wait
_MOST_CONNECTIONS = 2048


class _Business:
    """How many requests are being answered; who wants to know waits for none, or for one."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = trio.Event()

    @contextmanager
    def busy(self) -> Iterator[None]:
        self._count += 1
        self._tell()
        try:
            yield
        finally:
            self._count -= 1
            self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def wait_idle(self, seconds: float) -> None:
        """Return when there was no request for so long."""
        while True:
            changed = self._changed
            if self._count:
                await changed.wait()
                continue
            with trio.move_on_after(seconds) as scope:
                await changed.wait()
            if scope.cancelled_caught:
                return


async def serve(
    paths: Paths,
    environment: Mapping[str, str],
    listener: socket.socket,
    options: ServerOptions,
    meanwhile: Callable[[Engine], Awaitable[None]] | None = None,
) -> None:
    """Serve until a signal, or nobody has asked anything for long, or `meanwhile` has returned. Owns `listener`."""
    async with open_workers() as workers, trio.open_nursery() as nursery:
        workers.start()
        engine = Engine(paths, environment, workers, nursery, options)
        business = _Business()
        if options.idle_seconds is not None:
            nursery.start_soon(_end_when_idle, engine, business, options.idle_seconds, nursery.cancel_scope)
        nursery.start_soon(_accept, engine, business, listener, nursery)
        if meanwhile is None:
            await _wait_signal()
        else:
            await meanwhile(engine)
        nursery.cancel_scope.cancel()


async def _wait_signal() -> None:
    # what the caller ignores (nohup, a shell's background) stays so
    ends = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    wanted = [number for number in ends if signal.getsignal(number) is not signal.SIG_IGN]
    with trio.open_signal_receiver(*wanted) as signals:
        async for _number in signals:
            return


async def _end_when_idle(engine: Engine, business: _Business, seconds: float, scope: trio.CancelScope) -> None:
    while True:
        await business.wait_idle(seconds)
        # a container that has the socket may ask at any time, and would get no other one
        if not engine.execs.are_running and not await engine.call("api.is_mounted", engine.socket_path):
            scope.cancel()
            return


async def _accept(engine: Engine, business: _Business, listener: socket.socket, nursery: trio.Nursery) -> None:
    limit = trio.CapacityLimiter(_MOST_CONNECTIONS)
    with trio.socket.from_stdlib_socket(listener) as door:
        while True:
            await limit.acquire_on_behalf_of(token := object())
            try:
                connection, _address = await door.accept()
            except OSError:
                # out of descriptors, or gone again: in a moment there may be some
                limit.release_on_behalf_of(token)
                await trio.sleep(0.1)
                continue
            nursery.start_soon(_serve_connection, engine, business, connection, limit, token)


async def _serve_connection(
    engine: Engine,
    business: _Business,
    socket: trio.socket.SocketType,
    limit: trio.CapacityLimiter,
    token: object,
) -> None:
    connection = Connection(trio.SocketStream(socket))
    try:
        while (request := await connection.next_request()) is not None:
            with business.busy():
                await answer_request(engine, connection, request)
                if not await connection.next_cycle():
                    break
    except ClientGoneError:
        pass
    except ApiError as error:
        with suppress(Exception):
            await connection.refuse(error.status, error.message)
    except Exception:  # noqa: BLE001  # one client's request ends no other's
        traceback.print_exc(file=sys.stderr)
    finally:
        await connection.aclose()
        limit.release_on_behalf_of(token)
