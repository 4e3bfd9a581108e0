"""The life of containers from the command line: start, stop, restart, kill, rm, wait, rename."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.cli.command import Command, each
from sandbox.cli.flags import option
from sandbox.container.life.lookup import open_container
from sandbox.errors import ConflictError, UsageError
from sandbox.state import open_state

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.cli.command import Invocation
    from sandbox.container.model.record import Container
    from sandbox.paths import Paths

_SIGNAL = option("-s --signal", "text", "Signal to send to the container", "string")
_TIMEOUT = option("-t --timeout --time", "number", "Seconds to wait before killing the container", "int")


def start(invocation: Invocation) -> int:
    """Start what is stopped; with -a stay with it."""
    from sandbox.container.life.start import StartRequest, start_container

    attaches = invocation.flag("attach") or invocation.flag("interactive")
    if attaches:
        if len(invocation.arguments) > 1:
            raise ConflictError("you cannot start and attach multiple containers at once")
        return _start_attached(invocation)
    paths = invocation.context.find_paths()

    def start_one(word: str) -> str:
        started = start_container(paths, invocation.context.env, StartRequest(word))
        if started is not None:
            started.spawned.channel.close()
        return word

    return each(invocation, start_one)


def _start_attached(invocation: Invocation) -> int:
    from sandbox.container.life.start import StartRequest, start_container
    from sandbox.container.life.stop import code_after_end
    from sandbox.container.monitor.spawn import Attachment
    from sandbox.container.session.attach import ClientStreams, Session
    from sandbox.runtime.terminal import DEFAULT_DETACH_KEYS, get_window_size, parse_detach_keys

    paths = invocation.context.find_paths()
    word = invocation.arguments[0]
    keys = invocation.text("detach-keys")
    detach_keys = parse_detach_keys(DEFAULT_DETACH_KEYS if keys is None else keys)
    container = _look_up(paths, word)
    stdin = invocation.flag("interactive") and container.config.open_stdin
    attachment = Attachment(stdin, True, True)
    size = get_window_size(0) if container.config.terminal else None
    started = start_container(paths, invocation.context.env, StartRequest(word, attachment, size))
    if started is None:
        # as Docker has it: `start -a` of a container that runs is `attach`
        from sandbox.cli.commands.container_output import attach_to

        return attach_to(invocation, container, stdin=stdin, detach_keys=detach_keys)
    streams = ClientStreams(stdin, container.config.terminal, invocation.flag("sig-proxy"), detach_keys, container.name)
    outcome = Session(started.spawned.channel, streams).run()
    started.spawned.channel.close()
    if outcome.detached:
        return 0
    return code_after_end(paths, container) if outcome.exit_code is None else outcome.exit_code


def stop(invocation: Invocation) -> int:
    return _for_each(invocation, lambda paths, container: _stop(invocation, paths, container))


def restart(invocation: Invocation) -> int:
    from sandbox.container.life.start import StartRequest, start_container

    paths = invocation.context.find_paths()

    def restart_one(word: str) -> str:
        container = _look_up(paths, word)
        _stop(invocation, paths, container)
        started = start_container(paths, invocation.context.env, StartRequest(container.id))
        if started is not None:
            started.spawned.channel.close()
        return word

    return each(invocation, restart_one)


def kill(invocation: Invocation) -> int:
    from sandbox.container.life.stop import send_signal, wait_container
    from sandbox.grammar.signals import parse_signal

    number = parse_signal(invocation.text("signal") or "KILL")

    def kill_one(paths: Paths, container: Container) -> None:
        send_signal(paths, container, number)
        if number == 9:
            # dead when the command returns, as scripts that go on to `rm` expect
            with open_state(paths) as connection:
                wait_container(connection, paths, container)

    return _for_each(invocation, kill_one)


def remove(invocation: Invocation) -> int:
    from sandbox.container.life.remove import remove_container
    from sandbox.errors import NotFoundError

    paths = invocation.context.find_paths()
    force, volumes = invocation.flag("force"), invocation.flag("volumes")
    if invocation.flag("link"):
        raise UsageError("links between containers do not exist here", mend="sandbox rm without --link")

    def remove_one(word: str) -> str | None:
        with open_state(paths, frees=True) as connection:
            try:
                remove_container(connection, paths, word, force=force, volumes=volumes)
            except NotFoundError:
                if not force:
                    raise
                # rm -f of what is not there: said, but no failure
                invocation.context.note(f"Error: No such container: {word}")
                return None
        return word

    return each(invocation, remove_one)


def wait(invocation: Invocation) -> int:
    from sandbox.container.life.stop import wait_container

    paths = invocation.context.find_paths()

    def wait_one(word: str) -> str:
        with open_state(paths) as connection:
            return str(wait_container(connection, paths, open_container(connection, paths, word)))

    return each(invocation, wait_one)


def rename(invocation: Invocation) -> int:
    from sandbox.container.model.names import check_name
    from sandbox.container.model.store import rename_container

    word, name = invocation.arguments
    name = check_name(name)
    paths = invocation.context.find_paths()
    with open_state(paths) as connection:
        container = open_container(connection, paths, word)
        if container.name == name:
            raise ConflictError("Renaming a container with the same name as its current name")
        rename_container(connection, container.id, name)
    return 0


def _stop(invocation: Invocation, paths: Paths, container: Container) -> None:
    from sandbox.container.life.stop import stop_container

    number = None
    text = invocation.text("signal")
    if text:
        from sandbox.grammar.signals import parse_signal

        number = parse_signal(text)
    stop_container(paths, container, signal_number=number, timeout_seconds=invocation.number("timeout"))


def _look_up(paths: Paths, word: str) -> Container:
    with open_state(paths) as connection:
        return open_container(connection, paths, word)


def _for_each(invocation: Invocation, action: Callable[[Paths, Container], None]) -> int:
    paths = invocation.context.find_paths()

    def act(word: str) -> str:
        action(paths, _look_up(paths, word))
        return word

    return each(invocation, act)


_MANY = "[OPTIONS] CONTAINER [CONTAINER...]"

COMMANDS: tuple[Command, ...] = (
    Command(
        "container start",
        "Start one or more stopped containers",
        _MANY,
        (
            option("-a --attach", "flag", "Attach STDOUT/STDERR and forward signals"),
            option("--detach-keys", "text", "Override the key sequence for detaching a container", "string"),
            option("-i --interactive", "flag", "Attach container's STDIN"),
            option("--sig-proxy", "flag", "Proxy all received signals to the process", default=True, hidden=True),
        ),
        start,
        least=1,
        examples=("sandbox start web", "sandbox start -ai job"),
    ),
    Command(
        "container stop",
        "Stop one or more running containers",
        _MANY,
        (_SIGNAL, _TIMEOUT),
        stop,
        least=1,
        examples=("sandbox stop web", "sandbox stop -t 2 web db"),
    ),
    Command(
        "container restart",
        "Restart one or more containers",
        _MANY,
        (_SIGNAL, _TIMEOUT),
        restart,
        least=1,
        examples=("sandbox restart web",),
    ),
    Command(
        "container kill",
        "Kill one or more running containers",
        _MANY,
        (option("-s --signal", "text", "Signal to send to the container", "string", "KILL"),),
        kill,
        least=1,
        examples=("sandbox kill web", "sandbox kill -s HUP web"),
    ),
    Command(
        "container rm",
        "Remove one or more containers",
        _MANY,
        (
            option("-f --force", "flag", "Force the removal of a running container (uses SIGKILL)"),
            option("-l --link", "flag", "Remove the specified link", hidden=True),
            option("-v --volumes", "flag", "Remove anonymous volumes associated with the container"),
        ),
        remove,
        least=1,
        examples=("sandbox rm web", "sandbox rm -f web db"),
    ),
    Command(
        "container wait",
        "Block until containers stop, then print their exit codes",
        "CONTAINER [CONTAINER...]",
        (),
        wait,
        least=1,
        examples=("sandbox wait job",),
    ),
    Command(
        "container rename",
        "Rename a container",
        "CONTAINER NEW_NAME",
        (),
        rename,
        least=2,
        most=2,
        examples=("sandbox rename web old-web",),
    ),
)
