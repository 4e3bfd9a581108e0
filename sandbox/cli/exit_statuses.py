"""Which exit status an error has, as Docker's scripts know them. Imported for an error only."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.errors import ErrorKind, SandboxError

#: of a slip on the command line, and of `run` and `create` where it is not the container's own
ENGINE_FAILED = 125
#: commands whose names, signals and changes Docker's client hands on unread: it is the engine that refuses them, or
#: that finds its host lacking
_LEFT_TO_ENGINE = frozenset({
    "container commit", "container kill", "container rename", "container restart", "container stop", "image import",
    "config create", "network connect", "network create", "network disconnect", "secret create", "volume create",
})  # fmt: skip
#: nouns of which this is so for every command; what the host or the engine lacks is no status of its own there
_NOUNS_LEFT_TO_ENGINE = ("compose ", "service ", "stack ")
#: the engine has these end as a program that cannot be executed, whatever it was that kept it from being started
_EXECS = ("container exec", "compose exec")
#: a program of its own, which has one status for a slip too
_OF_COMPOSE = "compose "
#: how an error of the client's own grammar begins
_OF_FLAGS = "invalid argument "
#: every other kind has 1, but of `run` and `create`
_STATUSES: dict[ErrorKind, int] = {
    "bad_request": ENGINE_FAILED,
    # the client itself refuses it, before anything is asked of an engine
    "no_terminal": 1,
    "host_lacks": ENGINE_FAILED,
    "not_started": ENGINE_FAILED,
    "not_executable": 126,
    "command_not_found": 127,
    "bad_template": 64,
}


def exit_status(error: SandboxError, command_path: str = "") -> int:
    """The status of the command at `command_path` ("" for none in particular) that ends with `error`.

    `run` tells its own failures from the container's by 125, whatever they are; so does `create` what keeps a container
    from being made, but not what is of no kind.
    """
    if error.kind == "not_started" and command_path in _EXECS:
        return _STATUSES["not_executable"]
    if error.kind == "bad_request" and command_path.startswith(_OF_COMPOSE):
        return 1
    has_one = command_path.startswith(_NOUNS_LEFT_TO_ENGINE)
    if error.kind == "not_started" and has_one:
        return 1
    is_left = command_path in _LEFT_TO_ENGINE or has_one
    if error.kind in ("bad_request", "host_lacks") and is_left and not error.message.startswith(_OF_FLAGS):
        return 1
    is_of_engine = command_path == "container run" or (command_path == "container create" and error.kind != "failed")
    return _STATUSES.get(error.kind, ENGINE_FAILED if is_of_engine else 1)
