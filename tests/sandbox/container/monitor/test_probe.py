"""One probe in a loop, with a plain process in place of one in a container: its end, its output, and what it leaves.

That each child was reaped is looked at after each test, as everywhere.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from sandbox.container.monitor.probe import Probe
from sandbox.runtime.cgroup_entry import CgroupEntry
from sandbox.runtime.enter import BegunExec, PendingExec
from sandbox.runtime.reactor import READ, Reactor

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.container.monitor.health_rules import ProbeResult

_LONG_SECONDS = 60.0


def _begin(script: str, *, gate: bool = True) -> Callable[[int], BegunExec]:
    """A shell that comes to its gate, or hangs before it."""

    def begin(output_fd: int) -> BegunExec:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        process = os.fork()
        if process == 0:
            os.setsid()
            ours.close()
            if gate:
                theirs.send(b"R")
                theirs.recv(1)
            else:
                signal.pause()
            os.dup2(output_fd, 1)
            os.execv("/bin/sh", ["sh", "-c", script])
        between = os.fork()
        if between == 0:
            theirs.send(b"P%d" % process)
            os._exit(0)
        theirs.close()
        return BegunExec(PendingExec("sh", ours), between, CgroupEntry("", {}))

    return begin


class Loop:
    """A monitor's loop with a probe in it; it ends when nothing is left to wait for."""

    def __init__(self, late_seconds: float = _LONG_SECONDS) -> None:
        self.reactor = Reactor()
        self.results: list[ProbeResult] = []
        self.probe = Probe(self.reactor, late_seconds, self.results.append)

    def run(self) -> None:
        self.reactor.run()
        self.reactor.close()


@pytest.mark.parametrize(
    ("script", "code", "output"),
    [
        ("echo well", 0, "well\n"),
        ("echo ill; exit 3", 3, "ill\n"),
        ("kill -TERM $$", 143, ""),
        ("head -c 5000 /dev/zero | tr '\\0' x", 0, "x" * 4096 + "..."),
        ("head -c 4096 /dev/zero | tr '\\0' x", 0, "x" * 4096),
        # what it leaves running holds its output open
        ("sleep 60 >&1 & echo $!; exec true", 0, None),
    ],
)
def test_how_it_ends(script: str, code: int, output: str | None) -> None:
    loop = Loop()
    loop.probe.begin(_begin(script))
    loop.run()
    (result,) = loop.results
    assert result.exit_code == code
    assert result.started_ns < result.ended_ns
    if output is None:
        os.kill(int(result.output), signal.SIGKILL)
    else:
        assert result.output == output
    assert not loop.probe.was_late


def test_one_that_takes_too_long_is_ended_with_what_it_started() -> None:
    loop = Loop(0.3)
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    # each of them holds the pipe open for as long as it lives
    loop.probe.begin(_begin("setsid sleep 60 & sleep 60 & echo begun; wait"))
    loop.run()
    os.close(writing)
    assert os.read(reading, 1) == b""
    os.close(reading)
    assert loop.probe.was_late
    assert [result.exit_code for result in loop.results] == [137]


@pytest.mark.parametrize("gate", [True, False], ids=["running", "being set up"])
def test_one_that_is_given_up_is_reaped_and_told_to_nobody(gate: bool) -> None:
    loop = Loop()
    loop.probe.begin(_begin("echo here; sleep 60", gate=gate))
    # after what is there now has been taken
    loop.reactor.after(0.1, loop.probe.cancel)
    loop.run()
    assert loop.results == []


@pytest.mark.parametrize("gate", [True, False], ids=["at its gate", "hanging"])
def test_one_whose_number_has_not_been_read_is_reaped_as_well(gate: bool) -> None:
    loop = Loop()
    loop.probe.begin(_begin("never", gate=gate))
    loop.probe.cancel()
    loop.run()
    assert loop.results == []


def test_one_that_hangs_before_it_runs_keeps_nobody_waiting() -> None:
    loop = Loop(0.2)
    loop.probe.begin(_begin("never", gate=False))
    reading, writing = os.pipe()
    asked = []

    def answer(_events: int) -> None:
        asked.append(os.read(reading, 1))
        loop.reactor.forget(reading)

    loop.reactor.watch(reading, READ, answer)
    os.write(writing, b"?")
    loop.run()
    assert asked == [b"?"]
    assert loop.probe.was_late
    assert len(loop.results) == 1
    for fd in (reading, writing):
        os.close(fd)


def test_one_that_cannot_be_begun_says_why() -> None:
    def refuse(_output_fd: int) -> BegunExec:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    loop = Loop()
    loop.probe.begin(refuse)
    loop.run()
    (result,) = loop.results
    assert (result.exit_code, result.output) == (
        -1,
        "cannot run the health check: Resource temporarily unavailable",
    )
