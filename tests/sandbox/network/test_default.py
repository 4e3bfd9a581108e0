"""What a container gets that asks for no network, by what the host can do."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from sandbox.network import default
from sandbox.network.default import default_network, note_refusal
from sandbox.paths import Paths

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """Those of a host that can have bridges."""
    monkeypatch.setattr(default, "BRIDGE_IS_DEFAULT", True)
    monkeypatch.setattr(default, "TUN_DEVICE", os.devnull)
    monkeypatch.setattr(default, "find_program", lambda name: f"/usr/bin/{name}")
    (tmp_path / "router").mkdir()
    return Paths(str(tmp_path), str(tmp_path), str(tmp_path))


def test_a_host_that_can_has_a_bridge(paths: Paths) -> None:
    assert default_network(paths) == "bridge"


def test_a_host_without_a_way_out_has_none(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(default, "find_program", lambda _name: None)
    assert default_network(paths) == "default"


def test_a_host_without_the_device_has_none(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(default, "TUN_DEVICE", "/nowhere")
    assert default_network(paths) == "default"


def test_what_was_refused_is_tried_again_after_a_while(paths: Paths) -> None:
    note_refusal(paths)
    assert default_network(paths) == "default"
    long_ago = time.time() - 1000
    os.utime(f"{paths.router}/refused", (long_ago, long_ago))
    assert default_network(paths) == "bridge"
    note_refusal(paths)
    assert default_network(paths) == "default"
