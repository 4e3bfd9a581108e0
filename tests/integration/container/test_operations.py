"""Operations as values against real containers, from programs in whatever state: with threads and an open database,
without standard streams, in a directory that is gone.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.container.operations import ListRequest, StopRequest
from sandbox.container.request.request import ContainerRequest
from sandbox.container.session.attach import ClientStreams, Streams
from sandbox.container.session.exec_request import ExecRequest
from sandbox.container.view.logs import LogSelection
from sandbox.errors import CommandNotFoundError, ConflictError, ImageNotFoundError, NotFoundError, UsageError
from sandbox.operation_context import OperationContext
from sandbox.paths import find_paths
from sandbox.warm.values import Descriptor
from sandbox.warm.workers import Request, Workers
from tests.needs import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.command import Sandbox

pytestmark = pytest.mark.requires("subids", "overlay")


class Program:
    """This process as one that has threads and is in the middle of reading the database."""

    def __init__(self, workers: Workers, env: dict[str, str]) -> None:
        self._workers = workers
        self._context = OperationContext(find_paths(env), env)

    def __call__(self, operation: str, *arguments: object, **named: object) -> Any:
        return self._workers.call(self._request(operation, *arguments, **named))

    def logged(self, word: str) -> list[tuple[str, str]]:
        told: list[Any] = []
        self._workers.call(self._request("container.logs", word, LogSelection(), follow=True), told.append)
        return [(entry.stream, entry.text) for entry in told]

    def _request(self, operation: str, *arguments: object, **named: object) -> Request:
        return Request(operation, (self._context, *arguments), named, self._context.env)


@pytest.fixture
def program(sandbox: Sandbox, busybox: str) -> Iterator[Program]:
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    try:
        with Workers() as workers, closing(sqlite3.connect(sandbox.home.data / "sandbox/state.db")) as connection:
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM container").fetchone()
            yield Program(workers, sandbox.env)
    finally:
        ended.set()
        thread.join()


def request(command: str, name: str, **fields: Any) -> ContainerRequest:
    return ContainerRequest("busybox", name, command=("sh", "-c", command), network_mode="none", **fields)


def status(program: Program, word: str) -> str:
    return str(program("container.inspect", word)["State"]["Status"])


def test_a_life_as_values(program: Program) -> None:
    program("container.create", request("echo out; echo err >&2; trap 'exit 3' TERM; sleep 1000 & wait", "one"))
    assert status(program, "one") == "created"
    program("container.start", "one")
    program("container.start", "one")  # which runs
    assert status(program, "one") == "running"
    assert [found["Name"] for found in program("container.documents", ListRequest(("name=one",)))] == ["/one"]
    with pytest.raises(ConflictError, match="is already in use"):
        program("container.create", request("true", "one"))
    with pytest.raises(ConflictError, match="stop the container before removing"):
        program("container.remove", "one")
    program("container.rename", "one", "two")
    with pytest.raises(UsageError, match="same name"):
        program("container.rename", "two", "two")
    program("container.stop", "two", StopRequest(timeout_seconds=60))
    assert program("container.wait", "two", None) == 3
    assert program.logged("two") == [("stdout", "out\n"), ("stderr", "err\n")]
    program("container.restart", "two", StopRequest())
    assert program("container.wait", "two", 0.05) is None
    program("container.kill", "two")
    assert program("container.wait", "two", None) == 137
    with pytest.raises(ConflictError, match="is not running"):
        program("container.kill", "two")
    program("container.remove", "two")
    with pytest.raises(NotFoundError, match="No such container: two"):
        program("container.inspect", "two")


def test_a_request_is_refused_with_its_kind_and_nothing_is_left(sandbox: Sandbox, program: Program) -> None:
    refused = [
        (ContainerRequest("nope", pull_policy="never"), ImageNotFoundError, "No such image: nope"),
        (ContainerRequest("busybox"), UsageError, "no command specified"),
        (request("true", "aa", hostname="not a name"), UsageError, "invalid hostname"),
        (request("true", "-"), UsageError, "Invalid container name"),
        (request("true", "aa", volumes_from=("nobody",)), NotFoundError, "No such container: nobody"),
    ]
    for asked, kind, message in refused:
        with pytest.raises(kind, match=message):
            program("container.create", asked)
    assert sandbox.run("ps", "-aq").lines == []
    assert sandbox.run("system", "check").status == 0


def test_exec_carries_descriptors_that_it_is_given(program: Program) -> None:
    program("container.create", request("sleep 1000", "one"))
    program("container.start", "one")
    read_fd, write_fd = os.pipe()
    input_fd = os.memfd_create("input")
    os.pwrite(input_fd, b"from the caller\n", 0)
    try:
        streams = Streams(Descriptor(input_fd), Descriptor(write_fd), Descriptor(write_fd))
        asked = ExecRequest(("sh", "-c", "cat; echo err >&2; exit 5"))
        assert program("container.execute", "one", asked, ClientStreams(streams, stdin=True)) == 5
        os.close(write_fd)
        assert sorted(os.read(read_fd, 4096).splitlines()) == [b"err", b"from the caller"]
    finally:
        os.close(read_fd)
        os.close(input_fd)
    assert program("container.execute", "one", ExecRequest(("touch", "/there")), None) == 0
    with pytest.raises(CommandNotFoundError) as raised:
        program("container.execute", "one", ExecRequest(("nope",)), None)
    assert raised.value.kind == "command_not_found"


#: what a program does that was started with nothing, in a directory that is removed then
_BARE_PROGRAM = """
import os, sys
os.chdir(sys.argv[1])
os.rmdir(sys.argv[1])
for fd in (0, 1, 2):
    os.close(fd)
import sandbox
with sandbox.Client(remove_created=True) as box:
    output = box.containers.run("busybox", ["echo", "hello"], network_mode="none", name="bare")
    started = box.containers.run("busybox", ["sleep", "1000"], network_mode="none", detach=True)
    inside = started.exec_run(["cat"], input=b"through").output
    with open(sys.argv[2], "wb") as file:
        file.write(output + inside)
"""


def test_without_standard_streams_and_in_a_directory_that_is_gone(sandbox: Sandbox, busybox: str) -> None:
    gone, answer = sandbox.home.root / "gone", sandbox.home.root / "answer"
    gone.mkdir()
    env = {**sandbox.env, "PYTHONPATH": str(REPOSITORY)}
    subprocess.run([sys.executable, "-c", _BARE_PROGRAM, gone, answer], env=env, check=True, timeout=120)
    assert answer.read_bytes() == b"hello\nthrough"
    assert sandbox.run("ps", "-aq").lines == []
