"""What can be done with containers, for whoever asks: a command, a program.

Values in, values out; SandboxErrors whose `kind` says what the caller may do. A `word` is a container's name, its id or
a prefix of that. What an operation imports beyond looking containers up it imports itself: a command does one of them.

Starting forks, and must not do so under threads or open databases: a program that may have any has operations done by
workers (`sandbox.warm`).
"""

from __future__ import annotations

from sandbox.errors import ConflictError, NoTerminalError, NotSupportedError, SandboxError, UsageError
from sandbox.named_tuple import NamedTuple
from sandbox.reconciler_calls import ensure_due
from sandbox.state import open_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from sandbox.container.life.creation import Created
    from sandbox.container.life.handshake import StartOptions
    from sandbox.container.life.naming import Identity
    from sandbox.container.model.record import Container
    from sandbox.container.monitor.health_rules import Health
    from sandbox.container.monitor.plan import Attachment
    from sandbox.container.monitor.spawn import SpawnedMonitor
    from sandbox.container.request.request import ContainerRequest
    from sandbox.container.session.attach import ClientStreams, Streams
    from sandbox.container.session.exec_request import ExecRequest
    from sandbox.container.view.log_entries import LogBlock, LogEntry
    from sandbox.container.view.logs import LogSelection
    from sandbox.operation_context import OperationContext
    from sandbox.protocol.channel import Channel

_KILL = 9


class StopRequest(NamedTuple):
    """How to stop; None takes what the container was made with."""

    signal_number: int | None = None
    #: before SIGKILL; below 0 is never
    timeout_seconds: int | None = None


class Joined(NamedTuple):
    """A connection to a container's monitor that carries its streams; `carry` closes it.

    `channel` is None where the container has ended before it could be joined.
    """

    container: Container
    channel: Channel | None
    #: whether the container's input is joined
    stdin: bool


class Joining(NamedTuple):
    """What of the caller's is to be joined: `stdin` counts where the container's input is open."""

    streams: Streams
    stdin: bool = False
    proxy_signals: bool = False
    detach_keys: bytes = b""


class ListRequest(NamedTuple):
    """Which containers are listed: with neither `all` nor a limit nor a filter by status those that run."""

    #: "KEY=VALUE" as of `ps --filter`
    filters: tuple[str, ...] = ()
    all: bool = False
    limit: int | None = None


def look_up(context: OperationContext, word: str) -> Container:
    """The container that `word` names, as it truly is. Raises NotFoundError."""
    from sandbox.container.life.lookup import open_container

    with open_state(context.paths, durable=False) as connection:
        found = open_container(connection, context.paths, word)
        ensure_due(connection, context.paths, context.env)
        return found


def list_containers(context: OperationContext, request: ListRequest = ListRequest()) -> list[Container]:  # noqa: B008
    """The containers asked for, the newest first. Raises UsageError, FilterError."""
    from sandbox.container.life.lookup import present_containers

    shows_all = request.all or request.limit is not None
    with open_state(context.paths, durable=False) as connection:
        containers = present_containers(connection, context.paths)
        ensure_due(connection, context.paths, context.env)
        if request.filters:
            from sandbox.container.view.list_filters import filter_containers, read_filters

            filters = read_filters(request.filters)
            # who asks for a status means it, running or not
            shows_all = shows_all or filters.given("status")
            containers = filter_containers(connection, containers, filters)
    if not shows_all:
        containers = [each for each in containers if each.state.status in ("running", "paused", "restarting")]
    return containers[: request.limit]


def inspect(context: OperationContext, word: str, *, with_size: bool = False) -> dict[str, Any]:
    """Docker's document of a container. Raises NotFoundError."""
    (found,) = inspect_each(context, (word,), with_size=with_size)
    if isinstance(found, SandboxError):
        raise found
    return found


def inspect_each(
    context: OperationContext, words: Sequence[str], *, with_size: bool = False
) -> list[dict[str, Any] | SandboxError]:
    """For each word Docker's document of the container, or why there is none: NotFoundError, SandboxError."""
    from sandbox.container.view.inspections import inspect_containers

    return inspect_containers(context.paths, words, with_size=with_size)


def create(
    context: OperationContext,
    request: ContainerRequest,
    identity: Identity | None = None,
    *,
    needs_command: bool = True,
) -> Created:
    """Make a container that is started later; without `identity` its id is made up. Its image is pulled as the request
    says. With `needs_command` one that has nothing to execute is refused.

    Raises ImageNotFoundError, RegistryError, UsageError with the request's field, ConflictError for a taken name,
    HostError; nothing was made then.
    """
    from sandbox.container.life.creation import create_requested

    if identity is None:
        from sandbox.container.life.naming import Identity
        from sandbox.container.model.names import check_name
        from sandbox.random_ids import new_container_id

        identity = Identity(new_container_id(), check_name(request.name) if request.name else "")
    return create_requested(context, request, identity, needs_command=needs_command)


