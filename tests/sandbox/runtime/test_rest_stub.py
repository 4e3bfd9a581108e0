"""The stub that waits in place of an interpreter, and then executes a program."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from sandbox.runtime import syscalls as sc
from sandbox.runtime.rest_stub import Rest, rest_then_execute

_NAME = "sandbox-resting"


def _rest(first_fd: int, second_fd: int, seconds: float | None) -> int:
    """A child that rests until one of the two is readable, and then ends with status 7; it is at rest on return."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            for fd in (first_fd, second_fd):
                os.set_inheritable(fd, True)
            rest_then_execute(Rest(_NAME, first_fd, second_fd, seconds), ("/bin/sh", "-c", "exit 7"))
        finally:
            os._exit(1)
    os.close(writing)
    with open(reading, "rb") as file:
        # until it is executed
        file.read()
    return pid


def _status(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_it_waits_for_either_descriptor() -> None:
    for place in (0, 1):
        fds = (os.eventfd(0), os.eventfd(0))
        pid = _rest(*fds, None)
        assert os.readlink(f"/proc/{pid}/exe").startswith("/memfd:")
        assert Path(f"/proc/{pid}/cmdline").read_bytes().startswith(_NAME.encode() + b"\0")
        assert os.waitpid(pid, os.WNOHANG) == (0, 0)
        os.eventfd_write(fds[place], 1)
        assert _status(pid) == 7
        for fd in fds:
            os.close(fd)


def test_it_waits_for_some_time() -> None:
    fd = os.eventfd(0)
    assert _status(_rest(fd, fd, 0.01)) == 7
    os.close(fd)


def test_it_waits_for_a_signal_that_is_blocked() -> None:
    never = os.eventfd(0)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))
    try:
        fd = sc.signalfd(-1, (signal.SIGTERM,), os.O_CLOEXEC)
        pid = _rest(never, fd, None)
        os.kill(pid, signal.SIGTERM)
        # which is blocked in the shell too
        assert _status(pid) == 7
        os.close(fd)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    os.close(never)
