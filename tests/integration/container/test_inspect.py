"""`inspect` of whatever there is, by real names; and whether what it says can be used."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.sandbox.container.view import engine_fields

if TYPE_CHECKING:
    from tests.command import Sandbox

pytestmark = [pytest.mark.requires("userns", "subids", "busybox"), pytest.mark.slow]


def test_several_kinds_by_name(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run("volume", "create", "data")
    sandbox.run(
        "run", "-d", "--network", "none", "-v", "data:/data", "--name", "web", busybox, "sh", "-c",
        "echo x >/new; sleep 1000",
    )  # fmt: skip
    done = sandbox.run("inspect", "web", busybox, "data", "nobody", status=1)
    container, image, volume = json.loads(done.stdout)
    assert "No such object: nobody" in done.stderr
    assert engine_fields.differences(container, engine_fields.CONTAINER) == [
        "NetworkSettings.Networks.bridge is lacking",
        "NetworkSettings.Networks.none is ours alone",
    ]
    assert engine_fields.differences(image, engine_fields.IMAGE) == []
    assert engine_fields.differences(volume, engine_fields.VOLUME) == []
    assert container["Mounts"][0]["Source"] == volume["Mountpoint"]

    names = sandbox.run("inspect", "-f", "{{.Name}}", "web", "data").lines
    assert names == ["/web", "data"]
    sized = json.loads(sandbox.run("inspect", "-s", "web").stdout)[0]
    assert sized["SizeRootFs"] > sized["SizeRw"] > 0
    assert "--size ignored for images" in sandbox.run("inspect", "-s", "--type", "image", busybox).stderr

    # what it says of places is so
    merged = container["GraphDriver"]["Data"]["MergedDir"]
    if container["GraphDriver"]["Name"] == "fuse":
        assert merged == ""
    else:
        assert os.path.exists(f"{merged}/bin/busybox")
    key = container["NetworkSettings"]["SandboxKey"]
    assert os.readlink(key) == os.readlink(f"/proc/{container['State']['Pid']}/ns/net")
    # of each run another
    assert len(bytes.fromhex(container["NetworkSettings"]["SandboxID"])) == 32
    sandbox.run("restart", "-t0", "web")
    again = sandbox.run("inspect", "-f", "{{.NetworkSettings.SandboxID}}", "web").stdout.strip()
    assert len(bytes.fromhex(again)) == 32
    assert again != container["NetworkSettings"]["SandboxID"]
    layers = container["GraphDriver"]["Data"].get("LowerDir", container["GraphDriver"]["Data"]["UpperDir"])
    assert os.path.isdir(layers.partition(":")[0])


@pytest.mark.parametrize(
    ("words", "status", "why"),
    [
        (("--type", "container", "busybox"), 1, "No such container: busybox"),
        (("--type", "volume", "busybox"), 1, "no such volume"),
        (("--type", "network", "busybox"), 1, "network busybox not found"),
        (("--type", "pod", "busybox"), 1, 'unknown type: "pod": must be one of "config", "container", "image"'),
        (("-f", "{{.Id", "busybox"), 64, "unclosed action"),
        (("-f", "{{.Nope}}", "busybox"), 1, "can't evaluate field Nope"),
        (("-f", "{{.Config.Labels.nope}}", "busybox"), 0, ""),
    ],
)
def test_what_cannot_be_shown(sandbox: Sandbox, busybox: str, words: tuple[str, ...], status: int, why: str) -> None:
    assert why in sandbox.run("inspect", *words, status=status).stderr
    assert busybox == "busybox"
