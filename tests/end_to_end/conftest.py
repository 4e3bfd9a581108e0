"""What the end-to-end tests share: images pulled as a user would, a free port, a client."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.command import Sandbox
from tests.ports import find_free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.command import Home
    from tests.conftest import FilledHome


@pytest.fixture(scope="session")
def busybox_home(filled_home: FilledHome, busybox_image: str) -> Iterator[Home]:
    """A home with an image in its store: pulled from the registry, and tagged `busybox`."""

    def fill(sandbox: Sandbox) -> None:
        sandbox.run("pull", "-q", busybox_image)
        sandbox.run("tag", busybox_image, "busybox")

    with filled_home(fill) as home:
        yield home


@pytest.fixture
def busybox(sandbox: Sandbox, busybox_home: Home) -> str:
    """The name of the image in the test's own store."""
    sandbox.home.take_store_of(busybox_home)
    return "busybox"


@contextmanager
def shared_store(home: Home) -> Iterator[Sandbox]:
    """The command for a home whose images several tests share; the containers of each are removed."""
    command = Sandbox(home)
    yield command
    command.remove_containers()
    assert command.run("ps", "-aq").lines == []


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
