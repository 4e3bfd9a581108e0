"""What a monitor waits for of the file systems that processes of ours serve."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sandbox.container.monitor.mount_watch import MountWatch
from sandbox.runtime.reactor import Reactor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.container.model.transitions import MountLost


class Mounts:
    """One file system, served until something is written."""

    def __init__(self) -> None:
        pidfd, self._event = os.pipe()
        self.mount_pidfds = (pidfd,)
        self.broken = 0

    def lost_mount(self, pidfd: int) -> MountLost:
        raise AssertionError(f"{pidfd} is served")

    def break_mounts(self) -> None:
        self.broken += 1

    def close(self) -> None:
        os.close(self._event)
        os.close(self.mount_pidfds[0])


@pytest.fixture(name="mounts")
def _mounts() -> Iterator[Mounts]:
    mounts = Mounts()
    yield mounts
    mounts.close()


@pytest.fixture(name="reactor")
def _reactor() -> Iterator[Reactor]:
    reactor = Reactor()
    yield reactor
    reactor.close()


def test_who_has_ended_waits_for_no_look_at_a_killed_process(mounts: Mounts, reactor: Reactor) -> None:
    watch = MountWatch(mounts, reactor, lambda _lost: None)
    watch.begin()
    watch.break_unless(lambda: True)
    watch.end()
    # else the loop, and with it the removal of a container, goes on until then
    assert reactor.seconds_left() is None
    reactor.run()
    assert mounts.broken == 0


def test_a_further_kill_does_not_put_the_look_off(
    mounts: Mounts, reactor: Reactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.container.monitor.mount_watch._BREAK_SECONDS", 0.0)
    watch = MountWatch(mounts, reactor, lambda _lost: None)
    watch.break_unless(lambda: False)
    watch.break_unless(lambda: True)
    reactor.run()
    assert mounts.broken == 1
    watch.break_unless(lambda: False)
    reactor.run()
    assert mounts.broken == 2
