"""How a service runs in production, as a value; fields in Docker's order."""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.stack.measures import Bytes, Nanoseconds
    from sandbox.stack.parts_model import DeviceRequest, Extensions, Texts


class UpdateConfig(NamedTuple):
    parallelism: int | None = None
    #: nanoseconds, as `monitor`
    delay: Nanoseconds | int = 0
    failure_action: str = ""
    monitor: Nanoseconds | int = 0
    max_failure_ratio: float = 0
    order: str = ""
    extensions: Extensions = ()


class DiscreteResource(NamedTuple):
    kind: str = ""
    value: int = 0
    extensions: Extensions = ()


class GenericResource(NamedTuple):
    discrete_resource_spec: DiscreteResource | None = None
    extensions: Extensions = ()


class Resource(NamedTuple):
    cpus: float = 0
    #: bytes
    memory: Bytes | int = 0
    pids: int = 0
    devices: tuple[DeviceRequest, ...] = ()
    generic_resources: tuple[GenericResource, ...] = ()
    extensions: Extensions = ()


class Resources(NamedTuple):
    limits: Resource | None = None
    reservations: Resource | None = None
    extensions: Extensions = ()


class DeployRestart(NamedTuple):
    condition: str = ""
    #: nanoseconds, as `window`
    delay: Nanoseconds | None = None
    max_attempts: int | None = None
    window: Nanoseconds | None = None
    extensions: Extensions = ()


class Preference(NamedTuple):
    spread: str = ""
    extensions: Extensions = ()


class Placement(NamedTuple):
    constraints: tuple[str, ...] = ()
    preferences: tuple[Preference, ...] = ()
    max_replicas_per_node: int = 0
    extensions: Extensions = ()


class Deploy(NamedTuple):
    mode: str = ""
    replicas: int | None = None
    labels: Texts = ()
    update_config: UpdateConfig | None = None
    rollback_config: UpdateConfig | None = None
    resources: Resources = Resources()
    restart_policy: DeployRestart | None = None
    placement: Placement = Placement()
    endpoint_mode: str = ""
    extensions: Extensions = ()
