"""Every option of `run`: read, merged, kept as JSON, and given back by `inspect` as Docker gives it back."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.caller_directory import CallerDirectory
from sandbox.cli.command import Command, Context, Invocation
from sandbox.cli.container_options.options import RUN_OPTIONS, read_request
from sandbox.cli.container_options.table import UNSUPPORTED
from sandbox.cli.flags import parse_flags
from sandbox.container.model.documents import from_json, to_json
from sandbox.container.model.record import Container, ContainerConfig, ContainerState
from sandbox.container.model.store import insert_container
from sandbox.container.request.image_defaults import read_image_defaults
from sandbox.container.request.kept import load_request
from sandbox.container.request.merging import HostFacts, merge
from sandbox.container.request.recovered import recovered_request
from sandbox.container.request.request import ContainerRequest
from sandbox.container.view.inspect import inspect_container
from sandbox.values import MountPoint

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from sandbox.paths import Paths

IMAGE = {
    "config": {
        "Env": ["PATH=/bin"],
        "Cmd": ["serve"],
        "Volumes": {"/data": {}},
        "Healthcheck": {"Test": ["CMD", "true"], "Retries": 3},
    }
}
THEIRS = {"other": (MountPoint("volume", "theirs", "/theirs"),)}

#: words of the command line -> what `inspect` then has at some places; ABSENT where it has nothing
ABSENT = object()
SHOWN: list[tuple[str, dict[str, Any]]] = [
    ("", {"HostConfig.Binds": None, "HostConfig.Mounts": ABSENT, "HostConfig.Annotations": ABSENT}),
    ("", {"HostConfig.IpcMode": "private", "HostConfig.PidsLimit": None, "HostConfig.VolumesFrom": None}),
    ("", {"Config.Volumes": {"/data": {}}, "Config.Healthcheck": {"Test": ["CMD", "true"], "Retries": 3}}),
    ("--add-host db=10.0.0.5", {"HostConfig.ExtraHosts": ["db:10.0.0.5"]}),
    ("--annotation a=b --annotation c", {"HostConfig.Annotations": {"a": "b", "c": ""}}),
    ("-a stdin -a stdout", {"Config.AttachStdin": True, "Config.AttachStdout": True, "Config.AttachStderr": False}),
    ("-d", {"Config.AttachStdin": False, "Config.AttachStdout": False, "Config.AttachStderr": False}),
    ("--cap-add net_raw --cap-drop all", {"HostConfig.CapAdd": ["CAP_NET_RAW"], "HostConfig.CapDrop": ["ALL"]}),
    ("--cidfile id", {"HostConfig.ContainerIDFile": "/cwd/id"}),
    (
        "--cpu-period 50000 --cpu-quota 25000",
        {"HostConfig.CpuPeriod": 50000, "HostConfig.CpuQuota": 25000, "HostConfig.NanoCpus": 0},
    ),
    ("--cpus 1.5", {"HostConfig.NanoCpus": 1_500_000_000, "HostConfig.CpuPeriod": 0, "HostConfig.CpuQuota": 0}),
    ("--cpu-shares 512 --cpuset-cpus 0,1", {"HostConfig.CpuShares": 512, "HostConfig.CpusetCpus": "0,1"}),
    (
        "--device /dev/fuse:r",
        {"HostConfig.Devices": [{"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "r"}]},
    ),
    (
        "--dns 9.9.9.9 --dns-option ndots:1 --dns-search a.b",
        {"HostConfig.Dns": ["9.9.9.9"], "HostConfig.DnsOptions": ["ndots:1"], "HostConfig.DnsSearch": ["a.b"]},
    ),
    ("--hostname web --domainname d", {"Config.Hostname": "web", "Config.Domainname": "d"}),
    ("--entrypoint sh", {"Config.Entrypoint": ["sh"], "Config.Cmd": None, "Path": "sh"}),
    ("-e A=b -e TOKEN --env-file file", {"Config.Env": ["F=1", "A=b", "TOKEN=secret", "PATH=/bin"]}),
    ("--expose 7000-7001", {"Config.ExposedPorts": {"7000/tcp": {}, "7001/tcp": {}}}),
    ("--group-add audio -u web:staff", {"HostConfig.GroupAdd": ["audio"], "Config.User": "web:staff"}),
    ("--health-cmd true", {"Config.Healthcheck": {"Test": ["CMD-SHELL", "true"], "Retries": 3}}),
    (
        "--health-interval 1s --health-timeout 2s --health-retries 4 --health-start-period 3s"
        " --health-start-interval 5ms",
        {
            "Config.Healthcheck": {
                "Test": ["CMD", "true"],
                "Interval": 10**9,
                "Timeout": 2 * 10**9,
                "StartPeriod": 3 * 10**9,
                "StartInterval": 5_000_000,
                "Retries": 4,
            }
        },
    ),
    ("--no-healthcheck", {"Config.Healthcheck": {"Test": ["NONE"]}}),
    ("--init -i", {"HostConfig.Init": True, "Config.OpenStdin": True, "Config.StdinOnce": True}),
    ("--interactive --detach", {"Config.OpenStdin": True, "Config.StdinOnce": False}),
    ("--ipc shareable", {"HostConfig.IpcMode": "shareable"}),
    ("--ipc container:other --pid host", {"HostConfig.IpcMode": "container:other", "HostConfig.PidMode": "host"}),
    ("--label a=b --label-file file", {"Config.Labels": {"F": "1", "a": "b"}}),
    (
        "--log-driver local --log-opt max-size=1m",
        {"HostConfig.LogConfig": {"Type": "local", "Config": {"max-size": "1m"}}},
    ),
    ("-m 64m", {"HostConfig.MemorySwap": 128 << 20}),
    (
        "-m 64m --memory-reservation 32m --memory-swap -1",
        {"HostConfig.Memory": 64 << 20, "HostConfig.MemoryReservation": 32 << 20, "HostConfig.MemorySwap": -1},
    ),
    (
        "--mount type=bind,src=./x,dst=/y,ro,bind-propagation=rslave",
        {
            "HostConfig.Mounts": [
                {
                    "Type": "bind",
                    "Source": "/cwd/x",
                    "Target": "/y",
                    "ReadOnly": True,
                    "BindOptions": {"Propagation": "rslave"},
                }
            ],
            "HostConfig.Binds": None,
        },
    ),
    (
        "--mount type=volume,src=vol,dst=/v,volume-nocopy,volume-label=k=l",
        {
            "HostConfig.Mounts": [
                {
                    "Type": "volume",
                    "Source": "vol",
                    "Target": "/v",
                    "VolumeOptions": {"NoCopy": True, "Labels": {"k": "l"}},
                }
            ],
            "Config.Volumes": {"/data": {}},
        },
    ),
    (
        "--mount type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=700",
        {
            "HostConfig.Mounts": [
                {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1 << 20, "Mode": 0o700}}
            ],
            "HostConfig.Tmpfs": ABSENT,
        },
    ),
    (
        "--mount type=volume,dst=/a/",
        {"HostConfig.Mounts": [{"Type": "volume", "Target": "/a/"}], "Config.Volumes": {"/data": {}}},
    ),
    ("--network none", {"HostConfig.NetworkMode": "none"}),
    ("--network container:other", {"HostConfig.NetworkMode": "container:other"}),
    (
        "--network mine --network-alias web --ip 10.9.0.2 --ip6 fd00::2 --link-local-ip 169.254.7.7 --link db:www"
        " --network name=other,alias=o",
        {
            "HostConfig.NetworkMode": "mine",
            "NetworkSettings.Networks.mine.IPAMConfig": {
                "IPv4Address": "10.9.0.2",
                "IPv6Address": "fd00::2",
                "LinkLocalIPs": ["169.254.7.7"],
            },
            "NetworkSettings.Networks.mine.Aliases": ["web"],
            "NetworkSettings.Networks.mine.Links": ["db:www"],
            "NetworkSettings.Networks.mine.NetworkID": "",
            "NetworkSettings.Networks.other.Aliases": ["o"],
            "NetworkSettings.Networks.other.IPAMConfig": None,
            "HostConfig.Links": None,
        },
    ),
    (
        "--link db:www --mac-address 02:42:00:00:00:09",
        {
            "HostConfig.NetworkMode": "bridge",
            "HostConfig.Links": ["/db:/web/www"],
            "NetworkSettings.Networks.bridge.MacAddress": "02:42:00:00:00:09",
        },
    ),
    ("--network-alias web", {"HostConfig.NetworkMode": "bridge", "NetworkSettings.Networks.bridge.Aliases": ["web"]}),
    ("--oom-score-adj 5", {"HostConfig.OomScoreAdj": 5}),
    ("--pids-limit -1", {"HostConfig.PidsLimit": -1}),
    ("--privileged --read-only", {"HostConfig.Privileged": True, "HostConfig.ReadonlyRootfs": True}),
    (
        "-p 8080-8082:80 -p 127.0.0.1::53/udp -P",
        {
            "HostConfig.PortBindings": {
                "80/tcp": [{"HostIp": "", "HostPort": "8080-8082"}],
                "53/udp": [{"HostIp": "127.0.0.1", "HostPort": ""}],
            },
            "HostConfig.PublishAllPorts": True,
            "Config.ExposedPorts": {"80/tcp": {}, "53/udp": {}},
        },
    ),
    ("-p 80:80 --network host", {"HostConfig.PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "80"}]}}),
    ("--restart on-failure:3", {"HostConfig.RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}}),
    ("--rm", {"HostConfig.AutoRemove": True}),
    (
        "--security-opt no-new-privileges:true --security-opt label=disable --security-opt seccomp=profile",
        {
            "HostConfig.SecurityOpt": [
                "no-new-privileges:true",
                "label=disable",
                'seccomp={"defaultAction":"SCMP_ACT_ALLOW"}',
            ]
        },
    ),
    (
        "--security-opt systempaths=unconfined",
        {"HostConfig.SecurityOpt": None, "HostConfig.MaskedPaths": [], "HostConfig.ReadonlyPaths": []},
    ),
    ("--shm-size 1m", {"HostConfig.ShmSize": 1 << 20}),
    ("--stop-signal TERM --stop-timeout 5", {"Config.StopSignal": "TERM", "Config.StopTimeout": 5}),
    ("--storage-driver fuse --storage-opt size=2G", {"Driver": "fuse", "HostConfig.StorageOpt": {"size": "2G"}}),
    ("--sysctl net.core.somaxconn=5", {"HostConfig.Sysctls": {"net.core.somaxconn": "5"}}),
    ("--tmpfs /run:size=1m,mode=700 --tmpfs /t", {"HostConfig.Tmpfs": {"/run": "size=1m,mode=700", "/t": ""}}),
    ("-t --uts host", {"Config.Tty": True, "HostConfig.UTSMode": "host"}),
    (
        "--ulimit nofile=5:9 --ulimit core=0",
        {
            "HostConfig.Ulimits": [
                {"Name": "nofile", "Hard": 9, "Soft": 5},
                {"Name": "core", "Hard": 0, "Soft": 0},
            ]
        },
    ),
    (
        "-v ./x:/x:ro,rshared -v name:/n -v cold:/c:nocopy -v /anonymous",
        {
            "HostConfig.Binds": ["/cwd/x:/x:ro,rshared", "name:/n", "cold:/c:nocopy"],
            "Config.Volumes": {"/anonymous": {}, "/data": {}},
        },
    ),
    (
        "--egress deny --egress allow=example.org --host-port 5432 --host-port 53",
        {"HostConfig.Egress": ["deny", "allow=example.org"], "HostConfig.HostPorts": [5432, 53]},
    ),
    (
        "--port-driver slirp4netns",
        {"HostConfig.PortDriver": "slirp4netns", "HostConfig.NetworkMode": "bridge"},
    ),
    (
        "--network mine --net-rate 10mbit --net-delay 50ms --net-loss 1%",
        {"HostConfig.NetRate": "10mbit", "HostConfig.NetDelay": "50ms", "HostConfig.NetLoss": "1%"},
    ),
    ("--volumes-from other:ro", {"HostConfig.VolumesFrom": ["other:ro"]}),
    ("-w /srv", {"Config.WorkingDir": "/srv"}),
    # taken, and of no meaning here
    ("--cgroupns private --runtime= --userns= --volume-driver local --isolation default", {"HostConfig.Isolation": ""}),
]

#: options that are about the command, or of which Docker's document has nothing
ELSEWHERE = {
    "best-effort", "detach-keys", "disable-content-trust", "name", "platform", "pull", "quiet", "secret", "sig-proxy",
    "trace-files", "use-api-socket",
}  # fmt: skip


def no_paths() -> Paths:
    raise AssertionError("options need no paths")


def read(line: str, directory: Path) -> ContainerRequest:
    """The request of a command line, its files in `directory` and its directory /cwd."""
    words = [f"{directory}/{word}" if word in ("file",) else word for word in line.split()]
    words = [word.replace("seccomp=profile", f"seccomp={directory}/profile") for word in words]
    parsed = parse_flags(RUN_OPTIONS, [*words, "img"], interspersed=False)
    command = Command("container run", "", "", RUN_OPTIONS, lambda _invocation: 0, 1, None, False)
    env = {"HOME": "/nonexistent", "TOKEN": "secret"}
    context = Context(env, CallerDirectory("/cwd"), io.StringIO(), io.StringIO(), no_paths)
    return read_request(Invocation(command, context, parsed.values, parsed.arguments))


def configure(request: ContainerRequest) -> ContainerConfig:
    return merge(request, read_image_defaults(IMAGE, "img"), HostFacts("sha256:0", mounts_of=THEIRS)).config


def created(config: ContainerConfig) -> Container:
    """A record of `config`, with a volume for each that has no name."""
    mounts = tuple(mount._replace(source="0" * 64) if mount.anonymous else mount for mount in config.mounts)
    return Container("a" * 64, "web", 1, config._replace(mounts=mounts), ContainerState())


def at(document: dict[str, Any], place: str) -> Any:
    found: Any = document
    for name in place.split("."):
        found = found.get(name, ABSENT)
    return found


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "file").write_text("F=1\n")
    (tmp_path / "profile").write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')
    return tmp_path


@pytest.mark.parametrize(("line", "expected"), SHOWN, ids=[line for line, _expected in SHOWN])
def test_an_option_is_given_back(line: str, expected: dict[str, Any], directory: Path, paths: Paths) -> None:
    request = read(line, directory)
    kept = from_json(ContainerRequest, to_json(request))
    assert kept == request
    config = from_json(ContainerConfig, to_json(configure(kept)))
    document = inspect_container(paths, created(config), kept)
    assert json.loads(json.dumps(document)) == document
    assert {place: at(document, place) for place in expected} == expected


def test_every_option_is_tried() -> None:
    tried: set[str] = set()
    for line, _expected in SHOWN:
        parsed = parse_flags(RUN_OPTIONS, [*line.split(), "img"], interspersed=False)
        tried |= parsed.values.keys()
    assert tried | ELSEWHERE | UNSUPPORTED.keys() == {declared.key for declared in RUN_OPTIONS}
    assert not tried & (ELSEWHERE | UNSUPPORTED.keys())


#: of these the configuration has the sense, and not the words
LOST = (
    "--annotation", "--cidfile", "--cpu-period", "--ipc shareable", "--pids-limit -1", "--mount type=tmpfs",
    "--mount type=volume,dst", "-a", "--storage-driver", "-p 80:80 --network host", "--security-opt no-new",
    "--tmpfs /run", "--volumes-from",
)  # fmt: skip


@pytest.mark.parametrize(
    ("line", "expected"), [case for case in SHOWN if not case[0].startswith(LOST)], ids=lambda value: str(value)[:40]
)
def test_an_older_record_is_shown_as_well(line: str, expected: dict[str, Any], directory: Path, paths: Paths) -> None:
    config = configure(read(line, directory))
    document = inspect_container(paths, created(config), None)
    assert {place: at(document, place) for place in expected} == expected


def test_the_request_is_kept_beside_the_configuration(database: sqlite3.Connection, directory: Path) -> None:
    request = read("-v name:/n:nocopy --ipc shareable", directory)
    container = created(configure(request))
    insert_container(database, container, to_json(request))
    assert load_request(database, container.id) == request
    older = insert_container(database, container._replace(id="b" * 64, name="older"))
    assert load_request(database, older.id) is None
    assert recovered_request(older.config).binds == ("name:/n:nocopy", "/data")
