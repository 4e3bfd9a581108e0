"""The file systems of a container that processes of ours serve, as its monitor watches them."""

from __future__ import annotations

from functools import partial

from sandbox.runtime.reactor import READ

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.container.model.transitions import MountLost
    from sandbox.container.monitor.roles import ServedMounts
    from sandbox.runtime.reactor import Reactor, Timer

#: a killed process ends at once, unless it waits for a file system whose server hangs
_BREAK_SECONDS = 3.0


class MountWatch:
    """Tells `lost` of a file system whose server ended while the container runs; the next start mounts it again."""

    def __init__(self, mounts: ServedMounts, reactor: Reactor, lost: Callable[[MountLost], object]) -> None:
        self._mounts = mounts
        self._reactor = reactor
        self._lost = lost
        self._watched: set[int] = set()
        self._look: Timer | None = None

    def begin(self) -> None:
        """Watch what is mounted; twice is safe."""
        for pidfd in self._mounts.mount_pidfds:
            if pidfd not in self._watched:
                self._watched.add(pidfd)
                self._reactor.watch(pidfd, READ, partial(self._ended, pidfd))

    def end(self) -> None:
        """Watch no more, nor look after a killed process; before anything is unmounted."""
        if self._look is not None:
            self._look.cancel()
            self._look = None
        while self._watched:
            self._reactor.forget(self._watched.pop())

    def break_unless(self, gone: Callable[[], bool]) -> None:
        """Of a container's process that was just killed: end the servers if it is not `gone` in a moment."""

        def look() -> None:
            self._look = None
            if not gone():
                self._mounts.break_mounts()

        # a further kill does not put the look off
        if self._mounts.mount_pidfds and self._look is None:
            self._look = self._reactor.after(_BREAK_SECONDS, look)

    def _ended(self, pidfd: int, _events: int) -> None:
        self._watched.remove(pidfd)
        self._reactor.forget(pidfd)
        self._lost(self._mounts.lost_mount(pidfd))
