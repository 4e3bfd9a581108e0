"""What clients ask of a monitor, and what ends a container: signals, stops, input, ports, pauses, probes.

The monitor decides what follows when a run has ended; here is only what is done to the one that is on. Where none is,
between two runs, an order to stop ends the whole: `finish` is called.
"""

from __future__ import annotations

import signal
from functools import partial

from sandbox.container.model.events import Tell
from sandbox.container.model.port_changes import PortsAdded, PortsBound, PortsRemoved, PortsUnbound
from sandbox.container.model.stop_way import ends_restarts, is_order_to_stop, way_to_stop
from sandbox.container.model.transitions import paused, unpaused
from sandbox.errors import ConflictError, SandboxError
from sandbox.faults import explain_fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.container.model.record import Container
    from sandbox.container.monitor.life import Life
    from sandbox.container.monitor.record_writer import RecordWriter
    from sandbox.container.monitor.roles import Answer
    from sandbox.container.monitor.run import Run
    from sandbox.values import PublishedPort


class ClientDesk:
    """Implements `monitor.roles.Desk`."""

    def __init__(self, container: Container, life: Life, writer: RecordWriter, finish: Callable[[], None]) -> None:
        self._container = container
        self._life = life
        self._writer = writer
        self._finish = finish

    def take_input(self, data: bytes) -> bool:
        if self._life.run is None:
            return True
        self._life.run.stdio.write_input(data)
        return not self._life.run.stdio.input_full

    def end_input(self, *, detached: bool) -> None:
        # Docker's StdinOnce: the input of `run -i` ends with its first giver; that of `run -d -i` stays open
        if self._life.run is not None and not detached and self._container.config.stdin_once:
            self._life.run.stdio.end_input()

    def resize(self, rows: int, columns: int) -> None:
        if self._life.run is not None:
            self._life.run.stdio.resize(rows, columns)
            self._writer.write(Tell("resize", {"height": str(rows), "width": str(columns)}))

    def tell(self, action: str) -> None:
        self._writer.write(Tell(action))

    def send_signal(self, number: int) -> None:
        """Send a signal to the first process. Raises ConflictError where the container does not run; SandboxError."""
        self._send_signal(number)
        if is_order_to_stop(self._container.config, number):
            self._life.order(killed_by_user=True)

    def _send_signal(self, number: int) -> None:
        if self._life.run is None:
            # between two runs there is nobody to be signalled: who wants it to end gets that no other one follows
            if number not in (signal.SIGKILL, way_to_stop(self._container.config).signal_number):
                raise ConflictError(f"container {self._container.name} is not running")
            ordered = is_order_to_stop(self._container.config, number)
            self._life.order(no_restart=True, killed_by_user=ordered)
            self._finish()
            return
        if ends_restarts(self._container.config, number):
            self._life.order(no_restart=True)
        try:
            self._life.run.send_signal(number)
            if number == signal.SIGKILL:
                self._break_mounts_later(self._life.run)
        except ProcessLookupError:
            raise ConflictError(f"container {self._container.name} is not running") from None
        except (OSError, ValueError, OverflowError) as error:
            raise SandboxError(f"cannot send signal {number}", cause=explain_fault(error)) from error
        self._tell_kill(number)
        # as Docker: who wants it to end wants it to go on to there
        if ends_restarts(self._container.config, number):
            self._let_go_on()

    def request_stop(self, signal_number: int, timeout_seconds: float | None, *, to_remove: bool = False) -> None:
        self._life.order(stopped_by_user=True, is_stop=not to_remove)
        self._stop(signal_number, timeout_seconds)

    def pause(self, answer: Answer) -> None:
        if self._life.run is None:
            answer(ConflictError("is restarting, wait until the container is running"))
            return
        self._life.run.pause.begin(partial(self._paused, answer))

    def _paused(self, answer: Answer, error: Exception | None) -> None:
        if error is not None:
            answer(error)
            return
        if self._life.watches.health is not None:
            self._life.watches.health.pause()
        self._writer.write(paused, partial(answer, None))

    def unpause(self, answer: Answer) -> None:
        if not self._let_go_on(partial(answer, None)):
            answer(ConflictError("is not paused"))

    def _let_go_on(self, then: Callable[[], None] = lambda: None) -> bool:
        if self._life.run is None or not self._life.run.pause.end():
            return False
        if self._life.watches.health is not None:
            self._life.watches.health.resume()
        self._writer.write(unpaused, then)
        return True

    def probe(self, answer: Answer) -> None:
        health = self._life.watches.health
        if health is None:
            answer(ConflictError("has no health check"))
        elif not health.probe_now(answer):
            answer(ConflictError("is not running"))

    def publish(self, ports: tuple[PublishedPort, ...], answer: Answer) -> None:
        def bound(now: tuple[PublishedPort, ...]) -> None:
            self._writer.write(PortsAdded(ports, now), partial(answer, None))

        self._life.watches.network.publish(ports, bound, answer)

    def unpublish(self, ports: tuple[PublishedPort, ...], answer: Answer) -> None:
        def closed(gone: tuple[PublishedPort, ...]) -> None:
            self._writer.write(PortsRemoved(gone, self._life.watches.network.ports), partial(answer, None))

        self._life.watches.network.unpublish(ports, closed, answer)

    def bind(self, ports: tuple[PublishedPort, ...], answer: Answer) -> None:
        def bound(now: tuple[PublishedPort, ...]) -> None:
            self._writer.write(PortsBound(now).apply, partial(answer, None))

        self._life.watches.network.bind(ports, bound, answer)

    def unbind(self, answer: Answer) -> None:
        def closed(gone: tuple[PublishedPort, ...]) -> None:
            self._writer.write(PortsUnbound(gone).apply, partial(answer, None))

        self._life.watches.network.unpublish(self._life.watches.network.ports, closed, answer)

    def change_networks(self, answer: Answer) -> None:
        self._life.watches.network.change_networks(partial(answer, None), answer)

    def withdraw(self, answer: Answer) -> None:
        self._life.watches.network.withdraw()
        answer(None)

    def output_blocked(self, blocked: bool) -> None:
        if self._life.run is not None:
            if blocked:
                self._life.run.stdio.pause()
            else:
                self._life.run.stdio.resume()

    def stop_as_at_shutdown(self) -> None:
        """SIGTERM, from who ends the session or the machine: as Docker stops containers then.

        Their own signal and time, no restart follows; that is no wish of the person's that they stay down.
        """
        self._life.order(no_restart=True, is_stop=True)
        self._stop(*way_to_stop(self._container.config))

    def _stop(self, signal_number: int, timeout_seconds: float | None) -> None:
        run = self._life.run
        if run is None:
            self._finish()
            return
        try:
            self._send_signal(signal_number)
        except ConflictError:
            return  # it just ended; the loop will see that
        if timeout_seconds is not None and signal_number != signal.SIGKILL:
            run.when_late(timeout_seconds, partial(self._kill, run))

    def _kill(self, run: Run) -> None:
        run.kill()
        self._tell_kill(signal.SIGKILL)
        self._break_mounts_later(run)

    def _tell_kill(self, number: int) -> None:
        self._writer.write(Tell("kill", {"signal": str(int(number))}))

    def _break_mounts_later(self, killed: Run) -> None:
        self._life.watches.mounts.break_unless(lambda: self._life.run is not killed)
