"""The caller's side of `cp`: files of the caller as an archive, and an archive as files of the caller.

In a forked child, which is nothing but the caller: its own rights decide what is read and written, and its files are
its own. Links that were in the archive are made, and never gone through.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress

from sandbox.container.files.archives import ArchiveIn, ArchiveOut, Copied, Source, get_archive, put_archive
from sandbox.container.files.names import (
    NOT_A_DIRECTORY,
    Found,
    absolute,
    aim_copy,
    clean,
    split,
    top_name,
)
from sandbox.errors import SandboxError
from sandbox.named_tuple import NamedTuple
from sandbox.runtime.user_namespace import ForkedCall
from storage.tar.extract import Extraction, Place, Rules
from storage.tar.reader import DIRECTORY
from storage.tar.source import Source as TarSource
from storage.tar.writer import TarWriter
from storage.trees.walk import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.files.inside import Told
    from sandbox.paths import Paths

_PIPE_BYTES = 1 << 20
_RECORD = 512
_MAX_LINKS = 10
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class CopyOut(NamedTuple):
    """`cp CONTAINER:path target`; `target` is absolute, and may end in a slash or `/.`."""

    word: str
    path: str
    target: str
    follow_link: bool = False


class CopyIn(NamedTuple):
    """`cp source CONTAINER:path`; `source` is absolute, and may end in a slash or `/.`."""

    source: str
    word: str
    path: str
    follow_link: bool = False
    #: owners as they are here; else everything is root's
    keeps_owners: bool = False


class _Local(NamedTuple):
    """Something of the caller's that is copied: the entry `name` in `dir_fd`, or that directory itself."""

    dir_fd: int
    name: bytes
    status: os.stat_result
    base: str