def start_created(
    context: OperationContext,
    created: Created,
    spawned: SpawnedMonitor,
    options: StartOptions,
) -> None:
    """Have the monitor that was spawned for a new container start it. Raises SandboxError, and then the monitor is
    gone, and has put everything back.
    """
    from sandbox.container.life.handshake import start_in_monitor

    start_in_monitor(context.paths, spawned, created.container, options._replace(limits=created.limits))


def start(context: OperationContext, word: str) -> None:
    """Start the container; nothing happens where it runs. Raises SandboxError."""
    from sandbox.container.life.start import StartRequest, start_container

    started = start_container(context.paths, context.env, StartRequest(word))
    if started is not None:
        started.spawned.channel.close()


def start_joined(context: OperationContext, word: str, joining: Joining) -> Joined:
    """Start the container with the caller joined from its first byte on; one that runs is joined. Raises as `attach`,
    and SandboxError.
    """
    from sandbox.container.life.start import StartRequest, start_container
    from sandbox.container.monitor.plan import Attachment
    from sandbox.runtime.terminal import get_window_size

    container = look_up(context, word)
    stdin = joining.stdin and container.config.open_stdin
    size = get_window_size(joining.streams.stdin_fd) if container.config.terminal else None
    request = StartRequest(word, Attachment(stdin, True, True), size)
    started = start_container(context.paths, context.env, request)
    if started is None:
        return attach(context, word, joining)
    return Joined(started.container, started.spawned.channel, stdin)


def stop(context: OperationContext, word: str, request: StopRequest = StopRequest()) -> None:  # noqa: B008  a value
    """Stop the container and wait for its end; nothing happens where it does not run. Raises SandboxError."""
    from sandbox.container.life.stop import stop_container

    container = look_up(context, word)
    stop_container(
        context.paths, container, signal_number=request.signal_number, timeout_seconds=request.timeout_seconds
    )


def restart(context: OperationContext, word: str, request: StopRequest = StopRequest()) -> None:  # noqa: B008  a value
    """Stop the container, where it runs, and start it. Raises SandboxError."""
    from sandbox.container.model.events import Tell, tell

    container = look_up(context, word)
    stop(context, container.id, request)
    start(context, container.id)
    with open_state(context.paths, durable=False) as connection:
        tell(connection, container.id, Tell("restart"))


def kill(context: OperationContext, word: str, signal_number: int = _KILL) -> None:
    """Send a signal to the container's first process; of SIGKILL the end is waited for, as scripts expect that go on to
    remove it. Raises ConflictError where it does not run, SandboxError where the kernel refuses.
    """
    from sandbox.container.life.stop import send_signal, wait_container

    container = look_up(context, word)
    send_signal(context.paths, container, signal_number)
    if signal_number == _KILL:
        with open_state(context.paths) as connection:
            wait_container(connection, context.paths, container)


def pause(context: OperationContext, word: str) -> None:
    """Hold all processes of the container where they are. Raises ConflictError where it does not run, or is paused;
    SandboxError where they cannot be held.
    """
    from sandbox.container.life.pausing import pause_container

    pause_container(context.paths, look_up(context, word))


def unpause(context: OperationContext, word: str) -> None:
    """Let the processes of a paused container go on. Raises ConflictError where it is not paused."""
    from sandbox.container.life.pausing import unpause_container

    unpause_container(context.paths, look_up(context, word))


def remove(context: OperationContext, word: str, *, force: bool = False, volumes: bool = False) -> None:
    """Remove the container, by force also while it runs, and with `volumes` the unnamed ones that only it has.

    Raises NotFoundError; ConflictError while it runs.
    """
    from sandbox.container.life.remove import remove_container

    with open_state(context.paths, frees=True) as connection:
        remove_container(connection, context.paths, word, force=force, volumes=volumes)
        ensure_due(connection, context.paths, context.env)


def wait(context: OperationContext, word: str) -> int:
    """Wait until the container has ended; its exit code, or that of its last run. Raises NotFoundError."""
    from sandbox.container.life.lookup import open_container
    from sandbox.container.life.stop import wait_container

    with open_state(context.paths) as connection:
        return wait_container(connection, context.paths, open_container(connection, context.paths, word))


def wait_healthy(context: OperationContext, word: str, wanted: tuple[str, ...] = ("healthy", "unhealthy")) -> str:
    """Wait until the container's health is one of `wanted`, and return it. Raises ConflictError where it has no health
    check or does not run any more, NotFoundError.
    """
    from sandbox.container.life.health import wait_health

    return wait_health(context.paths, look_up(context, word), wanted)


def check_health(context: OperationContext, word: str) -> Health:
    """Run the container's health check once, now; the newest of its results is that one's. Raises ConflictError where
    it has none or does not run, NotFoundError.
    """
    from sandbox.container.life.health import check_health

    return check_health(context.paths, look_up(context, word))


