"""The user's systemd manager, where there is one that runs."""

from __future__ import annotations

import os

from sandbox.runtime.systemd_scopes import find_bus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def tell_manager(env: Mapping[str, str], *words: str) -> bool:
    """Have it see a change of units, or do something; false where none runs, or it could not. At boot it sees all
    anyway.
    """
    from net.programs import IGNORED_BY_PYTHON, find_program

    bus, program = find_bus(env), find_program("systemctl")
    if not bus or program is None:
        return False
    actions = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1, 2)]
    child = os.posix_spawn(
        program, [program, "--user", *words], {"XDG_RUNTIME_DIR": bus}, file_actions=actions,
        setsigdef=IGNORED_BY_PYTHON,
    )  # fmt: skip
    return os.waitpid(child, 0)[1] == 0
