"""A forked child that goes on when its command ends: it leaves everything of the command behind."""

from __future__ import annotations

import gc
import os
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

#: when this program's code was loaded, for who forks imports this first
LOADED_NS = time.time_ns()
#: Python's own: a command, which is short-lived, collects later
_COLLECTED_AT = (700, 10, 10)
_IGNORED = frozenset({signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE})


def become_own_process(kept: Collection[int], name: str, blocked: Collection[int] = ()) -> None:
    """Leave the command's session, directory, streams and all descriptors but `kept` and that of this program's code;
    ignore what a terminal sends, and have the signals `blocked` wait. `name` is what `ps -o comm` shows: at most 15
    bytes, proc(5).
    """
    # of one that has rested, which imports the rest of its code by it (`kept_code_loader.py`)
    kept = {*kept, *(finder.code_fd for finder in sys.meta_path if hasattr(finder, "code_fd"))}
    os.setsid()
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    for entry in os.listdir("/proc/self/fd"):
        fd = int(entry)
        if fd > 2 and fd not in kept:
            try:
                os.close(fd)
            except OSError:
                continue  # the descriptor of the listing itself
    # not what the command has them do, nor what its caller has
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN if number in _IGNORED else signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    take_name(name)


def collect_sparingly() -> None:
    """For a process that stays: what was imported stays too, and the collector need not look at it again, which would
    write to each of its pages.
    """
    gc.freeze()
    gc.set_threshold(*_COLLECTED_AT)


def take_name(name: str) -> None:
    """What `ps -o comm` shows: at most 15 bytes, proc(5)."""
    with open("/proc/self/comm", "w") as file:
        file.write(name)
