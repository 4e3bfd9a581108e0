"""From a command line and an image to a ContainerConfig, merged as Docker merges them."""

from __future__ import annotations

import io
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.caller_directory import CallerDirectory
from sandbox.cli.command import Command, Context, Invocation
from sandbox.cli.container_options.options import (
    CREATE_OPTIONS,
    RUN_OPTIONS,
    AttachedStreams,
    attached_streams,
    read_request,
)
from sandbox.cli.container_options.reading import in_words_of_options
from sandbox.cli.container_options.table import UNSUPPORTED
from sandbox.cli.flags import parse_flags
from sandbox.container.request.conflicts import require_command
from sandbox.container.request.image_defaults import ImageDefaults, read_image_defaults
from sandbox.container.request.merging import HostFacts, Merged, merge
from sandbox.errors import ImageError, SandboxError, UsageError
from sandbox.values import (
    Device,
    EndpointRequest,
    HealthCheck,
    LogConfig,
    MountPoint,
    PublishedPort,
    RestartPolicy,
    Rlimit,
)

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.container.model.record import ContainerConfig
    from sandbox.paths import Paths

IMAGE: dict[str, Any] = {
    "architecture": "amd64",
    "rootfs": {"type": "layers"},
    "config": {
        "Entrypoint": ["/entry"],
        "Cmd": ["serve"],
        "Env": ["PATH=/bin", "A=image"],
        "WorkingDir": "/srv",
        "User": "web",
        "Labels": {"a": "image", "b": "image"},
        "ExposedPorts": {"80/tcp": {}},
        "Volumes": {"/data": {}},
        "StopSignal": "SIGQUIT",
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 5_000_000_000, "Retries": 3},
    },
}
ENV = {"HOME": "/home/me", "TOKEN": "secret"}


def no_paths() -> Paths:
    raise AssertionError("options need no paths")


def invocation(line: str | list[str], cwd: str = "/cwd", path: str = "container run") -> Invocation:
    options = RUN_OPTIONS if path == "container run" else CREATE_OPTIONS
    parsed = parse_flags(options, line.split() if isinstance(line, str) else line, interspersed=False)
    command = Command(path, "", "", options, lambda _invocation: 0, 1, None, False)
    context = Context(ENV, CallerDirectory(cwd), io.StringIO(), io.StringIO(), no_paths)
    return Invocation(command, context, parsed.values, parsed.arguments)


def merged(made: Invocation, image: dict[str, Any] = IMAGE, **mounts_of: tuple[MountPoint, ...]) -> Merged:
    """What `run` makes of its options."""
    request = read_request(made)
    with in_words_of_options():
        found = merge(request, read_image_defaults(image, "img"), HostFacts("sha256:0", mounts_of=mounts_of))
    require_command(found.config)
    return found


def build(line: str | list[str], image: dict[str, Any] = IMAGE, cwd: str = "/cwd") -> ContainerConfig:
    return merged(invocation(line, cwd), image).config


def refused(line: str | list[str], image: dict[str, Any] = IMAGE) -> UsageError:
    with pytest.raises(UsageError) as caught:
        build(line, image)
    assert caught.value.kind == "bad_request"
    return caught.value


def test_the_image_fills_what_is_not_given() -> None:
    config = build("img")
    assert (config.entrypoint, config.command) == (("/entry",), ("serve",))
    assert (config.working_directory, config.user, config.stop_signal) == ("/srv", "web", "SIGQUIT")
    assert config.environment == ("PATH=/bin", "A=image")
    assert config.labels == (("a", "image"), ("b", "image"))
    assert config.exposed_ports == ("80/tcp",)
    assert config.mounts == (MountPoint("volume", "", "/data", anonymous=True),)
    assert config.health == HealthCheck(("CMD", "true"), 5_000_000_000, retries=3)


