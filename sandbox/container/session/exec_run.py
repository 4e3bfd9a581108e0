"""One run of a command in a container: with the caller's streams, or left to its keeper; its end is told either way."""

from __future__ import annotations

from sandbox.container.session.exec_end import ExecEnd
from sandbox.container.session.exec_request import has_ended, not_running_error
from sandbox.container.session.exec_session import ExecTarget, run_attached
from sandbox.errors import CommandNotFoundError, NotExecutableError, StartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.model.record import Container
    from sandbox.container.session.attach import ClientStreams
    from sandbox.paths import Paths
    from sandbox.runtime.spec import ProcessSpec


def run_in_container(
    paths: Paths, container: Container, spec: ProcessSpec, exec_id: str, client: ClientStreams | None
) -> int:
    """The command's exit code, 0 where the caller does not wait: without `client`, and when the person detached.

    No database connection may be open. Raises ConflictError where the container does not run, StartError.
    """
    state = container.state
    limit = 0 if state.cgroup else max(0, container.config.resources.pids_limit)
    target = ExecTarget(state.pid, state.pid_start, state.cgroup, limit)

    end = ExecEnd(paths, container.id, exec_id)
    try:
        if client is None:
            from sandbox.container.session.exec_keeper import run_kept  # few are left to themselves

            run_kept(target, spec, end)
            return 0
        code = run_attached(target, spec, client)
    except (CommandNotFoundError, NotExecutableError):
        raise
    except StartError as error:
        if has_ended(container):
            # the kernel gives many reasons for not entering namespaces that are going
            raise not_running_error(container) from error
        raise
    end.tell(code)
    return code or 0
