"""One command at a time makes and removes what a project or a stack is made of; the next waits, and finds it made."""

from __future__ import annotations

import fcntl
import os

from sandbox.errors import HostError
from storage.private_directories import make_private_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from sandbox.paths import Paths


def _file_name(name: str) -> str:
    """A stack's name is checked with the names of what it makes."""
    return "".join(c if c.isalnum() or c in "-_" else f"%{ord(c):x}" for c in name)[:200]


class ProjectLock:
    """The lock of a project, from here until it is released; it goes with its process, however that ends."""

    def __init__(self, paths: Paths, project: str, kind: str = "compose") -> None:
        """Waits for whoever has it. `kind` is of what other things there may be one of this name. Raises HostError."""
        directory = f"{paths.data_root}/locks"
        try:
            make_private_directory(directory)
            self._fd = os.open(
                f"{directory}/{kind}-{_file_name(project)}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
        except OSError as error:
            raise HostError(f"cannot lock the project {project}", cause=error.strerror or str(error)) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
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
