"""The Python API as a program or a test fixture uses it."""

from __future__ import annotations

import io
import tarfile
import threading
import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

import sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandbox import Client
    from sandbox.client.containers import Container
    from tests.command import Sandbox

pytestmark = pytest.mark.requires("subids", "overlay")


@pytest.fixture
def box(sandbox_command: Sandbox) -> Iterator[Client]:
    with sandbox.Client(environment=sandbox_command.env, remove_created=True) as client:
        yield client


@pytest.fixture
def sandbox_command(request: pytest.FixtureRequest) -> Sandbox:
    """The fixture `sandbox`, by a name that leaves the module its own."""
    command: Sandbox = request.getfixturevalue("sandbox")
    return command


@pytest.fixture
def web(box: Client, busybox: str) -> Container:
    """What a test of one's own would have: a server, on any free port."""
    command = "mkdir /www; echo served >/www/index.html; exec httpd -f -p 8000 -h /www"
    return box.containers.run(busybox, ["sh", "-c", command], ports={8000: 0}, detach=True, name="web")


@pytest.mark.requires("slirp4netns")
def test_a_server_for_a_test(box: Client, web: Container, sandbox_command: Sandbox) -> None:
    assert (web.name, web.status, web.image.tags) == ("web", "running", ["busybox:latest"])
    places = web.ports["8000/tcp"]
    assert places is not None
    with urllib.request.urlopen(f"http://127.0.0.1:{places[0]['HostPort']}/") as answer:
        assert answer.read() == b"served\n"
    assert sandbox_command.run("ps", "--format", "{{.Names}}").lines == ["web"]
    assert box.containers.list() == [web] == [box.containers.get(web.short_id)]
    assert web.exec_run("hostname").output.decode().strip() == web.short_id
    box.close()
    assert sandbox_command.run("ps", "-aq").lines == []


def test_a_command_and_what_it_wrote(box: Client, busybox: str, sandbox_command: Sandbox) -> None:
    assert box.containers.run(busybox, "echo hello", network_mode="none", remove=True) == b"hello\n"
    with pytest.raises(sandbox.ContainerError) as raised:
        box.containers.run(busybox, ["sh", "-c", "echo oh >&2; exit 4"], network_mode="none", remove=True)
    assert (raised.value.exit_status, raised.value.stderr) == (4, b"oh\n")
    assert sandbox_command.run("ps", "-aq").lines == []
    with pytest.raises(sandbox.APIError) as failed:
        box.containers.run(busybox, "nope", network_mode="none", remove=True)
    assert failed.value.kind == "command_not_found"
    assert sandbox_command.run("ps", "-aq").lines == []


def test_a_container_by_its_methods(box: Client, busybox: str) -> None:
    made = box.containers.create(
        busybox, ["sh", "-c", "echo out; echo err >&2; sleep 1000"], network_mode="none", environment={"A": "b"},
        labels={"mine": "1"}, name="first", volumes={"data": {"bind": "/data"}},
    )  # fmt: skip
    assert (made.status, made.labels, box.containers.list()) == ("created", {"mine": "1"}, [])
    assert box.containers.list(all=True, filters={"label": "mine=1"}) == [made]
    made.start()
    lines = made.logs(stream=True)
    assert {next(lines), next(lines)} == {b"out\n", b"err\n"}
    lines.close()
    assert (made.logs(stderr=False), made.logs(stdout=False)) == (b"out\n", b"err\n")
    assert made.logs(timestamps=True, tail=1).count(b"Z ") == 1
    assert made.exec_run(["sh", "-c", "echo $A; echo no >&2; exit 2"], demux=True) == (2, (b"b\n", b"no\n"))
    assert made.exec_run("cat", input=b"in").output == b"in"
    assert list(made.exec_run("seq 3", stream=True).output) == [b"1\n", b"2\n", b"3\n"]
    assert made.exec_run(["sh", "-c", "pwd"], workdir="/data", environment=["X=1"]).output == b"/data\n"
    made.rename("second")
    assert box.containers.get("second") == made
    with pytest.raises(TimeoutError):
        made.wait(timeout=0.05)
    made.restart(timeout=0)
    made.kill("KILL")
    assert made.wait()["StatusCode"] == 137
    made.reload()
    assert made.status == "exited"
    made.remove()
    with pytest.raises(sandbox.NotFound):
        made.reload()
    volume = box.volumes.get("data")
    volume.remove()


