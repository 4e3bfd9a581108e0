"""A server for the user, and one for the length of a command."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from sandbox.api.engine import ServerOptions
from sandbox.api.greeting import Door
from sandbox.api.server import serve
from sandbox.api.session import new_session, remove_dead_sessions
from sandbox.api.sockets import open_listener
from sandbox.errors import CommandNotFoundError, NotExecutableError, SandboxError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandbox.api.engine import Engine
    from sandbox.api.greeting import Arrival, Endings
    from sandbox.operation_context import OperationContext

#: those that mean something to the command; what a terminal sends it has got already
_HANDED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT, signal.SIGQUIT)
_OF_TERMINALS = (signal.SIGINT, signal.SIGQUIT)
#: they would lead the command's clients elsewhere
_OTHER_PLACES = ("DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_TLS", "DOCKER_API_VERSION")
_PORTS_AT = {"TESTCONTAINERS_HOST_OVERRIDE": "localhost", "TESTCONTAINERS_CONNECTION_MODE": "docker_host"}


def run_server(
    context: OperationContext, doors: Sequence[Door], options: ServerOptions, arrival: Arrival | None, endings: Endings
) -> bool:
    """Serve until a signal, or nobody has asked anything for long; whether another version is to go on instead."""
    remove_dead_sessions(context)

    async def main() -> bool:
        return await serve(context.paths, context.env, doors, options, arrival=arrival, endings=endings)

    return trio.run(main)


def run_command(context: OperationContext, words: Sequence[str], *, keep: bool, note: Callable[[str], None]) -> int:
    """Run a command whose DOCKER_HOST is a socket of its own; its exit status. What it made is removed then.

    Raises CommandNotFoundError, NotExecutableError, HostError.
    """
    if shutil.which(words[0], path=context.env.get("PATH")) is None:
        raise _not_run(words[0])
    remove_dead_sessions(context)
    directory = tempfile.mkdtemp(prefix="api-", dir=context.paths.runtime_root)
    path = f"{directory}/docker.sock"
    session = "" if keep else new_session(os.getpid())
    status = 1
    failure: SandboxError | None = None
    try:
        listener = open_listener(path)

        async def main() -> None:
            async def command(engine: Engine) -> None:
                nonlocal status, failure
                try:
                    status = await _run(engine, words)
                except SandboxError as error:
                    # told when the server has ended: a nursery would wrap it
                    failure = error
                if session:
                    with trio.CancelScope(shield=True):
                        for refusal in await engine.call("api.remove_session", session):
                            note(f"WARNING: not removed: {refusal}")

            await serve(context.paths, context.env, [Door(listener)], ServerOptions(None, session, path), command)

        trio.run(main)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if failure is not None:
        raise failure
    return status


def _not_run(name: str, cause: str = "") -> CommandNotFoundError | NotExecutableError:
    """With the exit statuses of a shell, and of `docker run`."""
    shown = shlex.quote(name)
    if os.path.isdir(name) and "/" in name:
        return NotExecutableError(f"{name}: is a directory", mend=f"ls {shown}")
    if os.path.exists(name) and "/" in name:
        return NotExecutableError(f"{name}: cannot be executed", cause=cause or "it is no program of yours to execute",
                                  mend=f"chmod +x {shown}" if not cause else f"file {shown}")  # fmt: skip
    return CommandNotFoundError(f"{name}: command not found", mend=f"command -v {shown}")


async def _run(engine: Engine, words: Sequence[str]) -> int:
    env = {name: value for name, value in engine.context.env.items() if name not in _OTHER_PLACES}
    env |= {
        "DOCKER_HOST": f"unix://{engine.socket_path}",
        "TESTCONTAINERS_DOCKER_SOCKET_OVERRIDE": engine.socket_path,
    }
    # where ports are published; in a container they would look for them at a network's gateway
    for name, value in _PORTS_AT.items():
        env.setdefault(name, value)
    # what the caller ignores (nohup, a shell's background) stays so, for the command too
    wanted = [number for number in _HANDED_ON if signal.getsignal(number) is not signal.SIG_IGN]
    with trio.open_signal_receiver(*wanted) as signals:
        try:
            process = await trio.lowlevel.open_process(list(words), stdin=None, env=env)
        except OSError as error:
            # of another format, without its interpreter, gone since it was looked for
            raise _not_run(shutil.which(words[0], path=env.get("PATH")) or words[0], error.strerror or "") from error

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
