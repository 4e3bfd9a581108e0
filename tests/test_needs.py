"""The shared fixtures do what the other tests lean on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests import leaks, needs
from tests.subordinate import remove_tree, run_as_namespace_root

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command import Home
    from tests.registry import Registry


def test_needs_name_the_virtual_machine_words_they_have() -> None:
    assert needs.PROBES.keys() >= needs.VM_ONLY | set(needs.CONTAINER)


def test_an_unknown_need_is_refused() -> None:
    with pytest.raises(KeyError):
        needs.missing("moon phase")


@pytest.mark.requires("subids")
def test_files_of_subordinate_ids_are_removed(tmp_path: Path) -> None:
    run_as_namespace_root(
        [
            "sh",
            "-c",
            'mkdir -p "$0/d" && touch "$0/d/f" && chown -R 33:33 "$0/d" && chmod 700 "$0/d"',
            str(tmp_path / "t"),
        ]
    )
    assert (tmp_path / "t" / "d").stat().st_uid not in (0, os.getuid())
    remove_tree(str(tmp_path / "t"))
    assert not (tmp_path / "t").exists()


def test_a_descriptor_left_open_is_seen() -> None:
    before = leaks.open_descriptors()
    descriptor = os.open(os.devnull, os.O_RDONLY)
    try:
        assert leaks.new_descriptors(before) == [f"{descriptor} -> /dev/null"]
    finally:
        os.close(descriptor)


def test_a_process_left_running_is_seen_by_its_environment(home: Home) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], env=home.env, stdin=subprocess.PIPE) as process:
        assert any(line.startswith(f"{process.pid} ") for line in leaks.processes_of(str(home.root)))
        assert process.stdin is not None
        process.stdin.write(b"\n")
    assert leaks.wait_processes_gone(str(home.root)) == []


@pytest.mark.requires("registry", "skopeo", "umoci", "busybox", "subids")
def test_an_image_is_pushed_and_served(registry: Registry, busybox_image: str) -> None:
    name, _, tag = busybox_image.removeprefix(registry.host + "/").partition(":")
    with urllib.request.urlopen(f"http://{registry.host}/v2/{name}/tags/list") as answer:
        assert tag in json.load(answer)["tags"]


@pytest.mark.requires("registry", "skopeo", "umoci", "busybox", "subids", "openssl")
def test_the_other_registries_take_an_image(
    tls_registry: Registry, auth_registry: Registry, busybox_layout: Path
) -> None:
    for registry in (tls_registry, auth_registry):
        registry.push(busybox_layout, "busybox:latest")
