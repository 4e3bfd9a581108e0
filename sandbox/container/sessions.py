"""Sessions of callers that hold the streams themselves: a container started or joined over a channel that is handed on,
and commands that are made first and run later. Operations, as `operations` has them.
"""

from __future__ import annotations

from sandbox.container.operations import join_channel, look_up, refuse_unattachable
from sandbox.state import open_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.life.start import RunningStart
    from sandbox.container.monitor.plan import Attachment
    from sandbox.container.session.attach import ClientStreams
    from sandbox.container.session.exec_request import ExecRequest
    from sandbox.operation_context import OperationContext
    from sandbox.protocol.channel import Channel


def start_attached(context: OperationContext, word: str, attachment: Attachment) -> RunningStart | None:
    """Start the container with the caller joined to those of its streams from the first byte on, over the channel that
    comes back, the caller's to close; None where it runs already. Raises SandboxError.
    """
    from sandbox.container.life.start import StartRequest, start_container

    return start_container(context.paths, context.env, StartRequest(word, attachment))


def open_attached(context: OperationContext, word: str, attachment: Attachment) -> Channel | None:
    """A channel to a running container's monitor, joined to those of its streams; None where it has ended just now.
    Raises ConflictError where it does not run.
    """
    container = look_up(context, word)
    refuse_unattachable(container)
    return join_channel(context, container, attachment)


def make_exec(context: OperationContext, word: str, request: ExecRequest) -> tuple[str, str]:
    """Get ready to run a command in a running container, where the two are apart: the id of the exec for `run_exec`,
    and the container's. Raises as `execute`, but for the command, which is looked for when it is run.
    """
    from sandbox.container.life.lookup import open_container
    from sandbox.container.model.events import tell_exec_made
    from sandbox.container.session.exec_request import exec_spec

    with open_state(context.paths, durable=False) as connection:
        container = open_container(connection, context.paths, word)
        spec = exec_spec(context.paths, container, request)
        return tell_exec_made(connection, container.id, spec.arguments), container.id


def run_exec(
    context: OperationContext, container_id: str, exec_id: str, request: ExecRequest, client: ClientStreams | None
) -> int:
    """Run what `make_exec` has made ready; as `execute`."""
    from sandbox.container.life.lookup import open_container
    from sandbox.container.model.events import tell_exec_started
    from sandbox.container.session.exec_request import exec_spec
    from sandbox.container.session.exec_run import run_in_container

    with open_state(context.paths, durable=False) as connection:
        container = open_container(connection, context.paths, container_id)
        spec = exec_spec(context.paths, container, request)
        tell_exec_started(connection, container.id, exec_id, spec.arguments)
    return run_in_container(context.paths, container, spec, exec_id, client)


def exec_end(context: OperationContext, container_id: str, exec_id: str) -> int | None:
    """The exit code of a command that was left to itself, as the events have it; None while it runs."""
    from sandbox.events import read_events

    with open_state(context.paths, durable=False) as connection:
        for happened in read_events(connection):
            kind, action, actor, attributes = happened.event
            if (kind, action, actor) == ("container", "exec_die", container_id) and attributes["execID"] == exec_id:
                return int(attributes["exitCode"])
    return None
