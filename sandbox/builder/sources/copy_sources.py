"""What COPY and ADD take: paths found in a context or a stage's root, and their content as a digest.

A source is a directory descriptor, and every path is resolved below it as in a chroot (openat2 RESOLVE_IN_ROOT): `..`
and absolute symlinks stop there (CVE-2014-9356). What the ignore rules hide is not there.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from sandbox.builder.sources.digest_memory import now_ns
from sandbox.dockerfile.dockerignore import clean_path
from sandbox.dockerfile.path_patterns import PathPattern
from sandbox.errors import SandboxError
from storage.errors import StorageError
from storage.tar.reader import TarReader
from storage.trees.resolve import open_in_root
from storage.trees.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.builder.sources.digest_memory import DigestMemory
    from sandbox.dockerfile.dockerignore import IgnoreRules
    from storage.trees.walk import Step

_WILDCARDS = frozenset("*?[\\")
_READ_SIZE = 1 << 20


class StepError(SandboxError):
    """A step cannot be carried out; by whoever does not know its line."""


class Source(NamedTuple):
    """A tree to copy from. `keeps_owners`: a stage's files stay whose they are, those of a context become root's."""

    root_fd: int
    rules: IgnoreRules | None = None
    keeps_owners: bool = True
    memory: DigestMemory | None = None


class Selection:
    """Which of a directory's content is taken, by paths from it: `--parents` takes one pattern in, `--exclude` out.

    What a pattern matches comes with all that is below it.
    """

    def __init__(self, include: str = "", exclude: IgnoreRules | None = None) -> None:
        self._include = PathPattern(include) if include else None
        self._exclude = exclude
        plain = []
        for part in include.split("/"):
            if _WILDCARDS.intersection(part):
                break
            plain.append(part)
        # where the pattern leads, before its first wildcard
        self._prefix = "/".join(plain) + "/"

    def hides(self, path: str) -> bool:
        """Whether the path itself is not taken."""
        if self._include is not None and not self._include.matches_or_above(path):
            return True
        return self._exclude is not None and self._exclude.ignores(path)

    def may_hold(self, path: str) -> bool:
        """Whether something below the directory `path` may be taken."""
        if self._exclude is not None and not self._exclude.has_exceptions and self._exclude.ignores(path):
            return False
        if self._include is None or self._include.matches_or_above(path):
            return True
        below = f"{path}/"
        return self._prefix in ("/", below) or self._prefix.startswith(below) or below.startswith(self._prefix)


#: everything is taken
ALL = Selection()


class Taken(NamedTuple):
    """One path of a source, which of a directory's content is taken, and whether an archive is unpacked."""

    source: Source
    path: str
    selection: Selection
    unpacks: bool


class Found(NamedTuple):
    """One path of a source: an O_PATH descriptor the holder closes, and its real path, which rules are asked of.

    `name` is what it is called in a target directory.
    """

    fd: int
    name: str
    real_path: str
    status: os.stat_result

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)


def is_archive(stream: BinaryIO) -> bool:
    """Whether a file is a tar archive, compressed or not, by its content."""
    try:
        return TarReader(stream).next_entry() is not None
    except (StorageError, OSError, EOFError, ValueError):
        return False


def has_wildcards(path: str) -> bool:
    """Whether a path names others by wildcards, or quotes them."""
    return bool(_WILDCARDS.intersection(path))


def find_paths(source: Source, written: str) -> list[str]:
    """The paths a source argument names, sorted where it has wildcards, of which there may be none."""
    path = clean_path("/" + written)[1:]
    if not _WILDCARDS.intersection(path):
        return [path]
    found = [""]
    for part in path.split("/"):
        found = [name for above in found for name in _matches(source, above, part)]
    return found


