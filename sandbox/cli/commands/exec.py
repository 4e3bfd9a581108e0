"""`exec`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sandbox.cli.command import Command
from sandbox.cli.flags import option
from sandbox.container.life.lookup import open_container
from sandbox.container.session.exec_request import ExecRequest, exec_spec, has_ended, not_running_error
from sandbox.container.session.exec_session import ExecTarget, run_attached, run_detached
from sandbox.errors import CommandNotFoundError, NotExecutableError, StartError, UsageError
from sandbox.state import open_state

if TYPE_CHECKING:
    from sandbox.cli.command import Invocation


def execute(invocation: Invocation) -> int:
    """Run a command in a running container."""
    detached, terminal = invocation.flag("detach"), invocation.flag("tty")
    stdin = invocation.flag("interactive") and not detached
    if stdin and terminal and not os.isatty(0):
        raise UsageError("the input device is not a TTY", mend="leave -t out, or run it in a terminal")
    detach_keys = _detach_keys(invocation) if terminal else b""
    request = ExecRequest(
        arguments=invocation.arguments[1:],
        environment=_environment(invocation),
        user=invocation.text("user") or "",
        working_directory=_working_directory(invocation),
        terminal=terminal,
        privileged=invocation.flag("privileged"),
    )
    paths = invocation.context.find_paths()
    with open_state(paths, durable=False) as connection:
        container = open_container(connection, paths, invocation.arguments[0])
    spec = exec_spec(paths, container, request)
    limit = 0 if container.state.cgroup else max(0, container.config.resources.pids_limit)
    target = ExecTarget(container.state.pid, container.state.cgroup, limit)
    try:
        if detached:
            run_detached(target, spec)
            return 0
        return run_attached(target, spec, stdin=stdin, detach_keys=detach_keys)
    except (CommandNotFoundError, NotExecutableError) as error:
        from sandbox.cli.program_mends import mend_program  # for this error only

        mend_program(invocation, error)
        raise
    except StartError as error:
        if has_ended(container):
            # the kernel gives many reasons for not entering what is being taken down
            raise not_running_error(container) from error
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


def _detach_keys(invocation: Invocation) -> bytes:
    from sandbox.runtime.terminal import DEFAULT_DETACH_KEYS, parse_detach_keys

    text = invocation.text("detach-keys")
    return parse_detach_keys(DEFAULT_DETACH_KEYS if text is None else text)


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
