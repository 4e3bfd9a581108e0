"""Which exit status an error has, as Docker's scripts know them. Imported for an error only."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.errors import ErrorKind, SandboxError

#: of a slip on the command line, and of `run` and `create` where it is not the container's own
ENGINE_FAILED = 125
#: every other kind has 1
_STATUSES: dict[ErrorKind, int] = {
    "bad_request": ENGINE_FAILED,
    "host_lacks": ENGINE_FAILED,
    "not_started": ENGINE_FAILED,
    "not_executable": 126,
    "command_not_found": 127,
    "bad_template": 64,
}
#: these tell what keeps a container from being made or started by 125, whatever it is
_OF_ENGINE = frozenset({"container run", "container create"})


def exit_status(error: SandboxError, command_path: str = "") -> int:
    """The status of the command at `command_path` ("" for none in particular) that ends with `error`."""
    return _STATUSES.get(error.kind, ENGINE_FAILED if command_path in _OF_ENGINE else 1)
