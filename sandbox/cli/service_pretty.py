"""`service inspect --pretty`: a service's document as Docker's client shows it to people."""

from __future__ import annotations

import time

from sandbox.grammar.durations import duration_text
from sandbox.humane import ago, binary_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from sandbox.service.record import Service

_S = 10**9


def pretty_lines(service: Service, document: dict[str, Any]) -> Iterator[str]:
    """The lines of one service; `document` has its defaults filled in."""
    spec = document["Spec"]
    task, container = spec["TaskTemplate"], spec["TaskTemplate"]["ContainerSpec"]
    yield ""
    yield f"ID:\t\t{service.id}"
    yield f"Name:\t\t{service.name}"
    if spec["Labels"]:
        yield "Labels:"
        yield from (f" {key}={value}" if value else f" {key}" for key, value in sorted(spec["Labels"].items()))
    yield from _mode(service)
    yield from _status(service)
    yield "Placement:"
    if constraints := task["Placement"].get("Constraints"):
        yield f" Constraints:\t[{' '.join(constraints)}]"
    if preferences := task["Placement"].get("Preferences"):
        over = (f"spread={each['Spread']['SpreadDescriptor']}" for each in preferences)
        yield f" Preferences:\t[{' '.join(over)}]"
    if most := task["Placement"].get("MaxReplicas"):
        yield f" Max Replicas Per Node:\t{most}"
    for title, key in (("Update", "UpdateConfig"), ("Rollback", "RollbackConfig")):
        if key in spec:
            yield from _rules(title, key, spec[key])
    yield from _container(container)
    yield from _files(container)
    yield from _log(task.get("LogDriver"))
    yield from _resources(task["Resources"])
    if networks := task.get("Networks"):
        targets = {each.network for each in service.spec.request.endpoints} or {each["Target"] for each in networks}
        yield f"Networks: {' '.join(sorted(targets))} "
    yield from _endpoint(document, container.get("Healthcheck"))
    yield ""


def _mode(service: Service) -> Iterator[str]:
    mode = service.spec.mode
    title = {"global": "\tGlobal", "replicated": "\tReplicated"}.get(mode.kind, "")
    yield f"Service Mode:{title}"
    if mode.kind == "replicated":
        yield f" Replicas:\t{mode.replicas}"


def _status(service: Service) -> Iterator[str]:
    status = service.status
    if status is None:
        return
    now_ns = time.time_ns()
    yield "UpdateStatus:"
    yield f" State:\t\t{status.state}"
    yield f" Started:\t{ago(status.started_ns, now_ns)}"
    if status.state == "completed" and status.completed_ns:
        yield f" Completed:\t{ago(status.completed_ns, now_ns)}"
    yield f" Message:\t{status.message}"


def _rules(title: str, key: str, rules: dict[str, Any]) -> Iterator[str]:
    yield f"{key}:"
    yield f" Parallelism:\t{rules['Parallelism']}"
    if rules.get("Delay"):
        yield f" Delay:\t\t{duration_text(rules['Delay'])}"
    yield f" On failure:\t{rules['FailureAction']}"
    if rules.get("Monitor"):
        yield f" Monitoring Period: {duration_text(rules['Monitor'])}"
    yield f" Max failure ratio: {rules['MaxFailureRatio']:g}"
    yield f" {f'{title} order:':<18} {rules['Order']}"


def _container(container: dict[str, Any]) -> Iterator[str]:
    yield "ContainerSpec:"
    yield f" Image:\t\t{container['Image']}"
    for title, key in (("Args", "Args"), ("Env", "Env")):
        if words := container.get(key):
            yield f" {title}:\t\t{''.join(f'{word} ' for word in words)}"
    if directory := container.get("Dir"):
        yield f" Dir:\t\t{directory}"
    if "Init" in container:
        yield f" Init:\t\t{'true' if container['Init'] else 'false'}"
    if user := container.get("User"):
        yield f" User: {user}"
    added, dropped = container.get("CapabilityAdd"), container.get("CapabilityDrop")
    if added or dropped:
        yield "Capabilities:"
        yield from (f" {title}: {', '.join(names)}" for title, names in (("Add", added), ("Drop", dropped)) if names)
    if settings := container.get("Sysctls"):
        yield "SysCtls:"
        yield from (f" {key}: {value}" if value else f" {key}" for key, value in sorted(settings.items()))
    if limits := container.get("Ulimits"):
        yield "Ulimits:"
        yield from (f" {each['Name']}: {each['Soft']}:{each['Hard']}" for each in limits)


def _files(container: dict[str, Any]) -> Iterator[str]:
    if mounts := container.get("Mounts"):
        yield "Mounts:"
        for mount in mounts:
            yield f" Target:\t{mount['Target']}"
            yield f"  Source:\t{mount.get('Source', '')}"
            yield f"  ReadOnly:\t{'true' if mount.get('ReadOnly') else 'false'}"
            yield f"  Type:\t\t{mount['Type']}"
    for title, kind in (("Configs", "Config"), ("Secrets", "Secret")):
        if grants := container.get(title):
            yield f"{title}:"
            for grant in grants:
                yield f" Target:\t{grant['File']['Name']}"
                yield f"  Source:\t{grant[f'{kind}Name']}"


def _log(driver: dict[str, Any] | None) -> Iterator[str]:
    if driver is None:
        return
    yield "Log Driver:"
    yield f" Name:\t\t{driver['Name']}"
    if driver["Options"]:
        yield " LogOpts:"
        yield from (f"  {key}:       {value}" for key, value in sorted(driver["Options"].items()))
    yield ""


def _resources(resources: dict[str, Any]) -> Iterator[str]:
    yield "Resources:"
    for title, found in (("Reservations", resources["Reservations"]), ("Limits", resources["Limits"])):
        if found:
            yield f" {title}:"
        if found.get("NanoCPUs"):
            yield f"  CPU:\t\t{found['NanoCPUs'] / _S:g}"
        if found.get("MemoryBytes"):
            yield f"  Memory:\t{binary_size(found['MemoryBytes'])}"
        if found.get("Pids"):
            yield f"  PIDs:\t\t{found['Pids']}"


def _endpoint(document: dict[str, Any], health: dict[str, Any] | None) -> Iterator[str]:
    yield f"Endpoint Mode:\t{document['Spec']['EndpointSpec']['Mode']}"
    ports = document["Endpoint"].get("Ports", ())
    if ports:
        yield "Ports:"
    for number, port in enumerate(ports, 1):
        yield f" PublishedPort = {port.get('PublishedPort', 0)}"
        yield f"  Protocol = {port['Protocol']}"
        yield f"  TargetPort = {port['TargetPort']}"
        # the blank at the very end is Docker's
        yield f"  PublishMode = {port['PublishMode']}{' ' if number == len(ports) else ''}"
    if health is not None:
        yield " Healthcheck:"
        yield f"  Interval = {duration_text(health.get('Interval', 0))}"
        yield f"  Retries = {health.get('Retries', 0)}"
        yield f"  StartPeriod =\t{duration_text(health.get('StartPeriod', 0))}"
        yield f"  Timeout =\t{duration_text(health.get('Timeout', 0))}"
        if health.get("Test"):
            yield "  Tests:"
            yield from (f"\t Test = {word}" for word in health["Test"])
