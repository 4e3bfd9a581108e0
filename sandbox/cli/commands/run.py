"""`run` and `create`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sandbox.cli.command import Command
from sandbox.container.create import Identity, check_cidfile, create_container, write_cidfile
from sandbox.container.image_lookup import find_or_pull
from sandbox.container.limits import claim_cgroup, plan_container_limits
from sandbox.container.monitor import Attachment
from sandbox.container.monitor_process import SpawnRequest, spawn_monitor
from sandbox.container.names import check_name, new_container_id
from sandbox.container.options import CREATE_OPTIONS, RUN_OPTIONS, attached_streams, build_config
from sandbox.container.start import StartOptions, abandon, start_in_monitor
from sandbox.container.store import find_container
from sandbox.errors import NotFoundError, StartError, UsageError
from sandbox.state import open_state

if TYPE_CHECKING:
    import sqlite3

    from sandbox.cli.command import Invocation
    from sandbox.container.limits import LimitPlan
    from sandbox.container.monitor_process import SpawnedMonitor
    from sandbox.container.options import AttachedStreams
    from sandbox.container.record import Container, MountPoint
    from sandbox.paths import Paths
    from sandbox.runtime.terminal import WindowSize


def run(invocation: Invocation) -> int:
    """Create a container and start it; in the foreground, stay with it to its end."""
    attached = attached_streams(invocation)
    detached = invocation.flag("detach")
    terminal = invocation.flag("tty")
    detach_keys = _check_run(invocation, attached)
    # forked before the database is opened (state.open_state says why), and while this process is still small
    paths = invocation.context.find_paths()
    container_id = new_container_id()
    spawned = spawn_monitor(paths, SpawnRequest(container_id, True, _namespace_owner(paths, invocation)))
    cidfile = _path(invocation, "cidfile")
    try:
        container, plan = _create(invocation, paths, Identity(container_id, _name(invocation), spawned.pid))
        limits = claim_cgroup(plan.limits, container_id, spawned.pid, invocation.context.env)
        if cidfile:
            write_cidfile(cidfile, container_id)
    except BaseException:
        abandon(spawned)
        raise
    options = StartOptions(Attachment(*attached), _window_size() if terminal else None, limits)
    start_in_monitor(paths, spawned, container, options)
    if detached:
        spawned.channel.close()
        invocation.context.print(container.id)
        return 0
    return _stay(invocation, spawned, container, attached, detach_keys)


def create(invocation: Invocation) -> int:
    """Make a container that is started later."""
    if invocation.given("name"):
        check_name(invocation.text("name") or "")
    cidfile = _path(invocation, "cidfile")
    if cidfile:
        check_cidfile(cidfile)
    paths = invocation.context.find_paths()
    container, _plan = _create(invocation, paths, Identity(new_container_id(), _name(invocation)))
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
        raise UsageError("the input device is not a TTY", mend="leave -t out, or run it in a terminal")
    keys = invocation.text("detach-keys")
    return parse_detach_keys(DEFAULT_DETACH_KEYS if keys is None else keys)


def _name(invocation: Invocation) -> str:
    text = invocation.text("name")
    return check_name(text) if text is not None and invocation.given("name") else ""


def _path(invocation: Invocation, key: str) -> str:
    text = invocation.text(key) or ""
    return os.path.join(invocation.context.cwd, text) if text else ""


def _namespace_owner(paths: Paths, invocation: Invocation) -> int:
    """The pid of the container whose namespaces are to be shared: the monitor must be born beside it."""
    words = (*invocation.texts("network"), invocation.text("pid") or "", invocation.text("ipc") or "")
    named = [word.removeprefix("container:") for word in words if word.startswith("container:")]
    if not named:
        return 0
    connection = open_state(paths)
    try:
        owner = find_container(connection, named[0])
    except NotFoundError as error:
        error.exit_status = 125
        raise
    finally:
        # before the fork that follows
        connection.close()
    if owner.state.status != "running":
        raise StartError(
            f"cannot join the namespaces of container {named[0]}: it is not running", mend=f"sandbox start {named[0]}"
        )
    return owner.state.pid


def _create(invocation: Invocation, paths: Paths, identity: Identity) -> tuple[Container, LimitPlan]:
    from sandbox.container.driver_choice import storage_driver

    connection = open_state(paths, durable=not invocation.flag("rm"))
    image = find_or_pull(connection, paths, invocation)
    config = build_config(
        invocation,
        image.config,
        invocation.arguments[0],
        image.id,
        image.layers,
        image.platform,
        mounts_of=lambda word: _mounts_of(connection, word),
    )
    config = config._replace(storage_driver=storage_driver(connection, paths, config.storage_driver))
    plan = plan_container_limits(config, invocation.context.env)
    for note in plan.notes:
        invocation.context.note(f"WARNING: {note}")
    try:
        return create_container(connection, paths, identity, config), plan
    except NotFoundError as error:
        error.exit_status = 125
        raise


def _mounts_of(connection: sqlite3.Connection, word: str) -> tuple[MountPoint, ...]:
    return find_container(connection, word).config.mounts


def _window_size() -> WindowSize | None:
    from sandbox.runtime.terminal import get_window_size

    return get_window_size(0)


def _stay(
    invocation: Invocation,
    spawned: SpawnedMonitor,
    container: Container,
    attached: AttachedStreams,
    detach_keys: bytes,
) -> int:
    from sandbox.container.attach import ClientStreams, Session

    terminal = container.config.terminal and attached.stdin
    streams = ClientStreams(attached.stdin, terminal, invocation.flag("sig-proxy"), detach_keys)
    outcome = Session(spawned.channel, streams).run()
    spawned.channel.close()
    if outcome.detached:
        return 0
    if outcome.exit_code is not None:
        return outcome.exit_code
    from sandbox.container.stop import code_after_crash

    return code_after_crash(invocation.context.find_paths(), container)


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
            "sandbox run --rm -it -v $PWD:/src -w /src python:3-slim pytest",
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