@pytest.mark.parametrize(
    ("words", "entrypoint", "command"),
    [
        (["img", "ls", "-l"], ("/entry",), ("ls", "-l")),
        (["--entrypoint", "sh", "img"], ("sh",), ()),
        (["--entrypoint", "sh", "img", "-c", "x"], ("sh",), ("-c", "x")),
        (["--entrypoint=", "img", "ls"], (), ("ls",)),
    ],
)
def test_commands(words: list[str], entrypoint: tuple[str, ...], command: tuple[str, ...]) -> None:
    config = build(words)
    assert (config.entrypoint, config.command) == (entrypoint, command)


def test_no_command() -> None:
    assert refused("--entrypoint= img").message == "no command specified"
    assert refused("img", {"config": {}}).message == "no command specified"
    made = merge(read_request(invocation("img", path="container create")), ImageDefaults(), HostFacts())
    assert made.config.command == ()


def test_environment(tmp_path: Path) -> None:
    (tmp_path / "vars").write_text("B=file\nTOKEN\nA=file\n")
    config = build("--env-file vars -e A=mine -e TOKEN -e GONE img", cwd=str(tmp_path))
    assert config.environment == (
        "B=file", "TOKEN=secret", "A=file", "A=mine", "TOKEN=secret", "GONE", "PATH=/bin",
    )  # fmt: skip
    refused("--env-file /nonexistent img")
    refused(["-e", "=x", "img"])


def test_labels(tmp_path: Path) -> None:
    (tmp_path / "labels").write_text("a=file\nbare\n")
    config = build("--label-file labels -l c=d -l b= img", cwd=str(tmp_path))
    assert config.labels == (("a", "file"), ("b", ""), ("bare", ""), ("c", "d"))


def test_mounts() -> None:
    config = build("-v ./x:/y -v ../z:/z:ro -v name:/n -v /anon -v /h:/h2/../h3 --tmpfs /run:size=1m,mode=700,exec img")
    assert config.mounts == (
        MountPoint("bind", "/cwd/x", "/y", create_source=True),
        MountPoint("bind", "/z", "/z", read_only=True, create_source=True),
        MountPoint("volume", "name", "/n"),
        MountPoint("volume", "", "/anon", anonymous=True),
        MountPoint("bind", "/h", "/h3", create_source=True),
        MountPoint("tmpfs", "", "/run", tmpfs_size_bytes=2**20, tmpfs_mode=0o700, tmpfs_options="nosuid,nodev,exec"),
        MountPoint("volume", "", "/data", anonymous=True),
    )


def test_a_mount_takes_the_place_of_the_images_volume() -> None:
    assert build("-v /h:/data/ img").mounts == (MountPoint("bind", "/h", "/data", create_source=True),)
    assert build("--mount type=bind,src=.,dst=/data,ro img").mounts == (
        MountPoint("bind", "/cwd", "/data", read_only=True),
    )


@pytest.mark.parametrize(
    "line",
    [
        "-v /a:/x -v /b:/x/ img", "-v /a:/ img", "-v a/b:/x img", "-v .:x img", "-v ~/x:/y img", "-v x:/y img",
        "--mount type=bind,src=rel,dst=/x img", "--mount type=bind,dst=/x img", "--mount type=npipe,dst=/x img",
        "--mount type=tmpfs,src=/a,dst=/x img", "--mount type=volume,dst=/x,volume-driver=nfs img",
        "--tmpfs /x:foo img", "--tmpfs / img", "--tmpfs x img", "--volumes-from other img",
    ],
)  # fmt: skip
def test_refused_mounts(line: str) -> None:
    refused(line)


def test_volumes_from_another_container() -> None:
    theirs = (MountPoint("volume", "v", "/v", anonymous=True), MountPoint("bind", "/h", "/data"))
    config = merged(invocation("--volumes-from other:ro img"), other=theirs).config
    assert config.mounts == (
        MountPoint("volume", "v", "/v", read_only=True, anonymous=True),
        MountPoint("bind", "/h", "/data", read_only=True),
    )  # fmt: skip


