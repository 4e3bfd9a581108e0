"""Processes of a pid namespace that are being stopped, when that is given up."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = [pytest.mark.requires("userns"), pytest.mark.slow]

#: the helper has somebody in the namespace, and waits for him, when it is killed; then the namespace ends
_GIVES_UP = """
import os, signal
from sandbox.runtime import freezing, syscalls as sc

sc.prctl(sc.PR_SET_CHILD_SUBREAPER, 1)
inside, entered = os.pipe()

def enter():
    child = os.fork()
    if child == 0:
        os.write(entered, b"x")
        signal.pause()
    os.waitpid(child, 0)

freezing._stop_everybody_else = enter
reading, writing = os.pipe()
maker = os.fork()
if maker == 0:
    sc.unshare(sc.CLONE_NEWPID)
    first = os.fork()
    if first == 0:
        signal.pause()
    os.write(writing, str(first).encode())
    os._exit(0)
os.waitpid(maker, 0)
first = int(os.read(reading, 20))
pidfd = os.pidfd_open(first)
steps = freezing.stop_processes_steps(pidfd, first)
next(steps)
os.read(inside, 1)
steps.close()
signal.pidfd_send_signal(pidfd, signal.SIGKILL)
print(os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]))
try:
    os.waitpid(-1, 0)
except ChildProcessError:
    print("nobody is left")
"""


def test_who_is_in_the_namespace_goes_when_it_is_given_up() -> None:
    words = ["unshare", "--user", "--map-root-user", sys.executable, "-c", _GIVES_UP]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == ["-9", "nobody is left"]
