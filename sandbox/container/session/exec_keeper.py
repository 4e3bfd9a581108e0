"""What `exec -d` leaves running is waited for by a process of its own, so that its end is told.

    command                      keeper                              container
    fork ─────────────────────▶  leaves the command's session
                                 starts the process ───────────────▶ runs
         ◀── started, or error ──
    ends                         becomes a stub that waits ◀──────── ends
                                 executes who tells the exit code

The kernel gives an exit code to the parent alone, and the parent must not be the command, which ends. While it waits
the keeper has a few pages, not an interpreter with all that a command has imported.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from sandbox.container.session.exec_session import run_detached
from sandbox.errors import StartError
from sandbox.runtime.own_process import become_own_process
from sandbox.runtime.reports import decode_error, encode_error
from sandbox.runtime.wait_stub import wait_then_execute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from sandbox.container.session.exec_end import ExecEnd
    from sandbox.container.session.exec_session import ExecTarget
    from sandbox.runtime.spec import ProcessSpec

PROCESS_NAME = "sandbox-exec"
_STARTED = b"R"


def run_kept(target: ExecTarget, spec: ProcessSpec, end: ExecEnd) -> None:
    """Start the process with no streams; `end` is told by the keeper. No database connection may be open. Raises
    StartError and its kin, ConflictError.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _keep(target, spec, end, writing)
    os.close(writing)
    with open(reading, "rb") as report_file:
        report = report_file.read()
    if report == _STARTED:
        return
    os.waitpid(pid, 0)
    if report:
        raise decode_error(report)
    raise StartError(f"cannot run {spec.arguments[0]}", cause="the process that was to start it was killed")


def _keep(target: ExecTarget, spec: ProcessSpec, end: ExecEnd, report_fd: int) -> NoReturn:
    try:
        become_own_process({report_fd}, PROCESS_NAME)
        try:
            pid = run_detached(target, spec)
        except BaseException as error:  # noqa: BLE001  # a process boundary: the command reads it as a report
            os.write(report_fd, encode_error(error, f"run {spec.arguments[0]}"))
            os._exit(1)
        os.write(report_fd, _STARTED)
        os.close(report_fd)
        words = end.words()
        if words:
            wait_then_execute(PROCESS_NAME, pid, words)
        _pid, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        with suppress(Exception):
            # the container, and all that is known of it, may be gone
            end.tell(128 - code if code < 0 else code)
    finally:
        # never through the interpreter's own way out: it belongs to the command that was forked
        os._exit(0)
