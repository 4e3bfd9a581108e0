"""A server for the user: where it listens, and its first client. Nothing here imports what a server is made of."""

from __future__ import annotations

import os
from contextlib import suppress

from sandbox.api.greeting import Door, Endings, greet
from sandbox.api.renewal import Program, go_on_anew, kept_listeners
from sandbox.api.sockets import LOG_NAME, inherited_listener, open_listener, socket_path, tell_ready
from sandbox.errors import HostError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from sandbox.api.greeting import Arrival
    from sandbox.api.tls import TlsFiles
    from sandbox.operation_context import OperationContext


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
    program = Program()
    kept = kept_listeners(context.env)
    try:
        for host in _checked(hosts, tls) or ("",):
            doors.append(_open_door(context, host, tls, kept.pop(0) if kept else None))
        endings = Endings()
        if ready_fd is not None:
            tell_ready(ready_fd, f"{context.paths.runtime_root}/{LOG_NAME}")
        else:
            for door in doors:
                note(f"API listen on {_shown(door)}")
        arrival = greet(doors, endings)
        if not endings.has_come and _serve(context, doors, idle_seconds, arrival, endings, program):
            go_on_anew([door.listener for door in doors])
    finally:
        for door in doors:
            door.listener.close()
            if door.path:
                with suppress(FileNotFoundError):
                    os.unlink(door.path)


def _serve(
    context: OperationContext, doors: Sequence[Door], idle_seconds: float | None, arrival: Arrival | None,
    endings: Endings, program: Program,
) -> bool:  # fmt: skip
    """Whether another version is to go on."""
    # what a server is made of takes several times as long to load as to listen
    from sandbox.api.engine import ServerOptions
    from sandbox.api.running import run_server

    unix = [str(door.listener.getsockname()) for door in doors if door.tls is None]
    options = ServerOptions(idle_seconds, socket_path=unix[0] if unix else "", program=program)
    return run_server(context, doors, options, arrival, endings)


def _checked(hosts: tuple[str, ...], tls: TlsFiles | None) -> tuple[str, ...]:
    """Nothing listens before all is known to be right."""
    for host in hosts:
        scheme, separator, rest = host.partition("://")
        if not separator or scheme not in ("unix", "tcp", "fd"):
            raise UsageError(f"invalid bind address: {host}", mend="-H unix:///PATH, or -H tcp://HOST:PORT")
        if scheme == "unix" and not rest.startswith("/"):
            raise UsageError(f"invalid bind address: {host}", cause="it is no whole path", mend="-H unix:///PATH")
        if scheme == "tcp":
            from sandbox.api.tls import read_address

            read_address(host)
            if tls is None:
                # Docker's engine serves it with a warning; who can connect there would be this user
                raise UsageError(
                    f"{host} is served to clients with certificates alone",
                    mend="--tlsverify --tlscacert=ca.pem --tlscert=cert.pem --tlskey=key.pem",
                )
    return hosts


def _open_door(context: OperationContext, host: str, tls: TlsFiles | None, kept: socket.socket | None = None) -> Door:
    """`kept` is the socket of a server that has become this one."""
    scheme, _, rest = host.partition("://")
    if scheme == "tcp":
        from sandbox.api.tls import open_tcp_listener, server_context

        assert tls is not None
        context_of_tls = server_context(tls)
        return Door(kept or open_tcp_listener(host), context_of_tls)
    if scheme in ("", "fd"):
        listener = inherited_listener(context.env, kept)
        if listener is not None:
            return Door(listener)
        if scheme == "fd":
            raise HostError(f"no socket was handed over for {host}", mend="sandbox api install")
        rest = socket_path(context.paths)
    return Door(kept or open_listener(rest), path=rest)


def _shown(door: Door) -> str:
    address = door.listener.getsockname()
    if isinstance(address, tuple):
        return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"
    return door.path or str(address)
