"""The processes below a subreaper, PR_SET_CHILD_SUBREAPER(2const): those whose own parent ended come to it."""

from __future__ import annotations

import os
import selectors
import signal
import time
from contextlib import suppress
from pathlib import Path


def reap_all(patience_seconds: float) -> None:
    """Wait until this process has no children left; what has not ended when the time is up is killed."""
    deadline = time.monotonic() + patience_seconds
    while children := _children():
        left = deadline - time.monotonic()
        if left <= 0:
            for pid in children:
                # ours until it is reaped, so the number is nobody else's
                os.kill(pid, signal.SIGKILL)
        _wait_for_one(children, left if left > 0 else None)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    with suppress(ChildProcessError):
        # those that the kernel did not tell of, which can be waited for only
        while True:
            os.waitpid(-1, 0)


def _children() -> list[int]:
    """Pids, proc_pid_children(5); none where the kernel has no such file (CONFIG_PROC_CHILDREN)."""
    try:
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    except FileNotFoundError:
        return []


def _wait_for_one(children: list[int], timeout_seconds: float | None) -> None:
    with selectors.DefaultSelector() as selector:
        pidfds = [os.pidfd_open(pid) for pid in children]
        for pidfd in pidfds:
            selector.register(pidfd, selectors.EVENT_READ)
        selector.select(timeout_seconds)
    for pidfd in pidfds:
        os.close(pidfd)
