"""From a service of a file to that of a stack: names, labels and rules as Docker's stacks have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.service.spec import RestartRule, ServiceMode, ServicePort, UpdateConfig
from sandbox.stack.errors import ComposeFileError
from sandbox.stack.fates import left_out
from sandbox.stack.service_spec import service_spec_of
from sandbox.stack.stack_checks import check_stack
from sandbox.stack.stack_differences import differences_of
from sandbox.values import EndpointRequest, FileGrant, MountRequest
from tests.sandbox.stack.projects import one

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.service.spec import ServiceSpec
    from sandbox.stack.project import Project

_S = 10**9


def _project(directory: Path, body: str, more: str = "") -> Project:
    text = f"services:\n  db: {{image: d}}\n  web: {{image: 'nginx:alpine', {body}}}\n{more}"
    return one(directory, text, name="My.st", is_stack=True)


def _spec(directory: Path, body: str, more: str = "") -> ServiceSpec:
    return service_spec_of("web", _project(directory, body, more))


def test_what_docker_stack_deploy_asks_an_engine_for(tmp_path: Path) -> None:
    """The services and bodies that Docker's client 28.2 was seen to send for the same file."""
    spec = _spec(
        tmp_path,
        "networks: [n], secrets: [s], configs: [c], ports: [{target: 6379, published: 8099, mode: host}], "
        "restart: always, deploy: {replicas: 1, endpoint_mode: dnsrr, "
        "update_config: {parallelism: 1, delay: 1s, order: stop-first}}",
        "networks: {n: {}}\nsecrets: {s: {environment: HOME}}\nconfigs: {c: {content: x}}\n",
    )
    assert spec.name == "My.st_web"
    assert dict(spec.labels) == {
        "com.docker.stack.image": "nginx:alpine", "com.docker.stack.namespace": "My.st",
    }  # fmt: skip
    assert dict(spec.request.labels) == {"com.docker.stack.namespace": "My.st"}
    assert spec.request.endpoints == (EndpointRequest("My.st_n", ("web",)),)
    assert spec.request.secrets == (FileGrant("My.st_s", "s"),)
    assert spec.request.configs == (FileGrant("My.st_c", "c"),)
    assert spec.restart == RestartRule("any")
    assert (spec.mode, spec.endpoint_mode) == (ServiceMode("replicated", 1), "dnsrr")
    assert spec.update == UpdateConfig(delay_ns=_S)
    assert spec.ports == (ServicePort(6379, 8099, mode="host"),)
    assert (spec.request.name, spec.request.restart, spec.request.published_ports) == (None, None, ())


def test_rules(tmp_path: Path) -> None:
    spec = _spec(
        tmp_path,
        "depends_on: [db], deploy: {labels: {a: b}, placement: {constraints: [node.role == manager], "
        "preferences: [{spread: node.labels.zone}], max_replicas_per_node: 3}, "
        "resources: {limits: {cpus: '0.5', memory: 64M, pids: 5}, reservations: {memory: 32M}}, "
        "restart_policy: {condition: on-failure, delay: 1s, max_attempts: 2, window: 3s}, "
        "update_config: {parallelism: 0, failure_action: rollback, monitor: 2s, max_failure_ratio: 0.25}, "
        "rollback_config: {failure_action: continue, order: start-first}}",
    )
    assert dict(spec.labels)["a"] == "b"
    assert spec.constraints == ("node.role == manager",)
    assert (spec.preferences, spec.max_replicas_per_node) == (("node.labels.zone",), 3)
    assert spec.after == ("My.st_db",)
    assert spec.restart == RestartRule("on-failure", _S, 2, 3 * _S)
    assert spec.update == UpdateConfig(0, 0, "rollback", 2 * _S, 0.25)
    assert spec.rollback == UpdateConfig(failure_action="continue", order="start-first")
    request = spec.request
    assert (request.nano_cpus, request.memory_bytes, request.pids_limit) == (500_000_000, 64 << 20, 5)
    assert request.memory_reservation_bytes == 32 << 20


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("on-failure:4", RestartRule("on-failure", max_attempts=4)),
        ("unless-stopped", RestartRule("any")),
        ("'no'", None),
    ],
)
def test_restart_of_compose(tmp_path: Path, text: str, expected: RestartRule | None) -> None:
    assert _spec(tmp_path, f"restart: {text}").restart == expected
    policy = "deploy: {restart_policy: {condition: none}}"
    assert _spec(tmp_path, f"restart: {text}, {policy}").restart == RestartRule("none")


def test_modes_and_ports(tmp_path: Path) -> None:
    assert _spec(tmp_path, "deploy: {mode: global}").mode.kind == "global"
    assert _spec(tmp_path, "deploy: {mode: replicated-job, replicas: 4}").mode == ServiceMode("replicated-job", 4)
    assert _spec(tmp_path, "scale: 3").mode.replicas == 3
    spec = _spec(tmp_path, "ports: ['8080:80', '127.0.0.1:53:5353/udp', '9000-9001:90', '70']")
    assert spec.ports == (
        ServicePort(70, 0),
        ServicePort(5353, 53, "udp", host_ip="127.0.0.1"),
        ServicePort(80, 8080),
        ServicePort(90, 9000),
        ServicePort(90, 9001),
    )


