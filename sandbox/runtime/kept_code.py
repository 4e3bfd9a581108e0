"""This program's code in one file, by which a process goes on in a new interpreter, whatever is installed meanwhile.

    8 bytes                the length of what follows
    the loader, the index  marshalled: code that finds modules here, and for each module where its code lies
    code, code, …          marshalled, one for each module

The file belongs to one version: its name is a digest of the sources. Who has it open needs neither its name nor the
sources any more. What is not in it is imported as ever.
"""

from __future__ import annotations

import fcntl
import marshal
import os
import struct
from contextlib import contextmanager, suppress
from importlib.machinery import SourceFileLoader
from importlib.util import MAGIC_NUMBER, cache_from_source, source_hash

from sandbox.named_tuple import NamedTuple
from sandbox.runtime.kept_code_loader import LENGTH_BYTES
from storage.private_directories import make_private_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sandbox.runtime.kept_code_loader import KeptModule

#: what a process that stays may come to import of `sandbox`; of the other two packages it is all
_ROOMS = frozenset(
    ("container", "container.model", "container.monitor", "grammar", "network", "protocol", "runtime", "volume")
)
#: of a file with compiled code: magic number, flags, the source's time in seconds and its size (PEP 552)
_COMPILED_HEADER = struct.Struct("<4sIII")
_LOADER = "sandbox.runtime.kept_code_loader"


class Source(NamedTuple):
    """A module's source file. Times are in ns; `changed_ns` is the one that nobody can set, stat(2) st_ctim."""

    name: str
    path: str
    is_package: bool
    size_bytes: int
    modified_ns: int
    changed_ns: int


class SourcesChangedError(Exception):
    """The files are not those that this process has loaded."""


class KeptCode:
    """The file with the code that this process runs, which was loaded at `loaded_ns`, below `directory`."""

    def __init__(self, directory: str, loaded_ns: int) -> None:
        self._directory = directory
        self._loaded_ns = loaded_ns

    def open(self) -> int:
        """A descriptor of it, which the caller owns; -1 where it is not made yet. Raises SourcesChangedError."""
        try:
            return os.open(self._path(self._sources()), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return -1

    def make(self) -> None:
        """Make it, in place of those of other versions. Takes some tenths of a second where the code is to be compiled.
        Raises OSError, SourcesChangedError.
        """
        sources = self._sources()
        path = self._path(sources)
        make_private_directory(self._directory)
        with _alone(self._directory):
            if not os.path.exists(path):
                self._make(sources, path)

    def _make(self, sources: Sequence[Source], path: str) -> None:
        for name in os.listdir(self._directory):
            # who uses it has it open
            with suppress(FileNotFoundError):
                os.unlink(f"{self._directory}/{name}")
        aside = f"{path}.{os.getpid()}"
        try:
            with open(aside, "xb") as file:
                for part in _parts(sources):
                    file.write(part)
            # what was installed meanwhile may be in it
            if self._path(self._sources()) == path:
                os.rename(aside, path)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(aside)

    def _sources(self) -> list[Source]:
        sources = sorted(_find_sources())
        if any(source.changed_ns > self._loaded_ns for source in sources):
            raise SourcesChangedError
        return sources

    def _path(self, sources: Sequence[Source]) -> str:
        told = repr([tuple(source) for source in sources]).encode(errors="surrogateescape")
        return f"{self._directory}/{source_hash(MAGIC_NUMBER + told).hex()}"


@contextmanager
def _alone(directory: str) -> Iterator[None]:
    """Of many who want the same file one makes it, and the others wait."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def newest_change_ns() -> int:
    """When a source file was changed last."""
    return max((source.changed_ns for source in _find_sources()), default=0)


def _find_sources() -> Iterator[Source]:
    import net
    import sandbox
    import storage

    for package in (net, sandbox, storage):
        if package.__file__ is not None:
            yield from _below(package.__name__, os.path.dirname(os.path.abspath(package.__file__)))


def _below(package: str, directory: str) -> Iterator[Source]:
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.endswith(".py"):
                stem = entry.name.removesuffix(".py")
                status, is_package = entry.stat(), stem == "__init__"
                name = package if is_package else f"{package}.{stem}"
                yield Source(name, entry.path, is_package, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            elif _is_kept(f"{package}.{entry.name}") and os.path.exists(f"{entry.path}/__init__.py"):
                yield from _below(f"{package}.{entry.name}", entry.path)


def _is_kept(package: str) -> bool:
    first, _, room = package.partition(".")
    return first != "sandbox" or room in _ROOMS


def _marshalled(source: Source) -> bytes:
    """The code as it is in Python's own cache; compiled, where it is not there."""
    with suppress(OSError, struct.error), open(cache_from_source(source.path), "rb") as file:
        seconds, size_bytes = source.modified_ns // 10**9 & 0xFFFFFFFF, source.size_bytes & 0xFFFFFFFF
        if _COMPILED_HEADER.unpack(file.read(_COMPILED_HEADER.size)) == (MAGIC_NUMBER, 0, seconds, size_bytes):
            return file.read()
    return marshal.dumps(SourceFileLoader(source.name, source.path).get_code(source.name))


def _parts(sources: Sequence[Source]) -> Iterator[bytes]:
    parts: list[bytes] = []
    index: dict[str, KeptModule] = {}
    at = 0
    for source in sources:
        part = _marshalled(source)
        parts.append(part)
        index[source.name] = (source.path, source.is_package, at, len(part))
        at += len(part)
    loader = next(source for source in sources if source.name == _LOADER)
    head = marshal.dumps((marshal.loads(_marshalled(loader)), index))
    yield len(head).to_bytes(LENGTH_BYTES, "little")
    yield head
    yield from parts


#: its arguments: the descriptor of the file, then what the function is called with. Where the interpreter, or what
#: belongs to it, is just being replaced it tries again
_PROGRAM = """\
import marshal, os, sys
try:
    fd = int(sys.argv[1])
    size = int.from_bytes(os.pread(fd, 8, 0), "little")
    code, index = marshal.loads(os.pread(fd, size, 8))
    loader = {"__name__": "loader"}
    exec(code, loader)
    go_on = loader["load"](fd, 8 + size, index, sys.argv[2], sys.argv[3])
except Exception:
    import time
    time.sleep(1)
    os.execv(sys.executable, sys.orig_argv)
go_on(*sys.argv[4:])
"""


def words_to_go_on(code_fd: int, module: str, function: str, *arguments: str) -> tuple[str, ...]:
    """The command that calls `module.function(*arguments)` in a new interpreter, with the code of `code_fd`, which is
    to be inheritable; () where no interpreter is known.
    """
    import sys

    if not sys.executable:
        return ()
    return (sys.executable, "-ISc", _PROGRAM, str(code_fd), module, function, *arguments)
