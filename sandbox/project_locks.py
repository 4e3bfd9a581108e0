"""One command at a time makes and removes what a project or a stack is made of; the next waits, and finds it made.

Operations are done by workers, who outlive a command that is killed: for some seconds they put back what they began.
So a command notes its prepared process beside the lock, and who gets the lock waits for those of the dead.
"""

from __future__ import annotations

import fcntl
import os
import select
from contextlib import contextmanager, suppress

from sandbox.errors import HostError
from sandbox.live_processes import boot_id, is_alive, process_start
from sandbox.named_tuple import NamedTuple
from storage.private_directories import make_private_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from sandbox.paths import Paths


def _file_name(name: str) -> str:
    """A stack's name is checked with the names of what it makes."""
    return "".join(c if c.isalnum() or c in "-_" else f"%{ord(c):x}" for c in name)[:200]


class ProjectLock:
    """The lock of a project, from here until it is released; it goes with its process, however that ends."""

    def __init__(self, paths: Paths, project: str, kind: str = "compose") -> None:
        """Waits for whoever has it, and for what the dead have left. `kind` is of what other things there may be one of
        this name. Raises HostError.
        """
        directory = _directory(paths)
        try:
            make_private_directory(directory)
            path = f"{directory}/{kind}-{_file_name(project)}"
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise HostError(f"cannot lock the project {project}", cause=error.strerror or str(error)) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            _wait_for_left_workers(directory, _note_prefix(project, kind))
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Let the next one have it; twice is safe."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> ProjectLock:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


def _directory(paths: Paths) -> str:
    return f"{paths.data_root}/locks"


def _note_prefix(project: str, kind: str = "compose") -> str:
    # no file of a lock has a dot in its name
    return f"{kind}-{_file_name(project)}.workers."


@contextmanager
def noted_workers(paths: Paths, project: str, prepared: int) -> Iterator[None]:
    """Meanwhile who finds this process killed knows of the prepared process, with its workers. Raises HostError."""
    path = f"{_directory(paths)}/{_note_prefix(project)}{os.getpid()}"
    text = f"{process_start(os.getpid())} {prepared} {process_start(prepared)} {boot_id()}"
    try:
        make_private_directory(_directory(paths))
        # whole or not at all
        with open(f"{path}~", "w") as file:
            file.write(text)
        os.rename(f"{path}~", path)
    except OSError as error:
        raise HostError(f"cannot write {path}", cause=error.strerror or str(error)) from error
    try:
        yield
    finally:
        with suppress(OSError):
            os.unlink(path)


def others_work(paths: Paths, project: str) -> bool:
    """Whether another command is about something of the project now."""
    notes = _notes(_directory(paths), _note_prefix(project))
    return any(note.is_of_living for note in notes if note.owner != os.getpid())


class _Note(NamedTuple):
    path: str
    owner: int
    owner_start: int
    prepared: int
    prepared_start: int
    boot: str

    @property
    def is_of_living(self) -> bool:
        return is_alive(self.owner, self.owner_start, self.boot)


def _notes(directory: str, prefix: str) -> Iterator[_Note]:
    for name in os.listdir(directory):
        number = name.removeprefix(prefix)
        # one that is being written has another end
        if number == name or not number.isdigit():
            continue
        with suppress(FileNotFoundError, ValueError):
            with open(f"{directory}/{name}") as file:
                start, prepared, prepared_start, boot = file.read().split()
            yield _Note(f"{directory}/{name}", int(number), int(start), int(prepared), int(prepared_start), boot)


def _wait_for_left_workers(directory: str, prefix: str) -> None:
    for note in _notes(directory, prefix):
        if note.is_of_living:
            continue
        if is_alive(note.prepared, note.prepared_start, note.boot):
            _wait_end(note.prepared)
        with suppress(FileNotFoundError):
            os.unlink(note.path)


def _wait_end(pid: int) -> None:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        select.select([pidfd], [], [])
    finally:
        os.close(pidfd)
