"""`run` and `create`."""

from __future__ import annotations

import os

from sandbox.cli.command import Command
from sandbox.cli.container_options.options import CREATE_OPTIONS, RUN_OPTIONS, attached_streams
from sandbox.container.life.naming import Identity, check_cidfile, write_cidfile
from sandbox.container.model.names import check_name
from sandbox.errors import CommandNotFoundError, NoTerminalError, NotExecutableError, StartError
from sandbox.network.default import default_network
from sandbox.network.mode import uses_bridge
from sandbox.random_ids import new_container_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Invocation
    from sandbox.cli.container_options.options import AttachedStreams
    from sandbox.container.monitor.plan import SpawnRequest
    from sandbox.paths import Paths


def run(invocation: Invocation) -> int:
    """Create a container and start it; in the foreground, stay with it to its end."""
    from sandbox.container.monitor.spawn import spawn_monitor  # `create` starts nothing

    attached = attached_streams(invocation)
    detach_keys = _check_run(invocation, attached)
    # forked before the database is opened (state.open_state says why), and while this process is still small
    paths = invocation.context.find_paths()
    container_id = new_container_id()
    spawn_request = _spawn_request(paths, invocation, container_id)
    try:
        spawned = spawn_monitor(paths, spawn_request, _import_the_rest)
        from sandbox.cli.run_container import RunRequest, run_container  # see _import_the_rest

        identity = Identity(container_id, _name(invocation), spawned.pid)
        request = RunRequest(identity, attached, detach_keys, _path(invocation, "cidfile"))
        return run_container(invocation, paths, spawned, request)
    except (CommandNotFoundError, NotExecutableError) as error:
        from sandbox.cli.program_mends import mend_program  # for this error only

        mend_program(invocation, error)
        raise


def _import_the_rest() -> None:
    # after the fork, while the monitor imports what it needs: on two processors neither waits for the other
    import sandbox.cli.run_container  # noqa: F401


def create(invocation: Invocation) -> int:
    """Make a container that is started later."""
    if invocation.given("name"):
        check_name(invocation.text("name") or "")
    cidfile = _path(invocation, "cidfile")
    if cidfile:
        check_cidfile(cidfile)
    from sandbox.cli.run_container import create_from_options  # not on top: `run` has it after its fork

    identity = Identity(new_container_id(), _name(invocation))
    container = create_from_options(invocation, identity, needs_command=False).container
    if cidfile:
        write_cidfile(cidfile, container.id)
    invocation.context.print(container.id)
    return 0


def _check_run(invocation: Invocation, attached: AttachedStreams) -> bytes:
    """What can be refused before anything is made; returns the detach keys."""
    from sandbox.runtime.terminal import DEFAULT_DETACH_KEYS, parse_detach_keys

    _name(invocation)
    cidfile = _path(invocation, "cidfile")
    if cidfile:
        check_cidfile(cidfile)
    if attached.stdin and invocation.flag("tty") and not os.isatty(0):
        raise NoTerminalError("the input device is not a TTY", mend="leave -t out, or run it in a terminal")
    keys = invocation.text("detach-keys")
    return parse_detach_keys(DEFAULT_DETACH_KEYS if keys is None else keys)


def _name(invocation: Invocation) -> str:
    text = invocation.text("name")
    return check_name(text) if text is not None and invocation.given("name") else ""


def _path(invocation: Invocation, key: str) -> str:
    text = invocation.text(key) or ""
    return invocation.context.cwd.absolute(text) if text else ""


def _spawn_request(paths: Paths, invocation: Invocation, container_id: str) -> SpawnRequest:
    """Where the monitor is to be born, which is settled before its container is recorded."""
    from sandbox.container.monitor.plan import SpawnRequest

    owner, network = _namespace_owner(paths, invocation), "default"
    if invocation.given("network"):
        from sandbox.grammar.networks import parse_network

        network = parse_network(invocation.texts("network")[0]).network
    if network not in ("", "default", "bridge"):
        return SpawnRequest(container_id, True, owner, uses_bridge(network))
    # only on a bridge a container can have a MAC address of its own, be held to rules, and reach ports of the host
    must = any(map(invocation.given, ("mac-address", "egress", "host-port")))
    return SpawnRequest(container_id, True, owner, must or default_network(paths) == "bridge", not must)


def _namespace_owner(paths: Paths, invocation: Invocation) -> int:
    """The pid of the container whose namespaces are to be shared: the monitor must be born beside it."""
    words = (*invocation.texts("network"), invocation.text("pid") or "", invocation.text("ipc") or "")
    # one that names nobody is refused later, by what the option was to be
    named = [name for word in words if word.startswith("container:") and (name := word.removeprefix("container:"))]
    if not named:
        return 0
    from sandbox.container.model.store import find_container  # only this rare option needs them before the fork
    from sandbox.state import open_state

    # closed before the fork that follows
    with open_state(paths) as connection:
        owner = find_container(connection, named[0])
    if owner.state.status not in ("running", "paused"):
        raise StartError(
            f"cannot join the namespaces of container {named[0]}: it is not running", mend=f"sandbox start {named[0]}"
        )
    return owner.state.pid


_USAGE = "[OPTIONS] IMAGE [COMMAND] [ARG...]"

COMMANDS: tuple[Command, ...] = (
    Command(
        "container run",
        "Create and run a new container from an image",
        _USAGE,
        RUN_OPTIONS,
        run,
        least=1,
        interspersed=False,
        examples=(
            "sandbox run -d -p 8080:80 --name web nginx",
            'sandbox run --rm -it -v "$PWD":/src -w /src python:3-slim pytest',
        ),
    ),
    Command(
        "container create",
        "Create a new container",
        _USAGE,
        CREATE_OPTIONS,
        create,
        least=1,
        interspersed=False,
        examples=("sandbox create --name db redis",),
    ),
)
