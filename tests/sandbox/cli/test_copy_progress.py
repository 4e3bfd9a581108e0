"""The line that grows while `cp` copies."""

from __future__ import annotations

import os
import pty
import signal

from sandbox.cli.copy_progress import CopyProgress


def _read_until(fd: int, text: bytes) -> bytes:
    seen = b""
    while text not in seen:
        seen += os.read(fd, 4096)
    return seen


def test_what_a_forked_process_counts_is_shown_and_taken_away() -> None:
    before = signal.getsignal(signal.SIGALRM)
    ours, theirs = pty.openpty()
    with open(theirs, "w") as stream, CopyProgress(stream, "Copying to container") as progress:
        assert _read_until(ours, b"0B") == b"\r\x1b[2KCopying to container - 0B"
        child = os.fork()
        if child == 0:
            progress.told(1_234_567)
            os._exit(0)
        assert _read_until(ours, b"MB") == b"\r\x1b[2KCopying to container - 1.23MB"
        os.waitpid(child, 0)
    # a terminal whose other end is closed has nothing more to read but this
    assert os.read(ours, 4096) == b"\r\x1b[2K"
    os.close(ours)
    assert signal.getsignal(signal.SIGALRM) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
