"""The calls of the language on open files: each a function of the caller and the words after its name."""

from __future__ import annotations

import fcntl
import mmap
import os

from tests.filesystem import kernel_calls
from tests.filesystem.calls import Answer, Caller, Calls, data, flags, number, path_name, shown

CALLS = Calls()
_WHENCE = {"SET": os.SEEK_SET, "CUR": os.SEEK_CUR, "END": os.SEEK_END, "DATA": os.SEEK_DATA, "HOLE": os.SEEK_HOLE}


@CALLS.add
def open_(_: Caller, path: str, words: str = "O_RDONLY", mode: str = "0644") -> Answer:
    return os.open(path_name(path), flags(words, os) | os.O_CLOEXEC | os.O_NONBLOCK, number(mode))


@CALLS.add
def openat(caller: Caller, fd: str, path: str, words: str = "O_RDONLY", mode: str = "0644") -> Answer:
    return os.open(path_name(path), flags(words, os) | os.O_CLOEXEC, number(mode), dir_fd=caller.fd(fd))


@CALLS.add
def try_open(_: Caller, path: str, words: str = "O_RDONLY", mode: str = "0644") -> Answer:
    os.close(os.open(path_name(path), flags(words, os) | os.O_CLOEXEC | os.O_NONBLOCK, number(mode)))
    return None


@CALLS.add
def close(caller: Caller, fd: str) -> Answer:
    os.close(caller.fd(fd))
    del caller.variables[fd.removeprefix("$")]
    return None


@CALLS.add
def read(caller: Caller, fd: str, size: str) -> Answer:
    return shown(os.read(caller.fd(fd), number(size)))


@CALLS.add
def pread(caller: Caller, fd: str, size: str, offset: str) -> Answer:
    return shown(os.pread(caller.fd(fd), number(size), number(offset)))


@CALLS.add
def write(caller: Caller, fd: str, words: str) -> Answer:
    return os.write(caller.fd(fd), data(words))


@CALLS.add
def pwrite(caller: Caller, fd: str, offset: str, words: str) -> Answer:
    return os.pwrite(caller.fd(fd), data(words), number(offset))


@CALLS.add
def lseek(caller: Caller, fd: str, offset: str, whence: str) -> Answer:
    return os.lseek(caller.fd(fd), number(offset), _WHENCE[whence])


@CALLS.add
def ftruncate(caller: Caller, fd: str, size: str) -> None:
    os.ftruncate(caller.fd(fd), number(size))


@CALLS.add
def truncate(_: Caller, path: str, size: str) -> None:
    os.truncate(path_name(path), number(size))


@CALLS.add
def fallocate(caller: Caller, fd: str, mode: str, offset: str, length: str) -> None:
    words = flags(mode, kernel_calls.FALLOCATE_FLAGS)
    kernel_calls.fallocate(caller.fd(fd), words, number(offset), number(length))


@CALLS.add
def copy_file_range(caller: Caller, source: str, at: str, target: str, to: str, length: str) -> Answer:
    return os.copy_file_range(caller.fd(source), caller.fd(target), number(length), number(at), number(to))


@CALLS.add
def sendfile(caller: Caller, target: str, source: str, at: str, length: str) -> Answer:
    return os.sendfile(caller.fd(target), caller.fd(source), number(at), number(length))


@CALLS.add
def fsync(caller: Caller, fd: str) -> None:
    os.fsync(caller.fd(fd))


@CALLS.add
def fdatasync(caller: Caller, fd: str) -> None:
    os.fdatasync(caller.fd(fd))


@CALLS.add
def syncfs(caller: Caller, fd: str) -> None:
    kernel_calls.syncfs(caller.fd(fd))


def _nonblocking(path: str, words: int) -> int:
    # a fifo of this name must not hold up the test
    return os.open(path, words | os.O_NONBLOCK, 0o666)


@CALLS.add
def put(_: Caller, path: str, words: str) -> Answer:
    """Make or replace the whole content."""
    with open(path_name(path), "wb", buffering=0, opener=_nonblocking) as file:
        file.write(data(words))
    return None


@CALLS.add
def append(_: Caller, path: str, words: str) -> Answer:
    with open(path_name(path), "ab", buffering=0, opener=_nonblocking) as file:
        file.write(data(words))
    return None


@CALLS.add
def cat(_: Caller, path: str) -> Answer:
    with open(path_name(path), "rb", opener=_nonblocking) as file:
        return shown(file.read())


@CALLS.add
def mmap_(caller: Caller, fd: str, kind: str, offset: str, words: str = "") -> Answer:
    """Map the file, write `words` at the offset; what read(2) gives of the place afterwards. Without, what is there."""
    access = mmap.MAP_SHARED if kind == "shared" else mmap.MAP_PRIVATE
    protection = mmap.PROT_READ | mmap.PROT_WRITE if words else mmap.PROT_READ
    size = os.fstat(caller.fd(fd)).st_size
    with mmap.mmap(caller.fd(fd), size, access, protection) as area:
        at, raw = number(offset), data(words)
        if not words:
            return shown(area[at : at + 8])
        area[at : at + len(raw)] = raw
        if kind == "shared":
            area.flush()
        return shown(os.pread(caller.fd(fd), len(raw), at))


@CALLS.add
def direct(_: Caller, path: str, mode: str) -> Answer:
    """O_DIRECT: write or read 4 KiB through an aligned buffer."""
    fd = os.open(path_name(path), (os.O_RDWR | os.O_CREAT if mode == "write" else os.O_RDONLY) | os.O_DIRECT, 0o644)
    try:
        with mmap.mmap(-1, 4096) as area:
            if mode == "write":
                area[:] = b"d" * 4096
                return os.writev(fd, [area])
            return os.readv(fd, [area])
    finally:
        os.close(fd)


# ---- locks, in a process of their own, for a process never conflicts with itself -------------------------------------


@CALLS.add
def flock(caller: Caller, fd: str, words: str) -> None:
    fcntl.flock(caller.fd(fd), flags(words, fcntl, "LOCK_"))


@CALLS.add
def lockf(caller: Caller, fd: str, words: str, start: str = "0", length: str = "0") -> Answer:
    fcntl.lockf(caller.fd(fd), flags(words, fcntl, "LOCK_"), number(length), number(start))
    return None


@CALLS.add
def other_locks(_: Caller, path: str, kind: str, words: str, start: str = "0", length: str = "0") -> Answer:
    """Whether another process gets the lock: ok, or its errno."""
    end, child_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 0
        try:
            fd = os.open(path_name(path), os.O_RDWR)
            how = flags(words, fcntl, "LOCK_") | fcntl.LOCK_NB
            if kind == "flock":
                fcntl.flock(fd, how)
            else:
                fcntl.lockf(fd, how, number(length), number(start))
        except OSError as error:
            code = error.errno or 1
        os.write(child_end, bytes([code]))
        os._exit(0)
    os.close(child_end)
    code = os.read(end, 1)[0]
    os.close(end)
    os.waitpid(pid, 0)
    if code:
        raise OSError(code, "lock")
    return None
