"""Services for tests: made by operations, brought about by the reconciler, waited for by what their rows say."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from typing import TYPE_CHECKING

from sandbox.container.request.request import ContainerRequest
from sandbox.event_stream import watch_changes
from sandbox.operation_context import OperationContext
from sandbox.paths import find_paths
from sandbox.service import looking, operations
from sandbox.service.spec import SECOND_NS, RestartRule, ServiceMode, ServiceSpec
from sandbox.service.store import all_services, find_service, load_service, tasks_of
from sandbox.state import open_state
from tests import leaks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from sandbox.service.record import Service
    from sandbox.service.task import Task
    from tests.command import Sandbox

#: ends at once when it is asked to
SLEEP = ("busybox", "sh", "-c", "trap 'exit 0' TERM; echo up; while :; do sleep 1000 & wait; done")
_SECONDS = 60.0


class Services:
    """The services of one home."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.paths = find_paths(sandbox.env)
        self.context = OperationContext(self.paths, sandbox.env)

    def spec(self, image: str, name: str = "web", replicas: int = 1, **fields: Any) -> ServiceSpec:
        """A service of containers with no network, which are followed at once where they end."""
        command = fields.pop("command", SLEEP)
        request = ContainerRequest(image=image, command=command, network_mode="none", **fields.pop("request", {}))
        fields.setdefault("restart", RestartRule(delay_ns=SECOND_NS // 20))
        fields.setdefault("mode", ServiceMode(replicas=replicas))
        return ServiceSpec(name, request, **fields)

    def tasks(self, service: Service) -> list[Task]:
        with open_state(self.paths) as connection:
            return tasks_of(connection, service.id)

    def load(self, service: Service) -> Service | None:
        with open_state(self.paths) as connection:
            return load_service(connection, service.id)

    def load_named(self, name: str) -> Service:
        with open_state(self.paths) as connection:
            return find_service(connection, name)

    def update(self, spec: ServiceSpec) -> Service:
        present = looking.inspect(self.context, spec.name)
        return operations.update(self.context, spec.name, present.version, spec)

    def wait(self, service: Service, condition: Callable[[Service, list[Task]], object]) -> list[Task]:
        """The tasks, as soon as the condition holds."""
        seen: object = None
        for found in looking.follow(self.context, service.id, _SECONDS):
            assert found is not None, "the service is gone"
            if condition(*found):
                return found[1]
            assert found != seen, f"nothing more happens: {found}"
            seen = found
        raise AssertionError("unreachable: it follows on")

    def wait_running(self, service: Service, count: int) -> list[Task]:
        """So many tasks run, as they are wanted, and nothing else is there that is to go."""
        version = service.spec_version

        def stand(present: Service, tasks: list[Task]) -> bool:
            live = [task for task in tasks if task.is_live and not task.is_over]
            rest = [task for task in tasks if (not task.is_live and not task.is_over) or task.desired == "remove"]
            return (
                present.spec_version >= version
                and len(live) == count
                and all(task.state == "running" for task in live)
                and not rest
            )

        return [task for task in self.wait(service, stand) if task.is_live and not task.is_over]

    def wait_update(self, service: Service, state: str) -> list[Task]:
        """The update has come to that state."""
        return self.wait(service, lambda present, _tasks: present.status is not None and present.status.state == state)

    def wait_gone(self, ids: Iterable[str]) -> None:
        """The services' rows are gone, and with them all that was theirs."""
        left = set(ids)
        with closing(watch_changes(self.paths)) as changes:
            for connection in changes:
                left &= {service.id for service in all_services(connection, removing=True)}
                if not left:
                    return

    def reconcilers(self) -> list[int]:
        """The process that decides, and not the shell that waits for the next call."""
        lines = leaks.processes_of(str(self.sandbox.home.root))
        return [int(line.split()[0]) for line in lines if "service.reconciler" in line and "read -r" not in line]

    def kill_reconciler(self) -> bool:
        """Whether there was one."""
        found = self.reconcilers()
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return bool(found)

    def remove_all(self) -> None:
        with open_state(self.paths) as connection:
            services = all_services(connection, removing=True)
        for service in services:
            if not service.removing:
                operations.remove(self.context, service.id)
        self.wait_gone([service.id for service in services])
