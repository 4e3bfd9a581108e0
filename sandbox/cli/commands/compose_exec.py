"""Being in a service's container: compose exec, attach; and what becomes of its files: cp, export, commit."""

from __future__ import annotations

import os

from sandbox.cli.command import Command
from sandbox.cli.compose_call import as_command, project_name
from sandbox.cli.compose_runs import is_dry
from sandbox.cli.flags import option
from sandbox.compose.chosen import Choice, chosen, the_one
from sandbox.compose.observe import observe
from sandbox.errors import NotFoundError, SandboxError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Invocation
    from sandbox.cli.flags import Value
    from sandbox.container.files.names import Argument

_INDEX = option("--index", "number", "Index of the container if service has multiple replicas", "int", 0)


def execute(invocation: Invocation) -> int:
    """Run a command in a service's running container."""
    from sandbox.cli.commands.exec import execute as execute_in

    service, *words = invocation.arguments
    container = _container(invocation, service)
    if is_dry(invocation):
        return _would(invocation, f"Container {container[:12]}", f"Exec {' '.join(words)}")
    values: dict[str, Value] = {
        **invocation.values, "tty": wants_terminal(invocation), "interactive": invocation.flag("interactive"),
    }  # fmt: skip
    return execute_in(as_command(invocation, "container exec", (container, *words), values))


def wants_terminal(invocation: Invocation) -> bool:
    """What -t and -T say; without either whether the caller has a terminal at both ends. Raises UsageError."""
    if invocation.given("tty") and invocation.given("no-tty"):
        raise UsageError("--tty and --no-tty can't be used together")
    if invocation.given("tty"):
        return invocation.flag("tty")
    if invocation.given("no-tty"):
        return not invocation.flag("no-tty")
    return invocation.context.stdout.isatty() and os.isatty(0)


def attach(invocation: Invocation) -> int:
    """Join this command's streams to a service's running container."""
    from sandbox.cli.commands.container_output import attach as attach_to

    (service,) = invocation.arguments
    return attach_to(as_command(invocation, "container attach", (_container(invocation, service),)))


def export(invocation: Invocation) -> int:
    """Write the file system of a service's container as a tar archive."""
    from sandbox.cli.commands.container_files import export as export_from

    (service,) = invocation.arguments
    return export_from(as_command(invocation, "container export", (_container(invocation, service, all=True),)))


def commit(invocation: Invocation) -> int:
    """Make an image of a service's container; print its id."""
    from sandbox.cli.commands.commit import commit as commit_from

    service, *name = invocation.arguments
    container = _container(invocation, service, all=True)
    if is_dry(invocation):
        return _would(invocation, f"Container {container[:12]}", "Committed")
    return commit_from(as_command(invocation, "container commit", (container, *name)))


def _would(invocation: Invocation, subject: str, word: str) -> int:
    from sandbox.cli.compose_progress import write_dry

    write_dry(invocation.context.stderr, subject, word)
    return 0


def _container(invocation: Invocation, service: str, *, all: bool = False) -> str:
    observed = observe(invocation.context.for_operations(), project_name(invocation))
    return the_one(observed, service, invocation.number("index") or 0, all=all, one_off=True)


def copy(invocation: Invocation) -> int:
    """Copy between a service's containers and the caller's files: out of the first, into all of them."""
    from sandbox.cli.commands.container_files import copy as copy_with
    from sandbox.container.files.names import split_argument

    source, target = map(split_argument, invocation.arguments)
    if source.container and target.container:
        raise SandboxError("copying between services is not supported")
    if not source.container and not target.container:
        raise SandboxError("unknown copy direction", mend="sandbox compose cp SERVICE:PATH PATH")
    status = 0
    for container in _copied_with(invocation, source.container or target.container, is_out=bool(source.container)):
        arguments = (_argument(source, container), _argument(target, container))
        if is_dry(invocation):
            _would(invocation, f"Container {container[:12]}", f"Copy {arguments[0]} to {arguments[1]} Copied")
            continue
        status = copy_with(as_command(invocation, "container cp", arguments)) or status
    return status


