"""The life of containers from the command line: start, stop, restart, kill, rm, wait, rename."""

from __future__ import annotations

from sandbox.cli.command import Command, each
from sandbox.cli.flags import option
from sandbox.container import operations
from sandbox.errors import ConflictError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.cli.command import Invocation
    from sandbox.operation_context import OperationContext

_SIGNAL = option("-s --signal", "text", "Signal to send to the container", "string")
_TIMEOUT = option("-t --timeout --time", "number", "Seconds to wait before killing the container", "int")


def start(invocation: Invocation) -> int:
    """Start what is stopped; with -a stay with it."""
    if invocation.flag("attach") or invocation.flag("interactive"):
        if len(invocation.arguments) > 1:
            raise ConflictError("you cannot start and attach multiple containers at once")
        return _start_attached(invocation)
    return _for_each(invocation, operations.start)


def _start_attached(invocation: Invocation) -> int:
    from sandbox.cli.joining import read_joining

    context = invocation.context.for_operations()
    joining = read_joining(invocation, stdin=invocation.flag("interactive"))
    joined = operations.start_joined(context, invocation.arguments[0], joining)
    return operations.carry(context, joined, joining) or 0


def stop(invocation: Invocation) -> int:
    return _for_each(invocation, lambda context, word: operations.stop(context, word, _stop_request(invocation)))


def restart(invocation: Invocation) -> int:
    return _for_each(invocation, lambda context, word: operations.restart(context, word, _stop_request(invocation)))


def kill(invocation: Invocation) -> int:
    number = _signal_number(invocation)
    return _for_each(invocation, lambda context, word: operations.kill(context, word, number or 9))


def pause(invocation: Invocation) -> int:
    return _for_each(invocation, operations.pause)


def unpause(invocation: Invocation) -> int:
    return _for_each(invocation, operations.unpause)


def remove(invocation: Invocation) -> int:
    from sandbox.errors import NotFoundError

    context = invocation.context.for_operations()
    force, volumes = invocation.flag("force"), invocation.flag("volumes")
    if invocation.flag("link"):
        return each(invocation, lambda word: _remove_link(context, word))

    def remove_one(word: str) -> str | None:
        try:
            operations.remove(context, word, force=force, volumes=volumes)
        except NotFoundError:
            if not force:
                raise
            # rm -f of what is not there: said, but no failure
            invocation.context.note(f"Error: No such container: {word}")
            return None
        return word

    return each(invocation, remove_one)


def _remove_link(context: OperationContext, word: str) -> str:
    from sandbox.container.networking import remove_link

    remove_link(context, word)
    return word


def wait(invocation: Invocation) -> int:
    context = invocation.context.for_operations()
    return each(invocation, lambda word: str(operations.wait(context, word)))


def rename(invocation: Invocation) -> int:
    word, name = invocation.arguments
    operations.rename(invocation.context.for_operations(), word, name)
    return 0


def _stop_request(invocation: Invocation) -> operations.StopRequest:
    return operations.StopRequest(_signal_number(invocation), invocation.number("timeout"))


def _signal_number(invocation: Invocation) -> int | None:
    text = invocation.text("signal")
    if not text:
        return None
    from sandbox.grammar.signals import parse_signal

    return parse_signal(text)


def _for_each(invocation: Invocation, action: Callable[[OperationContext, str], None]) -> int:
    context = invocation.context.for_operations()

    def act(word: str) -> str:
        action(context, word)
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
        "container pause",
        "Pause all processes within one or more containers",
        "CONTAINER [CONTAINER...]",
        (),
        pause,
        least=1,
        examples=("sandbox pause web", "sandbox pause web db"),
    ),
    Command(
        "container unpause",
        "Unpause all processes within one or more containers",
        "CONTAINER [CONTAINER...]",
        (),
        unpause,
        least=1,
        examples=("sandbox unpause web",),
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
