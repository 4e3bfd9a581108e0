"""The monitor as a process: forked from the command that starts a container, told what to start, then on its own.

    command                                 monitor
    spawn_monitor ───────────────────────▶  is born, see `monitor.spawn`
    writes the record
      plan ──────────────────────────────▶  namespaces, network, tree, the process up to its gate
           ◀──────────────────── prepared
    publishes ports
      sockets, go {ports} ───────────────▶  the process runs, the record says so   (or: cancel {message})
           ◀─────── started, then output, exit   (or failed, at any point before)

When the command ends before "go", whatever was made is removed again, and a container that was being created with
it is removed. After "started" the monitor needs nobody.
"""

from __future__ import annotations

from functools import partial

from sandbox.container.model.documents import from_plain
from sandbox.container.model.record import Container
from sandbox.container.model.runtime_files import SOCKET_NAME, TRACE_NAME
from sandbox.container.model.transitions import StartFailed, code_of_failed_start
from sandbox.container.monitor.backend import KernelEngine
from sandbox.container.monitor.journal import DatabaseJournal
from sandbox.container.monitor.monitor import Monitor
from sandbox.container.monitor.neighbours import find_neighbours
from sandbox.container.monitor.plan import Attachment, Door, HealthPlaces, Limits, Records
from sandbox.container.monitor.reach import answer_knocks, listen_again
from sandbox.container.monitor.rest import Resting, RestPlaces
from sandbox.errors import SandboxError, StartError
from sandbox.event_followers import followers_path
from sandbox.named_tuple import NamedTuple
from sandbox.network.mode import uses_bridge
from sandbox.protocol.local_sockets import listen_at
from sandbox.runtime.own_process import collect_sparingly
from sandbox.runtime.reactor import Reactor
from sandbox.runtime.terminal import WindowSize
from sandbox.values import PublishedPort
from storage.waits import carry_out

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any

    from sandbox.container.monitor.bridge_place import Place
    from sandbox.container.monitor.neighbours import Neighbours
    from sandbox.container.monitor.plan import SpawnRequest
    from sandbox.network.record import Endpoint
    from sandbox.paths import Paths
    from sandbox.protocol.channel import Channel


def run_monitor(paths: Paths, request: SpawnRequest, channel: Channel, place: Place | None = None) -> None:
    """Wait for the plan on `channel` and be its container's monitor, to the end. Raises SandboxError.

    `place` is where the router of the bridges is that the container is to be on.
    """
    collect_sparingly()
    _MonitorProcess(paths, request, channel, place).run()


class _Plan(NamedTuple):
    container: Container
    attachment: Attachment
    window_size: WindowSize | None
    limits: Limits

    @classmethod
    def of(cls, message: dict[str, Any]) -> _Plan:  # Any: JSON
        window = message.get("window")
        return cls(
            from_plain(Container, message["container"]),
            Attachment(**message["attachment"]),
            WindowSize(*window) if window else None,
            Limits.of(message["limits"]),
        )


class _Lookups:
    """What an engine asks of the database."""

    def __init__(self, paths: Paths, journal: DatabaseJournal, container: Container) -> None:
        self._paths = paths
        self._journal = journal
        self._container = container

    def neighbours(self) -> Neighbours:
        return find_neighbours(self._journal.connection, self._paths, self._container.config)

    def endpoints(self) -> tuple[Endpoint, ...]:
        from sandbox.network.store import endpoints_of  # containers on bridges only

        return endpoints_of(self._journal.connection, self._container.id)

    def name(self) -> str:
        present = self._journal.load()
        return "" if present is None else present.name

    def linked(self, container: Container) -> Container:
        if not container.config.has_links:
            return container
        from sandbox.container.model.linked import with_link_variables  # few containers have some

        return with_link_variables(self._journal.connection, container)

    def link_host_lines(self) -> tuple[str, ...]:
        # as it is now: a link may have been taken back
        present = self._journal.load()
        if present is None:
            return ()
        from sandbox.container.model.linked import link_host_lines  # few containers have some

        return link_host_lines(self._journal.connection, present)


class _MonitorProcess:
    """The phases between the fork and the event loop, and what is undone where one of them fails."""

    def __init__(self, paths: Paths, request: SpawnRequest, channel: Channel, place: Place | None) -> None:
        self._place = place
        self._paths = paths
        self._request = request
        self._channel = channel
        self._journal = DatabaseJournal(paths, request.container_id)

    def run(self) -> None:
        message = self._channel.receive_message()
        if message is None:
            self._undo(None)
            return
        plan = _Plan.of(message)
        engine = KernelEngine(
            self._paths,
            plan.container,
            self._records(plan.container),
            plan.window_size,
            plan.limits,
            self._place,
        )
        try:
            reactor = Reactor()
            monitor, listener = self._start(plan, engine, reactor)
        except BaseException as error:
            carry_out(engine.close_steps())
            self._undo(error if isinstance(error, SandboxError) else None)
            raise
        if monitor is None:
            carry_out(engine.close_steps())
            self._undo(None)
            return
        places = (self._paths, plan.container)
        door = Door(partial(listen_again, *places), partial(answer_knocks, *places))
        data = self._paths.container_data(plan.container.id)
        rest_places = RestPlaces(self._paths.cache, f"{data}/{TRACE_NAME}")
        Resting(rest_places, reactor, self._journal, monitor).begin()
        monitor.serve(listener, self._channel, plan.attachment, door)

    def _records(self, container: Container) -> Records:
        lookups = _Lookups(self._paths, self._journal, container)
        return Records(lookups.neighbours, lookups.endpoints, lookups.name, lookups.linked, lookups.link_host_lines)

    def _start(
        self, plan: _Plan, engine: KernelEngine, reactor: Reactor
    ) -> tuple[Monitor | None, socket.socket | None]:
        """The monitor of a container that runs, or None where the command is gone. Raises SandboxError."""
        if uses_bridge(plan.container.config.network) != self._request.on_bridges:
            name = plan.container.name
            raise StartError(
                f"the network of container {name} was changed while it was being started", mend=f"sandbox start {name}"
            )
        engine.prepare()
        paths = self._paths
        data, running = (place(plan.container.id) for place in (paths.container_data, paths.container_runtime))
        places = HealthPlaces(running, data, followers_path(paths))
        monitor = Monitor(plan.container, engine, self._journal, reactor, data, places)
        try:
            monitor.start_to_gate()
            self._channel.send_message("prepared", slirp_socket=engine.slirp_socket)
            # sockets of published ports come before it
            while (message := self._channel.receive_message()) is not None and message["type"] == "sockets":
                pass
            if message is not None and message["type"] == "cancel":
                raise StartError(str(message["message"]))
            if message is None:
                monitor.abandon()
                return None, None
            listener = listen_at(self._paths.container_runtime(plan.container.id), SOCKET_NAME)
            ports = tuple(PublishedPort(*port) for port in message["ports"])
            monitor.go(ports, attached=plan.attachment.wanted)
            # they are bound: who comes before waits. A forwarder that is forked late shares more pages with us
            engine.begin_ports(ports, self._channel.take_descriptors())
        except BaseException:
            monitor.abandon()
            raise
        return monitor, listener

    def _undo(self, error: SandboxError | None) -> None:
        """Leave the record as Docker does: there, with the reason; gone where it was --rm or half made."""
        container = self._journal.load()
        if container is None:
            return
        if container.config.auto_remove or (self._request.is_new and error is None):
            self._journal.remove()
            return
        failed = StartFailed()
        if error is not None:
            failed = StartFailed(code_of_failed_start(error), error.message)
        self._journal.end(failed.apply)
