"""What a program of ours has from whoever started it, put in order: standard streams that are
closed, signals, the umask.

What is kept as it is on purpose stands in docs/architecture.md, "What is inherited".
"""

from __future__ import annotations

import io
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

#: SIGPIPE and SIGXFSZ, which Python ignores itself
_IGNORED_BY_PYTHON = 1 << (13 - 1) | 1 << (25 - 1)


def settle_inherited_state() -> None:
    """To be called first of all, before anything is opened or forked."""
    _open_missing_streams()
    # what cannot be told must not end what is being done, nor change its status
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(_TalkOutput(2, "w", closefd=False)), sys.stderr.encoding, "backslashreplace",
        line_buffering=True,
    )  # fmt: skip
    # a mask of the owner's own rights would have us make directories that we cannot enter
    os.umask(os.umask(0o077) & 0o077)
    blocked, ignored = _signal_masks()
    if blocked or ignored & ~_IGNORED_BY_PYTHON:
        _settle_signals()


class _TalkOutput(io.FileIO):
    """Standard error: what cannot be written (a full disk, a descriptor to read from) is lost.

    Not where a reader went away: that ends a command as SIGPIPE would.
    """

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError:
            return len(memoryview(data).cast("B"))


def _open_missing_streams() -> None:
    """/dev/null in the place of each standard descriptor that is closed, for this process and what it executes.

    The next file that is opened would get the number otherwise, here or in a helper program, and what is written to
    the stream would go into it.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # gets the lowest number that is free: those below are open by now
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    # Python has None for a stream that was closed when it started
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  # lives as long as the process
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  # as above
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  # as above


def _signal_masks() -> tuple[int, int]:
    """The blocked and the ignored signals of this process, a bit for each; all where that cannot be told.

    Asked of /proc, since the module `signal` is an import that most commands do without.
    """
    found = {b"SigBlk:": -1, b"SigIgn:": -1}
    try:
        with open("/proc/self/status", "rb", buffering=0) as file:
            for line in file.read(1 << 16).splitlines():
                if line[:7] in found:
                    found[line[:7]] = int(line[7:], 16)
    except (OSError, ValueError):
        return -1, -1
    return found[b"SigBlk:"], found[b"SigIgn:"]


def _settle_signals() -> None:
    import signal

    # the end of a child is waited for, and wait(2) finds none where SIGCHLD is ignored; other signals that the caller
    # ignores (nohup, a shell's background) are none of our business
    if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