def test_ports() -> None:
    config = build("-p 8080:80 -p 127.0.0.1:53:53/udp -p 9000-9005:90 --expose 7000-7001 -P img")
    assert config.published_ports == (
        PublishedPort("", 8080, 80), PublishedPort("127.0.0.1", 53, 53, "udp"),
        PublishedPort("", 9000, 90, "tcp", 9005),
    )  # fmt: skip
    assert config.exposed_ports == ("80/tcp", "7000/tcp", "7001/tcp", "53/udp", "90/tcp")
    assert config.publish_all
    for line in ("-p nonsense img", "-p 80:80 -p 80:81 img", "-p 99999:80 img", "-p 1-2000:1-2000 img"):
        refused(line)


def test_network() -> None:
    assert build("img").network == build("--network bridge img").network == "default"
    assert build("--network none img").network == "none"
    assert build("--net container:web img").network == "container:web"
    setting = ("com.docker.network.endpoint.sysctls", "net.ipv4.conf.IFNAME.rp_filter=2")
    upper = build(f"--network NAME=Mine,alias=Db,driver-opt={'='.join(setting)} img")
    assert upper.endpoints == (EndpointRequest("Mine", aliases=("Db",), driver_options=(setting,)),)
    mine = build("--network mine --network-alias db --ip 10.9.0.2 --link web:www --network name=other,alias=x img")
    assert mine.network == "mine"
    assert mine.endpoints == (
        EndpointRequest("mine", ("db",), links=("web:www",), ipv4_address="10.9.0.2"),
        EndpointRequest("other", ("x",)),
    )
    # what the default network cannot be asked for by its plain name
    with_mac = build("--mac-address 02-42-00-00-00-09 --link web img")
    assert with_mac.network == "bridge"
    assert with_mac.endpoints == (EndpointRequest("bridge", links=("web:web",), mac_address="02:42:00:00:00:09"),)
    assert "user defined networks only" in refused("--ip 10.9.0.2 img").message
    for line in (
        "--network container:web -p 80:80 img", "--network container:web -h x img", "--network container: img",
        "--network host --network none --network mine img", "--network host --uts host -h x img",
        "--network none --mac-address 02:42:00:00:00:09 img", "--network mine --network mine img",
        "--network host --link web img", "--network mine --ip fd00::1 img", "--network mine --mac-address x img",
    ):  # fmt: skip
        refused(line)


def test_ports_without_a_network_are_told() -> None:
    made = invocation("--network host -p 80:80 img")
    config, notes = merged(made)
    assert config.published_ports == ()
    assert notes == ("Published ports are discarded when using host network mode",)
    assert isinstance(made.context.stderr, io.StringIO)
    assert made.context.stderr.getvalue() == ""


def test_names_and_addresses() -> None:
    config = build("--dns 1.1.1.1 --dns-search a.b --dns-opt ndots:1 --add-host h=[::1] -h web --domainname d img")
    assert (config.dns, config.dns_search, config.dns_options) == (("1.1.1.1",), ("a.b",), ("ndots:1",))
    assert (config.extra_hosts, config.hostname, config.domain_name) == (("h:::1",), "web", "d")
    for line in (["--dns", "x", "img"], ["-h", "a\nb", "img"], ["--add-host", "a\nb:1.2.3.4", "img"]):
        refused(line)


def test_limits() -> None:
    config = build(
        "-m 64m --memory-swap -1 --cpus 1.5 --pids-limit -1 --cpuset-cpus 0-1,3 --shm-size 1g --ulimit nofile=5 img"
    )
    resources = config.resources
    assert (resources.memory_bytes, resources.memory_swap_bytes, resources.nano_cpus) == (64 << 20, -1, 1_500_000_000)
    assert (resources.pids_limit, resources.cpuset_cpus, config.shm_size_bytes) == (0, "0-1,3", 1 << 30)
    assert config.rlimits == (Rlimit("nofile", 5, 5),)
    assert build("--cpu-quota 50000 img").resources.nano_cpus == 500_000_000
    for line in (
        "-m 5m img", "-m x img", "-m 64m --memory-swap 32m img", "--memory-swap 1g img",
        "--cpus 1 --cpu-quota 5000 img",
        "--cpus x img", "--cpuset-cpus 3-1 img", "--ulimit foo=1 img", "--ulimit nofile=9:1 img",
        "--oom-score-adj 2000 img",
        "--sysctl kernel.panic=1 img", "--sysctl net..x=1 img", "--network host --sysctl net.ipv4.ip_forward=1 img",
    ):  # fmt: skip
        refused(line)


