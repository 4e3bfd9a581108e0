"""A forked child that does one thing for its parent, and does not outlive it."""

from __future__ import annotations

import os
import signal

from sandbox.runtime.syscalls import PR_SET_PDEATHSIG, prctl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def fork_bound(act: Callable[[], None]) -> int:
    """The pid of a child that ends with 0 where `act` returns and with 1 where it raises; it is killed with this
    process. The caller waits for it.
    """
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() == parent:
                act()
                status = 0
        finally:
            os._exit(status)
    return pid
