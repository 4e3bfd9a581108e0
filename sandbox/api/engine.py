"""What all connections of a server share: where operations are done, who waits for what, which execs there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import trio

from sandbox.api.cluster import Cluster
from sandbox.api.event_hub import EventHub
from sandbox.api.execs import Execs
from sandbox.api.glances import glance
from sandbox.api.greeting import ENGINE_HEADERS
from sandbox.api.parked import Parked
from sandbox.operation_context import OperationContext
from sandbox.warm.line import Request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from sandbox.api.connection import Headers
    from sandbox.api.glances import Brief
    from sandbox.api.renewal import Program
    from sandbox.paths import Paths
    from sandbox.system.information import Tried
    from sandbox.warm.trio_workers import TrioWorkers


#: how long what a machine gives is taken to be as it was
_TRIED_SECONDS = 60.0


class ServerOptions(NamedTuple):
    """How a server is wanted: `idle_seconds` without a request end it, None is never. With a `program` it ends when
    that was replaced, for another one to go on.
    """

    idle_seconds: float | None = None
    session: str = ""
    #: where it can be reached, for containers that mount the socket
    socket_path: str = ""
    program: Program | None = None


class Engine:
    """One server. `nursery` is for what goes on when the client that asked for it has gone."""

    def __init__(
        self,
        paths: Paths,
        environment: Mapping[str, str],
        workers: TrioWorkers,
        nursery: trio.Nursery,
        options: ServerOptions,
    ) -> None:
        self.context = OperationContext(paths, dict(environment))
        self.workers = workers
        self.nursery = nursery
        #: under which is kept what is made, to be removed at the end; "" where nothing is
        self.session = options.session
        self.socket_path = options.socket_path
        self.events = EventHub(paths, nursery)
        self.parked = Parked()
        self.execs = Execs()
        self.cluster = Cluster()
        self._node_id = ""
        self._tried: Tried | None = None
        self._tried_at = 0.0
        self.headers: Headers = [*ENGINE_HEADERS]

    async def node_id(self) -> str:
        """This machine's id as a node of the swarm."""
        self._node_id = self._node_id or await self.call("api.node_id")
        return self._node_id

    async def info(self) -> dict[str, Any]:
        """The document of `info`. Clients ask for it all the time: what it takes namespaces and mounts to find out is
        found out once in a while.
        """
        if self._tried is None or trio.current_time() - self._tried_at > _TRIED_SECONDS:
            self._tried, self._tried_at = await self.call("system.try_machine"), trio.current_time()
        document: dict[str, Any] = await self.call("system.info", self._tried)
        return document

    async def brief(self, word: str) -> Brief:
        """What is to be known of the container that `word` names. Raises NotFoundError."""
        found = glance(self.context, word)
        if found is None:
            found = await self.call("api.brief", word)
        return found

    async def call(
        self,
        operation: str,
        *arguments: object,
        progress: Callable[[Any], Awaitable[None]] | None = None,
        environment: Mapping[str, str] | None = None,
        **named: object,
    ) -> Any:  # Any: whatever the operation returns
        """Have a worker do an operation of the registry, and return its result. Raises SandboxError.

        `environment` is what the operation sees on top of the server's own.
        """
        context = self.context
        if environment:
            context = context._replace(env={**context.env, **environment})
        request = Request(operation, (context, *arguments), named, context.env)
        if progress is None:
            return await self.workers.call(request)
        return await self.workers.call(request, progress)