def _copied_with(invocation: Invocation, service: str, *, is_out: bool) -> tuple[str, ...]:
    observed = observe(invocation.context.for_operations(), project_name(invocation))
    index = invocation.number("index") or 0
    if index:
        return (the_one(observed, service, index, all=True),)
    found = chosen(observed, Choice((service,), all=True, one_off=invocation.flag("all")))
    if not found:
        raise NotFoundError(f'no container found for service "{service}"', mend="sandbox compose ps -a")
    return tuple(each.id for each in (found[:1] if is_out else found))


def _argument(argument: Argument, container: str) -> str:
    return f"{container}:{argument.path}" if argument.container else argument.path


_ONE = "[OPTIONS] SERVICE"

COMMANDS: tuple[Command, ...] = (
    Command(
        "compose exec",
        "Execute a command in a running container",
        "[OPTIONS] SERVICE COMMAND [ARGS...]",
        (
            option("-d --detach", "flag", "Detached mode: Run command in the background"),
            option("-e --env", "list", "Set environment variables", "stringArray"),
            _INDEX,
            option("-i --interactive", "flag", "Keep STDIN open even if not attached", default=True, hidden=True),
            option("-T --no-tty --no-TTY", "flag",
                   "Disable pseudo-TTY allocation. By default a TTY is allocated where the caller has one"),
            option("--privileged", "flag", "Give extended privileges to the process"),
            option("-t --tty", "flag", "Allocate a pseudo-TTY", default=True, hidden=True),
            option("-u --user", "text", "Run the command as this user", "string"),
            option("-w --workdir", "text", "Path to workdir directory for this command", "string"),
        ),
        execute,
        least=2,
        interspersed=False,
        examples=("sandbox compose exec web sh", "sandbox compose exec -T db pg_dump -U app app > app.sql"),
    ),
    Command(
        "compose attach",
        "Attach local standard input, output, and error streams to a service's running container",
        _ONE,
        (
            option("--detach-keys", "text", "Override the key sequence for detaching from a container.", "string"),
            _INDEX,
            option("--no-stdin", "flag", "Do not attach STDIN"),
            option("--sig-proxy", "flag", "Proxy all received signals to the process", default=True),
        ),
        attach,
        least=1,
        most=1,
        examples=("sandbox compose attach web",),
    ),
    Command(
        "compose cp",
        "Copy files/folders between a service container and the local filesystem",
        "[OPTIONS] SERVICE:SRC_PATH DEST_PATH|-\n\tsandbox compose cp [OPTIONS] SRC_PATH|- SERVICE:DEST_PATH",
        (
            option("--all", "flag", "Include containers created by the run command"),
            option("-a --archive", "flag", "Archive mode (copy all uid/gid information)"),
            option("-L --follow-link", "flag", "Always follow symbol link in SRC_PATH"),
            _INDEX,
        ),
        copy,
        least=2,
        most=2,
        examples=("sandbox compose cp ./settings.toml web:/etc/web/", "sandbox compose cp db:/var/log/. logs"),
        further=("what is copied to a service goes into each of its containers",),
    ),
    Command(
        "compose export",
        "Export a service container's filesystem as a tar archive",
        _ONE,
        (_INDEX, option("-o --output", "text", "Write to a file, instead of STDOUT", "string")),
        export,
        least=1,
        most=1,
        examples=("sandbox compose export -o web.tar web",),
    ),
    Command(
        "compose commit",
        "Create a new image from a service container's changes",
        "[OPTIONS] SERVICE [REPOSITORY[:TAG]]",
        (
            option("-a --author", "text", 'Author (e.g., "Jane Doe <jane@example.com>")', "string"),
            option("-c --change", "list", "Apply Dockerfile instruction to the created image", "list"),
            _INDEX,
            option("-m --message", "text", "Commit message", "string"),
            option("-p --pause", "flag", "Pause container during commit", default=True),
        ),
        commit,
        least=1,
        most=2,
        examples=("sandbox compose commit web web:tried",),
    ),
)  # fmt: skip
