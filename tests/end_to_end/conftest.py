"""What the end-to-end tests share: images pulled as a user would, a free port, a client."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.ports import find_free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.command import Sandbox


@pytest.fixture
def busybox(sandbox: Sandbox, busybox_image: str) -> str:
    """The name of an image in this home's store: pulled from the registry, and tagged `busybox`."""
    sandbox.run("pull", "-q", busybox_image)
    sandbox.run("tag", busybox_image, "busybox")
    return "busybox"


@pytest.fixture
def debian(sandbox: Sandbox, debian_image: str) -> str:
    """As `busybox`: the Debian tree with Python, nginx and redis."""
    sandbox.run("pull", "-q", debian_image)
    sandbox.run("tag", debian_image, "debian")
    return "debian"


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Finds a port that is free."""
    return find_free_port


def fetch(port: int, path: str = "/") -> str:
    """The body at this port of the loopback.

    Asked for again while nobody answers: `run -d` returns when the port is published and the program runs, which may
    be before it listens; then slirp4netns closes what comes.
    """
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
                body: bytes = answer.read()
                return body.decode()
        except urllib.error.HTTPError:
            raise
        except (OSError, http.client.HTTPException):
            if time.monotonic() > deadline:
                raise
