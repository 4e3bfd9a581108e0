"""A subreaper ends whatever is below it, also what does not end by itself."""

from __future__ import annotations

import subprocess
import sys

_SCRIPT = """
import os, signal, sys
from sandbox.builder.stages.reaping import reap_all
from sandbox.runtime import syscalls as sc

sc.prctl(sc.PR_SET_CHILD_SUBREAPER, 1)
reading, writing = os.pipe()
if os.fork() == 0:
    for _ in range(2):
        if os.fork() == 0:
            os.close(reading)
            if sys.argv[1] == "stays":
                signal.pause()
            os._exit(0)
    os._exit(0)
os.close(writing)
reap_all(float(sys.argv[2]))
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    assert os.read(reading, 1) == b""
    print("none left")
"""


def _run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, *arguments],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


def test_what_ends_by_itself_is_waited_for() -> None:
    assert _run("ends", "50") == "none left\n"


def test_what_stays_is_killed() -> None:
    assert _run("stays", "0.1") == "none left\n"
