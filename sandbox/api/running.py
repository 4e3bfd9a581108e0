"""A server for the user, and one for the length of a command."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from sandbox.api.doors import Door
from sandbox.api.engine import ServerOptions
from sandbox.api.server import serve
from sandbox.api.session import new_session, remove_dead_sessions
from sandbox.api.sockets import inherited_listener, open_listener, socket_path, tell_ready
from sandbox.api.tls import open_tcp_listener, read_address, server_context
from sandbox.errors import HostError, NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandbox.api.engine import Engine
    from sandbox.api.tls import TlsFiles
    from sandbox.operation_context import OperationContext

#: those that mean something to the command; what a terminal sends it has got already
_HANDED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT, signal.SIGQUIT)
_OF_TERMINALS = (signal.SIGINT, signal.SIGQUIT)
#: they would lead the command's clients elsewhere
_OTHER_PLACES = ("DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_TLS", "DOCKER_API_VERSION")


def serve_user(
    context: OperationContext,
    hosts: tuple[str, ...],
    tls: TlsFiles | None,
    idle_seconds: float | None,
    *,
    ready_fd: int | None,
    note: Callable[[str], None],
) -> None:
    """Serve at addresses as Docker's engine takes them, () for the user's own socket. Raises UsageError, ConflictError
    where somebody serves there, HostError.
    """
    doors: list[Door] = []
    try:
        for host in _checked(hosts, tls) or ("",):
            doors.append(_open_door(context, host, tls))
        if ready_fd is not None:
            tell_ready(ready_fd)
        else:
            for door in doors:
                note(f"API listen on {_shown(door)}")
        remove_dead_sessions(context)
        unix = [str(door.listener.getsockname()) for door in doors if door.tls is None]
        options = ServerOptions(idle_seconds, socket_path=unix[0] if unix else "")
        trio.run(serve, context.paths, context.env, doors, options)
    finally:
        for door in doors:
            door.listener.close()
            if door.path:
                with suppress(FileNotFoundError):
                    os.unlink(door.path)


def _checked(hosts: tuple[str, ...], tls: TlsFiles | None) -> tuple[str, ...]:
    """Nothing listens before all is known to be right."""
    for host in hosts:
        scheme, separator, rest = host.partition("://")
        if not separator or scheme not in ("unix", "tcp", "fd"):
            raise UsageError(f"invalid bind address: {host}", mend="-H unix:///PATH, or -H tcp://HOST:PORT")
        if scheme == "unix" and not rest.startswith("/"):
            raise UsageError(f"invalid bind address: {host}", cause="it is no whole path", mend="-H unix:///PATH")
        if scheme == "tcp":
            read_address(host)
            if tls is None:
                # Docker's engine serves it with a warning; who can connect there would be this user
                raise UsageError(
                    f"{host} is served to clients with certificates alone",
                    mend="--tlsverify --tlscacert=ca.pem --tlscert=cert.pem --tlskey=key.pem",
                )
    return hosts


def _open_door(context: OperationContext, host: str, tls: TlsFiles | None) -> Door:
    scheme, _, rest = host.partition("://")
    if scheme == "tcp":
        assert tls is not None
        context_of_tls = server_context(tls)
        return Door(open_tcp_listener(host), context_of_tls)
    if scheme in ("", "fd"):
        listener = inherited_listener(context.env)
        if listener is not None:
            return Door(listener)
        if scheme == "fd":
            raise HostError(f"no socket was handed over for {host}", mend="sandbox api install")
        rest = socket_path(context.paths)
    return Door(open_listener(rest), path=rest)


def _shown(door: Door) -> str:
    address = door.listener.getsockname()
    if isinstance(address, tuple):
        return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"
    return door.path or str(address)


def run_command(context: OperationContext, words: Sequence[str], *, keep: bool, note: Callable[[str], None]) -> int:
    """Run a command whose DOCKER_HOST is a socket of its own; its exit status. What it made is removed then.

    Raises NotFoundError where there is no such command, HostError.
    """
    if shutil.which(words[0], path=context.env.get("PATH")) is None:
        raise NotFoundError(f"{words[0]}: command not found", mend=f"command -v {words[0]}")
    remove_dead_sessions(context)
    directory = tempfile.mkdtemp(prefix="api-", dir=context.paths.runtime_root)
    path = f"{directory}/docker.sock"
    session = "" if keep else new_session(os.getpid())
    status = 1
    try:
        listener = open_listener(path)

        async def main() -> None:
            nonlocal status

            async def command(engine: Engine) -> None:
                nonlocal status
                status = await _run(engine, words)
                if session:
                    with trio.CancelScope(shield=True):
                        for failure in await engine.call("api.remove_session", session):
                            note(f"WARNING: not removed: {failure}")

            await serve(context.paths, context.env, [Door(listener)], ServerOptions(None, session, path), command)

        trio.run(main)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return status


async def _run(engine: Engine, words: Sequence[str]) -> int:
    env = {name: value for name, value in engine.context.env.items() if name not in _OTHER_PLACES}
    env |= {
        "DOCKER_HOST": f"unix://{engine.socket_path}",
        "TESTCONTAINERS_DOCKER_SOCKET_OVERRIDE": engine.socket_path,
    }
    # what the caller ignores (nohup, a shell's background) stays so, for the command too
    wanted = [number for number in _HANDED_ON if signal.getsignal(number) is not signal.SIG_IGN]
    with trio.open_signal_receiver(*wanted) as signals:
        process = await trio.lowlevel.open_process(list(words), stdin=None, env=env)

        async def hand_on() -> None:
            async for number in signals:
                if number not in _OF_TERMINALS or not os.isatty(0):
                    with suppress(ProcessLookupError):
                        process.send_signal(number)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(hand_on)
            code = await process.wait()
            nursery.cancel_scope.cancel()
    return 128 - code if code < 0 else code
