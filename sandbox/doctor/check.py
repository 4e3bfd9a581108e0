"""The outcome of a check, and what a check is given."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from net.errors import NetError
    from sandbox.errors import SandboxError
    from sandbox.paths import Paths
    from storage.errors import StorageError

Status = Literal["ok", "warning", "failure"]


class Check(NamedTuple):
    """What was found. `name` is also the stable code that `sandbox doctor CODE` explains.

    A failure keeps the main job from running; a warning takes something from it. `detail` is what was seen or what
    failed, `cause` why, `mend` the one command that helps, and `needs_admin` whether only an administrator can run it.
    """

    name: str
    status: Status
    detail: str
    cause: str = ""
    mend: str = ""
    needs_admin: bool = False


class Machine(NamedTuple):
    """What checks look at."""

    paths: Paths
    env: Mapping[str, str]
    uid: int
    #: "/proc", or a stand-in of tests
    proc: str = "/proc"


def this_machine(paths: Paths, env: Mapping[str, str]) -> Machine:
    """The machine this process runs on, as its user sees it."""
    return Machine(paths, env, os.getuid())


def passed(name: str, detail: str) -> Check:
    """An outcome with nothing to mend."""
    return Check(name, "ok", detail)


def from_error(name: str, error: SandboxError | NetError | StorageError, status: Status = "failure") -> Check:
    """The outcome for an error that trying the thing raised."""
    return Check(name, status, error.message, error.cause, error.mend, wants_admin(error.mend))


def wants_admin(mend: str) -> bool:
    """Whether the first command of a mend is for an administrator."""
    return mend.startswith("sudo ") or "| sudo " in mend


def read_text(path: str) -> str | None:
    """The stripped content of a small file, or None where it cannot be read."""
    try:
        with open(path, errors="replace") as file:
            return file.read(1 << 16).strip()
    except OSError:
        return None