def test_what_is_refused_has_a_name(box: Client, busybox: str) -> None:
    with pytest.raises(sandbox.ImageNotFound, match="No such image: nope"):
        box.containers.create("nope")
    with pytest.raises(sandbox.NotFound, match="No such container: nope"):
        box.containers.get("nope")
    with pytest.raises(sandbox.InvalidArgument, match="invalid size") as raised:
        box.containers.create(busybox, mem_limit="much")
    assert raised.value.field == "mem_limit"
    with pytest.raises(sandbox.InvalidArgument) as raised:
        box.containers.create(busybox, "true", stop_signal="NOPE")
    assert raised.value.field == "stop_signal"
    with pytest.raises(sandbox.InvalidArgument):
        box.containers.list(filters={"status": "odd"})
    quiet = box.containers.create(busybox, "true", network_mode="none", log_config={"Type": "none"})
    with pytest.raises(sandbox.Conflict, match="already in use"):
        box.containers.create(busybox, "true", name=quiet.name)
    with pytest.raises(sandbox.NotSupported):
        quiet.logs()
    with pytest.raises(sandbox.Conflict, match="is not running"):
        quiet.exec_run("true")


def test_a_container_that_is_changed_while_it_runs(box: Client, busybox: str) -> None:
    script = "trap 'exit 0' TERM; read line; stty size; echo $line; echo no >&2"
    made = box.containers.run(
        busybox, ["sh", "-c", script], detach=True, tty=True, stdin_open=True, network="none", name="made"
    )
    made.pause()
    made.reload()
    assert made.status == "paused"
    with pytest.raises(sandbox.Conflict, match="is already paused"):
        made.pause()
    made.unpause()
    made.update(restart_policy={"Name": "on-failure", "MaximumRetryCount": 2})
    made.reload()
    assert made.attrs["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 2}
    with pytest.raises(TypeError, match="unknown keyword of an update: name"):
        made.update(name="other")  # type: ignore[call-arg]
    with pytest.raises(sandbox.Conflict, match="cannot publish a port of container made"):
        made.add_ports({80: 0})
    made.resize(31, 91)
    made.remove(force=True)
    ticks = "while [ ! -e /go ]; do sleep 0.05; done; echo out; echo err >&2"
    made = box.containers.run(busybox, ["sh", "-c", ticks], detach=True, network="none")
    lines = made.attach(stream=True)
    made.exec_run("touch /go")
    assert sorted(lines) == [b"err\n", b"out\n"]
    made.wait()
    assert made.attach(logs=True, stderr=False) == b"out\n"
    with pytest.raises(sandbox.Conflict, match="not running"):
        made.resize(1, 1)


@pytest.mark.requires("slirp4netns", "tap")
def test_ports_of_one_that_runs(box: Client, web: Container) -> None:
    web.add_ports({"8001/tcp": ("127.0.0.1", 0)})
    place = web.ports["8001/tcp"]
    assert place is not None
    assert place[0]["HostIp"] == "127.0.0.1"
    web.remove_ports({"8001/tcp": None})
    assert "8001/tcp" not in web.ports
    with pytest.raises(sandbox.NotFound, match="No public port"):
        web.remove_ports({"8001/tcp": None})


def test_secrets_and_configs(box: Client, sandbox_command: Sandbox) -> None:
    secret = box.secrets.create("key", b"swordfish", labels={"a": "b"})
    config = box.configs.create("web.conf", "listen 80;")
    assert (box.secrets.list(filters={"label": "a"}), secret.name) == ([secret], "key")
    assert (box.configs.list(), config.attrs["Spec"]["Data"]) == ([config], "bGlzdGVuIDgwOw==")
    assert box.secrets.get(secret.id[:8]) == secret
    with pytest.raises(sandbox.Conflict, match="already exists"):
        box.secrets.create("key", b"other")
    config.remove()
    with pytest.raises(sandbox.NotFound):
        box.configs.get("web.conf")
    box.close()
    assert sandbox_command.run("secret", "ls", "-q").lines == []


def test_images_and_volumes(box: Client, busybox: str, busybox_tar: Path, tmp_path: Path) -> None:
    image = box.images.get(busybox)
    assert image.tag("mine", "2")
    assert sorted(image.tags) == ["busybox:latest", "mine:2"]
    assert box.images.list("mine") == [image]
    box.images.remove("mine:2")
    assert box.images.list("mine") == []
    with pytest.raises(sandbox.ImageNotFound):
        box.images.get("mine:2")
    (tmp_path / "Dockerfile").write_text("FROM busybox\nARG who\nRUN echo built for $who >/made\nCMD cat /made\n")
    heard: list[str] = []
    built, log = box.images.build(path=tmp_path, tag="made", buildargs={"who": "me"}, progress=heard.append)
    assert (built.tags, list(log)) == (["made:latest"], heard)
    assert box.containers.run(built, network_mode="none", remove=True) == b"built for me\n"
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN echo told; exit 7\n")
    with pytest.raises(sandbox.BuildError) as raised:
        box.images.build(path=tmp_path)
    assert any("told" in line for line in raised.value.build_log)
    steps = [step["ID"] for step in box.df()["BuildCache"]]
    assert box.images.prune_builds({"unused-for": "1h"}) == {"CachesDeleted": [], "SpaceReclaimed": 0}
    assert box.images.prune_builds(keep_storage=1 << 30)["CachesDeleted"] == []
    assert set(box.images.prune_builds(all=True)["CachesDeleted"]) == set(steps) != set()
    with pytest.raises(sandbox.InvalidArgument):
        box.images.prune_builds({"until": "yesterday"})
    volume = box.volumes.create("data", labels={"a": "b"})
    assert (box.volumes.list(filters={"label": "a"}), volume.labels) == ([volume], {"a": "b"})
    assert box.volumes.prune() == {"VolumesDeleted": [], "SpaceReclaimed": 0}


def test_what_nobody_uses_is_measured_and_removed(box: Client, busybox: str) -> None:
    box.volumes.create("data", labels={"a": "b"})
    script = "echo data > /data/file; echo written > /written"
    ended = box.containers.create(busybox, ["sh", "-c", script], volumes=["data:/data"], network_mode="none")
    ended.start()
    ended.wait()
    usage = box.df()
    assert [(one["RepoTags"], one["Containers"], one["SharedSize"]) for one in usage["Images"]] == [
        (["busybox:latest"], 1, 0)
    ]
    assert [(one["Id"], one["SizeRw"], one["State"]) for one in usage["Containers"]] == [(ended.id, 8, "exited")]
    assert [(one["Name"], one["UsageData"]) for one in usage["Volumes"]] == [("data", {"RefCount": 1, "Size": 5})]
    assert (usage["BuildCache"], usage["LayersSize"]) == ([], usage["Images"][0]["Size"])
    assert box.containers.prune(filters={"label": "a"})["ContainersDeleted"] == []
    assert box.containers.prune() == {"ContainersDeleted": [ended.id], "SpaceReclaimed": 8}
    assert box.volumes.prune()["VolumesDeleted"] == []
    assert box.volumes.prune(filters={"all": True, "label": ["a=b"]}) == {
        "VolumesDeleted": ["data"], "SpaceReclaimed": 5,
    }  # fmt: skip
    assert box.images.prune()["ImagesDeleted"] == []
    pruned = box.images.prune(filters={"dangling": False})
    assert pruned["ImagesDeleted"][0] == {"Untagged": "busybox:latest"}
    assert pruned["SpaceReclaimed"] >= usage["LayersSize"]
    with pytest.raises(sandbox.InvalidArgument):
        box.containers.prune(filters={"until": ["1h", "2h"]})


@pytest.mark.requires("registry", "skopeo")
def test_an_image_comes_from_its_registry(box: Client, busybox_image: str, sandbox_command: Sandbox) -> None:
    heard: list[str] = []
    pulled = box.images.pull(busybox_image, progress=heard.append)
    assert (pulled.tags, heard[-1]) == ([busybox_image], f"Status: Downloaded newer image for {busybox_image}")
    pulled.remove(force=True)
    repository, _, tag = busybox_image.rpartition(":")
    assert box.containers.run(f"{repository}:{tag}", "echo pulled", network_mode="none", remove=True) == b"pulled\n"
    with pytest.raises(sandbox.ImageNotFound):
        box.images.pull(repository, "nope")
    box.images.get(busybox_image).tag(repository, "again")
    box.images.push(repository, "again")
    assert box.images.pull(repository, "again").id == pulled.id


def test_an_archive_is_loaded(box: Client, odd_image: str, sandbox_command: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "odd.tar"
    sandbox_command.run("save", "-o", path, odd_image)
    box.images.get(odd_image).remove(force=True)
    assert [image.tags for image in box.images.load(path)] == [[odd_image]]
    assert [image.tags for image in box.images.load(path.read_bytes())] == [[odd_image]]
    with pytest.raises(sandbox.APIError):
        box.images.load(_empty_archive())


def test_an_image_is_made_of_a_container_and_saved(box: Client, busybox: str, tmp_path: Path) -> None:
    container = box.containers.create(busybox, ["touch", "/made"], name="box")
    container.start()
    container.wait()
    image = container.commit("made", "1", message="why", author="me", changes=['CMD ["ls", "/made"]'])
    assert (image.tags, image.attrs["Comment"], image.attrs["Author"]) == (["made:1"], "why", "me")
    assert box.containers.run("made:1", remove=True) == b"/made\n"
    top, base = image.history()
    assert (top["Id"], top["Tags"], top["CreatedBy"]) == (image.id, ["made:1"], "touch /made")
    assert base["Id"] == box.images.get(busybox).id
    (tmp_path / "made.tar").write_bytes(b"".join(image.save(named=True)))
    image.remove()
    assert [loaded.tags for loaded in box.images.load(tmp_path / "made.tar")] == [["made:1"]]
    with pytest.raises(sandbox.InvalidArgument):
        image.save(named="another:1")
    given_up = image.save(chunk_size=1)
    assert len(next(given_up)) == 1
    given_up.close()


def _empty_archive() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w"):
        pass
    return stream.getvalue()


def test_closing_removes_what_it_was_told_to(busybox: str, sandbox_command: Sandbox) -> None:
    with sandbox.Client(environment=sandbox_command.env) as box:
        kept = box.containers.run(busybox, "sleep 1000", network_mode="none", detach=True, name="kept")
        gone = box.containers.run(busybox, "sleep 1000", network_mode="none", detach=True, volumes=["data:/d", "/x"])
        box.remove_on_close(box.volumes.get("data"))
        box.remove_on_close(gone)
    assert sandbox_command.run("ps", "-a", "--format", "{{.Names}}").lines == ["kept"]
    assert sandbox_command.run("volume", "ls", "-q").lines == []
    with sandbox.Client(environment=sandbox_command.env) as again, suppress(sandbox.NotFound):
        again.containers.get(kept.id).remove(force=True)
    assert sandbox_command.run("ps", "-aq").lines == []


def test_several_threads_share_one(box: Client, busybox: str) -> None:
    outputs: dict[int, object] = {}

    def run(number: int) -> None:
        outputs[number] = box.containers.run(busybox, f"echo {number}", network_mode="none", remove=True)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outputs == {number: f"{number}\n".encode() for number in range(4)}
    assert box.containers.list(all=True) == []


def test_a_stream_that_another_thread_closes_just_ends(box: Client, busybox: str) -> None:
    stream = box.events()
    box.containers.create(busybox, "true", name="made")
    ended: list[list[str]] = []
    first_came = threading.Event()

    def read() -> None:
        actions = []
        for document in stream:
            actions.append(document["Action"])
            first_came.set()
        ended.append(actions)

    reader = threading.Thread(target=read)
    reader.start()
    assert first_came.wait(60)
    stream.close()
    reader.join(60)
    assert ended == [["create"]]
    stream.close()


def test_events_come_from_the_call_on(box: Client, busybox: str) -> None:
    box.volumes.create("before")
    stream = box.events(filters={"type": ["container", "volume"]})
    box.volumes.create("data")
    box.containers.run(busybox, ["sh", "-c", "exit 3"], network_mode="none", detach=True, name="job").wait()
    told = [next(stream) for _ in range(4)]
    assert [document["Action"] for document in told] == ["create", "create", "start", "die"]
    assert (told[0]["Actor"]["ID"], told[3]["Actor"]["Attributes"]["exitCode"]) == ("data", "3")
    stream.close()
    # what is kept, to its end
    assert [document["Actor"]["ID"] for document in box.events(until="0s", filters={"type": "volume"})] == [
        "before",
        "data",
    ]
    with pytest.raises(sandbox.InvalidArgument):
        next(box.events(filters={"nonsense": "1"}))


def test_the_health_of_a_container(box: Client, busybox: str) -> None:
    check = {"test": ["CMD", "true"], "interval": 50_000_000}
    web = box.containers.run(busybox, "sleep 1000", detach=True, network_mode="none", healthcheck=check)
    assert web.wait_healthy() == "healthy"
    web.reload()
    assert (web.health, web.attrs["Config"]["Healthcheck"]) == (
        "healthy",
        {"Test": ["CMD", "true"], "Interval": 50000000},
    )
    bare = box.containers.run(busybox, "sleep 1000", detach=True, network_mode="none")
    assert bare.health == "unknown"
    with pytest.raises(sandbox.Conflict, match="no health check"):
        bare.wait_healthy()


def test_networks_are_made_looked_at_and_removed(box: Client, busybox: str) -> None:
    pool = {"Subnet": "10.88.0.0/24", "Gateway": "10.88.0.254", "AuxiliaryAddresses": {"kept": "10.88.0.9"}}
    front = box.networks.create("front", labels={"a": "b"}, ipam={"Config": [pool]})
    assert (front.name, front.containers, front.attrs["Labels"]) == ("front", [], {"a": "b"})
    assert front.attrs["IPAM"]["Config"] == [pool]
    assert box.networks.list(["front"]) == [front] == box.networks.list(ids=[front.short_id])
    assert box.networks.list(filters={"type": "custom", "label": "a=b"}) == [front]
    made = box.containers.create(busybox, ["true"], network="front", networking_config={"front": {"aliases": ["x"]}})
    networks = made.attrs["NetworkSettings"]["Networks"]
    assert {name: shown["Aliases"] for name, shown in networks.items()} == {"front": ["x"]}
    # one that does not run is put on others for its next start
    front.disconnect(made)
    box.networks.get("bridge").connect(made, aliases=["y"])
    made.reload()
    networks = made.attrs["NetworkSettings"]["Networks"]
    assert {name: shown["Aliases"] for name, shown in networks.items()} == {"bridge": ["y"]}
    for wrong in ({"ipv4_address": "x"}, {"ipv4_address": "fd00::1"}, {"mac_address": "x"}, {"aliases": ["a b"]}):
        with pytest.raises(sandbox.InvalidArgument):
            front.connect(made, **wrong)
    with pytest.raises(sandbox.Conflict):
        box.networks.get("bridge").remove()
    with pytest.raises(sandbox.InvalidArgument):
        box.networks.create("back", ipam={"Config": [{"Subnet": "10.0.0.0"}]})
    assert box.networks.prune() == {"NetworksDeleted": ["front"]}
    with pytest.raises(sandbox.NotFound):
        front.reload()