def rename(context: OperationContext, word: str, name: str) -> None:
    """Give the container another name. Raises UsageError for what is no name, ConflictError, NotFoundError."""
    from sandbox.container.life.lookup import open_container
    from sandbox.container.model.linked import rename_linked
    from sandbox.container.model.names import check_name
    from sandbox.container.model.store import rename_container

    if not name or not word:
        raise UsageError("Neither old nor new names may be empty")
    with open_state(context.paths) as connection:
        container = open_container(connection, context.paths, word)
        name = check_name(name)
        if container.name == name:
            raise UsageError("Renaming a container with the same name as its current name")
        rename_container(connection, container.id, name, lambda former: rename_linked(connection, former, name))
    if container.config.endpoints and container.state.monitor_pid:
        from contextlib import suppress

        from sandbox.container.life.asking import call_monitor

        # it is found by its new name; one that ends just now is found by none
        with suppress(SandboxError):
            call_monitor(context.paths, container, "networks")


def logs(context: OperationContext, word: str, selection: LogSelection, *, follow: bool = False) -> Iterator[LogEntry]:
    """The selected entries of the container's log; with `follow` also what is written until its end.

    Raises NotFoundError, NotSupportedError where the container keeps no log.
    """
    from itertools import chain

    from sandbox.container.view.logs import entries_of

    return entries_of(chain.from_iterable(log_batches(context, word, selection, follow=follow)))


def log_batches(
    context: OperationContext, word: str, selection: LogSelection, *, follow: bool
) -> Iterable[Iterator[LogBlock]]:
    """As `logs` in blocks, with those together that are there at once; each is to be read to its end before the next.
    Raises NotFoundError; NotSupportedError where its log is not kept.
    """
    from sandbox.container.view.log_following import follow_log
    from sandbox.container.view.logs import read_blocks

    container = look_up(context, word)
    if container.config.log.driver == "none":
        raise NotSupportedError("configured logging driver does not support reading")
    if follow:
        return follow_log(context.paths, container, selection)
    return (read_blocks(context.paths.container_data(container.id), selection),)


def attach(context: OperationContext, word: str, joining: Joining) -> Joined:
    """Join a running container. Raises ConflictError where it does not run; NoTerminalError where it has a terminal,
    and the caller's input is none.
    """
    import os

    from sandbox.container.monitor.plan import Attachment

    container = look_up(context, word)
    refuse_unattachable(container)
    stdin = joining.stdin and container.config.open_stdin
    if container.config.terminal and stdin and not os.isatty(joining.streams.stdin_fd):
        raise NoTerminalError("the input device is not a TTY", mend="--no-stdin, or run it in a terminal")
    return Joined(container, join_channel(context, container, Attachment(stdin, True, True)), stdin)


def join_channel(context: OperationContext, container: Container, attachment: Attachment) -> Channel | None:
    """A channel to the container's monitor, joined to those of its streams; None where it has ended just now. Raises
    SandboxError.
    """
    from sandbox.container.life.stop import open_channel
    from sandbox.container.monitor.reach import refuse_halted

    refuse_halted(container)
    channel = open_channel(context.paths, container)
    if channel is not None:
        channel.send_message("attach", **attachment._asdict())
    return channel


def refuse_unattachable(container: Container) -> None:
    """Raise ConflictError where nobody can be joined to the container."""
    if container.state.status == "restarting":
        raise ConflictError("You cannot attach to a restarting container, wait until it is running")
    if container.state.status == "paused":
        raise ConflictError(
            "You cannot attach to a paused container, unpause it first", mend=f"sandbox unpause {container.name}"
        )
    if container.state.status != "running":
        raise ConflictError(
            "You cannot attach to a stopped container, start it first", mend=f"sandbox start -a {container.name}"
        )


def carry(context: OperationContext, joined: Joined, joining: Joining) -> int | None:
    """Carry streams and signals both ways until the container ends, its exit code, or the person detaches, None.

    Raises SandboxError where the connection was cut.
    """
    container, channel, stdin = joined
    if channel is None:
        return _code_after_end(context, container)
    from sandbox.container.session.attach import ClientStreams, Session

    client = ClientStreams(
        joining.streams, stdin, container.config.terminal, joining.proxy_signals, joining.detach_keys, container.name
    )
    try:
        outcome = Session(channel, client).run()
    finally:
        channel.close()
    if outcome.detached:
        return None
    return _code_after_end(context, container) if outcome.exit_code is None else outcome.exit_code


def _code_after_end(context: OperationContext, container: Container) -> int:
    # rare: nearly always the monitor tells
    from sandbox.container.life.stop import code_after_end

    return code_after_end(context.paths, container)


def execute(context: OperationContext, word: str, request: ExecRequest, client: ClientStreams | None) -> int:
    """Run a command in a running container, with the caller's streams to its end; without them a process of its own
    waits for it, and tells of its end.

    Returns its exit code, 0 where the caller does not wait. Raises ConflictError where the container does not run,
    StartError.
    """
    from sandbox.container.life.lookup import open_container
    from sandbox.container.model.events import tell_exec_began
    from sandbox.container.session.exec_request import exec_spec
    from sandbox.container.session.exec_run import run_in_container

    with open_state(context.paths, durable=False) as connection:
        container = open_container(connection, context.paths, word)
        spec = exec_spec(context.paths, container, request)
        exec_id = tell_exec_began(connection, container.id, spec.arguments)
    return run_in_container(context.paths, container, spec, exec_id, client)
