"""Pausing a container and letting it go on: asked of its monitor, which holds its processes."""

from __future__ import annotations

from sandbox.container.life.asking import call_monitor
from sandbox.container.life.stop import is_active, not_running_error
from sandbox.errors import ConflictError, SandboxError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.model.record import Container
    from sandbox.paths import Paths


def pause_container(paths: Paths, container: Container) -> None:
    """Hold all processes of the container. Raises ConflictError where it does not run, or is paused; SandboxError where
    they cannot be held.
    """
    if container.state.status == "paused":
        raise ConflictError(f"Container {container.id} is already paused", mend=f"sandbox unpause {container.name}")
    if container.state.status == "restarting":
        raise ConflictError(f"Container {container.id} is restarting, wait until the container is running")
    if not is_active(container):
        raise not_running_error(container)
    ask_monitor(paths, container, "pause")


def unpause_container(paths: Paths, container: Container) -> None:
    """Let the processes of a paused container go on. Raises ConflictError where it is not paused."""
    if container.state.status != "paused":
        raise ConflictError(f"Container {container.id} is not paused")
    ask_monitor(paths, container, "unpause")


def ask_monitor(paths: Paths, container: Container, verb: str) -> None:
    """Have the monitor do what takes its time, and wait for that. Raises ConflictError where the container does not run
    or is not in the way for it, SandboxError.
    """
    try:
        call_monitor(paths, container, verb)
    except ConflictError as error:
        # the monitor says what it is; who says so by itself has named it
        if error.message.startswith("is "):
            error.message = f"Container {container.id} {error.message}"
        raise
    except SandboxError as error:
        error.message = f"cannot {verb} container {container.name}: {error.message}"
        raise
