"""A server of the API whose program is replaced by another version, as an upgrade does it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.integration.api.conftest import TIMEOUT_SECONDS
from tests.integration.api.serving import Serving
from tests.needs import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.command import Sandbox

pytestmark = pytest.mark.requires("userns", "subids")


def test_it_goes_on_as_what_is_installed_now(sandbox: Sandbox, eventually: Callable[..., None]) -> None:
    installed = sandbox.home.root / "installed"
    for package in ("net", "sandbox", "storage"):
        shutil.copytree(REPOSITORY / package, installed / package, ignore=shutil.ignore_patterns("__pycache__"))
    serving = Serving(sandbox)
    env = {**sandbox.env, "PYTHONPATH": str(installed)}
    read_fd, write_fd = os.pipe()
    words = ("api", "serve", "--socket", serving.path, "--ready-fd", str(write_fd))
    serving.process = subprocess.Popen(
        [sys.executable, "-m", "sandbox", *words], env=env, cwd=installed, pass_fds=(write_fd,), stdout=subprocess.PIPE
    )
    os.close(write_fd)
    with open(read_fd, "rb") as told:
        assert told.read() == b"listening"
    before = serving.ask("GET", "/version", status=200)
    # who follows events is not cut off, and the server stays what it is meanwhile
    with serving.send("GET", "/events") as follower:
        _install(installed, before["Version"])
        assert follower.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert serving.ask("GET", "/version", status=200)["Version"] == before["Version"]
    socket_file = os.stat(serving.path)
    eventually(lambda: serving.ask("GET", "/version", status=200)["Version"] == "9.9.9")
    assert serving.process.poll() is None
    # a container that has it as a mount finds the same socket
    assert os.path.samestat(os.stat(serving.path), socket_file)
    assert serving.end(signal.SIGTERM) == 0
    assert not os.path.exists(serving.path)
    assert serving.process.wait(TIMEOUT_SECONDS) == 0


def _install(installed: Path, version: str) -> None:
    """Another version in the place of this one; its files are new ones, as an installer's are."""
    newer = installed / "newer"
    shutil.copytree(installed / "sandbox", newer, ignore=shutil.ignore_patterns("__pycache__"))
    text = (newer / "version.py").read_text()
    (newer / "version.py").write_text(text.replace(version, "9.9.9"))
    (installed / "sandbox").rename(installed / "older")
    newer.rename(installed / "sandbox")
