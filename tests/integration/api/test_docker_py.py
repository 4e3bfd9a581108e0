"""docker-py over the socket, method by method."""

from __future__ import annotations

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


def test_run_to_the_end(client: Any, busybox: str) -> None:
    assert client.containers.run(busybox, "echo hello", network_mode="none", remove=True) == b"hello\n"
    with pytest.raises(docker.errors.ContainerError) as raised:
        client.containers.run(busybox, ["sh", "-c", "echo oh >&2; exit 4"], network_mode="none", remove=True)
    assert (raised.value.exit_status, raised.value.stderr) == (4, b"oh\n")
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get("nothing")
    assert client.containers.list(all=True) == []
