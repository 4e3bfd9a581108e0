"""Terminals: the pty of a container, and the person's own terminal in raw mode.

Each container's pty comes from its own devpts, so that what it pushes into its input queue (TIOCSTI) is read by
nobody else; the person's terminal is never handed in.
"""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from contextlib import suppress
from typing import TYPE_CHECKING

from sandbox.errors import StartError, UsageError
from sandbox.named_tuple import NamedTuple
from sandbox.runtime import syscalls as sc

if TYPE_CHECKING:
    from types import TracebackType

DEFAULT_DETACH_KEYS = "ctrl-p,ctrl-q"

# asm-generic/ioctls.h; Python's termios lacks them
_TIOCSPTLCK = 0x40045431
_TIOCGPTPEER = 0x5441
_DEVPTS_SUPER_MAGIC = 0x1CD1


class WindowSize(NamedTuple):
    rows: int
    columns: int


def open_pty() -> tuple[int, int]:
    """Master and slave of a new pty of the devpts at /dev/pts of the calling process's root, both close-on-exec."""
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
    """Context: the terminal `fd` passes every key on as it is, and gets its settings back. Nothing for a non-tty."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._saved: list[int | list[bytes | int]] | None = None

    def __enter__(self) -> RawTerminal:
        if os.isatty(self._fd):
            self._saved = termios.tcgetattr(self._fd)
            termios.tcsetattr(self._fd, termios.TCSANOW, _raw(termios.tcgetattr(self._fd)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.restore()

    def restore(self) -> None:
        """Give the terminal back as it was; harmless when called twice."""
        if self._saved is not None:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._saved)
            self._saved = None


def _raw(attributes: list[int | list[bytes | int]]) -> list[int | list[bytes | int]]:
    # cfmakeraw(3); output processing stays on as in Docker's client, the container's own pty does the rest
    iflag, oflag, cflag, lflag, ispeed, ospeed, characters = attributes
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
