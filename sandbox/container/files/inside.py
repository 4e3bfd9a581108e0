"""What is done in a container's tree, by a child that has reached it (`tree`): paths looked at, archives written and
extracted. Whatever the tree's own processes change meanwhile, nothing outside of it is met.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat

from sandbox.container.files.names import Found, absolute, aim_copy, split, top_name
from sandbox.errors import ConflictError, NotFoundError, SandboxError, UsageError
from sandbox.named_tuple import NamedTuple
from storage.errors import StorageError, os_failure
from storage.tar.extract import Extraction, Place, Rules
from storage.tar.source import Source as TarSource
from storage.tar.writer import TarWriter
from storage.trees.resolve import open_in_root
from storage.trees.walk import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.container.files.tree import Tree

    #: how many bytes have been copied; called in the child that copies
    Told = Callable[[int], object]

_MISSING = (errno.ENOENT,)
_MAX_LINKS = 255
_ENTRY = os.O_PATH | os.O_NOFOLLOW


class Source(NamedTuple):
    """What is copied into a container by Docker's rules for DEST; without it the archive goes into a directory."""

    base: str
    is_directory: bool


class Taking(NamedTuple):
    """How an archive is taken in."""

    source: Source | None = None
    #: a directory and what is none do not replace each other
    keeps_kinds: bool = False
    #: the owner of everything; None is that of the archive
    owner: tuple[int, int] | None = None
    #: everything is the container's own user's
    as_user: bool = False
    #: the word for the container in Docker's errors
    word: str = ""


def read_stat(tree: Tree, path: str, word: str) -> list[object]:
    """What is at a path, the fields of a PathStat. NotFoundError, SandboxError."""
    asked, path = path, absolute(path)
    fd = _open_entry(tree, path, word, asked)
    try:
        status = os.fstat(fd)
        target = ""
        if stat.S_ISLNK(status.st_mode):
            target = evaluate(tree.root_fd, path)
    finally:
        os.close(fd)
    return [posixpath.basename(path.rstrip("/")) or "/", status.st_size, status.st_mode, status.st_mtime_ns, target]


def write_archive(
    tree: Tree, path: str, word: str, out_fd: int, follow: bool, sparse: bool, told: Told | None = None
) -> list[object]:
    """Write what is at `path` to `out_fd`: size and notes, whether it is incomplete. NotFoundError, SandboxError."""
    asked, path = path, absolute(path)
    name = top_name(path)
    fd = _open_entry(tree, path, word, asked)
    try:
        if follow and stat.S_ISLNK(os.fstat(fd).st_mode):
            path = evaluate(tree.root_fd, path)
            os.close(fd)
            fd = -1
            fd = _open_entry(tree, path, word)
        writer = TarWriter(out_fd, sparse=sparse, live=True, told=told)
        source = TarSource(writer)
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            source.add(Step(fd, b".", os.fstat(fd), False, 0), os.fsencode(name))
        else:
            directory, base = split(path)
            parent = open_in_root(tree.root_fd, directory, os.O_PATH | os.O_DIRECTORY)
            try:
                status = os.stat(base, dir_fd=parent, follow_symlinks=False)
                source.add(Step(parent, os.fsencode(base), status, False, 0), os.fsencode(name))
            finally:
                os.close(parent)
        writer.finish(512)
    except (OSError, StorageError) as error:
        raise _failure(f"cannot copy {path} of container {word}", error) from error
    finally:
        if fd >= 0:
            os.close(fd)
    return [writer.size_bytes, [*tree.notes, *writer.notes, *source.unread], bool(source.unread)]


def take_archive(tree: Tree, path: str, in_fd: int, taking: Taking) -> list[object]:
    """Extract the archive that `in_fd` gives: size, notes, and the path it went to. SandboxError and its kin."""
    shown = path
    directory, renamed = absolute(path), None
    if taking.source is not None:
        found = find_destination(tree, path, taking.word)
        shown = found.path
        aim = aim_copy(found, source_is_directory=taking.source.is_directory)
        directory = absolute(aim.directory)
        if aim.base:
            renamed = (os.fsencode(taking.source.base), os.fsencode(aim.base))
    fd = _open_directory(tree, directory, taking.word)
    try:
        _refuse_read_only(tree, fd)
        owner = _owner_of(tree, taking)
        rules = Rules(taking.keeps_kinds, "archive" if owner is None else owner, renamed=renamed)
        # of our own archives, which a copy's other side writes, pages can be taken over as they are
        pipe_fd = in_fd if taking.source is not None else -1
        with open(in_fd, "rb", buffering=0 if pipe_fd >= 0 else -1, closefd=False) as stream:
            extracted = Extraction(stream, pipe_fd).extract(Place(fd, tree.root_fd, os.fsencode(directory)), rules)
    except (OSError, StorageError) as error:
        raise _failure(f"cannot copy to {directory} of container {taking.word}", error) from error
    finally:
        os.close(fd)
    return [extracted.size_bytes, [*tree.notes, *extracted.notes], shown]


