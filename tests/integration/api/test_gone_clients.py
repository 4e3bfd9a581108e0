"""Clients that go in the middle of a stream: nothing of theirs runs on, and the server holds nothing for them."""

from __future__ import annotations

import json
import os
import socket as sockets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.api.sockets import listener_pid
from tests import leaks

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.requires("subids", "overlay", "busybox"), pytest.mark.slow]
#: of /proc/net/unix
_CONNECTED = "03"
_RAW = "Connection: Upgrade\r\nUpgrade: tcp\r\n"


def _ask(path: str, method: str, target: str, headers: str = "", document: object = None) -> sockets.socket:
    """A connection on which the head of an answer, or the beginning of its body, has come."""
    body = b"" if document is None else json.dumps(document).encode()
    connection = sockets.socket(sockets.AF_UNIX)
    connection.settimeout(120)
    connection.connect(path)
    headers += "Content-Type: application/json\r\n" if body else ""
    head = f"{method} {target} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    answer = connection.recv(65536)
    assert answer.split(b" ", 2)[1] in (b"101", b"200"), answer
    return connection


def _workers(server: int) -> list[str]:
    """Processes that do something for a client of the server."""
    found = []
    for child in Path(f"/proc/{server}/task/{server}/children").read_text().split():
        found += Path(f"/proc/{child}/task/{child}/children").read_text().split()
    return found


def _connections(server: int) -> int:
    """How many clients are joined to the server: their sockets have the name of the one that listens."""
    rows = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    named = {f"socket:[{row[6]}]" for row in rows if row[5] == _CONNECTED and row[-1].endswith("docker.sock")}
    return sum(target in named for target in leaks.descriptors_of(server))


def test_nothing_is_left_of_clients_that_go(socket: str, client: Any, eventually: Callable[..., None]) -> None:
    server = listener_pid(socket)
    names = {"on": {}, "silent": {"stdin_open": True}, "chatty": {}}
    commands = {"on": "sleep 1000", "silent": "sleep 1000", "chatty": "while :; do echo line; sleep 0.01; done"}
    made = {
        name: client.containers.create(
            "busybox", ["sh", "-c", commands[name]], name=name, network_mode="none", stop_signal="KILL", **more
        )
        for name, more in names.items()
    }
    resting = client.containers.create("busybox", "true", name="resting", network_mode="none")
    for container in made.values():
        container.start()
    # one that reads; one that does not ends by itself alone, as with Docker
    reading = client.api.exec_create("on", ["cat"], stdin=True)["Id"]
    # the library keeps connections
    client.close()
    eventually(lambda: _connections(server) == 0)
    before, descriptors = _workers(server), len(os.listdir(f"/proc/{server}/fd"))
    there = [
        _ask(socket, "GET", "/containers/chatty/logs?follow=1&stdout=1&stderr=1"),
        _ask(socket, "GET", "/containers/silent/logs?follow=1&stdout=1"),
        _ask(socket, "GET", "/events"),
        _ask(socket, "GET", "/containers/on/stats"),
        _ask(socket, "POST", "/containers/on/wait"),
        _ask(socket, "POST", "/containers/resting/wait?condition=next-exit"),
        _ask(socket, "POST", "/containers/chatty/attach?stream=1&stdout=1&logs=1", _RAW),
        _ask(socket, "POST", "/containers/silent/attach?stream=1&stdout=1&stdin=1", _RAW),
        _ask(socket, "POST", "/containers/silent/attach?stream=1&stdout=1"),
        _ask(socket, "POST", "/containers/resting/attach?stream=1&stdout=1&stdin=1", _RAW),
        _ask(socket, "POST", f"/exec/{reading}/start", _RAW, {"Detach": False, "Tty": False}),
    ]
    assert len(os.listdir(f"/proc/{server}/fd")) > descriptors + len(there)
    for connection in there:
        connection.close()
    # one that is started with nobody left who waits for it
    resting.start()
    assert resting.wait(timeout=120)["StatusCode"] == 0
    eventually(lambda: set(_workers(server)) <= set(before))
    client.close()
    eventually(lambda: len(os.listdir(f"/proc/{server}/fd")) <= descriptors)
    assert {name: client.containers.get(name).status for name in names} == dict.fromkeys(names, "running")
    for container in (*made.values(), resting):
        container.remove(force=True)
