"""Hooks carried out, in a worker: commands in a container, and containers that run before a service's own."""

from __future__ import annotations

import os
from contextlib import suppress

from sandbox.errors import CommandNotFoundError, ConflictError, NotExecutableError, NotFoundError, SandboxError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

    from sandbox.compose.hook_requests import BeforeHook, Hooks
    from sandbox.container.session.exec_request import ExecRequest
    from sandbox.operation_context import OperationContext

#: of what a hook has written an error tells the end
_TOLD_BYTES = 400
#: a shell's statuses for a program that is not there, and for one that cannot be executed
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126


def run_hooks(context: OperationContext, word: str, hooks: Hooks) -> None:
    """Run the commands in a container that runs. Raises SandboxError for one that fails; ConflictError and
    NotFoundError where the container does not run, or is gone.
    """
    for command in hooks.commands:
        code, said = _run(context, word, command, hooks.output)
        if code:
            raise SandboxError(f"{hooks.service} hook exited with status {code}", cause=said)


def run_hooks_beside(context: OperationContext, word: str, hooks: Hooks) -> Callable[[], None]:
    """Run the commands in a process of their own, as the caller is busy with what the container writes. What comes back
    waits for their end, and raises SandboxError for one that failed.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        _run_and_exit(context, word, hooks, writer)
    os.close(writer)

    def settle() -> None:
        with open(reader, "rb") as told:
            text = told.read().decode(errors="replace")
        os.waitpid(pid, 0)
        if text:
            message, _, cause = text.partition("\0")
            raise SandboxError(message, cause=cause)

    return settle


def _run_and_exit(context: OperationContext, word: str, hooks: Hooks, writer: int) -> NoReturn:
    try:
        run_hooks_before_stop(context, word, hooks)
    except SandboxError as error:
        os.write(writer, f"{error.message}\0{error.cause}".encode()[: _TOLD_BYTES * 2])
    finally:
        os._exit(0)


def run_hooks_before_stop(context: OperationContext, word: str, hooks: Hooks) -> None:
    """As `run_hooks`; what does not run any more has nothing to be told. Raises SandboxError."""
    with suppress(ConflictError, NotFoundError):
        run_hooks(context, word, hooks)


def _run(context: OperationContext, word: str, command: ExecRequest, output: int | None) -> tuple[int, str]:
    """The exit code, and the end of what the command wrote where nobody else is told of it."""
    from sandbox.container.operations import execute
    from sandbox.container.session.attach import ClientStreams, Streams

    fd = os.memfd_create("hook") if output is None else os.dup(output)
    try:
        client = ClientStreams(Streams(-1, fd, fd), proxy_signals=False)
        return execute(context, word, command, client), _end_of(fd) if output is None else ""
    except (CommandNotFoundError, NotExecutableError) as error:
        return _NOT_FOUND if isinstance(error, CommandNotFoundError) else _NOT_EXECUTABLE, error.message
    finally:
        os.close(fd)


def _end_of(fd: int) -> str:
    size = os.fstat(fd).st_size
    return os.pread(fd, _TOLD_BYTES, max(0, size - _TOLD_BYTES)).decode(errors="replace").strip()


def run_before(context: OperationContext, hooks: Sequence[BeforeHook], outputs: Sequence[int] = ()) -> None:
    """Make each container, wait for its end, and remove it; one of its name that a killed run has left goes first.
    `outputs` are where they write, one for each. Raises SandboxError for one that fails.
    """
    from sandbox.container.operations import create, remove

    for number, hook in enumerate(hooks):
        with suppress(NotFoundError):
            remove(context, hook.request.name or "", force=True)
        container_id = create(context, hook.request).container.id
        try:
            code = _run_to_its_end(context, container_id, outputs[number] if outputs else -1)
            said = _log_of(context, container_id) if code and not outputs else ""
        finally:
            with suppress(NotFoundError):
                remove(context, container_id, force=True, volumes=True)
        if code:
            raise SandboxError(f"service {hook.service} pre_start[{hook.number}] exited with code {code}", cause=said)


def _run_to_its_end(context: OperationContext, container_id: str, output: int) -> int:
    from sandbox.container.operations import Joining, carry, start, start_joined, wait
    from sandbox.container.session.attach import Streams

    if output < 0:
        start(context, container_id)
        return wait(context, container_id)
    joining = Joining(Streams(-1, output, output))
    return carry(context, start_joined(context, container_id, joining), joining) or 0


def _log_of(context: OperationContext, container_id: str) -> str:
    from sandbox.container.operations import logs
    from sandbox.container.view.logs import LogSelection
    from sandbox.errors import NotSupportedError

    try:
        entries = [entry.text for entry in logs(context, container_id, LogSelection(tail=5))]
    except NotSupportedError:
        return ""
    return "".join(entries)[-_TOLD_BYTES:].strip()
