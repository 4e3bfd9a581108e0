"""`exec`."""

from __future__ import annotations

import os

from sandbox.cli.command import Command
from sandbox.cli.flags import option
from sandbox.cli.joining import STANDARD_STREAMS, read_detach_keys
from sandbox.container import operations
from sandbox.container.session.attach import ClientStreams
from sandbox.container.session.exec_request import ExecRequest
from sandbox.errors import CommandNotFoundError, NoTerminalError, NotExecutableError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Invocation


def execute(invocation: Invocation) -> int:
    """Run a command in a running container."""
    detached, terminal = invocation.flag("detach"), invocation.flag("tty")
    stdin = invocation.flag("interactive") and not detached
    if stdin and terminal and not os.isatty(0):
        raise NoTerminalError("the input device is not a TTY", mend="leave -t out, or run it in a terminal")
    detach_keys = read_detach_keys(invocation) if terminal else b""
    client = None if detached else ClientStreams(STANDARD_STREAMS, stdin, terminal, detach_keys=detach_keys)
    request = ExecRequest(
        arguments=invocation.arguments[1:],
        environment=_environment(invocation),
        user=invocation.text("user") or "",
        working_directory=_working_directory(invocation),
        terminal=terminal,
        privileged=invocation.flag("privileged"),
    )
    try:
        return operations.execute(invocation.context.for_operations(), invocation.arguments[0], request, client)
    except (CommandNotFoundError, NotExecutableError) as error:
        from sandbox.cli.program_mends import mend_program  # for this error only

        mend_program(invocation, error)
        raise


def _environment(invocation: Invocation) -> tuple[str, ...]:
    if not invocation.given("env") and not invocation.given("env-file"):
        return ()
    from sandbox.cli.container_options.reading import form_as_mend
    from sandbox.grammar.environment import read_variables

    files = [invocation.context.cwd.absolute(text) for text in invocation.texts("env-file")]
    with form_as_mend("env"):
        return read_variables(files, invocation.texts("env"), invocation.context.env)


def _working_directory(invocation: Invocation) -> str:
    directory = invocation.text("workdir") or ""
    if directory and not directory.startswith("/"):
        raise UsageError(
            f"the working directory '{directory}' is invalid, it needs to be an absolute path", mend=f"-w /{directory}"
        )
    return directory


COMMANDS: tuple[Command, ...] = (
    Command(
        "container exec",
        "Execute a command in a running container",
        "[OPTIONS] CONTAINER COMMAND [ARG...]",
        (
            option("-d --detach", "flag", "Detached mode: run command in the background"),
            option("--detach-keys", "text", "Override the key sequence for detaching a container", "string"),
            option("-e --env", "list", "Set environment variables"),
            option("--env-file", "list", "Read in a file of environment variables"),
            option("-i --interactive", "flag", "Keep STDIN open even if not attached"),
            option("--privileged", "flag", "Give extended privileges to the command"),
            option("-t --tty", "flag", "Allocate a pseudo-TTY"),
            option("-u --user", "text", "Username or UID (format: <name|uid>[:<group|gid>])", "string"),
            option("-w --workdir", "text", "Working directory inside the container", "string"),
        ),
        execute,
        least=2,
        interspersed=False,
        examples=("sandbox exec -it web sh",),
    ),
)
