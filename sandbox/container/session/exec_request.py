"""`exec`: another process in a running container, started by the command itself and its own child."""

from __future__ import annotations

import os

from sandbox.container.monitor.runtime_spec import container_environment, process_spec, with_variables
from sandbox.container.monitor.seccomp_filter import seccomp_program
from sandbox.errors import ConflictError
from sandbox.live_processes import is_alive
from sandbox.named_tuple import NamedTuple
from sandbox.runtime.capabilities import CAPABILITIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.model.record import Container
    from sandbox.paths import Paths
    from sandbox.runtime.spec import ProcessSpec

_ENDING_SECONDS = 2.0


class ExecRequest(NamedTuple):
    """What `exec` was asked for; an empty field takes the container's own."""

    arguments: tuple[str, ...]
    environment: tuple[str, ...] = ()
    user: str = ""
    working_directory: str = ""
    terminal: bool = False
    privileged: bool = False


def exec_spec(paths: Paths, container: Container, request: ExecRequest) -> ProcessSpec:
    """The process to run: the container's own set-up with what was asked for on top. Raises ConflictError."""
    refuse_exec(container)
    container = _linked(paths, _named(paths, with_variables(paths, container)))
    program = None if request.privileged else seccomp_program(paths, container)
    base = process_spec(container, program)
    given = {entry.partition("=")[0] for entry in request.environment}
    inherited = container_environment(container, terminal=request.terminal)
    return base._replace(
        arguments=request.arguments,
        environment=(
            *(entry for entry in inherited if entry.partition("=")[0] not in given),
            *(entry for entry in request.environment if "=" in entry),
        ),
        working_directory=request.working_directory or base.working_directory,
        user=request.user or base.user,
        terminal=request.terminal,
        capabilities=CAPABILITIES if request.privileged else base.capabilities,
    )


def refuse_exec(container: Container) -> None:
    """Raise ConflictError where nothing can be run in the container now."""
    if container.state.status == "restarting":
        raise ConflictError(f"Container {container.id} is restarting, wait until the container is running")
    if container.state.status == "paused":
        raise ConflictError(
            f"Container {container.id} is paused, unpause the container before exec",
            mend=f"sandbox unpause {container.name}",
        )
    if container.state.status != "running":
        raise not_running_error(container)


def _named(paths: Paths, container: Container) -> Container:
    """With the host name that its first process was told, where that is another container's."""
    if not container.config.network.startswith("container:"):
        return container
    from sandbox.container.model.hostname import hostname_of
    from sandbox.container.monitor.neighbours import owner_of_names  # few containers share a network
    from sandbox.state import open_state

    with open_state(paths, durable=False) as connection:
        name = hostname_of(owner_of_names(connection, container))
    return container._replace(config=container.config._replace(hostname=name))


def _linked(paths: Paths, container: Container) -> Container:
    if not container.config.has_links:
        return container
    from sandbox.container.model.linked import with_link_variables  # few containers have some
    from sandbox.state import open_state

    with open_state(paths, durable=False) as connection:
        return with_link_variables(connection, container)


def not_running_error(container: Container) -> ConflictError:
    return ConflictError(f"container {container.id} is not running", mend=f"sandbox start {container.name}")


def has_ended(container: Container) -> bool:
    """Whether the container's first process, as the record has it, has ended, or is ending right now."""
    state = container.state
    if not is_alive(state.pid, state.pid_start, state.boot_id):
        return True
    try:
        pidfd = os.pidfd_open(state.pid)
    except ProcessLookupError:
        return True
    try:
        import select

        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        # one that was killed ends in a moment, with all that is in it
        return bool(poller.poll(_ENDING_SECONDS * 1000))
    finally:
        os.close(pidfd)
