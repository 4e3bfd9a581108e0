"""Services and tasks as the Engine's documents have them, held against what Docker's client was seen to send."""

from __future__ import annotations

from sandbox.cli.service_pretty import pretty_lines
from sandbox.container.request.request import ContainerRequest
from sandbox.service.documents import KnownNames, service_document, spec_document, task_document
from sandbox.service.jobs import desired_state
from sandbox.service.record import Service, UpdateStatus
from sandbox.service.spec import RestartRule, ServiceMode, ServicePort, ServiceSpec, UpdateConfig
from sandbox.service.task import Task
from sandbox.values import EndpointRequest, FileGrant, HealthCheck, LogConfig, MountRequest, Rlimit

_S = 10**9
_NAMES = KnownNames("node", {"st_n": "idn"}, {"ids": "st_s", "idc": "st_c"})
_STACK = ServiceSpec(
    "st_web",
    ContainerRequest(
        "nginx:alpine",
        labels=(("com.docker.stack.namespace", "st"),),
        endpoints=(EndpointRequest("st_n", ("web",)),),
        secrets=(FileGrant("ids", "s"),),
        configs=(FileGrant("idc", "c"),),
    ),
    (("com.docker.stack.image", "nginx:alpine"), ("com.docker.stack.namespace", "st")),
    ServiceMode("replicated", 1),
    "dnsrr",
    (ServicePort(6379, 8099, mode="host"),),
    UpdateConfig(delay_ns=_S),
    restart=RestartRule("any"),
)
_LARGE = ServiceSpec(
    "web",
    ContainerRequest(
        "web:1",
        command=("serve", "it"),
        entrypoint=("e",),
        environment=("A=1",),
        labels=(("c", "1"),),
        working_directory="/w",
        user="1",
        init=False,
        stop_timeout_seconds=3,
        mounts=(MountRequest("volume", "v", "/v", read_only=True, driver_options=(("type", "tmpfs"),)),),
        binds=("/etc:/e:ro", "/anonymous"),
        extra_hosts=("db:10.0.0.1",),
        dns=("9.9.9.9",),
        cap_add=("CAP_CHOWN",),
        sysctls=(("net.core.somaxconn", "9"),),
        rlimits=(Rlimit("nofile", 5, 6),),
        health=HealthCheck(("CMD-SHELL", "true"), 30 * _S, retries=3),
        log=LogConfig("local", (("max-size", "1m"),)),
        nano_cpus=_S // 2,
        memory_bytes=64 << 20,
        pids_limit=9,
        network_mode="host",
    ),
    (("b", ""), ("a", "1")),
    ServiceMode("replicated", 3),
    ports=(ServicePort(80, 8080),),
    constraints=("node.role == manager",),
)


def test_the_service_of_a_stack() -> None:
    """But for names in place of ids, and what an engine fills in, this was POST /services/create."""
    assert spec_document(_STACK, _NAMES) == {
        "Name": "st_web",
        "Labels": {"com.docker.stack.image": "nginx:alpine", "com.docker.stack.namespace": "st"},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": "nginx:alpine",
                "Labels": {"com.docker.stack.namespace": "st"},
                "Isolation": "default",
                "Secrets": [
                    {
                        "File": {"Name": "s", "UID": "0", "GID": "0", "Mode": 292},
                        "SecretID": "ids",
                        "SecretName": "st_s",
                    }
                ],
                "Configs": [
                    {
                        "File": {"Name": "c", "UID": "0", "GID": "0", "Mode": 292},
                        "ConfigID": "idc",
                        "ConfigName": "st_c",
                    }
                ],
            },
            "Resources": {"Limits": {}, "Reservations": {}},
            "RestartPolicy": {"Condition": "any", "Delay": 5 * _S, "MaxAttempts": 0},
            "Placement": {},
            "Networks": [{"Target": "idn", "Aliases": ["web"]}],
            "ForceUpdate": 0,
            "Runtime": "container",
        },
        "Mode": {"Replicated": {"Replicas": 1}},
        "UpdateConfig": {
            "Parallelism": 1,
            "Delay": _S,
            "FailureAction": "pause",
            "Monitor": 5 * _S,
            "MaxFailureRatio": 0.0,
            "Order": "stop-first",
        },
        "EndpointSpec": {
            "Mode": "dnsrr",
            "Ports": [{"Protocol": "tcp", "TargetPort": 6379, "PublishedPort": 8099, "PublishMode": "host"}],
        },
    }


