"""Services of the Python API: Docker's names, with real containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import sandbox as product
from sandbox.client.errors import APIError, Conflict, InvalidArgument, NotFound, NotSupported
from sandbox.client.service_options import with_options
from tests.integration.container.conftest import busybox, busybox_home, busybox_tar
from tests.integration.service.services import SLEEP, Services
from tests.needs import CONTAINER

if TYPE_CHECKING:
    from tests.command import Sandbox

__all__ = ["busybox", "busybox_home", "busybox_tar"]

pytestmark = [pytest.mark.requires(*CONTAINER, "busybox"), pytest.mark.slow]


def test_a_service_of_a_program(sandbox: Sandbox, busybox: str) -> None:
    services = Services(sandbox)
    with product.Client(environment=sandbox.env, remove_created=True) as client:
        mode = {"Replicated": {"Replicas": 2}}
        web = client.services.create(
            busybox, list(SLEEP), name="web", mode=mode, networks=["none"], env={"A": "1"}, labels={"a": "b"},
            restart_policy={"Condition": "any", "Delay": 10**8}, update_config={"Parallelism": 0, "Monitor": 1},
        )  # fmt: skip
        assert (web.name, web.version, web.attrs["Spec"]["Labels"]) == ("web", 1, {"a": "b"})
        with pytest.raises(Conflict, match="service web already exists"):
            client.services.create(busybox, name="web")
        services.wait_running(services.load_named("web"), 2)
        assert {task["Status"]["State"] for task in web.tasks({"desired-state": "running"})} == {"running"}
        lines = web.logs(follow=True)
        assert [next(lines), next(lines)] == [b"up\n", b"up\n"]
        lines.close()
        # an update says all of it, unless it begins with what is there
        assert web.update(env=["B=2"], fetch_current_spec=True) == {"Warnings": None}
        spec = web.attrs["Spec"]
        assert (spec["TaskTemplate"]["ContainerSpec"]["Env"], spec["Labels"]) == (["B=2"], {"a": "b"})
        stale = client.services.get("web")
        assert web.scale(1)
        assert web.attrs["Spec"]["Mode"] == {"Replicated": {"Replicas": 1}}
        with pytest.raises(Conflict, match="update out of sequence"):
            stale.update(labels={})
        assert web.force_update()
        assert web.attrs["Spec"]["TaskTemplate"]["ForceUpdate"] == 1
        assert client.services.list({"name": "web"}, status=True)[0].attrs["ServiceStatus"]["DesiredTasks"] == 1
        with pytest.raises(InvalidArgument):
            client.services.create(busybox, name="-")
        with pytest.raises(NotSupported, match="sctp"):
            client.services.create(busybox, endpoint_spec={"Ports": [{"TargetPort": 1, "Protocol": "sctp"}]})
        first, second = sandbox.home.root / "s.yaml", sandbox.home.root / "t.yaml"
        first.write_text("services: {one: {image: $IMAGE, runtime: runc, deploy: {replicas: 0}}}\n")
        second.write_text("services: {one: {environment: {A: b}}, off: {image: i, profiles: [p]}}\n")
        made = client.stacks.deploy("st", [first, second], environment={"IMAGE": busybox})
        assert made == client.stacks.get("st")
        assert made.notes == ("services.one.runtime is left out: there is one runtime",)
        assert made.services()[0].attrs["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"] == ["A=b"]
        first.write_text("services: {one: {image: i, gpus: all}}\n")
        with pytest.raises(APIError, match=r"s\.yaml:1:34: services\.one\.gpus: this is not supported"):
            client.stacks.deploy("st", first)
        with pytest.raises(InvalidArgument, match="made of files"):
            client.stacks.deploy("st", [])
        assert [stack.name for stack in client.stacks.list()] == ["st"]
        stack = client.stacks.get("st")
        assert [service.name for service in stack.services()] == ["st_one"]
        stack.remove()
        with pytest.raises(NotFound, match="nothing found in stack: st"):
            client.stacks.get("st")
    # what this client has made goes with it
    services.remove_all()
    assert sandbox.run("ps", "-aq").lines == []


def test_keywords_are_dockers_document() -> None:
    before = {"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "i", "Env": ["A=1"]}}}
    found = with_options(
        before, None, "serve 'all of it'",
        {"mounts": ["data:/d:ro", "/etc:/e", {"Type": "tmpfs", "Target": "/t"}], "hosts": {"db": "10.0.0.1"},
         "mode": "global", "preferences": [("spread", "node.labels.a")], "log_driver": "local", "user": "1"},
    )  # fmt: skip
    assert found == {
        "Name": "web",
        "Mode": {"Global": {}},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": "i", "Env": ["A=1"], "Command": ["serve", "all of it"], "Hosts": ["10.0.0.1 db"], "User": "1",
                "Mounts": [
                    {"Type": "volume", "Source": "data", "Target": "/d", "ReadOnly": True},
                    {"Type": "bind", "Source": "/etc", "Target": "/e", "ReadOnly": False},
                    {"Type": "tmpfs", "Target": "/t"},
                ],
            },
            "Placement": {"Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.a"}}]},
            "LogDriver": {"Name": "local"},
        },
    }  # fmt: skip
    assert before["TaskTemplate"] == {"ContainerSpec": {"Image": "i", "Env": ["A=1"]}}
    with pytest.raises(TypeError, match="unknown keyword of a service: colour"):
        with_options({}, "i", None, {"colour": "red"})  # type: ignore[typeddict-unknown-key]
