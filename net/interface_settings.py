"""Settings of one interface in a container's network namespace, of those that have a file below /proc/sys/net."""

from __future__ import annotations

from functools import partial

from net.errors import NetError
from net.router import call_in_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def write_interface_settings(netns_fd: int, settings: Sequence[tuple[str, str]]) -> None:
    """Write each value at its path below /proc/sys. The caller has power over the namespace. Raises NetError."""
    call_in_thread(netns_fd, partial(_write_all, settings))


def _write_all(settings: Sequence[tuple[str, str]]) -> None:
    for path, value in settings:
        try:
            with open(f"/proc/sys/{path}", "w") as file:
                file.write(value)
        except OSError as error:
            raise NetError(f"cannot set {path} to {value}", cause=error.strerror or str(error)) from error
