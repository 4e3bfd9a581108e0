"""Terminals: the pty of a container, and the person's own terminal in raw mode.

Each container's pty comes from its own devpts, so that what it pushes into its input queue (TIOCSTI) is read by
nobody else; the person's terminal is never handed in.
"""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import termios
from contextlib import suppress

from sandbox.errors import StartError, UsageError
from sandbox.named_tuple import NamedTuple
from sandbox.runtime import syscalls as sc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

DEFAULT_DETACH_KEYS = "ctrl-p,ctrl-q"

# asm-generic/ioctls.h; Python's termios lacks them
_TIOCSPTLCK = 0x40045431
_TIOCGPTPEER = 0x5441
_DEVPTS_SUPER_MAGIC = 0x1CD1
#: signals that end a process by default and may come from outside; SIGINT is an exception in Python already
_ENDING = (
    signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM,
    signal.SIGPROF, signal.SIGXCPU,
)  # fmt: skip


class WindowSize(NamedTuple):
    rows: int
    columns: int


def open_pty() -> tuple[int, int]:
    """Master and slave of a new pty of the devpts at /dev/pts of the calling process's root, both close-on-exec.

    Raises StartError.
    """
    master = sc.openat2(sc.AT_FDCWD, "/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY, sc.RESOLVE_NO_SYMLINKS)
    # the image's tree is hostile: only a real devpts is trusted with the descriptors (CVE-2025-52565)
    if sc.filesystem_type(master) != _DEVPTS_SUPER_MAGIC:
        os.close(master)
        raise StartError("cannot make a terminal: /dev/pts is not a devpts file system")
    fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
    # TIOCGPTPEER opens the other end of this very descriptor, with no path to be tricked
    slave = fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    return master, slave


def mount_console(slave: int) -> None:
    """Show the terminal `slave` as /dev/console of the calling process's root."""
    with suppress(FileExistsError):
        os.close(os.open("/dev/console", os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    target = sc.openat2(sc.AT_FDCWD, "/dev/console", os.O_PATH, sc.RESOLVE_NO_SYMLINKS)
    mount_fd = sc.open_tree(slave, "", sc.AT_EMPTY_PATH | sc.OPEN_TREE_CLONE)
    sc.move_mount(mount_fd, "", target, "", sc.MOVE_MOUNT_F_EMPTY_PATH | sc.MOVE_MOUNT_T_EMPTY_PATH)
    os.close(mount_fd)
    os.close(target)


def get_window_size(fd: int) -> WindowSize | None:
    """The size of the terminal `fd`, or None where it is none."""
    try:
        rows, columns, _x, _y = struct.unpack("4H", fcntl.ioctl(fd, termios.TIOCGWINSZ, bytes(8)))
    except OSError:
        return None
    return WindowSize(rows, columns)


def set_window_size(fd: int, size: WindowSize) -> None:
    """Set the size of the terminal `fd`; its foreground processes get SIGWINCH."""
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("4H", size.rows, size.columns, 0, 0))


class RawTerminal:
    """Context: the terminal `fd` passes everything on as it is, and gets its settings back, whatever ends this process.

    `output_only` leaves keys alone, for a session that reads none: all that is shown comes as a terminal of the
    container's has made it. Nothing is done for what is no terminal, or one that others have in the foreground.
    """

    def __init__(self, fd: int, *, output_only: bool = False) -> None:
        self._fd = fd
        self._output_only = output_only
        self._saved: list[int | list[bytes | int]] | None = None
        self._caught: list[int] = []

    def __enter__(self) -> RawTerminal:
        if not os.isatty(self._fd) or (self._output_only and not _is_in_foreground(self._fd)):
            return self
        saved, made = termios.tcgetattr(self._fd), termios.tcgetattr(self._fd)
        # before the settings change: the signal may come in between
        self._saved = saved
        for number in _ENDING:
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, self._end)
                self._caught.append(number)
        termios.tcsetattr(self._fd, termios.TCSANOW, _without_processing(made) if self._output_only else _raw(made))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.restore()

    def restore(self) -> None:
        """Give the terminal back as it was; harmless when called twice."""
        saved, self._saved = self._saved, None
        if saved is not None:
            # not once all is written out: a terminal that nobody reads would hold us for ever; and one may be gone
            with suppress(termios.error):
                termios.tcsetattr(self._fd, termios.TCSANOW, saved)
        while self._caught:
            signal.signal(self._caught.pop(), signal.SIG_DFL)

    def _end(self, number: int, _frame: object) -> None:
        self.restore()
        os.kill(os.getpid(), number)


def _is_in_foreground(fd: int) -> bool:
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return False


def _without_processing(attributes: list[int | list[bytes | int]]) -> list[int | list[bytes | int]]:
    iflag, oflag, *rest = attributes
    assert isinstance(oflag, int)
    return [iflag, oflag & ~termios.OPOST, *rest]


def _raw(attributes: list[int | list[bytes | int]]) -> list[int | list[bytes | int]]:
    # cfmakeraw(3): the container's own terminal does all of the processing
    iflag, oflag, cflag, lflag, ispeed, ospeed, characters = _without_processing(attributes)
    assert isinstance(iflag, int)
    assert isinstance(cflag, int)
    assert isinstance(lflag, int)
    assert isinstance(characters, list)
    iflag &= ~(
        termios.IGNBRK
        | termios.BRKINT
        | termios.PARMRK
        | termios.ISTRIP
        | termios.INLCR
        | termios.IGNCR
        | termios.ICRNL
        | termios.IXON
    )
    lflag &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    cflag = (cflag & ~(termios.CSIZE | termios.PARENB)) | termios.CS8
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    return [iflag, oflag, cflag, lflag, ispeed, ospeed, characters]


def parse_detach_keys(text: str) -> bytes:
    """The key sequence "ctrl-p,ctrl-q", "a,b" or "ctrl-@" stands for; "" turns detaching off. Raises UsageError."""
    keys = bytearray()
    for word in text.split(",") if text else ():
        if len(word) == 1 and word.isascii():
            keys += word.encode()
        elif (
            word.lower().startswith("ctrl-")
            and len(word) == 6
            and ("a" <= word[5].lower() <= "z" or word[5] in "@[\\]^_")
        ):
            keys.append(ord(word[5].upper()) & 0x1F)
        else:
            raise UsageError(f"invalid detach keys {text!r}: unknown key {word!r}", mend="--detach-keys ctrl-p,ctrl-q")
    return bytes(keys)


class DetachKeys:
    """Looks for the detach sequence in what is typed; keys of a beginning that came to nothing are passed on late."""

    def __init__(self, sequence: bytes) -> None:
        self._sequence = sequence
        self._matched = 0

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """What to pass on, and whether the sequence is complete (what follows it is dropped)."""
        if not self._sequence:
            return data, False
        passed = bytearray()
        for byte in data:
            if byte == self._sequence[self._matched]:
                self._matched += 1
                if self._matched == len(self._sequence):
                    self._matched = 0
                    return bytes(passed), True
                continue
            passed += self._sequence[: self._matched]
            self._matched = 1 if byte == self._sequence[0] else 0
            if not self._matched:
                passed.append(byte)
        return bytes(passed), False
