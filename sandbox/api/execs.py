"""Commands that clients run in containers: each is made, then started, then asked how it ended."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sandbox.api.errors import ApiError

if TYPE_CHECKING:
    from sandbox.container.session.exec_request import ExecRequest

#: an ended one is forgotten after so long, or when there are more than so many
_KEPT_SECONDS = 300.0
_KEPT = 1000


class Exec:
    """One of them. `exit_code` is None until it has ended; `resize_fd` is where its terminal's sizes go, or -1."""

    def __init__(self, id: str, container_id: str, request: ExecRequest, opens: tuple[bool, bool, bool]) -> None:
        self.id = id
        self.container_id = container_id
        self.request = request
        #: standard input, output and error
        self.opens = opens
        self.detach_keys = ""
        self.was_started = False
        self.is_running = False
        self.is_left = False
        self.exit_code: int | None = None
        self.resize_fd = -1
        self.ended_at = 0.0

    def end(self, exit_code: int) -> None:
        """It has ended."""
        self.is_running, self.exit_code, self.ended_at = False, exit_code, time.monotonic()

    def document(self) -> dict[str, Any]:
        """Docker's document of it."""
        words = self.request.arguments
        stdin, stdout, stderr = self.opens
        return {
            "ID": self.id,
            "Running": self.is_running,
            "ExitCode": self.exit_code,
            "ProcessConfig": {
                "tty": self.request.terminal,
                "entrypoint": words[0],
                "arguments": list(words[1:]),
                "privileged": self.request.privileged,
                **({"user": self.request.user} if self.request.user else {}),
            },
            "OpenStdin": stdin,
            "OpenStderr": stderr,
            "OpenStdout": stdout,
            "CanRemove": self.exit_code is not None,
            "ContainerID": self.container_id,
            "DetachKeys": self.detach_keys,
            "Pid": 0,
        }


class Execs:
    """Those of this server, by their ids."""

    def __init__(self) -> None:
        self._execs: dict[str, Exec] = {}

    def add(self, made: Exec) -> None:
        """One more; the oldest that have ended go."""
        now = time.monotonic()
        over = [each for each in self._execs.values() if each.ended_at]
        for each in over:
            if now - each.ended_at > _KEPT_SECONDS or len(self._execs) >= _KEPT:
                del self._execs[each.id]
        self._execs[made.id] = made

    def get(self, exec_id: str) -> Exec:
        """The one of that id, or of a beginning that no other has. Raises ApiError."""
        found = self._execs.get(exec_id)
        if found is None and exec_id:
            starting = [each for id, each in self._execs.items() if id.startswith(exec_id)]
            found = starting[0] if len(starting) == 1 else None
        if found is None:
            raise ApiError(404, f"No such exec instance: {exec_id}")
        return found

    def of_container(self, container_id: str) -> list[str]:
        """The ids of those that run in it."""
        return [id for id, each in self._execs.items() if each.container_id == container_id and each.is_running]

    @property
    def are_running(self) -> bool:
        """Whether any of them is waited for here."""
        return any(each.is_running and not each.is_left for each in self._execs.values())
