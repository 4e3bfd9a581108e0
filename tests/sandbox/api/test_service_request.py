"""Docker's ServiceSpec as a spec of ours and back: nothing is lost, and what it cannot say is not touched."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.api.documents.service_request import read_service
from sandbox.api.errors import ApiError
from sandbox.container.request.request import ContainerRequest
from sandbox.service.documents import KnownNames, spec_document
from sandbox.service.spec import ServiceMode, ServiceSpec, spec_from_json, spec_to_json, template_of
from sandbox.values import EndpointRequest

NAMES = KnownNames("node", {"st_n": "netid", "host": "hostid"}, {"secretid": "st_s", "configid": "st_c"})
FULL: dict[str, Any] = {
    "Name": "st_web",
    "Labels": {"com.docker.stack.namespace": "st"},
    "TaskTemplate": {
        "ContainerSpec": {
            "Image": "nginx:alpine", "Labels": {"a": "b"}, "Command": ["/entry"], "Args": ["-v"], "Hostname": "h",
            "Env": ["A=1"], "Dir": "/srv", "User": "web", "Groups": ["adm"], "StopSignal": "SIGQUIT", "TTY": True,
            "Privileges": {"NoNewPrivileges": True, "Seccomp": {"Mode": "custom", "Profile": "e30="},
                           "AppArmor": {"Mode": "disabled"}, "SELinuxContext": {"Disable": True}},
            "OpenStdin": True, "ReadOnly": True, "Init": False, "StopGracePeriod": 0,
            "Mounts": [{"Type": "volume", "Source": "v", "Target": "/v", "VolumeOptions": {"NoCopy": True}},
                       {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 4096}}],
            "Healthcheck": {"Test": ["CMD", "true"], "Interval": 1_000_000_000, "Retries": 2},
            "Hosts": ["10.0.0.1 one", "10.0.0.1 two"],
            "DNSConfig": {"Nameservers": ["1.1.1.1"], "Search": ["x"], "Options": ["ndots:1"]},
            "Secrets": [{"File": {"Name": "s", "UID": "1", "GID": "2", "Mode": 0o400}, "SecretID": "secretid",
                         "SecretName": "st_s"}],
            "Configs": [{"File": {"Name": "/c", "UID": "0", "GID": "0", "Mode": 0o444}, "ConfigID": "configid",
                         "ConfigName": "st_c"}],
            "Isolation": "default", "OomScoreAdj": 5, "Sysctls": {"net.ipv4.ip_forward": "1"},
            "CapabilityAdd": ["CAP_NET_RAW"], "CapabilityDrop": ["CAP_CHOWN"],
            "Ulimits": [{"Name": "nofile", "Hard": 200, "Soft": 100}],
        },
        "Resources": {"Limits": {"NanoCPUs": 5 * 10**8, "MemoryBytes": 1 << 26, "Pids": 9},
                      "Reservations": {"NanoCPUs": 10**8, "MemoryBytes": 1 << 25}},
        "RestartPolicy": {"Condition": "on-failure", "Delay": 0, "MaxAttempts": 3, "Window": 10**9},
        "Placement": {"Constraints": ["node.role==manager"], "MaxReplicas": 4,
                      "Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.zone"}}],
                      "Platforms": [{"Architecture": "amd64", "OS": "linux"}]},
        "Networks": [{"Target": "netid", "Aliases": ["web"], "DriverOpts": {"k": "v"}}],
        "LogDriver": {"Name": "json-file", "Options": {"max-size": "10m"}},
        "ForceUpdate": 2, "Runtime": "container",
    },
    "Mode": {"Replicated": {"Replicas": 3}},
    "UpdateConfig": {"Parallelism": 2, "Delay": 10**9, "FailureAction": "rollback", "Monitor": 2 * 10**9,
                     "MaxFailureRatio": 0.5, "Order": "start-first"},
    "RollbackConfig": {"Parallelism": 0, "FailureAction": "continue", "Monitor": 5 * 10**9, "MaxFailureRatio": 0.0,
                       "Order": "stop-first"},
    "EndpointSpec": {"Mode": "vip", "Ports": [
        {"Name": "http", "Protocol": "udp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "host"}]},
}  # fmt: skip


def test_a_document_comes_back_as_it_was() -> None:
    spec = read_service(FULL, NAMES)
    assert spec_document(spec, NAMES) == FULL
    assert spec_from_json(spec_to_json(spec)) == spec


def _of(**fields: Any) -> dict[str, Any]:
    return {"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "i"}}} | fields


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ({}, ServiceMode()),
        ({"Replicated": {}}, ServiceMode()),
        ({"Replicated": {"Replicas": 0}}, ServiceMode(replicas=0)),
        ({"replicated": {"Replicas": 2}}, ServiceMode(replicas=2)),
        ({"Global": {}}, ServiceMode("global")),
        ({"GlobalJob": {}, "Global": None}, ServiceMode("global-job")),
        ({"ReplicatedJob": {"MaxConcurrent": 2, "TotalCompletions": 5}}, ServiceMode("replicated-job", 5, 2)),
        ({"ReplicatedJob": {}}, ServiceMode("replicated-job", 1, 0)),
    ],
)
def test_modes(mode: dict[str, Any], expected: ServiceMode) -> None:
    assert read_service(_of(Mode=mode), NAMES).mode == expected


def test_networks_by_name_by_id_and_as_a_mode() -> None:
    def networks(*targets: str, key: str = "") -> ContainerRequest:
        given = [{"Target": target} for target in targets]
        body = _of(Networks=given)
        if not key:
            body = _of(TaskTemplate={"ContainerSpec": {"Image": "i"}, "Networks": given})
        return read_service(body, NAMES).request

    for request in (networks("st_n"), networks("netid"), networks("netid", key="old")):
        assert request.endpoints == (EndpointRequest("st_n"),)
    assert networks("hostid").network_mode == "host"


def test_a_change_touches_what_the_client_changed_alone() -> None:
    request = ContainerRequest(
        "i", shm_size_bytes=1 << 20, binds=("/srv:/srv:ro",), labels=(("z", "1"), ("a", "2")), tmpfs=(("/t", ""),)
    )
    present = ServiceSpec("web", request, after=("db",), affinity=True, endpoint_mode="vip")
    shown = spec_document(present, NAMES)
    assert read_service(shown, NAMES, present) == present
    scaled = read_service({**shown, "Mode": {"Replicated": {"Replicas": 7}}}, NAMES, present)
    assert scaled == present._replace(mode=ServiceMode(replicas=7))
    assert template_of(scaled) == template_of(present)
    container = {**shown["TaskTemplate"]["ContainerSpec"], "Mounts": [{"Type": "bind", "Source": "/a", "Target": "/b"}]}
    changed = read_service({**shown, "TaskTemplate": {"ContainerSpec": container}}, NAMES, present).request
    assert ([(each.source, each.target) for each in changed.mounts], changed.binds) == ([("/a", "/b")], ())
    assert changed.shm_size_bytes == 1 << 20


def _in_container(**fields: Any) -> dict[str, Any]:
    return _of(TaskTemplate={"ContainerSpec": {"Image": "i", **fields}})


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (_of(Mode={"Global": {}, "Replicated": {}}), 400, "must specify only one service mode"),
        (_of(TaskTemplate={"Runtime": "plugin"}), 501, "runtime plugin"),
        (_of(TaskTemplate={"NetworkAttachmentSpec": {"ContainerID": "x"}}), 501, "tasks are containers"),
        (_of(Networks=[{"Target": "none such"}]), 404, "network none such not found"),
        (_of(EndpointSpec={"Ports": [{"TargetPort": 0}]}), 400, "between 1 and 65535"),
        (_of(EndpointSpec={"Ports": [{"TargetPort": 1, "Protocol": "sctp"}]}), 501, "sctp"),
        (_of(UpdateConfig={"MaxFailureRatio": "much"}), 400, "MaxFailureRatio is a number"),
        (_of(TaskTemplate={"Resources": {"Reservations": {"GenericResources": [{}]}}}), 501, "GenericResources"),
        (_of(TaskTemplate={"LogDriver": {"Name": "gelf"}}), 400, "no log driver named 'gelf'"),
        (_in_container(Isolation="hyperv"), 400, "invalid isolation"),
        (_in_container(Privileges={"CredentialSpec": {"File": "x"}}), 501, "CredentialSpec"),
        (_in_container(Secrets=[{"File": {"Name": "s"}, "SecretID": "no", "SecretName": "s"}]), 400,
         "secret not found: s"),
        (_in_container(Configs=[{"Runtime": {}, "ConfigID": "configid"}]), 400, "malformed file config reference"),
        (_in_container(Secrets=[{"File": {"Name": "s", "UID": "me"}, "SecretID": "secretid"}]), 400, "are numbers"),
        (_in_container(Hosts=["10.0.0.1"]), 400, "invalid extra host"),
        (_in_container(Env={"A": "1"}), 400, "Env is a list"),
    ],
)  # fmt: skip
def test_what_is_refused(body: dict[str, Any], status: int, words: str) -> None:
    with pytest.raises(ApiError, match=words) as raised:
        read_service(body, NAMES)
    assert raised.value.status == status
