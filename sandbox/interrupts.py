"""An exception of a signal's handler that Python drops, raised again.

A handler runs between any two instructions. Where these are of a finalizer, of a weak reference's callback (each import
has one) or of what runs around a fork, nobody is there to take what it raises: Python tells sys.unraisablehook and goes
on, and a ctrl-C is lost. So the kernel is asked for the same signal once more, a moment later.
"""

from __future__ import annotations

import sys

#: signal(7); the module `signal` is an import that most commands do without
SIGINT = 2
_AGAIN_NS = 10_000_000
_SIGNALS: dict[type[BaseException], int] = {}


def keep_exception(kind: type[BaseException], number: int) -> None:
    """From now on have signal `number`, whose handler raises `kind`, come again where that was dropped."""
    _SIGNALS[kind] = number
    sys.unraisablehook = _take_lost


def _take_lost(lost: sys.UnraisableHookArgs) -> None:
    number = _SIGNALS.get(lost.exc_type)
    if number is None:
        sys.__unraisablehook__(lost)
        return
    # ctypes comes with this: only where something was lost
    import time

    from sandbox.runtime.syscalls import timer_create, timer_settime

    timer_settime(timer_create(time.CLOCK_MONOTONIC, number), _AGAIN_NS)
