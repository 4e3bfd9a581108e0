"""The namespaces that containers on bridges share: made by the first, found by the others, gone with the last."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest

from sandbox.runtime.shared_namespaces import enter_shared_namespaces, find_shared_namespaces, map_shared_child
from sandbox.runtime.user_namespace import make_peers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import NoReturn

pytestmark = pytest.mark.requires("userns", "subids")


class Monitor(NamedTuple):
    """A child that has entered, and what it says of itself."""

    pid: int
    #: inodes of its user namespace and of its router, whether it made that, and its user
    user: str
    router: str
    made: str
    uid: str


def _be_monitor(place: str, peers: object, channel: socket.socket) -> NoReturn:
    made: list[int] = []

    def make_router() -> int:
        made.append(1)
        return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    try:
        router = enter_shared_namespaces(place, peers, make_router)  # type: ignore[arg-type]  # made by the parent
        facts = (os.stat("/proc/self/ns/user").st_ino, os.fstat(router).st_ino, len(made), os.getuid())
        channel.send(" ".join(map(str, facts)).encode())
        channel.recv(1)
    finally:
        os._exit(0)


@contextmanager
def monitor(place: Path) -> Iterator[Monitor]:
    ours, theirs = socket.socketpair()
    peers = make_peers()
    pid = os.fork()
    if pid == 0:
        ours.close()
        _be_monitor(os.fspath(place), peers, theirs)
    theirs.close()
    try:
        map_shared_child(peers, pid)
        with ours:
            yield Monitor(pid, *ours.recv(200).decode().split())
    finally:
        ours.close()
        os.waitpid(pid, 0)


def test_the_first_makes_them_and_the_others_find_them(tmp_path: Path) -> None:
    place = tmp_path / "router"
    with ExitStack() as stack:
        first = stack.enter_context(monitor(place))
        others = [stack.enter_context(monitor(place)) for _ in range(3)]
        assert (first.made, first.uid) == ("1", "0")
        assert all((one.user, one.router, one.made, one.uid) == (first.user, first.router, "0", "0") for one in others)
        assert first.user != str(os.stat("/proc/self/ns/user").st_ino)
        # a command finds them as well, and from the file alone
        found = find_shared_namespaces(os.fspath(place))
        assert found is not None
        assert (str(os.fstat(found.user_fd).st_ino), str(os.fstat(found.router_fd).st_ino)) == first[1:3]
        for fd in found:
            os.close(fd)
    assert find_shared_namespaces(os.fspath(place)) is None
    with monitor(place) as later:
        assert later.made == "1"
    # nobody's line is kept for longer than the next one takes to come
    assert len((place / "holders").read_text().splitlines()) == 1


def test_they_outlive_the_one_that_made_them(tmp_path: Path) -> None:
    place = tmp_path / "router"
    with monitor(place) as first, monitor(place) as second:
        os.kill(first.pid, signal.SIGKILL)
        with monitor(place) as third:
            assert (third.user, third.router, third.made) == (second.user, second.router, "0")


@pytest.mark.parametrize("line", ["", "1 2 3", "x y z a b", "1 1 none 5 5", "999999999 1 none 5 5"])
def test_a_line_that_names_nobody_is_passed_over(tmp_path: Path, line: str) -> None:
    (tmp_path / "holders").write_text(f"{line}\n")
    assert find_shared_namespaces(os.fspath(tmp_path)) is None
    with monitor(tmp_path) as only:
        assert only.made == "1"
    assert len((tmp_path / "holders").read_text().splitlines()) == 1
