"""Where the FUSE server waits for requests: in read(2) only while something will wake it."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
import trio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storage.overlay.fuse.serving.request_loop import RequestLoop

pytestmark = pytest.mark.requires("pyfuse3")


@pytest.fixture
def loop() -> Iterator[RequestLoop]:
    from storage.overlay.fuse.serving.request_loop import RequestLoop

    handler = signal.getsignal(signal.SIGALRM)
    yield RequestLoop()
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, handler)


async def _waits_in_trio(loop: RequestLoop) -> bool:
    """Whether the wait for a descriptor is left to trio, and not to the read(2) that comes after it."""
    read_end, write_end = os.pipe()
    try:
        waited = loop.wait_readable(read_end)
        os.write(write_end, b"x")
        await waited
        return hasattr(waited, "cr_frame")
    finally:
        os.close(read_end)
        os.close(write_end)


def test_it_sleeps_in_read_while_a_tick_runs(loop: RequestLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    set_timer = signal.setitimer

    def not_yet(which: int, seconds: float, interval: float = 0.0) -> tuple[float, float]:
        # however long this process may be kept from running
        return set_timer(which, seconds and 3600.0, interval)

    monkeypatch.setattr(signal, "setitimer", not_yet)
    assert not trio.run(_waits_in_trio, loop)
    assert signal.getitimer(signal.ITIMER_REAL)[1] > 0


def test_it_does_not_sleep_in_read_where_the_tick_has_come_and_gone(
    loop: RequestLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_timer = signal.setitimer

    def late(which: int, seconds: float, interval: float = 0.0) -> tuple[float, float]:
        before = set_timer(which, seconds, interval)
        if seconds:
            # what the process sees that did not run for two ticks; the second finds that no request has come
            signal.raise_signal(signal.SIGALRM)
            signal.raise_signal(signal.SIGALRM)
        return before

    monkeypatch.setattr(signal, "setitimer", late)
    assert trio.run(_waits_in_trio, loop)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
