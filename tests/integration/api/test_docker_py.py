"""docker-py over the socket, method by method."""

from __future__ import annotations

import io
import tarfile
import time
from typing import Any

import docker.errors
import pytest

pytestmark = pytest.mark.requires("subids", "overlay")


def test_a_container_by_its_methods(client: Any, busybox: str) -> None:
    assert client.ping() is True
    made = client.containers.create(
        busybox, ["sh", "-c", "echo out; echo err >&2; sleep 600"], name="first", network_mode="none",
        labels={"mine": "1"}, environment={"A": "b"},
    )  # fmt: skip
    assert (made.status, made.labels["mine"], client.containers.list()) == ("created", "1", [])
    assert client.containers.list(all=True, filters={"label": "mine=1"}) == [made]
    made.start()
    made.reload()
    assert made.status == "running"
    stream = made.logs(stream=True, follow=True)
    assert next(stream) + next(stream) in (b"out\nerr\n", b"err\nout\n")
    stream.close()
    assert made.logs(stdout=False) == b"err\n"
    assert made.exec_run("echo hello") == (0, b"hello\n")
    assert made.exec_run(["sh", "-c", "echo a; echo b >&2; exit 4"], demux=True) == (4, (b"a\n", b"b\n"))
    assert made.exec_run("test -t 1", tty=True).exit_code == 0
    # whoever starts it without a word of the terminal has frames
    on_terminal = client.api.exec_create(made.id, "echo hello", tty=True)
    assert client.api.exec_start(on_terminal, demux=True) == (b"hello\r\n", None)
    assert client.api.exec_start(client.api.exec_create(made.id, "echo hello", tty=True), tty=True) == b"hello\r\n"
    with pytest.raises(docker.errors.APIError) as raised:
        client.containers.create(busybox, "true", name="first")
    assert raised.value.status_code == 409
    made.rename("second")
    assert client.containers.get("second").id == made.id
    made.kill()
    assert made.wait()["StatusCode"] == 137
    made.remove()
    with pytest.raises(docker.errors.NotFound):
        client.containers.get("second")


def test_documents_have_the_fields_of_their_version(client: Any, socket: str, busybox: str) -> None:
    client.containers.create(busybox, "true", name="made", network_mode="none")
    for version, sizes, of_containers, options in (
        ("1.24", True, True, "seccomp"), ("1.43", True, True, "name=seccomp,profile=builtin"),
        ("1.44", False, True, "name=seccomp,profile=builtin"), ("1.45", False, False, "name=seccomp,profile=builtin"),
    ):  # fmt: skip
        asked = docker.APIClient(base_url=f"unix://{socket}", version=version)
        usage = asked._result(asked._get(f"{asked.base_url}/v{version}/system/df"), True)
        inspected, (listed,) = asked.inspect_image(busybox), asked.images(busybox)
        assert {"VirtualSize" in document for document in (inspected, listed, *usage["Images"])} == {sizes}
        assert {"Container" in inspected, "ContainerConfig" in inspected} == {of_containers}
        assert options in asked.info()["SecurityOptions"]
        (container,) = usage["Containers"]
        assert (container["Status"], container["HostConfig"], container["Ports"]) == (
            "Created",
            {"NetworkMode": "none"},
            [],
        )
        asked.close()


def test_old_fields_of_networks_are_there_for_old_clients(client: Any, socket: str, busybox: str) -> None:
    mac = "02:42:ac:1e:00:63"
    client.networks.create("front")
    # of an old client the container's, of a new one that of its network
    old = docker.APIClient(base_url=f"unix://{socket}", version="1.43")
    host = old.create_host_config(network_mode="front")
    made = old.create_container(busybox, "true", name="made", hostname="here", host_config=host, mac_address=mac)
    for version, names in (("1.44", [made["Id"][:12], "here"]), ("1.45", None)):
        asked = docker.APIClient(base_url=f"unix://{socket}", version=version)
        found = asked.inspect_container("made")
        assert found["Config"]["MacAddress"] == mac
        endpoint = found["NetworkSettings"]["Networks"]["front"]
        assert (endpoint["MacAddress"], endpoint["Aliases"]) == (mac, names)
        asked.close()
    other = old.create_container(busybox, "true", name="other")
    assert "MacAddress" not in old.inspect_container(other)["Config"]
    several: dict[str, Any] = {"EndpointsConfig": {"front": {}, "bridge": {}}}
    with pytest.raises(
        docker.errors.APIError, match="cannot be created with multiple network endpoints: front, bridge"
    ):
        old.create_container(busybox, "true", networking_config=several)
    old.close()


