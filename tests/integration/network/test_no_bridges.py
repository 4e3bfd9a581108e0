"""A host that lets no user make a router: told to who asked for a bridge, passed over for who did not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sandbox.container.life.handshake import abandon
from sandbox.container.monitor import spawn
from sandbox.container.monitor.plan import SpawnRequest
from sandbox.container.monitor.spawn import NoBridgesError, spawn_monitor
from sandbox.network.default import note_refusal
from sandbox.paths import find_paths
from tests.needs import CONTAINER

if TYPE_CHECKING:
    from sandbox.paths import Paths
    from tests.command import Home, Sandbox

pytestmark = pytest.mark.requires("userns", "subids")


@pytest.fixture
def paths(home: Home, monkeypatch: pytest.MonkeyPatch) -> Paths:
    def refuse() -> int:
        raise NoBridgesError("cannot make the network of bridges", cause="no nf_tables", mend="sandbox doctor bridge")

    monkeypatch.setattr(spawn, "_make_router", refuse)
    return find_paths(home.env)


def test_who_asked_for_a_bridge_is_told(paths: Paths) -> None:
    with pytest.raises(NoBridgesError, match="cannot make the network of bridges") as caught:
        spawn_monitor(paths, SpawnRequest("c" * 64, is_new=True, on_bridges=True))
    assert (caught.value.cause, caught.value.mend) == ("no nf_tables", "sandbox doctor bridge")
    assert not os.path.exists(f"{paths.router}/refused")


def test_who_did_not_ask_gets_a_network_of_his_own_and_it_is_remembered(paths: Paths) -> None:
    spawned = spawn_monitor(paths, SpawnRequest("c" * 64, is_new=True, on_bridges=True, may_be_private=True))
    try:
        # root of a namespace that nobody shares
        assert os.stat(f"/proc/{spawned.pid}/ns/user").st_ino != os.stat("/proc/self/ns/user").st_ino
        assert os.path.exists(f"{paths.router}/refused")
        assert not os.path.exists(f"{paths.router}/holders")
    finally:
        abandon(spawned)


@pytest.mark.requires(*CONTAINER, "slirp4netns", "tap", "busybox")
def test_who_named_the_bridge_is_warned_of_a_network_of_his_own(sandbox: Sandbox, busybox: str) -> None:
    paths = find_paths(sandbox.env)
    os.makedirs(paths.router)
    note_refusal(paths)
    words = ("run", "--rm", busybox, "ls", "/sys/class/net")
    unasked = sandbox.run(*words)
    asked = sandbox.run("run", "--rm", "--network", "bridge", *words[2:])
    assert "tap0" in unasked.stdout
    assert asked.stdout == unasked.stdout
    assert unasked.stderr == ""
    assert asked.stderr.startswith("WARNING: no network bridge: ")
    assert asked.stderr.endswith("sandbox doctor bridge says why\n")
    created = sandbox.run("create", "--network", "bridge", busybox)
    assert created.stderr == asked.stderr
