"""`sandbox api`: Docker's Engine API on a socket, for as long as somebody wants it."""

from __future__ import annotations

from sandbox.cli.command import Command
from sandbox.cli.flags import option
from sandbox.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Invocation


def serve(invocation: Invocation) -> int:
    """Serve until a signal, or until nobody has asked anything for the idle time."""
    from sandbox.api.running import serve_user
    from sandbox.grammar.durations import parse_duration

    context = invocation.context
    if invocation.flag("detach"):
        return _serve_detached(invocation)
    idle = invocation.text("idle") or ""
    idle_ns = parse_duration(idle) if idle else 0
    if idle_ns < 0:
        raise UsageError(f"invalid time: {idle}", mend="--idle 10m")
    path = context.cwd.absolute(invocation.text("socket") or "") if invocation.given("socket") else ""
    serve_user(
        context.for_operations(),
        path,
        idle_ns / 1e9 or None,
        ready_fd=invocation.number("ready-fd"),
        note=context.note,
    )
    return 0


def _serve_detached(invocation: Invocation) -> int:
    """Print where the user's server listens, which is started where there is none."""
    from sandbox.api.sockets import ensure_socket

    if invocation.given("socket") or invocation.given("idle"):
        raise UsageError("--detach is for the user's own server", mend="leave --socket and --idle out")
    context = invocation.context
    context.print(ensure_socket(context.find_paths(), context.env))
    return 0


def run(invocation: Invocation) -> int:
    """Run a command with a socket of its own; its exit status."""
    from sandbox.api.running import run_command

    return run_command(
        invocation.context.for_operations(),
        invocation.arguments,
        keep=invocation.flag("keep"),
        note=invocation.context.note,
    )


COMMANDS: tuple[Command, ...] = (
    Command(
        "api serve",
        "Serve Docker's Engine API on a unix socket",
        "[OPTIONS]",
        (
            option("-d --detach", "flag", "Serve in the background until idle for 10m, and print where"),
            option("--idle", "text", "End when nobody has asked anything for so long, such as 10m", "duration"),
            option("--socket", "text", "Where to listen; default docker.sock in the runtime directory", "path"),
            option("--ready-fd", "number", "Tell on this descriptor when it listens", "int", hidden=True),
        ),
        serve,
        most=0,
        examples=("sandbox api serve --idle 10m &", "sandbox api serve -d"),
        further=("which programs work, and what is answered otherwise: docs/api.md",),
    ),
    Command(
        "api run",
        "Run a command with DOCKER_HOST set to a socket of its own, and remove what it made",
        "[OPTIONS] COMMAND [ARG...]",
        (option("--keep", "flag", "Leave the containers, networks, volumes and images that it made"),),
        run,
        least=1,
        interspersed=False,
        examples=("sandbox api run -- pytest", "sandbox api run -- docker compose up --abort-on-container-exit"),
        further=("which programs work, and what is answered otherwise: docs/api.md",),
    ),
)
