"""An operation that does not let itself be interrupted, of a prepared process with little patience."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from sandbox.warm import prepared
from sandbox.warm.registry import Operation


def stay(arrived: int) -> None:
    os.write(arrived, b"%d\n" % os.getpid())
    while True:
        with suppress(KeyboardInterrupt):
            signal.pause()


OPERATIONS = {"stay": Operation(__name__, "stay")}
PRELOADED: tuple[str, ...] = ()

prepared.GRACE_SECONDS = 0.1