def test_all_that_can_be_said() -> None:
    task = spec_document(_LARGE, _NAMES)["TaskTemplate"]
    assert task["ContainerSpec"] == {
        "Image": "web:1",
        "Labels": {"c": "1"},
        "Command": ["e"],
        "Args": ["serve", "it"],
        "Env": ["A=1"],
        "Dir": "/w",
        "User": "1",
        "Mounts": [
            {
                "Type": "volume",
                "Source": "v",
                "Target": "/v",
                "ReadOnly": True,
                "VolumeOptions": {"DriverConfig": {"Options": {"type": "tmpfs"}}},
            },
            {"Type": "bind", "Source": "/etc", "Target": "/e", "ReadOnly": True},
            {"Type": "volume", "Target": "/anonymous"},
        ],
        "StopGracePeriod": 3 * _S,
        "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 30 * _S, "Retries": 3},
        "Hosts": ["10.0.0.1 db"],
        "DNSConfig": {"Nameservers": ["9.9.9.9"]},
        "Sysctls": {"net.core.somaxconn": "9"},
        "CapabilityAdd": ["CAP_CHOWN"],
        "Ulimits": [{"Name": "nofile", "Hard": 6, "Soft": 5}],
        "Init": False,
        "Isolation": "default",
    }
    assert task["Resources"]["Limits"] == {"NanoCPUs": _S // 2, "MemoryBytes": 64 << 20, "Pids": 9}
    assert task["Placement"] == {"Constraints": ["node.role == manager"]}
    placed = _LARGE._replace(preferences=("node.labels.a",), max_replicas_per_node=3)
    assert spec_document(placed, _NAMES)["TaskTemplate"]["Placement"] == {
        "Constraints": ["node.role == manager"],
        "Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.a"}}],
        "MaxReplicas": 3,
    }
    assert task["Networks"] == [{"Target": "host"}]
    assert task["LogDriver"] == {"Name": "local", "Options": {"max-size": "1m"}}


def _service(spec: ServiceSpec) -> Service:
    status = UpdateStatus("completed", "update completed", _S, 2 * _S)
    return Service("s" * 25, spec.name, "", 9, 8, spec, _S, 2 * _S, _STACK, status)


def test_a_service_and_what_nobody_said() -> None:
    document = service_document(_service(_LARGE), _NAMES, defaults=True)
    assert (document["ID"], document["Version"]) == ("s" * 25, {"Index": 9})
    assert document["CreatedAt"] == "1970-01-01T00:00:01Z"
    assert document["PreviousSpec"]["Name"] == "st_web"
    assert document["UpdateStatus"] == {
        "State": "completed",
        "StartedAt": "1970-01-01T00:00:01Z",
        "CompletedAt": "1970-01-01T00:00:02Z",
        "Message": "update completed",
    }
    rules = document["Spec"]["RollbackConfig"]
    assert (rules["Parallelism"], rules["FailureAction"], rules["Order"]) == (1, "pause", "stop-first")
    assert document["Spec"]["TaskTemplate"]["RestartPolicy"]["Condition"] == "any"
    plain = service_document(_service(_LARGE), _NAMES)
    assert "RollbackConfig" not in plain["Spec"]
    assert document["Endpoint"]["Ports"] == [
        {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "ingress"}
    ]
    names = _NAMES._replace(
        ports={"s" * 25: (ServicePort(80, 30001),)}, addresses={"s" * 25: {"network": "172.18.0.2/16"}}
    )
    chosen = _service(_LARGE._replace(ports=(ServicePort(80), ServicePort(53, 53, "udp", "host"))))
    endpoint = service_document(chosen, names)["Endpoint"]
    assert [port.get("PublishedPort") for port in endpoint["Ports"]] == [30001, 53]
    assert [port.get("PublishedPort") for port in endpoint["Spec"]["Ports"]] == [None, 53]
    assert endpoint["VirtualIPs"] == [{"NetworkID": "network", "Addr": "172.18.0.2/16"}]
    job = _service(_LARGE._replace(mode=ServiceMode("replicated-job", 5, 2)))
    document = service_document(job, _NAMES)
    assert document["Spec"]["Mode"] == {"ReplicatedJob": {"MaxConcurrent": 2, "TotalCompletions": 5}}
    assert document["JobStatus"]["JobIteration"] == {"Index": 8}
    first = Task("t" * 25, "s" * 25, 1, 8, "", "i", "running", "complete", _S, 2 * _S)
    documents = [task_document(task, job, job.spec, _NAMES) for task in (first, first._replace(slot=2))]
    assert [(task.get("Slot"), task["DesiredState"]) for task in documents] == [(None, "complete"), (1, "complete")]
    assert desired_state(first._replace(state="failed", desired="shutdown"), job.spec) == "shutdown"


