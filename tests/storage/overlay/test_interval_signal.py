"""A tick wakes a main thread that sleeps in a system call, again and again, until it is stopped."""

from __future__ import annotations

import os
import subprocess
import sys

#: reads until it is woken, as libfuse does: without a second try of its own
_SCRIPT = """
import ctypes, errno, os, signal, sys
from storage.overlay.fuse.serving.interval_signal import IntervalSignal

if len(sys.argv) > 1:
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGALRM,))
ticks = []
def on_tick():
    ticks.append(None)
    if len(ticks) == 3:
        tick.stop()
tick = IntervalSignal(on_tick)
tick.start()
libc = ctypes.PyDLL(None, use_errno=True)
read_end, write_end = os.pipe()
while tick.runs:
    assert libc.read(read_end, ctypes.create_string_buffer(1), 1) == -1 and ctypes.get_errno() == errno.EINTR
assert len(ticks) == 3 and signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
"""


def _run(*arguments: str) -> None:
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, *arguments],
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_each_tick_wakes_a_sleeping_call_until_it_is_stopped() -> None:
    _run()


def test_it_ticks_also_where_the_caller_was_started_with_the_signal_blocked() -> None:
    _run("blocked")
