"""The body of `POST /services/create` and `/services/{id}/update` as a ServiceSpec.

Docker's document has not all that a service of ours may have. A client that changes one sends back what it was given,
changed: what it did not touch stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sandbox.api.documents.reading import fraction, number, pairs, table, tables, text, texts
from sandbox.api.documents.task_request import read_task
from sandbox.api.errors import ApiError
from sandbox.service.documents import spec_document
from sandbox.service.spec import RestartRule, ServiceMode, ServicePort, ServiceSpec, UpdateConfig

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal, TypeVar

    from sandbox.container.request.request import ContainerRequest
    from sandbox.service.documents import KnownNames

    Document = Mapping[str, Any]
    _Fields = TypeVar("_Fields", ServiceSpec, ContainerRequest)

_MODES = ("Replicated", "Global", "ReplicatedJob", "GlobalJob")
_LAST_PORT = 65535


def read_service(body: Document, names: KnownNames, present: ServiceSpec | None = None) -> ServiceSpec:
    """The service that is asked for; with `present` as a change of that. Raises ApiError, UsageError."""
    wanted = _read(body, names)
    if present is None:
        return wanted
    shown = _read(spec_document(present, names), names)
    request = _changed(present.request, shown.request, wanted.request)
    if request.mounts != present.request.mounts:
        # those of the short form are among the mounts that were shown
        request = request._replace(binds=())
    return _changed(present._replace(request=wanted.request), shown, wanted)._replace(request=request)


def _changed(present: _Fields, shown: _Fields, wanted: _Fields) -> _Fields:
    """`present` with the fields in which `wanted` is not what was shown."""
    fields = zip(present._fields, shown, wanted, strict=True)
    different: dict[str, Any] = {name: now for name, was, now in fields if now != was}
    return present._replace(**different)


def _read(body: Document, names: KnownNames) -> ServiceSpec:
    template = table(body, "TaskTemplate")
    runtime = text(template, "Runtime") or "container"
    if runtime != "container" or template.get("PluginSpec") or template.get("NetworkAttachmentSpec"):
        raise ApiError(501, f"services of the runtime {runtime} are not supported: tasks are containers")
    placement = table(template, "Placement")
    endpoint = table(body, "EndpointSpec")
    return ServiceSpec(
        text(body, "Name"),
        read_task(template, tables(body, "Networks"), names),
        tuple(sorted(pairs(body, "Labels"))),
        _mode(table(body, "Mode")),
        text(endpoint, "Mode") or "vip",
        tuple(_port(each) for each in tables(endpoint, "Ports")),
        _rules(body, "UpdateConfig"),
        _rules(body, "RollbackConfig"),
        _restart(template),
        number(template, "ForceUpdate"),
        texts(placement, "Constraints"),
        preferences=tuple(text(table(each, "Spread"), "SpreadDescriptor") for each in tables(placement, "Preferences")),
        max_replicas_per_node=number(placement, "MaxReplicas"),
        reserved_nano_cpus=number(table(table(template, "Resources"), "Reservations"), "NanoCPUs"),
        platforms=tuple((text(each, "Architecture"), text(each, "OS")) for each in tables(placement, "Platforms")),
    )


def _mode(mode: Document) -> ServiceMode:
    # Docker takes keys in any case, and its Python library writes these in lower case
    given = {key.lower(): value for key, value in mode.items()}
    said = [kind for kind in _MODES if given.get(kind.lower()) is not None]
    if len(said) > 1:
        raise ApiError(400, "must specify only one service mode")
    kind = said[0] if said else "Replicated"
    if kind == "Global":
        return ServiceMode("global")
    if kind == "GlobalJob":
        return ServiceMode("global-job")
    counts = table(given, kind.lower())
    if kind == "Replicated":
        return ServiceMode("replicated", _count(counts, "Replicas", 1))
    at_once = _count(counts, "MaxConcurrent", 1)
    total = _count(counts, "TotalCompletions", at_once)
    return ServiceMode("replicated-job", total, 0 if at_once == total else at_once)


def _count(counts: Document, key: str, default: int) -> int:
    return default if counts.get(key) is None else number(counts, key)


def _rules(body: Document, key: str) -> UpdateConfig | None:
    if body.get(key) is None:
        return None
    rules, defaults = table(body, key), UpdateConfig()
    return UpdateConfig(
        number(rules, "Parallelism"),
        number(rules, "Delay"),
        text(rules, "FailureAction") or defaults.failure_action,
        number(rules, "Monitor") or defaults.monitor_ns,
        fraction(rules, "MaxFailureRatio"),
        text(rules, "Order") or defaults.order,
    )


def _restart(template: Document) -> RestartRule | None:
    if template.get("RestartPolicy") is None:
        return None
    rule, defaults = table(template, "RestartPolicy"), RestartRule()
    return RestartRule(
        text(rule, "Condition") or defaults.condition,
        defaults.delay_ns if rule.get("Delay") is None else number(rule, "Delay"),
        number(rule, "MaxAttempts"),
        None if rule.get("Window") is None else number(rule, "Window"),
    )


def _port(port: Document) -> ServicePort:
    protocol = text(port, "Protocol") or "tcp"
    if protocol == "sctp":
        raise ApiError(501, "EndpointSpec: ports of sctp are not supported: tcp and udp are")
    if protocol not in ("tcp", "udp"):
        raise ApiError(400, f"rpc error: code = InvalidArgument desc = invalid protocol {protocol}")
    target, published = number(port, "TargetPort"), number(port, "PublishedPort")
    if not (0 < target <= _LAST_PORT and 0 <= published <= _LAST_PORT):
        raise ApiError(400, "rpc error: code = InvalidArgument desc = EndpointSpec: a port is between 1 and 65535")
    mode = text(port, "PublishMode") or "ingress"
    return ServicePort(target, published, cast("Literal['tcp', 'udp']", protocol), mode, "", text(port, "Name"))
