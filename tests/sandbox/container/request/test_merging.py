"""Merging is a function: of the same request, image and facts always the same, and at rest with its own result."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.container.model.documents import from_json, to_json
from sandbox.container.request.image_defaults import ImageDefaults, read_image_defaults
from sandbox.container.request.merging import HostFacts, Merged, merge
from sandbox.container.request.recovered import recovered_request
from sandbox.container.request.request import ContainerRequest, EndpointRequest
from sandbox.errors import UsageError
from sandbox.values import (
    Device,
    FileGrant,
    HealthCheck,
    LogConfig,
    MountPoint,
    MountRequest,
    PublishedPort,
    RestartPolicy,
    Rlimit,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.container.model.record import ContainerConfig

THEIRS: Mapping[str, tuple[MountPoint, ...]] = {
    "other": (MountPoint("volume", "theirs", "/theirs", anonymous=False), MountPoint("bind", "/h", "/data"))
}


def one_of(*values: object) -> st.SearchStrategy[Any]:
    return st.sampled_from([None, *values])


def some_of(*values: object) -> st.SearchStrategy[Any]:
    return st.lists(st.sampled_from(values), max_size=3, unique=True).map(tuple)


WORDS = st.one_of(st.none(), some_of("sh", "-c", "serve", ""))
#: values of each field that may be asked for; together they may exclude each other
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "image": st.sampled_from(["web:1", "db"]),
    "name": one_of("web1"),
    "platform": one_of("linux/arm64"),
    "pull_policy": one_of("never"),
    "id_file": one_of("/id"),
    "command": WORDS,
    "entrypoint": WORDS,
    "environment": some_of("A=b", "A=c", "PATH=/x", "GONE"),
    "working_directory": one_of("/srv"),
    "user": one_of("web", "5:6"),
    "group_add": some_of("audio", "5"),
    "hostname": one_of("web"),
    "domain_name": one_of("example.org"),
    "labels": some_of(("a", "mine"), ("c", "")),
    "annotations": some_of(("a", "b")),
    "terminal": one_of(True, False),
    "open_stdin": one_of(True),
    "stdin_once": one_of(True),
    "attached": some_of("stdin", "stdout"),
    "init": one_of(True, False),
    "stop_signal": one_of("TERM", "9"),
    "stop_timeout_seconds": one_of(0, 5),
    "health": one_of(HealthCheck(("NONE",)), HealthCheck(retries=7), HealthCheck(("CMD-SHELL", "x"), 5_000_000)),
    "restart": one_of(RestartPolicy("always"), RestartPolicy("on-failure", 3)),
    "auto_remove": one_of(True, False),
    "log": one_of(LogConfig("none"), LogConfig("local", (("max-size", "1m"),))),
    "exposed_ports": some_of("80/tcp", "7000/udp"),
    "published_ports": some_of(PublishedPort("", 80, 80), PublishedPort("::1", 0, 53, "udp"),
                               PublishedPort("", 9000, 90, "tcp", 9005)),
    "publish_all": one_of(True),
    "network_mode": one_of("none", "host", "container:other"),
    "endpoints": some_of(
        EndpointRequest("default", ("alias",)), EndpointRequest("none"), EndpointRequest("bridge"),
        EndpointRequest("mine", ("alias",), ipv4_address="10.9.0.2"), EndpointRequest("bridge", links=("web:www",)),
    ),
    "dns": some_of("9.9.9.9", "::1"),
    "dns_search": some_of("a.b", "."),
    "dns_options": some_of("ndots:1"),
    "egress": some_of("deny", "allow=example.org,192.0.2.0/24:22", "allow=a b"),
    "host_ports": some_of(5432, 80, 70000),
    "port_driver": one_of("builtin", "slirp4netns"),
    "extra_hosts": some_of("db:10.0.0.5", "h:::1", "gate:host-gateway"),
    "net_rate": one_of("10mbit"),
    "net_delay": one_of("50ms"),
    "net_loss": one_of("0.5%"),
    "binds": some_of("/h:/x", "/h:/y:ro,rshared", "named:/n:nocopy", "/anonymous", "/own:/mine:idmap", "named:/data"),
    "mounts": some_of(
        MountRequest("bind", "/h", "/m", propagation="rslave", recursion="disabled"),
        MountRequest("bind", "/h", "/m2", read_only=True, mapped_user="5:6"),
        MountRequest("volume", "", "/a", no_copy=True), MountRequest("volume", "named", "/l", labels=(("k", "l"),)),
        MountRequest("tmpfs", "", "/t", tmpfs_size_bytes=1 << 20, tmpfs_mode=0o700), MountRequest("bind", "/h", "/x"),
    ),
    "tmpfs": some_of(("/run", "size=1m,exec"), ("/t2", ""), ("/t3", "ro,mode=755,nr_inodes=5")),
    "volumes_from": some_of("other", "other:ro"),
    "secrets": some_of(FileGrant("key", "", 5, 6, 0o400), FileGrant("key", "/x"), FileGrant("key", variable="KEY")),
    "configs": some_of(FileGrant("web.conf", "a/../b", path="/h"), FileGrant("web.conf", "/t")),
    "read_only": one_of(True),
    "storage_options": some_of(("size", "2G")),
    "storage_driver": one_of("fuse"),
    "trace_path": one_of("/trace"),
    "cap_add": some_of("net_raw", "CAP_CHOWN", "ALL"),
    "cap_drop": some_of("all", "CHOWN"),
    "privileged": one_of(True),
    "security_options": some_of("no-new-privileges:true", "seccomp=unconfined", "label=disable",
                                'seccomp={"defaultAction":"SCMP_ACT_ALLOW"}', "systempaths=unconfined"),
    "devices": some_of(Device("/dev/fuse", "/dev/fuse")),
    "sysctls": some_of(("net.core.somaxconn", "5"), ("kernel.msgmax", "5")),
    "rlimits": some_of(Rlimit("nofile", 5, 10), Rlimit("nofile", 7, 7), Rlimit("core", 0, -1)),
    "pid_mode": one_of("host", "container:other"),
    "ipc_mode": one_of("host", "private", "shareable", "none", "container:other"),
    "uts_mode": one_of("host"),
    "shm_size_bytes": one_of(1 << 20),
    "oom_score_adjust": one_of(-5, 0, 1000),
    "memory_bytes": one_of(64 << 20),
    "memory_swap_bytes": one_of(-1, 128 << 20),
    "memory_reservation_bytes": one_of(32 << 20),
    "nano_cpus": one_of(1_500_000_000),
    "cpu_period_us": one_of(50_000),
    "cpu_quota_us": one_of(-1, 25_000),
    "cpu_shares": one_of(2, 512),
    "cpuset_cpus": one_of("0-1,3"),
    "pids_limit": one_of(-1, 0, 50),
    "best_effort": one_of(True), "later_networks": one_of(True), "runtime": one_of("runc"),
    "isolation": one_of("default"), "volume_driver": one_of("local"),
}  # fmt: skip
# a few fields at a time: of many, two nearly always exclude each other
REQUESTS = (
    st.lists(st.sampled_from(sorted(FIELDS)), max_size=6, unique=True)
    .flatmap(lambda names: st.fixed_dictionaries({name: FIELDS[name] for name in names}))
    .map(lambda values: ContainerRequest(**values))
)
IMAGES = st.builds(
    ImageDefaults,
    entrypoint=some_of("/entry"),
    command=some_of("serve", "-v"),
    environment=some_of("PATH=/bin", "A=image"),
    working_directory=st.sampled_from(["", "/srv"]),
    user=st.sampled_from(["", "web"]),
    labels=st.dictionaries(st.sampled_from(["a", "b"]), st.just("image")),
    exposed_ports=some_of("80/tcp", "90/tcp"),
    volumes=some_of("/data", "/more/"),
    stop_signal=st.sampled_from(["", "SIGQUIT"]),
    health=st.sampled_from([HealthCheck(), HealthCheck(("CMD", "true"), 5_000_000, retries=3)]),
)
FACTS = HostFacts("sha256:0", ("sha256:1",), "linux/amd64", THEIRS)


class Refusal(NamedTuple):
    """An error in its parts."""

    message: str
    cause: str
    mend: str
    field: str


def outcome(request: ContainerRequest, defaults: ImageDefaults) -> Merged | Refusal:
    """What merging gives, or says."""
    try:
        return merge(request, defaults, FACTS)
    except UsageError as error:
        return Refusal(error.message, error.cause, error.mend, error.field)


def in_any_order(config: ContainerConfig) -> ContainerConfig:
    """The order of mounts is that of the options they came from, and of no meaning: each has a target of its own."""
    return config._replace(mounts=tuple(sorted(config.mounts, key=lambda mount: mount.target)))


def test_every_field_is_tried() -> None:
    assert set(FIELDS) == set(ContainerRequest._fields)


@given(REQUESTS, IMAGES)
@settings(max_examples=300)
def test_merging_is_pure(request: ContainerRequest, defaults: ImageDefaults) -> None:
    before = copy.deepcopy((request, defaults, FACTS))
    first = outcome(request, defaults)
    assert (request, defaults, FACTS) == before
    assert outcome(request, defaults) == first
    # nor does it count who asks: one that was kept gives the same
    assert outcome(from_json(ContainerRequest, to_json(request)), defaults) == first


@given(REQUESTS, IMAGES)
@settings(max_examples=300)
def test_merging_its_own_result_changes_nothing(request: ContainerRequest, defaults: ImageDefaults) -> None:
    found = outcome(request, defaults)
    if isinstance(found, Refusal):
        assert found.field.partition("[")[0] in ContainerRequest._fields
        return
    again, notes = merge(recovered_request(found.config), defaults, FACTS)
    assert in_any_order(again) == in_any_order(found.config)
    assert notes == ()


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (ContainerRequest(binds=("/a:/x", "/b:/x/")), "binds[1]"),
        (ContainerRequest(mounts=(MountRequest("bind", "relative", "/x"),)), "mounts[0]"),
        (ContainerRequest(tmpfs=(("/run", "what"),)), "tmpfs[0]"),
        (ContainerRequest(volumes_from=("other", "gone")), "volumes_from[1]"),
        (ContainerRequest(endpoints=(EndpointRequest("bridge", ipv4_address="10.9.0.2"),)), "endpoints[0]"),
        (ContainerRequest(endpoints=(EndpointRequest("host"),), network_mode="none"), "network_mode"),
        (ContainerRequest(network_mode="container:x", hostname="web"), "hostname"),
        (ContainerRequest(network_mode="container:x", exposed_ports=("80/tcp",)), "exposed_ports"),
        (ContainerRequest(hostname="a\nb"), "hostname"),
        (ContainerRequest(net_rate="fast"), "net_rate"),
        (ContainerRequest(net_delay="50"), "net_delay"),
        (ContainerRequest(net_loss="200%"), "net_loss"),
        (ContainerRequest(dns=("9.9.9.9", "x")), "dns[1]"),
        (ContainerRequest(published_ports=(PublishedPort("", 80, 80), PublishedPort("", 80, 81))), "published_ports"),
        (ContainerRequest(security_options=("seccomp={}",)), "security_options[0]"),
        (ContainerRequest(sysctls=(("kernel.panic", "1"),)), "sysctls[0]"),
        (ContainerRequest(sysctls=(("net.x", "1"),), network_mode="host"), "sysctls[0]"),
        (ContainerRequest(pid_mode="mine"), "pid_mode"),
        (ContainerRequest(oom_score_adjust=1001), "oom_score_adjust"),
        (ContainerRequest(memory_bytes=5), "memory_bytes"),
        (ContainerRequest(memory_swap_bytes=5), "memory_swap_bytes"),
        (ContainerRequest(nano_cpus=5), "nano_cpus"),
        (ContainerRequest(cpu_shares=1), "cpu_shares"),
        (ContainerRequest(storage_options=(("size", "x"),)), "storage_options[0]"),
        (ContainerRequest(working_directory="srv"), "working_directory"),
        (ContainerRequest(stop_signal="WHAT"), "stop_signal"),
        (ContainerRequest(restart=RestartPolicy("always"), auto_remove=True), "restart"),
        (ContainerRequest(restart=RestartPolicy("always", 3)), "restart"),
        (ContainerRequest(log=LogConfig("local", (("max-size", "x"),))), "log"),
        (ContainerRequest(log=LogConfig("syslog")), "log"),
        (ContainerRequest(health=HealthCheck(("SHELL", "x"))), "health"),
        (ContainerRequest(health=HealthCheck(("CMD", "x"), timeout_ns=5)), "health"),
        (ContainerRequest(health=HealthCheck(retries=-1)), "health"),
        (ContainerRequest(devices=(Device("dev", "/dev/x"),)), "devices"),
        (ContainerRequest(devices=(Device("/dev/x", "/dev/x", "rx"),)), "devices"),
        (ContainerRequest(rlimits=(Rlimit("nofile", 9, 1),)), "rlimits"),
        (ContainerRequest(rlimits=(Rlimit("what", 1, 1),)), "rlimits"),
        (ContainerRequest(exposed_ports=("80/tcp", "x")), "exposed_ports[1]"),
        (ContainerRequest(published_ports=(PublishedPort("", 80, 0),)), "published_ports"),
        (ContainerRequest(published_ports=(PublishedPort("", 90, 80, "tcp", 80),)), "published_ports"),
        (ContainerRequest(published_ports=(PublishedPort("host", 80, 80),)), "published_ports"),
        (ContainerRequest(environment=("A=b", "=x")), "environment[1]"),
        (ContainerRequest(command=("sh", "a\0b")), "command"),
        (ContainerRequest(labels=(("a", "\0"),)), "labels"),
        (ContainerRequest(memory_bytes=-1), "memory_bytes"),
        (ContainerRequest(shm_size_bytes=-1), "shm_size_bytes"),
    ],
)
def test_what_cannot_be_names_its_field(request_: ContainerRequest, field: str) -> None:
    with pytest.raises(UsageError) as caught:
        merge(request_, ImageDefaults(), FACTS)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("entrypoint", "command", "merged"),
    [
        (None, None, (("/entry",), ("serve",))),
        (None, ("ls",), (("/entry",), ("ls",))),
        (None, (), (("/entry",), ())),
        (("sh",), None, (("sh",), ())),
        (("sh",), ("-c",), (("sh",), ("-c",))),
        (("",), None, ((), ())),
        ((), None, ((), ("serve",))),
    ],
)
def test_the_words_to_run(
    entrypoint: tuple[str, ...] | None, command: tuple[str, ...] | None, merged: tuple[tuple[str, ...], ...]
) -> None:
    defaults = ImageDefaults(entrypoint=("/entry",), command=("serve",))
    config = merge(ContainerRequest(entrypoint=entrypoint, command=command), defaults, HostFacts()).config
    assert (config.entrypoint, config.command) == merged


def test_the_shell_of_a_health_check_is_the_image_s() -> None:
    defaults = read_image_defaults({"config": {"Shell": ["/bin/bash", "-c"], "Healthcheck": {"Test": ["NONE"]}}}, "x")
    config = merge(ContainerRequest(health=HealthCheck(("CMD-SHELL", "true"))), defaults, HostFacts()).config
    assert (config.shell, config.health.test) == (("/bin/bash", "-c"), ("CMD-SHELL", "true"))


@pytest.mark.parametrize(
    ("request_", "network", "endpoints"),
    [
        (ContainerRequest("web"), "bridge", ("bridge",)),
        (ContainerRequest("web", network_mode="bridge"), "bridge", ("bridge",)),
        (
            ContainerRequest("web", endpoints=(EndpointRequest("back"), EndpointRequest("front"))),
            "back",
            ("back", "front"),
        ),
    ],
)
def test_egress_rules_put_a_container_on_a_bridge(
    request_: ContainerRequest, network: str, endpoints: tuple[str, ...]
) -> None:
    config, _ = merge(request_._replace(egress=("allow=example.org",)), ImageDefaults(), FACTS)
    assert config.egress == ("allow=example.org",)
    assert (config.network, tuple(endpoint.network for endpoint in config.endpoints)) == (network, endpoints)


def test_ports_of_the_host_put_a_container_on_a_bridge() -> None:
    config, _ = merge(ContainerRequest("web", host_ports=(80, 5432, 80)), ImageDefaults(), FACTS)
    assert (config.network, config.host_ports) == ("bridge", (80, 5432))
    with pytest.raises(UsageError, match="host ports and the network mode host"):
        merge(ContainerRequest("web", host_ports=(80,), network_mode="host"), ImageDefaults(), FACTS)
    with pytest.raises(UsageError, match="65 host ports are too many"):
        merge(ContainerRequest("web", host_ports=tuple(range(1, 66))), ImageDefaults(), FACTS)


@pytest.mark.parametrize("mode", ["host", "none", "slirp4netns", "container:db"])
def test_egress_rules_are_held_on_no_other_network(mode: str) -> None:
    found = outcome(ContainerRequest("web", command=("x",), network_mode=mode, egress=("deny",)), ImageDefaults())
    assert isinstance(found, Refusal)
    assert found.message == f"conflicting options: egress rules and the network mode {mode}"
    assert found.mend == "--network bridge"