def test_a_task() -> None:
    task = Task("t" * 25, "s" * 25, 2, 8, "", "nginx:alpine", "running", "running", _S, 2 * _S, "c" * 64, pid=7)
    document = task_document(task, _service(_STACK), _STACK, _NAMES)
    assert document["Status"] == {
        "Timestamp": "1970-01-01T00:00:02Z",
        "State": "running",
        "Message": "running",
        "ContainerStatus": {"ContainerID": "c" * 64, "PID": 7, "ExitCode": 0},
        "PortStatus": {
            "Ports": [{"Protocol": "tcp", "TargetPort": 6379, "PublishedPort": 8099, "PublishMode": "host"}]
        },
    }
    assert (document["Slot"], document["NodeID"], document["DesiredState"]) == (2, "node", "running")
    failed = task._replace(state="rejected", desired="shutdown", error="No such image: x", container_id="")
    document = task_document(failed, _service(_STACK), None, _NAMES)
    assert document["Status"]["Err"] == "No such image: x"
    assert document["Status"]["PortStatus"] == {}


def test_for_people() -> None:
    service = _service(_LARGE)._replace(status=None)
    text = "\n".join(pretty_lines(service, service_document(service, _NAMES, defaults=True)))
    assert text == (
        f"\nID:\t\t{'s' * 25}\nName:\t\tweb\nLabels:\n a=1\n b\nService Mode:\tReplicated\n Replicas:\t3\nPlacement:\n"
        " Constraints:\t[node.role == manager]\nUpdateConfig:\n Parallelism:\t1\n On failure:\tpause\n"
        " Monitoring Period: 5s\n Max failure ratio: 0\n Update order:      stop-first\nRollbackConfig:\n"
        " Parallelism:\t1\n On failure:\tpause\n Monitoring Period: 5s\n Max failure ratio: 0\n"
        " Rollback order:    stop-first\nContainerSpec:\n Image:\t\tweb:1\n Args:\t\tserve it \n Env:\t\tA=1 \n"
        " Dir:\t\t/w\n Init:\t\tfalse\n User: 1\nCapabilities:\n Add: CAP_CHOWN\nSysCtls:\n net.core.somaxconn: 9\n"
        "Ulimits:\n nofile: 5:6\nMounts:\n Target:\t/v\n  Source:\tv\n  ReadOnly:\ttrue\n  Type:\t\tvolume\n"
        " Target:\t/e\n  Source:\t/etc\n  ReadOnly:\ttrue\n  Type:\t\tbind\n Target:\t/anonymous\n  Source:\t\n"
        "  ReadOnly:\tfalse\n  Type:\t\tvolume\nLog Driver:\n Name:\t\tlocal\n LogOpts:\n  max-size:       1m\n\n"
        "Resources:\n Limits:\n  CPU:\t\t0.5\n  Memory:\t64MiB\n  PIDs:\t\t9\nNetworks: host \nEndpoint Mode:\tvip\n"
        "Ports:\n PublishedPort = 8080\n  Protocol = tcp\n  TargetPort = 80\n  PublishMode = ingress \n"
        " Healthcheck:\n  Interval = 30s\n  Retries = 3\n  StartPeriod =\t0s\n  Timeout =\t0s\n  Tests:\n"
        "\t Test = CMD-SHELL\n\t Test = true\n"
    )
    placed = _service(_LARGE._replace(preferences=("node.labels.a",), max_replicas_per_node=3))
    lines = list(pretty_lines(placed, service_document(placed, _NAMES, defaults=True)))
    assert {" Preferences:\t[spread=node.labels.a]", " Max Replicas Per Node:\t3"} < set(lines)
    service = _service(_STACK)
    lines = list(pretty_lines(service, service_document(service, _NAMES, defaults=True)))
    assert " Completed:\t" in "\n".join(lines)
    assert "Networks: st_n " in lines
    assert lines[lines.index("Secrets:") :][:3] == ["Secrets:", " Target:\ts", "  Source:\tst_s"]
