"""`update`: a container's limits and restart policy changed, whether it runs or not, and kept.

Limits of one that runs are written to its cgroup by the command, which is the same user's; then the record says so. Its
monitor reads the policy when a run has ended.
"""

from __future__ import annotations

from sandbox.container.life.settled import open_settled
from sandbox.container.life.stop import is_active
from sandbox.container.model.documents import to_json
from sandbox.container.model.events import Tell
from sandbox.container.model.store import change_record
from sandbox.container.monitor.limits import plan_container_limits
from sandbox.container.request.kept import load_request, read_request
from sandbox.container.request.recovered import recovered_request
from sandbox.container.request.updating import Updated, updated
from sandbox.errors import ConflictError, HostError, NotFoundError
from sandbox.state import open_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.container.model.record import Container
    from sandbox.container.request.request import ContainerRequest
    from sandbox.paths import Paths


def update_container(paths: Paths, env: Mapping[str, str], word: str, wanted: ContainerRequest) -> tuple[str, ...]:
    """Change what `wanted` says of limits and restart policy; what is not enforced comes back, a sentence each.

    Raises NotFoundError, UsageError, ConflictError; HostError for a limit that cannot be held here, or not while the
    container runs. Nothing is changed then.
    """
    container, request = _look_up(paths, word)
    try:
        after = updated(container.config, request, wanted)
    except ConflictError as error:
        error.message = f"Cannot update container {container.id}: {error.message}"
        raise
    notes: tuple[str, ...] = ()
    if after.config.resources != container.config.resources:
        notes = plan_container_limits(after.config, env).notes
        if is_active(container):
            notes = (*notes, *_change_live(container, after))

    def change(present: Container, kept: str) -> tuple[Container, str]:
        asked = read_request(present.name, kept) or recovered_request(present.config)
        again = updated(present.config, asked, wanted)
        return present._replace(config=again.config), to_json(again.request)

    with open_state(paths) as connection:
        if change_record(connection, container.id, change, Tell("update")) is None:
            raise NotFoundError(f"No such container: {word}", cause="it was removed meanwhile")
    return notes


def _look_up(paths: Paths, word: str) -> tuple[Container, ContainerRequest]:
    with open_state(paths) as connection:
        container = open_settled(connection, paths, word, "update")
        return container, load_request(connection, container.id) or recovered_request(container.config)


def _change_live(container: Container, after: Updated) -> tuple[str, ...]:
    from sandbox.runtime.cgroups import change_limits, limit_writes

    if container.state.cgroup:
        change_limits(container.state.cgroup, container.config.resources, after.config.resources)
        return ()
    if after.config.resources.best_effort:
        files = ", ".join(write.file for write in limit_writes(after.config.resources))
        return (f"{files} will be enforced when it is started again, as far as this machine can",)
    raise HostError(
        f"cannot change the limits of container {container.name} while it runs",
        cause="it was started without a cgroup of its own, as nothing asked for one",
        mend=f"sandbox stop {container.name}, then update, then sandbox start {container.name}",
    )
