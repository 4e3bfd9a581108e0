"""What Docker's engine refuses is refused with its status and words; a 404 for one makes clients go and pull."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import docker.errors
import pytest

from tests.needs import CONTAINER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.registry import Registry

pytestmark = pytest.mark.requires(*CONTAINER)

_JSON = {"Content-Type": "application/json"}


@pytest.fixture
def refused(client: Any) -> Callable[..., tuple[int, str]]:
    """Ask for something as JSON, or as `headers` say it is; the status and the message."""

    def ask(path: str, document: object = None, *, headers: dict[str, str] | None = None, method: str = "POST") -> Any:
        api = client.api
        given = {"data": document, "headers": headers} if isinstance(document, str) else {"json": document}
        answer = api.request(method, api._url(path), **given)
        return answer.status_code, answer.json().get("message", "") if answer.content else ""

    return ask


@pytest.mark.parametrize("path", ["/networks/create", "/networks/bridge/connect", "/containers/create", "/auth"])
def test_bodies_that_are_no_json(refused: Callable[..., tuple[int, str]], path: str) -> None:
    types = {"Content-Type": "text/plain"}
    assert refused(path, "{}", headers=types) == (
        400, "unsupported Content-Type header (text/plain): must be 'application/json'",
    )  # fmt: skip
    assert refused(path, "{}", headers={"Content-Type": ""})[0] == 400
    assert refused(path, "{} and more", headers=_JSON) == (400, "unexpected content after JSON")
    status, message = refused(path, "{no", headers=_JSON)
    assert (status, message[:14]) == (400, "invalid JSON: ")


def test_networks(client: Any, refused: Callable[..., tuple[int, str]], busybox: str) -> None:
    assert client.api.get(client.api._url("/networks/")).json() == client.api.networks()
    assert refused("/networks/bridge?verbose=perhaps", method="GET")[0] == 400
    for name in ("bridge", "host", "none", "default"):
        assert refused("/networks/create", {"Name": name}) == (
            403, f"operation is not permitted on predefined {name} network",
        )  # fmt: skip
    assert refused("/networks/bridge", method="DELETE")[0] == 403
    assert refused("/networks/create", {"Name": "x", "Driver": "nosuch"})[0] == 404
    assert refused("/networks/create", {"Name": "x", "Driver": "macvlan"})[0] == 501
    assert refused("/networks/create", {"Name": "x", "Driver": "host"})[0] == 403
    for field, value in (("Ingress", True), ("ConfigOnly", True), ("ConfigFrom", {"Network": "x"})):
        status, message = refused("/networks/create", {"Name": "x", field: value})
        assert (status, message.split()[0]) == (501, field)
    pool = {"Config": [{"Subnet": "10.94.0.0/24"}]}
    front = client.api.create_network("front", ipam=pool)["Id"]
    assert refused("/networks/create", {"Name": "front"}) == (409, "network with name front already exists")
    status, message = refused("/networks/create", {"Name": "x", "IPAM": pool})
    assert (status, "Pool overlaps with other one on this address space" in message) == (403, True)
    assert refused("/networks/front/connect", {"Container": ""})[0] == 400
    client.api.create_container(busybox, ["busybox", "true"], name="made")
    assert refused("/networks/host/connect", {"Container": "made"})[0] == 400
    assert refused("/networks/front/disconnect", {"Container": "made"})[0] == 500
    assert refused("/containers/made/rename?name=made")[0] == 400
    client.api.remove_network(front)


def test_who_is_there_already(client: Any, refused: Callable[..., tuple[int, str]], busybox: str) -> None:
    client.api.create_network("front", ipam={"Config": [{"Subnet": "10.95.0.0/24"}]})
    web = client.containers.run(busybox, ["busybox", "sleep", "100"], name="web", network="front", detach=True)
    db = client.containers.run(busybox, ["busybox", "sleep", "100"], name="db", network="bridge", detach=True)
    web.reload()
    address = web.attrs["NetworkSettings"]["Networks"]["front"]["IPAddress"]
    wanted = {"Container": "db", "EndpointConfig": {"IPAMConfig": {"IPv4Address": address}}}
    assert refused("/networks/front/connect", wanted) == (403, "Address already in use")
    assert refused("/networks/front/connect", {"Container": "web"}) == (
        403, "endpoint with name web already exists in network front",
    )  # fmt: skip
    status, message = refused("/networks/front", method="DELETE")
    assert (status, "has active endpoints" in message) == (403, True)
    web.remove(force=True)
    db.remove(force=True)


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ({"Links": ["nosuch"]}, "could not get container for nosuch"),
        ({"VolumesFrom": ["nosuch"]}, "No such container: nosuch"),
        ({"NetworkMode": "host", "Links": ["a:b"]}, "host type networking can't be used with links"),
        ({"NetworkMode": "container:a", "Links": ["a:b"]}, "container type network can't be used with links"),
        ({"CapAdd": ["NOSUCH"]}, "unknown capability: 'CAP_NOSUCH'"),
        ({"Annotations": {"": "a"}}, "the empty string is not permitted as an annotation key"),
    ],
)
def test_containers(
    client: Any, refused: Callable[..., tuple[int, str]], busybox: str, host: dict[str, object], message: str
) -> None:
    status, said = refused("/containers/create", {"Image": busybox, "Cmd": ["true"], "HostConfig": host})
    assert (status, message in said) == (400, True), said
    assert client.containers.list(all=True) == []


def test_a_log_that_is_not_kept(client: Any, refused: Callable[..., tuple[int, str]], busybox: str) -> None:
    none = client.api.create_host_config(log_config={"type": "none"}, network_mode="none")
    client.api.create_container(busybox, ["busybox", "true"], name="mute", host_config=none)
    client.api.start("mute")
    client.api.wait("mute")
    why = "configured logging driver does not support reading"
    assert refused("/containers/mute/logs?stdout=1", method="GET") == (501, why)
    assert refused("/containers/mute/logs?stdout=1&follow=1", method="GET") == (501, why)
    assert refused("/containers/mute/attach?logs=1&stdout=1") == (501, why)


def test_health_checks_and_images(refused: Callable[..., tuple[int, str]], busybox: str) -> None:
    for name, value, message in (
        ("Interval", 1000, "Interval in Healthcheck cannot be less than 1ms"),
        ("StartPeriod", -1, "StartPeriod in Healthcheck cannot be less than 1ms"),
        ("Retries", -1, "Retries in Healthcheck cannot be negative"),
    ):
        body = {"Image": busybox, "Healthcheck": {"Test": ["CMD", "true"], name: value}}
        assert refused("/containers/create", body) == (400, message)
    assert refused("/containers/create", {"Image": "nosuch:v1"}) == (404, "No such image: nosuch:v1")


def test_names_platforms_and_sizes_that_cannot_be(
    client: Any, refused: Callable[..., tuple[int, str]], busybox: str
) -> None:
    assert refused("/volumes/..", method="DELETE")[0] == 404
    assert refused("/volumes/..?force=1", method="DELETE") == (204, "")
    assert refused(f"/images/{busybox}/tag?repo=sha256:a") == (
        400, "refusing to create an ambiguous tag using digest algorithm as name",
    )  # fmt: skip
    for path in (f"/images/create?fromImage={busybox}&platform=foobar", "/build?platform=foobar"):
        status, message = refused(path)
        assert (status, message.partition(": ")[2]) == (400, "unknown operating system or architecture")
    asked = {"Image": busybox, "HostConfig": {"CgroupnsMode": "nosuch"}}
    assert refused("/containers/create", asked) == (400, "invalid cgroup namespace mode: nosuch")
    options = {"network_mode": "none", "tmpfs": {"/run": "noatime"}}
    made = client.containers.create(busybox, ["busybox", "sleep", "600"], working_dir="/tmp//a/../b/", **options)
    assert made.attrs["Config"]["WorkingDir"] == "/tmp/b"
    assert refused(f"/containers/{made.id}/resize?h=&w=10") == (400, 'strconv.Atoi: parsing "": invalid syntax')
    made.start()
    assert b"nodev,noexec,noatime" in made.exec_run(["busybox", "grep", " /run ", "/proc/mounts"]).output
    execution = client.api.exec_create(made.id, ["nosuch"])["Id"]
    assert refused(f"/exec/{execution}/start", {"Detach": True})[0] == 400
    assert client.api.exec_inspect(execution)["ExitCode"] == 127


@pytest.mark.requires("registry", "skopeo")
def test_credentials_that_a_registry_refuses(client: Any, auth_registry: Registry, busybox_layout: Path) -> None:
    reference = auth_registry.push(busybox_layout, "kept:1")
    with pytest.raises(docker.errors.APIError) as raised:
        client.login(auth_registry.user, "wrong", registry=auth_registry.host)
    assert raised.value.status_code == 401
    with pytest.raises(docker.errors.APIError) as raised:
        client.images.get_registry_data(reference, auth_config={"username": "a", "password": "b"})
    assert raised.value.status_code == 401
    assert client.login(auth_registry.user, auth_registry.password, registry=auth_registry.host)["Status"]