def _matches(source: Source, above: str, part: str) -> Iterator[str]:
    prefix = f"{above}/" if above else ""
    if not _WILDCARDS.intersection(part):
        yield prefix + part
        return
    pattern = PathPattern(part)
    try:
        fd = open_in_root(source.root_fd, above, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return
    try:
        names = sorted(os.listdir(fd))
    finally:
        os.close(fd)
    for name in names:
        if pattern.matches(name) and is_visible(source, prefix + name):
            yield prefix + name


def is_visible(source: Source, path: str) -> bool:
    """Whether there is something at `path` that no rule hides; dangling symlinks are nothing."""
    try:
        os.close(open_found(source, path).fd)
    except StepError:
        return False
    return True


def open_found(source: Source, path: str) -> Found:
    """The file or directory at `path`, symlinks followed inside the source. Raises StepError where there is none."""
    try:
        fd = open_in_root(source.root_fd, path, os.O_PATH)
    except OSError as error:
        cause = "" if error.errno == errno.ENOENT else os.strerror(error.errno or 0)
        raise missing(path, cause, mend=_meant(source, path)) from error
    try:
        found = Found(fd, path.rpartition("/")[2], _real_path(source.root_fd, fd), os.fstat(fd))
        if _is_hidden(source, found):
            mend = f"a last line !{path} in the ignore file takes it in"
            raise missing(path, "the ignore file leaves it out", mend=mend)
    except BaseException:
        os.close(fd)
        raise
    return found


def digest_found(source: Source, found: Found, selection: Selection = ALL) -> str:
    """What is copied of it, in one digest: names, kinds, modes and content; never times, and no owners of a context.

    Empty where the selection takes nothing. Raises StepError where something cannot be read.
    """
    total = hashlib.sha256()
    if not found.is_directory:
        if selection.hides(found.name):
            return ""
        total.update(_head("", found.status, b"", source))
        if stat.S_ISREG(found.status.st_mode):
            known = source.memory and source.memory.find(found.status)
            total.update(known or _read_digest(found.fd, source.memory))
        return total.hexdigest()
    total.update(_head("", found.status, b"", source))
    empty = True
    directory = os.open(f"/proc/self/fd/{found.fd}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for step, path, hidden in walk_visible(directory, found.real_path, source.rules, selection):
            if step.leaving or hidden:
                continue
            empty = False
            link = os.readlink(step.name, dir_fd=step.dir_fd) if stat.S_ISLNK(step.status.st_mode) else b""
            total.update(_head(path, step.status, link, source))
            if stat.S_ISREG(step.status.st_mode):
                total.update(_entry_digest(step, source.memory))
    except OSError as error:
        raise StepError(f"cannot read {found.real_path or '.'}", cause=error.strerror or str(error)) from error
    finally:
        os.close(directory)
    return "" if empty and selection is not ALL else total.hexdigest()


def walk_visible(
    directory_fd: int, base: str, rules: IgnoreRules | None, selection: Selection = ALL
) -> Iterator[tuple[Step, str, bool]]:
    """The steps below a directory with their paths from it, and whether rules or selection hide them.

    A hidden directory is gone into only where something in it may be taken.
    """
    walk = Walk(directory_fd)
    #: the directories we are in, and whether each is hidden
    above: list[tuple[str, bool]] = []
    prefix = ""
    for step in walk:
        if step.leaving:
            path, hidden = above.pop()
            prefix = f"{above[-1][0]}/" if above else ""
            yield step, path, hidden
            continue
        path = prefix + os.fsdecode(step.name)
        ignored = rules is not None and rules.ignores(f"{base}/{path}" if base else path)
        hidden = ignored or (selection is not ALL and selection.hides(path))
        if stat.S_ISDIR(step.status.st_mode):
            if hidden and not (_may_hold(rules, ignored) and selection.may_hold(path)):
                walk.skip()
                continue
            above.append((path, hidden))
            prefix = f"{path}/"
        yield step, path, hidden


def _may_hold(rules: IgnoreRules | None, ignored: bool) -> bool:
    return not ignored or (rules is not None and rules.has_exceptions)


def _head(path: str, status: os.stat_result, link: bytes, source: Source) -> bytes:
    """What a digest takes in of an entry before its content."""
    owner = f"{status.st_uid}:{status.st_gid}" if source.keeps_owners else ""
    return os.fsencode(f"{path}\0{status.st_mode:o}\0{owner}\0{os.fsdecode(link)}\0{status.st_rdev}\0")


def _entry_digest(step: Step, memory: DigestMemory | None) -> bytes:
    known = memory and memory.find(step.status)
    if known:
        return known
    fd = os.open(step.name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=step.dir_fd)
    try:
        return _read_digest(fd, memory)
    finally:
        os.close(fd)


def _read_digest(fd: int, memory: DigestMemory | None) -> bytes:
    content = hashlib.sha256()
    began_ns = now_ns()
    with open(f"/proc/self/fd/{fd}", "rb", buffering=0) as file:
        before = os.fstat(file.fileno())
        while data := file.read(_READ_SIZE):
            content.update(data)
        if memory is not None:
            memory.add(before, os.fstat(file.fileno()), began_ns, content.digest())
    return content.digest()


def _is_hidden(source: Source, found: Found) -> bool:
    rules = source.rules
    if rules is None or not found.real_path or not rules.ignores(found.real_path):
        return False
    if not found.is_directory or not rules.has_exceptions:
        return True
    directory = os.open(f"/proc/self/fd/{found.fd}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return all(hidden for _step, _path, hidden in walk_visible(directory, found.real_path, rules))
    finally:
        os.close(directory)


def _real_path(root_fd: int, fd: int) -> str:
    root, path = (os.readlink(f"/proc/self/fd/{number}") for number in (root_fd, fd))
    return path[len(root.rstrip("/")) + 1 :]


def missing(path: str, cause: str, *, mend: str = "") -> StepError:
    """The error for a path that a source does not have."""
    return StepError(f'"/{path}": not found', cause=cause, mend=mend)


def _meant(source: Source, path: str) -> str:
    """What is there beside `path` and is called nearly so, as a mend; "" where nothing is."""
    from sandbox.near_names import nearest  # only an error pays for it

    above, slash, name = path.rpartition("/")
    try:
        fd = open_in_root(source.root_fd, above, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return ""
    try:
        names = sorted(os.listdir(fd))
    finally:
        os.close(fd)
    near = nearest(name, names)
    return f"did you mean {above}{slash}{near}?" if near else ""