def find_destination(tree: Tree, path: str, word: str) -> Found:
    """What is at the path that a copy goes to, a link followed. Raises SandboxError for a device."""
    shown = path
    try:
        fd = _open_entry(tree, absolute(path), word)
    except SandboxError:
        return Found(path, exists=False, is_directory=False)
    try:
        if stat.S_ISLNK(os.fstat(fd).st_mode):
            shown = evaluate(tree.root_fd, absolute(path))
            try:
                followed = _open_entry(tree, shown, word)
            except SandboxError:
                return Found(shown, exists=False, is_directory=False)
            os.close(fd)
            fd = followed
        mode = os.fstat(fd).st_mode
    finally:
        os.close(fd)
    if stat.S_ISBLK(mode) or stat.S_ISCHR(mode):
        raise SandboxError(
            f'destination "{word}:{path}" must be a directory or a regular file: got a device',
        )
    return Found(shown, exists=True, is_directory=stat.S_ISDIR(mode))


def evaluate(root_fd: int, path: str) -> str:
    """The path with all its links followed inside the root, as far as it is there. SandboxError for a circle."""
    todo = [part for part in path.split("/") if part][::-1]
    here: list[str] = []
    links = 0
    while todo:
        part = todo.pop()
        if part == ".":
            continue
        if part == "..":
            del here[-1:]
            continue
        try:
            fd = open_in_root(root_fd, "/".join((*here, part)), _ENTRY)
        except OSError:
            here.append(part)
            continue
        try:
            text = os.readlink("", dir_fd=fd) if stat.S_ISLNK(os.fstat(fd).st_mode) else None
        finally:
            os.close(fd)
        if text is None:
            here.append(part)
            continue
        links += 1
        if links > _MAX_LINKS:
            raise SandboxError(f"too many symlinks in {path}")
        if text.startswith("/"):
            here = []
        todo += [part for part in text.split("/") if part][::-1]
    return "/" + "/".join(here)


def _open_entry(tree: Tree, path: str, word: str, asked: str = "") -> int:
    """A descriptor of what is at the path, a link itself unless a slash follows. NotFoundError, SandboxError."""
    try:
        return open_in_root(tree.root_fd, path, _ENTRY)
    except OSError as error:
        if error.errno in _MISSING:
            raise NotFoundError(f"Could not find the file {asked or path} in container {word}") from error
        raise SandboxError(f"lstat {path}: {(error.strerror or '').lower()}") from error


def _open_directory(tree: Tree, path: str, word: str) -> int:
    try:
        fd = open_in_root(tree.root_fd, path, os.O_PATH)
    except FileNotFoundError as error:
        raise NotFoundError(f"Could not find the file {path.removesuffix('/.')} in container {word}") from error
    except NotADirectoryError as error:
        raise UsageError("extraction point is not a directory") from error
    except OSError as error:
        raise SandboxError(f"lstat {path}: {(error.strerror or '').lower()}") from error
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            raise UsageError("extraction point is not a directory", cause=f"{path} is a file")
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
    finally:
        os.close(fd)


def _refuse_read_only(tree: Tree, fd: int) -> None:
    """Raise UsageError where nothing can be written to the directory. By the mount: there is no race then."""
    if not os.fstatvfs(fd).f_flag & os.ST_RDONLY:
        return
    if _mount_id(fd) == _mount_id(tree.root_fd):
        raise UsageError("container rootfs is marked read-only")
    raise UsageError("mounted volume is marked read-only")


def _mount_id(fd: int) -> str:
    with open(f"/proc/self/fdinfo/{fd}") as file:
        return next(line for line in file if line.startswith("mnt_id:"))


def _owner_of(tree: Tree, taking: Taking) -> tuple[int, int] | None:
    if not taking.as_user or not tree.user:
        return taking.owner
    from sandbox.runtime.users import read_account_text, resolve_identity

    texts = [read_account_text(tree.root_fd, path) for path in ("/etc/passwd", "/etc/group")]
    identity = resolve_identity(tree.user, (), *texts)
    return identity.uid, identity.gid


def _failure(what: str, error: OSError | StorageError) -> SandboxError:
    known = os_failure(what, error) if isinstance(error, OSError) else error
    kind = ConflictError if "cannot overwrite" in known.message else SandboxError
    return kind(known.message, cause=known.cause, mend=known.mend)