def test_run_to_the_end(client: Any, busybox: str) -> None:
    assert client.containers.run(busybox, "echo hello", network_mode="none", remove=True) == b"hello\n"
    with pytest.raises(docker.errors.ContainerError) as raised:
        client.containers.run(busybox, ["sh", "-c", "echo oh >&2; exit 4"], network_mode="none", remove=True)
    assert (raised.value.exit_status, raised.value.stderr) == (4, b"oh\n")
    with pytest.raises(docker.errors.ImageNotFound, match="No such image: nothing:latest"):
        client.images.get("nothing")
    # one that was to go at its end goes too where it cannot be started
    with pytest.raises(docker.errors.APIError, match="No such container: nobody"):
        client.containers.run(busybox, "true", network_mode="container:nobody", auto_remove=True, detach=True)
    assert client.containers.list(all=True) == []
    with pytest.raises(docker.errors.NotFound, match=r"plugin .*nothing.* not found"):
        client.plugins.get("nothing")
    used = client.df()
    assert set(used) == {"LayersSize", "Images", "Containers", "Volumes", "BuildCache"}
    (busy,) = client.api.images(busybox)
    assert busy["SharedSize"] == -1


def test_files_volumes_and_what_is_seen(client: Any, busybox: str) -> None:
    volume = client.volumes.create("data", labels={"mine": "1"})
    assert client.volumes.list(filters={"label": "mine=1"}) == [volume]
    since = int(time.time())
    box = client.containers.run(
        busybox, ["sh", "-c", "echo x >/made; exec sleep 600"], detach=True, network_mode="none", name="box",
        volumes={"data": {"bind": "/data"}},
    )  # fmt: skip
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        member = tarfile.TarInfo("file")
        member.size = 4
        tar.addfile(member, io.BytesIO(b"text"))
    assert box.put_archive("/data", archive.getvalue())
    pieces, stat = box.get_archive("/data/file")
    assert (stat["name"], stat["size"]) == ("file", 4)
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as tar:
        assert tar.getnames() == ["file"]
    with pytest.raises(docker.errors.NotFound):
        box.get_archive("/nothing")
    assert box.exec_run("cat /data/file").output == b"text"
    assert {"Path": "/made", "Kind": 1} in box.diff()
    assert [row[-1] for row in box.top()["Processes"]] == ["sleep 600"]
    assert box.stats(stream=False)["name"] == "/box"
    with tarfile.open(fileobj=io.BytesIO(b"".join(box.export()))) as tar:
        assert "made" in tar.getnames()
    box.pause()
    box.unpause()
    assert box.update(restart_policy={"Name": "on-failure", "MaximumRetryCount": 2})["Warnings"] in ([], None)
    box.restart(timeout=0)
    # when it ended before stays known
    assert not client.api.inspect_container("box")["State"]["FinishedAt"].startswith("0001-01-01")
    with pytest.raises(docker.errors.APIError):
        volume.remove()
    box.remove(force=True)
    volume.remove()
    told = client.events(since=since, until=int(time.time()) + 1, filters={"container": "box"}, decode=True)
    actions = [event["Action"] for event in told]
    assert [each for each in actions if each in ("create", "start", "pause", "destroy")] == [
        "create", "start", "pause", "start", "destroy",
    ]  # fmt: skip
    assert client.df()["Containers"] in ([], None)