def test_isolation(tmp_path: Path) -> None:
    (tmp_path / "profile.json").write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')
    line = "--cap-add net_raw --cap-drop all --security-opt no-new-privileges:true --security-opt seccomp=profile.json"
    config = build(
        f"{line} --security-opt label=disable --device /dev/fuse:r --pid host --ipc private img", cwd=str(tmp_path)
    )
    assert (config.cap_add, config.cap_drop) == (("CAP_NET_RAW",), ("ALL",))
    assert config.security_options[0] == "no-new-privileges"
    assert json.loads(config.security_options[1].removeprefix("seccomp=")) == {"defaultAction": "SCMP_ACT_ALLOW"}
    assert config.devices == (Device("/dev/fuse", "/dev/fuse", "r"),)
    assert (config.pid_mode, config.ipc_mode) == ("host", "")
    for line in (
        "--security-opt foo img", "--security-opt seccomp=/nonexistent img", "--security-opt apparmor=mine img",
        "--device x img", "--pid foo img", "--uts container:x img", "--ipc container: img",
    ):  # fmt: skip
        refused(line)


def test_lifecycle() -> None:
    config = build("--restart on-failure:3 --stop-signal TERM --stop-timeout 5 --log-opt max-size=1m img")
    assert config.restart == RestartPolicy("on-failure", 3)
    assert (config.stop_signal, config.stop_timeout_seconds) == ("TERM", 5)
    assert config.log == LogConfig("json-file", (("max-size", "1m"),))
    for line in (
        "--restart always --rm img", "--restart sometimes img", "--restart always:2 img", "--stop-signal FOO img",
        "--log-driver syslog img", "--log-opt foo=1 img", "--pull sometimes img",
    ):  # fmt: skip
        refused(line)
    assert build("--restart no --rm img").auto_remove


def test_health() -> None:
    assert build("--health-interval 1s img").health == HealthCheck(("CMD", "true"), 10**9, retries=3)
    assert build("--health-cmd x img").health.test == ("CMD-SHELL", "x")
    assert build("--no-healthcheck img").health == HealthCheck(("NONE",))
    for line in ("--no-healthcheck --health-cmd x img", "--health-interval -1s img", "--health-timeout 1us img"):
        refused(line)


@pytest.mark.parametrize("alias", ["a\n6.6.6.6 evil", "a b", "", "a\x1b[31m"])
def test_an_alias_is_one_word_of_the_hosts_file(alias: str) -> None:
    assert "invalid network alias" in refused(["--network-alias", alias, "img"]).message


@pytest.mark.parametrize("network", ["host", "none", "container:web"])
def test_who_is_on_no_network_has_no_names_on_it(network: str) -> None:
    error = refused(["--network", network, "--network-alias", "db", "img"])
    assert error.message == "network-scoped aliases are only supported for user-defined networks"


@pytest.mark.parametrize(
    ("mac", "cause"),
    [
        ("01:00:5e:00:00:01", "it is that of a group of devices"),
        ("ff:ff:ff:ff:ff:ff", "it is that of a group of devices"),
        ("00-00-00-00-00-00", "no device has it"),
        ("02:42:00:00:00", ""),
    ],
)
def test_a_mac_address_that_no_interface_takes(mac: str, cause: str) -> None:
    for words in (["--mac-address", mac], ["--network", f"name=mine,mac-address={mac}"]):
        error = refused([*words, "img"])
        assert error.message == f"{mac} is not a valid mac address"
        assert error.cause == cause


def test_a_network_of_nobodys_container_is_refused() -> None:
    assert refused("--network container: img").message == "invalid container format container:<name|id>"


def test_errors_name_the_option() -> None:
    error = refused("-m x img")
    assert error.message == 'invalid argument "x" for "-m, --memory" flag: invalid size: \'x\''


