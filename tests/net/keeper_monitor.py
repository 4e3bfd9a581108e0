"""A monitor as the keeper sees one: `python -m tests.net.keeper_monitor PID FD DIRECTORY CONTAINER`, in K.

Reads a command a line, and prints what it hears, as JSON a line.
"""

from __future__ import annotations

import importlib.abc
import io
import json
import os
import select
import socket
import subprocess
import sys
from typing import Any

from net import keeper_birth, keeper_protocol, programs
from net.container_names import begin_container_names
from net.errors import NetError
from net.keeper_client import KeeperClient
from net.keeper_protocol import KeeperMember
from net.keeper_questions import ask_info, connect_to_keeper
from net.names import ContainerNames, names_from_plain
from net.namespace import set_interface_up
from net.ports import PortMapping
from net.router import Router, call_in_router, open_namespace
from net.router_link import RouterLink
from net.syscalls import CLONE_NEWNET, CLONE_NEWNS, unshare
from sandbox.runtime.own_process import become_own_process
from storage.waits import carry_out


def say(kind: str, **fields: Any) -> None:
    print(json.dumps({"said": kind, **fields}), flush=True)


class Monitor:
    def __init__(self, link: RouterLink, container: str) -> None:
        self.link, self.netns_fd = link, link.netns_fd
        self.client = KeeperClient(link, become_own_process)
        self.member = KeeperMember(container, os.getpid(), ContainerNames(()))
        self.told = self.client.way_out
        self.is_asked_to_be_open = False
        self.name_fds: list[int] = []

    def run(self) -> None:
        poller = select.poll()
        # no buffer: what has come and was not read is to be seen by poll
        commands = io.FileIO(0)
        while True:
            watched = [0] if self.client.fileno() < 0 else [0, self.client.fileno()]
            for fd in watched:
                poller.register(fd, select.POLLIN)
            is_due = self.is_asked_to_be_open and self.client.is_lost
            timeout = self.client.delay_seconds * 1000 if is_due else None
            ready = [fd for fd, _ in poller.poll(timeout)]
            for fd in watched:
                poller.unregister(fd)
            if 0 in ready:
                line = commands.readline()
                if not line:
                    return
                self.obey(json.loads(line))
            elif is_due:
                self.open()
            else:
                self.hear()

    def hear(self) -> None:
        for row in self.client.receive():
            say("refusal", row=row)
        if self.client.is_lost:
            say("lost")
        self.say_way_out()

    def say_way_out(self) -> None:
        if self.client.way_out is not self.told:
            self.told = self.client.way_out
            say("way_out", **self.told._asdict())

    def open(self) -> None:
        try:
            self.client.open()
            say("open")
        except NetError as error:
            say("failed", message=error.message, cause=error.cause, mend=error.mend)

    def obey(self, command: dict[str, Any]) -> None:
        match command:
            case {"do": "version", "version": version}:
                keeper_protocol.KEEPER_VERSION = version
                say("version")
            case {"do": "without slirp4netns"}:
                programs._SYSTEM_DIRECTORIES = ()
                say("without")
            case {"do": "wait before import", "module": module, "fifo": fifo}:
                sys.meta_path.insert(0, _SlowImport(module, fifo))
                say("slow")
            case {"do": "start"}:
                keeper_birth._LONGEST_START_SECONDS = 3600
                self.client = KeeperClient(self.link, become_own_process, is_starting=True)
                say("starts")
            case {"do": "started"}:
                self.client.started()
                say("started")
            case {"do": "info"}:
                info = ask_info(Router(-1, self.netns_fd), join_user=False)
                assert info is not None
                say("info", info={**info._asdict(), "way_out": info.way_out._asdict()})
            case {"do": "raw", "data": data}:
                (fd,) = call_in_router(Router(-1, self.netns_fd), connect_to_keeper, join_user=False)
                with socket.socket(fileno=fd) as connection:
                    connection.send(data.encode())
                    say("answered", length=len(connection.recv(100)))
            case {"do": "open"}:
                self.is_asked_to_be_open = True
                self.open()
            case {"do": "join" | "update" as kind, "names": names, "forwards": forwards, "target": target}:
                self.member = self.member._replace(
                    names=names_from_plain(names),
                    forwards=tuple(PortMapping(*row) for row in forwards),
                    forward_target=target,
                )
                if kind == "join":
                    self.client.join(self.member, self.name_fds)
                else:
                    self.client.update(self.member)
                say("joined", is_lost=self.client.is_lost)
            case {"do": "mount", "place": place}:
                unshare(CLONE_NEWNS)
                # what is mounted on a shared mount comes and goes with all that share it
                for where in (os.path.dirname(place), place):
                    os.makedirs(where, exist_ok=True)
                    subprocess.run(["mount", "-t", "tmpfs", "private", where], check=True)
                    subprocess.run(["mount", "--make-shared", where], check=True)
                say("mounted")
            case {"do": "make own names"}:
                *self.name_fds, own_fd = call_in_router(Router(-1, self.netns_fd), _make_own_names)
                say("made", fd=own_fd)
            case {"do": "rounds", "count": count, "names": names}:
                self.live_and_leave(count, names)
                say("lived")
            case {"do": "ready"}:
                try:
                    carry_out(self.client.ready_steps())
                    say("ready", state=self.client.way_out.state)
                except NetError as error:
                    say("failed", message=error.message, cause=error.cause, mend=error.mend)
                self.told = self.client.way_out
            case {"do": "descriptors"}:
                say("descriptors", count=len(os.listdir("/proc/self/fd")))
            case {"do": "close"}:
                self.is_asked_to_be_open = False
                self.client.close()
                say("closed")

    def live_and_leave(self, count: int, names: dict[str, Any]) -> None:
        """So many containers, one after the other, each with sockets of its own."""
        for number in range(count):
            *name_fds, own_fd = call_in_router(Router(-1, self.netns_fd), _make_own_names)
            client = KeeperClient(self.link, become_own_process)
            client.open()
            client.join(KeeperMember(f"{number:064x}", os.getpid(), names_from_plain(names)), name_fds)
            carry_out(client.ready_steps())
            client.close()
            for fd in (*name_fds, own_fd):
                os.close(fd)


class _SlowImport(importlib.abc.MetaPathFinder):
    """Holds the import of a module up until somebody opens a fifo for writing."""

    def __init__(self, module: str, fifo: str) -> None:
        self._module, self._fifo = module, fifo

    def find_spec(self, name: str, _path: object, _target: object = None) -> None:
        if name == self._module:
            with open(self._fifo):
                pass


def _make_own_names() -> list[int]:
    unshare(CLONE_NEWNET)
    set_interface_up("lo")
    return [*(one.detach() for one in begin_container_names()), open_namespace()]


def main(pid: str, fd: str, directory: str, container: str) -> None:
    netns_fd = os.open(f"/proc/{pid}/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    Monitor(
        RouterLink(
            netns_fd, directory, label="label", cgroup=f"{directory}/cgroup", private_mounts=f"{directory}/mounts"
        ),
        container,
    ).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