class _Pipe:
    """A pipe between the two sides of a copy; each end is closed once."""

    def __init__(self) -> None:
        self.read_fd, self.write_fd = os.pipe2(os.O_CLOEXEC)
        # a megabyte, where the user's share of such is not used up
        with suppress(OSError):
            fcntl.fcntl(self.write_fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def close_read(self) -> None:
        self.read_fd = _closed(self.read_fd)

    def close_write(self) -> None:
        self.write_fd = _closed(self.write_fd)


def copy_out(paths: Paths, request: CopyOut, told: Told | None = None) -> Copied:
    """Copy from a container to the caller's files. Raises NotFoundError, SandboxError."""
    check_target(request.target)
    pipe = _Pipe()
    receiver = ForkedCall(pipe.close_write, _receive, pipe, request)
    pipe.close_read()
    sent, failure = Copied(0), None
    try:
        wanted = ArchiveOut(request.path, request.follow_link, sparse=True)
        sent = get_archive(paths, request.word, wanted, pipe.write_fd, told)
    except SandboxError as error:
        failure = error
    finally:
        pipe.close_write()
    try:
        size, notes = _pair(receiver.result())
    except SandboxError as error:
        raise _first_of(failure, error) from None
    if failure is not None:
        raise failure
    return Copied(size, (*sent.notes, *notes), sent.incomplete, request.target)


def copy_in(paths: Paths, request: CopyIn, told: Told | None = None) -> Copied:
    """Copy files of the caller's into a container. Raises NotFoundError, SandboxError, and as `put_archive`."""
    local = _open_source(request.source, follow=request.follow_link)
    pipe = _Pipe()
    sender = ForkedCall(pipe.close_read, _send, pipe, local, request.keeps_owners, told)
    pipe.close_write()
    os.close(local.dir_fd)
    taken, failure = Copied(0), None
    try:
        source = Source(local.base, stat.S_ISDIR(local.status.st_mode))
        owner = None if request.keeps_owners else (0, 0)
        wanted = ArchiveIn(request.path, keeps_kinds=True, owner=owner, source=source)
        taken = put_archive(paths, request.word, wanted, pipe.read_fd)
    except SandboxError as error:
        failure = error
    finally:
        pipe.close_read()
    try:
        unread, notes = _pair(sender.result())
    except SandboxError as error:
        raise _first_of(error, failure) from None
    if failure is not None:
        raise failure
    return Copied(taken.size_bytes, (*taken.notes, *notes), bool(unread), taken.path)


def check_target(path: str) -> None:
    """Raise SandboxError for a target that cannot be one, before anything is read. In Docker's words."""
    directory = os.path.dirname(clean(path))
    if not os.path.exists(directory):
        raise SandboxError(f'invalid output path: directory "{directory}" does not exist', mend=f"mkdir -p {directory}")
    with suppress(OSError):
        mode = os.stat(path).st_mode
        if stat.S_ISBLK(mode) or stat.S_ISCHR(mode):
            raise SandboxError(f'invalid output path: "{path}" must be a directory or a regular file: got a device')


# --- in the children


def _receive(pipe: _Pipe, request: CopyOut) -> list[object]:
    with open(pipe.read_fd, "rb", buffering=0, closefd=False) as stream:
        extraction = Extraction(stream, pipe.read_fd)
        if extraction.first is None:
            return [0, []]
        found = _find_target(request.target)
        aim = aim_copy(found, source_is_directory=extraction.first.kind == DIRECTORY)
        renamed = (os.fsencode(top_name(absolute(request.path))), os.fsencode(aim.base)) if aim.base else None
        try:
            fd = os.open(aim.directory, _DIRECTORY)
        except OSError as error:
            raise SandboxError(f"open {aim.directory}: {_words(error)}") from error
        try:
            done = extraction.extract(
                Place(fd), Rules(keeps_kinds=True, owner="caller", special=False, renamed=renamed)
            )
        finally:
            os.close(fd)
    return [done.size_bytes, list(done.notes)]


def _send(pipe: _Pipe, local: _Local, keeps_owners: bool, told: Told | None) -> list[object]:
    writer = TarWriter(pipe.write_fd, owner=None if keeps_owners else (0, 0), sparse=True, live=True, told=told)
    source = TarSource(writer)
    try:
        source.add(Step(local.dir_fd, local.name, local.status, False, 0), os.fsencode(local.base))
        writer.finish(_RECORD)
    except OSError as error:
        raise SandboxError(f"cannot read {local.base}", cause=os.strerror(error.errno or 0)) from error
    return [len(source.unread), [*writer.notes, *source.unread]]


def _find_target(path: str) -> Found:
    """What is at the caller's path, links of the last component followed, also to what is not there yet."""
    asked = path
    for _ in range(_MAX_LINKS + 1):
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            return _missing_target(path)
        except OSError as error:
            raise SandboxError(f"lstat {path}: {_words(error)}") from error
        if not stat.S_ISLNK(status.st_mode):
            return Found(path, exists=True, is_directory=stat.S_ISDIR(status.st_mode))
        path = clean(os.path.join(split(path)[0], os.readlink(path)))
    raise SandboxError(f"too many symlinks in {asked}")


def _missing_target(path: str) -> Found:
    parent = split(path)[0]
    try:
        status = os.stat(parent)
    except OSError as error:
        raise SandboxError(f"stat {parent}: {_words(error)}") from error
    if not stat.S_ISDIR(status.st_mode):
        raise SandboxError(NOT_A_DIRECTORY, cause=f"{parent} is a file")
    return Found(path, exists=False, is_directory=False)


def _open_source(path: str, *, follow: bool) -> _Local:
    """What is copied in. A link that the last component is stays one, unless `follow` or a slash behind it."""
    asked, base = path, top_name(path)
    try:
        if follow:
            path = os.path.realpath(path, strict=True) + ("/" if asked.endswith("/") else "")
        status = os.lstat(path)
        if stat.S_ISDIR(status.st_mode):
            fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            return _Local(fd, b".", os.fstat(fd), base)
        directory, name = os.path.split(path)
        fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise SandboxError(f"lstat {asked}: {_words(error)}") from error
    return _Local(fd, os.fsencode(name), status, base)


# --- what is common to them


def _first_of(writers: SandboxError | None, readers: SandboxError | None) -> SandboxError:
    """The error that came first: a pipe breaks for who writes to it, and ends early for who reads."""
    if writers is not None and writers.cause != os.strerror(errno.EPIPE):
        return writers
    first = readers or writers
    assert first is not None
    return first


def _closed(fd: int) -> int:
    if fd >= 0:
        os.close(fd)
    return -1


def _pair(value: object) -> tuple[int, list[str]]:
    assert isinstance(value, list)
    return value[0], value[1]


def _words(error: OSError) -> str:
    """As Go says it."""
    return os.strerror(error.errno or 0).lower()
