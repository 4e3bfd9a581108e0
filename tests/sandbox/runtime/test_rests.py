"""Resting: what is written down and read back, and what keeps a process from it."""

from __future__ import annotations

import os
import select
import socket

import pytest

from sandbox.runtime.rests import RestPlan, read_back, rest, write_down


class Knows:
    """What stands for a process's objects."""

    def __init__(self, *values: object) -> None:
        self.values = values

    def go_on(self) -> None:
        """Nothing is woken here."""


def test_sockets_and_epoll_sets_are_the_same_descriptors() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    epoll = select.epoll()
    epoll.register(ours.fileno(), select.EPOLLIN)
    again = read_back(write_down(([], Knows(ours, epoll, ours))))
    assert isinstance(again, Knows)
    ours_again, epoll_again, same = again.values
    assert isinstance(ours_again, socket.socket)
    assert isinstance(epoll_again, select.epoll)
    assert same is ours_again
    assert ours_again.gettimeout() == 0
    theirs.send(b"x")
    assert epoll_again.poll(60) == [(ours.fileno(), select.EPOLLIN)]
    assert ours_again.recv(1) == b"x"
    # each descriptor has two owners now
    ours.detach()
    ours_again.close()
    theirs.close()
    epoll.close()


@pytest.mark.parametrize("kept", ["a function", "an open file"])
def test_what_cannot_be_written_down_is_no_fault(kept: str) -> None:
    before = os.listdir("/proc/self/fd")
    with open(os.devnull) as file:
        known = Knows(file if kept == "an open file" else lambda: None)
        rest(known, RestPlan("resting", 0, (), None, 0, ""))
    assert os.listdir("/proc/self/fd") == before
