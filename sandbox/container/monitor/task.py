"""Work that waits, carried on by the monitor's loop: who asks for something meanwhile is answered."""

from __future__ import annotations

from sandbox.errors import SandboxError
from sandbox.runtime.reactor import READ
from sandbox.state import DatabaseError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sandbox.runtime.reactor import Reactor, Timer
    from storage.waits import Steps, Wait


class Task:
    """Carries on `steps` from `begin`; then `done` gets their value, or `failed` the SandboxError or DatabaseError."""

    def __init__(
        self, reactor: Reactor, steps: Steps[Any], done: Callable[[Any], None], failed: Callable[[Exception], None]
    ) -> None:
        self._reactor = reactor
        self._steps = steps
        self._done = done
        self._failed = failed
        self._fd = -1
        self._timer: Timer | None = None

    def begin(self) -> None:
        """Go as far as there is nothing to wait for; that may be to the end."""
        self._go_on(lambda: next(self._steps))

    def cancel(self) -> None:
        """Go no further; neither function is called. Harmless after the end."""
        self._stop_waiting()
        self._steps.close()

    def _go_on(self, resume: Callable[[], Wait]) -> None:
        try:
            fd, seconds = resume()
        except StopIteration as end:
            self._done(end.value)
            return
        except (SandboxError, DatabaseError) as error:
            self._failed(error)
            return
        if fd >= 0:
            self._fd = fd
            self._reactor.watch(fd, READ, lambda _events: self._resume(ready=True))
        if seconds is not None:
            self._timer = self._reactor.after(seconds, lambda: self._resume(ready=False))

    def _resume(self, *, ready: bool) -> None:
        self._stop_waiting()
        self._go_on(lambda: self._steps.send(ready))

    def _stop_waiting(self) -> None:
        if self._fd >= 0:
            self._reactor.forget(self._fd)
            self._fd = -1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
