"""What is wanted of a service: Docker's ServiceSpec as a value, with the request of its containers in it.

None means "not said": `inspect` leaves it out, and the rules are Swarm's own. Times are in ns.
"""

from __future__ import annotations

import json

from sandbox.container.model.documents import from_plain, to_plain
from sandbox.container.request.request import ContainerRequest
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal

    ModeKind = Literal["replicated", "global", "replicated-job", "global-job"]

SECOND_NS = 10**9


class UpdateConfig(NamedTuple):
    """How containers are replaced by others, in an update or a rollback."""

    #: slots at once; 0 is all
    parallelism: int = 1
    #: after each slot, before its worker takes the next
    delay_ns: int = 0
    failure_action: str = "pause"  # pause, continue, rollback
    #: for how long after its start a task's end is a failure of the update
    monitor_ns: int = 5 * SECOND_NS
    #: of the slots: more than that many failures are too many
    max_failure_ratio: float = 0.0
    order: str = "stop-first"  # stop-first, start-first


class RestartRule(NamedTuple):
    """When a task that has ended is followed by another one."""

    condition: str = "any"  # any, on-failure, none
    delay_ns: int = 5 * SECOND_NS
    #: in the window; 0 is no limit
    max_attempts: int = 0
    #: None and 0 are all time; who has said 0 is told it
    window_ns: int | None = None


class ServicePort(NamedTuple):
    """A port of the service's containers that is published."""

    target: int
    #: 0 has one chosen
    published: int = 0
    protocol: Literal["tcp", "udp"] = "tcp"
    mode: str = "ingress"  # ingress: one listener over all replicas; host: the container's own
    host_ip: str = ""
    name: str = ""


class ServiceMode(NamedTuple):
    """How many tasks there are, and whether they are to end."""

    kind: ModeKind = "replicated"
    #: of a job: how many are to complete
    replicas: int = 1
    #: of a job: how many run at once; 0 is all
    max_concurrent: int = 0

    @property
    def is_job(self) -> bool:
        return self.kind in ("replicated-job", "global-job")

    @property
    def is_global(self) -> bool:
        return self.kind in ("global", "global-job")

    @property
    def slots(self) -> int:
        """How many slots there are: this machine is one node."""
        return 1 if self.is_global else self.replicas


class ServiceSpec(NamedTuple):
    """A service as it is wanted.

    Of the request, the name, the restart policy, the published ports and the file for the id are not used; its networks
    are the service's. Its labels are the container's, and `labels` the service's.
    """

    name: str
    request: ContainerRequest
    labels: tuple[tuple[str, str], ...] = ()
    mode: ServiceMode = ServiceMode()
    endpoint_mode: str = "vip"  # vip, dnsrr
    ports: tuple[ServicePort, ...] = ()
    update: UpdateConfig | None = None
    rollback: UpdateConfig | None = None
    restart: RestartRule | None = None
    #: a number that another one makes of all tasks new ones
    force_update: int = 0
    constraints: tuple[str, ...] = ()
    #: whether a client's address decides which replica it comes to
    affinity: bool = False
    #: names of services that are up before the first task of this one starts
    after: tuple[str, ...] = ()
    #: labels of nodes over which replicas are spread: over one node they are
    preferences: tuple[str, ...] = ()
    #: on a node; 0 is no limit
    max_replicas_per_node: int = 0
    #: of where tasks are put, which on one machine is no question: CPUs times 10^9, and architectures with systems
    reserved_nano_cpus: int = 0
    platforms: tuple[tuple[str, str], ...] = ()

    @property
    def update_rules(self) -> UpdateConfig:
        return self.update or UpdateConfig()

    @property
    def rollback_rules(self) -> UpdateConfig:
        return self.rollback or UpdateConfig()

    @property
    def restart_rules(self) -> RestartRule:
        if self.restart is not None:
            return self.restart
        # one that is to end is not started again for having done so
        return RestartRule("on-failure") if self.mode.is_job else RestartRule()


def template_of(spec: ServiceSpec) -> str:
    """What stands for all that a task of the service is made of: another text is another container.

    Labels of the service, its name, replicas and rules of updates are not of that; nor is a published port, which is
    the service's own, but for those that each container publishes. How an image is pulled says nothing of what runs.
    """
    from hashlib import sha256

    host_ports = tuple(port for port in spec.ports if port.mode == "host")
    parts = (spec.request._replace(pull_policy=None), spec.restart, host_ports)
    made_of = [spec.force_update, *(None if part is None else to_plain(part) for part in parts)]
    return sha256(json.dumps(made_of, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:24]


def spec_to_json(spec: ServiceSpec) -> str:
    return json.dumps(to_plain(spec), separators=(",", ":"))


def spec_from_json(text: str) -> ServiceSpec:
    """The spec that `spec_to_json` made the text of. Raises ValueError, TypeError, AttributeError for another text."""
    plain: dict[str, Any] = json.loads(text)
    request = from_plain(ContainerRequest, plain.pop("request", {}))
    ports = tuple([from_plain(ServicePort, port) for port in plain.pop("ports", ())])
    nested: dict[str, Any] = {
        name: from_plain(kind, plain.pop(name))
        for name, kind in (
            ("mode", ServiceMode), ("update", UpdateConfig), ("rollback", UpdateConfig), ("restart", RestartRule),
        )
        if name in plain
    }  # fmt: skip
    return from_plain(ServiceSpec, {**plain, "request": None})._replace(request=request, ports=ports, **nested)