@pytest.mark.parametrize("key", sorted(UNSUPPORTED))
def test_what_cannot_be_had_is_refused_with_a_reason(key: str) -> None:
    declared = next(o for o in RUN_OPTIONS if o.key == key)
    values = {"number": "1", "flag": "true", "text": "x", "list": "/dev/sda:100"}
    error = refused([f"--{key}={values[declared.kind]}", "img"])
    assert error.message == f"--{key} is not supported"
    assert error.cause


def test_options_are_checked_before_there_is_an_image() -> None:
    for line in ("--gpus all img", "-m x img", "-d -a stdin img", "--memory-swap 1g img", "-v /a:/x -v /b:/x img"):
        with pytest.raises(UsageError):
            merge(read_request(invocation(line)), ImageDefaults(), HostFacts())


def test_attached_streams() -> None:
    assert attached_streams(invocation("img")) == AttachedStreams(False, True, True)
    assert attached_streams(invocation("-i img")) == AttachedStreams(True, True, True)
    assert attached_streams(invocation("-a stdin -a STDERR img")) == AttachedStreams(True, False, True)
    assert attached_streams(invocation("-d img")) == AttachedStreams(False, False, False)
    for line in ("-a foo img", "-d -a stdin img"):
        with pytest.raises(UsageError):
            attached_streams(invocation(line))


@pytest.mark.parametrize(
    "part",
    [
        {"Cmd": 1}, {"Cmd": [1]}, {"Env": {"a": "b"}}, {"Env": ["A=\0"]}, {"User": []}, {"Labels": {"a": 1}},
        {"ExposedPorts": {"x/tcp": {}}}, {"ExposedPorts": []}, {"Volumes": {"relative": {}}}, {"Volumes": {"/": {}}},
        {"Healthcheck": 1}, {"Healthcheck": {"Interval": -1}}, {"Healthcheck": {"Interval": True}}, 5,
    ],
)  # fmt: skip
def test_a_hostile_image_is_refused(part: object) -> None:
    with pytest.raises(ImageError):
        build("img x", {"config": part})


def test_an_image_without_configuration() -> None:
    images: list[dict[str, Any]] = [{}, {"config": None}, {"config": {}}, {"config": {"Cmd": None, "Labels": None}}]
    for image in images:
        assert build("img x", image).working_directory == "/"


_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)
_FIELDS = st.sampled_from([*IMAGE["config"], "Other"])


@given(st.dictionaries(_FIELDS, _JSON, max_size=4))
def test_no_image_raises_anything_else(part: dict[str, Any]) -> None:
    with suppress(SandboxError):
        build("img x", {"config": part})


_VALUES = st.one_of(st.text(max_size=12), st.text(alphabet="/:.,=-_ab019mg[]\"'", max_size=16))


@given(st.lists(st.tuples(st.sampled_from([o.names[-1] for o in RUN_OPTIONS]), _VALUES), max_size=3))
def test_no_option_raises_anything_else(pairs: list[tuple[str, str]]) -> None:
    words = [f"{name}={value}" if name.startswith("--") else f"{name}{value}" for name, value in pairs]
    with suppress(SandboxError):
        build([*words, "img", "x"])


def test_proxies_of_dockers_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each spelling that is not given; before the image's."""
    (tmp_path / "config.json").write_text('{"proxies": {"default": {"httpProxy": "http://c:1", "noProxy": "c"}}}')
    (tmp_path / "file").write_text("NO_PROXY=file\n")
    monkeypatch.setitem(ENV, "DOCKER_CONFIG", str(tmp_path))
    image = {**IMAGE, "config": {**IMAGE["config"], "Env": ["A=image", "http_proxy=http://image"]}}
    found = build("img", image).environment
    assert found == ("HTTP_PROXY=http://c:1", "http_proxy=http://c:1", "NO_PROXY=c", "no_proxy=c", "A=image")
    found = build(["-e", "HTTP_PROXY=", "-e", "http_proxy", "--env-file", str(tmp_path / "file"), "img"]).environment
    assert found == ("NO_PROXY=file", "HTTP_PROXY=", "http_proxy", "no_proxy=c", "PATH=/bin", "A=image")