def test_volumes_make_themselves(tmp_path: Path) -> None:
    spec = _spec(
        tmp_path,
        "volumes: ['data:/data', 'theirs:/t:ro', '/etc:/e:ro', '/anonymous'], volumes_from: ['other:ro']",
        "  other: {image: o, volumes: ['data:/data', 'more:/more']}\n"
        "volumes: {data: {driver_opts: {type: tmpfs}, labels: {a: b}}, theirs: {external: true}, more: {}}\n",
    )
    labels = (("a", "b"), ("com.docker.stack.namespace", "My.st"))
    assert spec.request.mounts == (
        MountRequest("volume", "My.st_data", "/data", labels=labels, driver_options=(("type", "tmpfs"),)),
        MountRequest("volume", "theirs", "/t", read_only=True),
        MountRequest("volume", "My.st_more", "/more", read_only=True, labels=labels[1:]),
    )
    assert spec.request.binds == ("/etc:/e:ro", "/anonymous")


def test_names_of_a_service(tmp_path: Path) -> None:
    spec = _spec(
        tmp_path,
        "container_name: own, networks: {default: {aliases: [a]}, b: {driver_opts: {x: y}}}",
        "  other: {image: o, links: ['web:linked']}\nnetworks: {b: {external: true, name: theirs}}\n",
    )
    assert spec.request.endpoints == (
        EndpointRequest("My.st_default", ("a", "own", "linked", "web")),
        EndpointRequest("theirs", ("own", "linked", "web"), (("x", "y"),)),
    )
    assert _spec(tmp_path, "network_mode: host").request.network_mode == "host"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("network_mode: 'service:db'", "services.web.network_mode: 'service:db' is one container of another service"),
        ("networks: {default: {ipv4_address: 10.1.2.3}}", "services.web.networks.default: an address is one container"),
        ("deploy: {mode: swarm}", "services.web.deploy.mode: 'swarm' is none of replicated, global"),
        ("deploy: {mode: global, replicas: 2}", "replicas can only be used with replicated or replicated-job mode"),
        ("deploy: {endpoint_mode: x}", "services.web.deploy.endpoint_mode: 'x' is none of vip, dnsrr"),
        ("deploy: {rollback_config: {failure_action: rollback}}", "'rollback' is none of pause, continue"),
        ("deploy: {restart_policy: {condition: always}}", "'always' is none of any, on-failure, none"),
        ("ports: ['80/sctp']", "services.web.ports[0]: ports of sctp cannot be published"),
        ("ports: [{target: 80, mode: x}]", "services.web.ports[0].mode: 'x' is none of ingress, host"),
        ("secrets: [{source: s, uid: root}]", "services.web.secrets[0].uid: 'root' is no number"),
    ],
)
def test_what_is_refused(tmp_path: Path, body: str, expected: str) -> None:
    with pytest.raises(ComposeFileError) as caught:
        _spec(tmp_path, body, "secrets: {s: {environment: HOME}}\n")
    assert expected in caught.value.message
    assert caught.value.message.startswith("compose.yaml:")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("post_start: [{command: x}]", "services.web.post_start: hooks are run for the containers of projects alone"),
        ("gpus: all", "services.web.gpus: this is not supported: "),
        ("deploy: {replicas: 3, placement: {max_replicas_per_node: 2}}", "3 replicas cannot run with at most 2"),
    ],
)
def test_what_is_no_stack(tmp_path: Path, body: str, expected: str) -> None:
    with pytest.raises(ComposeFileError) as caught:
        check_stack(_project(tmp_path, body))
    assert expected in caught.value.message


def test_two_services_cannot_have_one_port_but_replicas_can(tmp_path: Path) -> None:
    web = "web: {image: w, ports: ['8080:80'], deploy: {replicas: 2}}"
    check_stack(one(tmp_path, f"services: {{{web}}}", name="st", is_stack=True))
    other = "other: {image: o, ports: ['8080:81'], deploy: {replicas: 0}}"
    clashing = one(tmp_path, f"services: {{{web}, {other}}}", name="st", is_stack=True)
    with pytest.raises(ComposeFileError, match=r"ports\[0\]: port 8080/tcp of the host is published by service"):
        check_stack(clashing)


def test_an_image_is_needed(tmp_path: Path) -> None:
    project = one(tmp_path, "services: {web: {build: .}}", name="st", is_stack=True)
    with pytest.raises(ComposeFileError, match="invalid image reference for service web: no image specified"):
        check_stack(project)
    check_stack(project, builds=True)


def test_what_docker_takes_otherwise(tmp_path: Path) -> None:
    project = _project(tmp_path, "links: [db], cpuset: '0', restart: 'no', cgroup: host, ports: ['127.0.0.1:80:80']")
    found = {difference.path: str(difference) for difference in differences_of(project)}
    assert list(found) == [
        "", "services.web.cpuset", "services.web.links", "services.web.restart", "services.web.ports[0]",
    ]  # fmt: skip
    assert found[""].startswith("all stacks: Docker's networks of stacks span machines")
    assert found["services.web.cpuset"] == (
        "services.web.cpuset: Docker's stacks refuse a file that has it; here it is done"
    )
    assert list(left_out(project)) == [
        "services.web.cgroup is left out: each container has a cgroup namespace of its own"
    ]
