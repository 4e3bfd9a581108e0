"""A ctrl-C that comes where Python drops exceptions."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: each has SIGINT's handler run where what it raises is dropped, then nothing else happens
_LOSSES = {
    "a finalizer": "class Lost:\n    def __del__(self): signal.raise_signal(signal.SIGINT)\nLost()",
    "the callback of a weak reference": (
        "class Gone: pass\n"
        "gone = Gone()\n"
        "reference = weakref.ref(gone, lambda _: signal.raise_signal(signal.SIGINT))\n"
        "del gone"
    ),
    "the callback of the collector": (
        "gc.callbacks.append(lambda phase, _: phase == 'stop' and signal.raise_signal(signal.SIGINT))\n"
        "gc.collect()\n"
        "gc.callbacks.clear()"
    ),
    "the end of a generator": (
        "def steps():\n"
        "    try: yield\n"
        "    finally: signal.raise_signal(signal.SIGINT)\n"
        "one = steps()\n"
        "next(one)\n"
        "del one"
    ),
    "what runs around a fork": (
        "os.register_at_fork(before=lambda: signal.raise_signal(signal.SIGINT))\n"
        "if os.fork() == 0: os._exit(0)\n"
        "os.wait()"
    ),
}


@pytest.mark.parametrize("loss", _LOSSES)
def test_it_is_raised_again(loss: str) -> None:
    script = (
        "import gc, os, signal, sys, weakref\n"
        "from sandbox.interrupts import keep_exception\n"
        "keep_exception(KeyboardInterrupt, signal.SIGINT)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "keep = sys.unraisablehook\n"
        "sys.unraisablehook = lambda lost: (print('dropped', flush=True), keep(lost))\n"
        "try:\n" + "".join(f"    {line}\n" for line in _LOSSES[loss].splitlines()) + "    while True: signal.pause()\n"
        "except KeyboardInterrupt:\n"
        "    print('heard')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "dropped\nheard\n"
    assert done.stderr == ""


def test_other_exceptions_are_told_as_ever() -> None:
    script = (
        "import signal\n"
        "from sandbox.interrupts import keep_exception\n"
        "keep_exception(KeyboardInterrupt, signal.SIGINT)\n"
        "class Fails:\n"
        "    def __del__(self): raise ValueError('seen')\n"
        "Fails()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert "ValueError: seen" in done.stderr
