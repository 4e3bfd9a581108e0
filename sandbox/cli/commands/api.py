"""`sandbox api`: Docker's Engine API on a socket, for as long as somebody wants it."""

from __future__ import annotations

from sandbox.cli.command import Command
from sandbox.cli.flags import option
from sandbox.cli.own_command import own_command
from sandbox.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.api.tls import TlsFiles
    from sandbox.cli.command import Invocation

#: options of Docker's engine, and where it looks where they are absent
_TLS_FILES = {"tlscacert": "ca.pem", "tlscert": "cert.pem", "tlskey": "key.pem"}


def serve(invocation: Invocation) -> int:
    """Serve until a signal, or until nobody has asked anything for the idle time."""
    from sandbox.api.opening import serve_user

    context = invocation.context
    if invocation.flag("detach"):
        return _serve_detached(invocation)
    idle = invocation.text("idle") or ""
    idle_ns = 0
    if idle:
        from sandbox.grammar.durations import parse_duration

        idle_ns = parse_duration(idle)
    if idle_ns < 0:
        raise UsageError(f"invalid time: {idle}", mend="--idle 10m")
    hosts = list(invocation.texts("host"))
    if invocation.given("socket"):
        hosts.append(f"unix://{context.cwd.absolute(invocation.text('socket') or '')}")
    serve_user(
        context.for_operations(),
        tuple(hosts),
        _tls_files(invocation),
        idle_ns / 1e9 or None,
        ready_fd=invocation.number("ready-fd"),
        note=context.note,
    )
    return 0


def _tls_files(invocation: Invocation) -> TlsFiles | None:
    """None where TLS is not wanted. Raises UsageError."""
    if not invocation.flag("tlsverify"):
        if invocation.flag("tls") or any(invocation.given(name) for name in _TLS_FILES):
            raise UsageError("TLS is served to clients with certificates alone", mend="--tlsverify")
        return None
    from sandbox.api.tls import TlsFiles
    from sandbox.home import find_home

    context = invocation.context
    directory = context.env.get("DOCKER_CERT_PATH") or f"{find_home(context.env)}/.docker"
    return TlsFiles(
        *(
            context.cwd.absolute(invocation.text(name) or f"{directory}/{default}")
            for name, default in _TLS_FILES.items()
        )
    )


def _serve_detached(invocation: Invocation) -> int:
    """Print where the user's server listens, which is started where there is none."""
    from sandbox.api.sockets import ensure_socket

    if any(invocation.given(name) for name in ("socket", "host", "idle", "tls", "tlsverify", *_TLS_FILES)):
        raise UsageError("--detach is for the user's own server", mend="leave the other options out")
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


def install(invocation: Invocation) -> int:
    """Have systemd listen, and start a server when somebody connects."""
    from sandbox.api.installing import SOCKET_UNIT, install_units, unit_texts
    from sandbox.autostart.manager import tell_manager

    context = invocation.context
    path = install_units(unit_texts(own_command(), context.env), context.env)
    context.print(path)
    if not (tell_manager(context.env, "daemon-reload") and tell_manager(context.env, "restart", SOCKET_UNIT)):
        context.note("WARNING: no systemd manager of yours runs now: the socket is there when one does")
        context.note("  mend: export DOCKER_HOST=unix://$(sandbox api serve -d)")
    return 0


def uninstall(invocation: Invocation) -> int:
    """Take the units away."""
    from sandbox.api.installing import SERVICE_UNIT, SOCKET_UNIT, remove_units
    from sandbox.autostart.manager import tell_manager
    from sandbox.errors import NotFoundError

    env = invocation.context.env
    tell_manager(env, "stop", SOCKET_UNIT, SERVICE_UNIT)
    if not remove_units(env):
        raise NotFoundError("the API's socket is not installed", mend="sandbox api install")
    tell_manager(env, "daemon-reload")
    return 0


def shim(invocation: Invocation) -> int:
    """Print the path of a `docker` that is this program."""
    from sandbox.api.installing import install_shim

    directory = invocation.context.cwd.absolute(invocation.arguments[0])
    invocation.context.print(install_shim(directory, own_command()))
    return 0


_FURTHER = ("which programs work, and what is answered otherwise: docs/api.md",)
COMMANDS: tuple[Command, ...] = (
    Command(
        "api serve",
        "Serve Docker's Engine API on a unix socket",
        "[OPTIONS]",
        (
            option("-d --detach", "flag", "Serve in the background until idle for 10m, and print where"),
            option(
                "-H --host", "list", "Where to listen, as Docker's engine: unix:///PATH, fd:// (of systemd), tcp://"
            ),
            option("--idle", "text", "End when nobody has asked anything for so long, such as 10m", "duration"),
            option("--socket", "text", "Where to listen; default docker.sock in the runtime directory", "path"),
            option("--tls", "flag", "Use TLS, which needs --tlsverify here"),
            option("--tlscacert", "text", "Trust certs signed only by this CA; default ca.pem in ~/.docker", "path"),
            option("--tlscert", "text", "Path to TLS certificate file; default cert.pem in ~/.docker", "path"),
            option("--tlskey", "text", "Path to TLS key file; default key.pem in ~/.docker", "path"),
            option("--tlsverify", "flag", "Use TLS and verify the remote: tcp:// is served with it alone"),
            option("--ready-fd", "number", "Tell on this descriptor when it listens", "int", hidden=True),
        ),
        serve,
        most=0,
        examples=(
            "sandbox api serve --idle 10m &",
            "sandbox api serve -d",
            "sandbox api serve --tlsverify --tlscacert=ca.pem --tlscert=cert.pem --tlskey=key.pem -H tcp://0.0.0.0:2376",
        ),
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
    Command(
        "api install",
        "Have systemd listen at the socket, and start a server when somebody connects",
        "",
        (),
        install,
        most=0,
        examples=("sandbox api install",),
        further=_FURTHER,
    ),
    Command(
        "api uninstall",
        "Take away what install has written",
        "",
        (),
        uninstall,
        most=0,
        examples=("sandbox api uninstall",),
        further=_FURTHER,
    ),
    Command(
        "api install-shim",
        "Put a program named docker in a directory, which is sandbox",
        "DIRECTORY",
        (),
        shim,
        least=1,
        most=1,
        examples=("sandbox api install-shim ~/bin",),
        further=_FURTHER,
    ),
)
