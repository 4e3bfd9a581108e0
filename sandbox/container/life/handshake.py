"""Starting a container, from the command's side: the talk with the monitor that `monitor.process` draws."""

from __future__ import annotations

import os
from contextlib import suppress

from sandbox.container.model.documents import to_plain
from sandbox.container.monitor.plan import Limits
from sandbox.errors import HostError, SandboxError, StartError, UsageError
from sandbox.named_tuple import NamedTuple
from sandbox.network.mode import network_mode
from sandbox.runtime.reports import decode_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sandbox.container.model.record import Container
    from sandbox.container.monitor.plan import Attachment
    from sandbox.container.monitor.spawn import SpawnedMonitor
    from sandbox.paths import Paths
    from sandbox.runtime.terminal import WindowSize
    from sandbox.values import PublishedPort


class StartOptions(NamedTuple):
    """How the command wants the container started."""

    attachment: Attachment
    window_size: WindowSize | None = None
    limits: Limits = Limits()


class _MonitorDiedError(StartError):
    """It has ended without a word."""


class PublishRequest(NamedTuple):
    """Which ports to bind, for which container, through which slirp4netns; "" has this process bind them.

    They lead to `address`, that of a network of the container's own where it is "".
    """

    container: Container
    slirp_socket: str
    ports: tuple[PublishedPort, ...]
    address: str = ""


def start_in_monitor(paths: Paths, spawned: SpawnedMonitor, container: Container, options: StartOptions) -> None:
    """Have the monitor start `container`; on return its program runs, its ports are bound, and the channel carries
    its output. Raises SandboxError, and then the monitor has put everything back.
    """
    channel = spawned.channel
    wanted = ports_to_publish(container)
    try:
        channel.send_message(
            "plan",
            container=to_plain(container),
            attachment=options.attachment._asdict(),
            window=list(options.window_size) if options.window_size else None,
            limits=list(options.limits),
        )
        if wanted:
            # the monitor is at work: the time an import takes is not waited for
            import sandbox.container.life.publish  # noqa: F401
        prepared = _expect(spawned, "prepared")
        ports: tuple[PublishedPort, ...] = ()
        if wanted:
            request = PublishRequest(container, str(prepared["slirp_socket"]), wanted)
            if container.config.network == "pasta":
                request = request._replace(slirp_socket="")
            elif network_mode(container.config.network) == "bridge":
                request = _on_bridges(paths, request)
            ports = _publish(paths, spawned, request)
        channel.send_message("go", ports=[list(port) for port in ports])
        _expect(spawned, "started")
    except _MonitorDiedError as error:
        spawned.channel.close()
        raise _why_it_died(paths, container, _reap(spawned.pid)) or _as_start_error(error) from None
    except BaseException:
        # the end of the channel before "go" has the monitor undo everything; wait until it has
        abandon(spawned)
        raise


def _publish(paths: Paths, spawned: SpawnedMonitor, request: PublishRequest) -> tuple[PublishedPort, ...]:
    try:
        if request.slirp_socket:
            from sandbox.container.life.publish import publish_ports

            return publish_ports(paths, *request)
        return _bind(paths, spawned, request)
    except SandboxError as error:
        # the reason is kept with the container, which stays as Docker leaves it: created
        spawned.channel.send_message("cancel", message=error.message)
        spawned.channel.receive_message()
        raise


def _on_bridges(paths: Paths, request: PublishRequest) -> PublishRequest:
    if not request.container.config.port_driver:
        return request._replace(slirp_socket="")
    from sandbox.container.life.publish import address_for_slirp

    address, ports = address_for_slirp(paths, request.container, request.ports)
    return request._replace(address=address, ports=ports)


def _bind(paths: Paths, spawned: SpawnedMonitor, request: PublishRequest) -> tuple[PublishedPort, ...]:
    """Bind the ports here, in the host's network and with its user's rights, and hand the sockets over."""
    from net.listeners import close_listeners
    from sandbox.container.life.publish import bind_ports
    from sandbox.values import PublishedPort

    listeners = bind_ports(paths, request.container, request.ports)
    try:
        spawned.channel.send_descriptors("sockets", [listener.fd for listener in listeners])
    finally:
        close_listeners(listeners)
    return tuple(PublishedPort(*listener.mapping) for listener in listeners)


def ports_to_publish(container: Container) -> tuple[PublishedPort, ...]:
    """The ports asked for with `-p` and `-P`; none without a private network, as Docker discards them there."""
    config = container.config
    if network_mode(config.network) not in ("private", "bridge"):
        return ()
    if not config.publish_all:
        return config.published_ports
    from net.ports import PortMapping, publish_all
    from sandbox.values import PublishedPort

    asked = tuple(PortMapping(*port) for port in config.published_ports)
    return (*config.published_ports, *(PublishedPort(*port) for port in publish_all(config.exposed_ports, asked)))


def abandon(spawned: SpawnedMonitor) -> None:
    """Let the monitor go before it has started anything; returns when it is gone."""
    spawned.channel.close()
    _reap(spawned.pid)


def _reap(pid: int) -> int:
    """Its wait status; 0 where somebody else has that."""
    with suppress(ChildProcessError):
        return os.waitpid(pid, 0)[1]
    return 0


def _why_it_died(paths: Paths, container: Container, status: int) -> StartError | None:
    """What to tell where it was killed, which `rm -f` does with a monitor that is only starting its container."""
    import signal

    from sandbox.container.model.store import load_container
    from sandbox.state import open_state

    if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
        return None
    with open_state(paths, durable=False) as connection:
        present = load_container(connection, container.id)
    if present is None or present.state.status == "removing":
        return StartError(f"container {container.name} was removed while it was being started")
    cause = "another command removes it, or the host is out of memory"
    return StartError(
        f"container {container.name} was killed while it was being started", cause=cause, mend="sandbox ps -a"
    )


def _expect(spawned: SpawnedMonitor, type: str) -> dict[str, Any]:  # Any: JSON
    message = spawned.channel.receive_message()
    if message is None:
        raise _MonitorDiedError("the container's monitor died", mend="sandbox --debug run … shows more")
    if message["type"] == "failed":
        report = str(message["report"]).encode()
        error = decode_error(report)
        raise error if isinstance(error, UsageError | HostError | StartError) else _as_start_error(error)
    if message["type"] != type:
        raise StartError(f"the container's monitor said {message['type']!r} where {type!r} was due")
    return message


def _as_start_error(error: SandboxError) -> StartError:
    return StartError(error.message, cause=error.cause, mend=error.mend)