def test_networks(client: Any, busybox: str) -> None:
    early = client.api.create_container(
        busybox, "true", host_config=client.api.create_host_config(network_mode="inner", runtime="runc")
    )
    assert client.api.inspect_container(early)["HostConfig"]["Runtime"] == "runc"
    with pytest.raises(docker.errors.NotFound, match="network inner not found"):
        client.api.start(early)
    network = client.networks.create("inner", labels={"mine": "1"})
    # it is looked for at the start, and not before
    client.api.start(early)
    assert client.api.wait(early)["StatusCode"] == 0
    client.api.remove_container(early)
    assert client.networks.list(names=["inner"]) == [network]
    with pytest.raises(docker.errors.NotFound):
        client.networks.get("inner", scope="swarm")
    with pytest.raises(docker.errors.APIError, match=r"403 .*operation is not permitted on predefined host network"):
        client.networks.create("host")
    pool = docker.types.IPAMConfig(pool_configs=[docker.types.IPAMPool(subnet="172.17.5.0/24")])
    for options, match in (
        ({"name": "default"}, "403 .*operation is not permitted on predefined default network"),
        ({"name": "inner"}, "409 .*network with name inner already exists"),
        ({"name": "other", "ipam": pool}, "403 .*Pool overlaps with other one on this address space"),
        ({"name": "other", "driver": "host"}, "403 .*only one instance of .host. network is allowed"),
    ):
        with pytest.raises(docker.errors.APIError, match=match):
            client.networks.create(**options)
    with pytest.raises(docker.errors.APIError, match=r"403 .*bridge is a pre-defined network and cannot be removed"):
        client.networks.get("bridge").remove()
    box = client.containers.run(busybox, "sleep 600", detach=True, name="box", network="inner")
    box.reload()
    assert list(box.attrs["NetworkSettings"]["Networks"]) == ["inner"]
    network.disconnect(box)
    network.connect(box, aliases=["other"])
    with pytest.raises(docker.errors.APIError, match=r"403 .*endpoint with name box already exists in network inner"):
        network.connect(box)
    network.reload()
    assert [each.name for each in network.containers] == ["box"]
    box.remove(force=True)
    assert client.networks.prune()["NetworksDeleted"] == ["inner"]
    with pytest.raises(docker.errors.NotFound):
        client.networks.get("inner")


def test_images_are_made_and_carried(client: Any, busybox: str) -> None:
    dockerfile = f"FROM {busybox}\nARG WORD=none\nRUN echo $WORD >/word\nCMD cat /word"
    image, log = client.images.build(fileobj=io.BytesIO(dockerfile.encode()), tag="mine:1", buildargs={"WORD": "given"})
    told = [line["stream"] for line in log if "stream" in line]
    assert [line for line in told if line.startswith("Step ")] == [
        f"Step 1/4 : FROM {busybox}\n", "Step 2/4 : ARG WORD=none\n", "Step 3/4 : RUN echo $WORD >/word\n",
        "Step 4/4 : CMD cat /word\n",
    ]  # fmt: skip
    assert told[-1] == "Successfully tagged mine:1\n"
    assert image.tags == ["mine:1"]
    assert client.containers.run("mine:1", network_mode="none", remove=True) == b"given\n"
    loud = f"FROM {busybox}\nRUN echo said; echo cried >&2"
    told = [line.get("stream") for line in client.api.build(fileobj=io.BytesIO(loud.encode()), decode=True)]
    assert {"said\n", "\x1b[91mcried\n\x1b[0m"} <= {*told}
    with pytest.raises(docker.errors.BuildError, match="returned a non-zero code: 3"):
        client.images.build(fileobj=io.BytesIO(f"FROM {busybox}\nRUN exit 3".encode()))
    made = client.containers.run(busybox, "touch /kept", detach=True, network_mode="none")
    made.wait()
    kept = made.commit("mine", "2", changes='CMD ["ls", "/kept"]')
    made.remove()
    assert client.containers.run(kept, network_mode="none", remove=True) == b"/kept\n"
    saved = b"".join(kept.save(named=True))
    client.images.remove("mine:2")
    assert [each.tags for each in client.images.load(saved)] == [["mine:2"]]
    assert client.images.get("mine:2").history()[0]["CreatedBy"]
    assert client.images.prune(filters={"dangling": False})["ImagesDeleted"]
    assert client.images.list() == []
