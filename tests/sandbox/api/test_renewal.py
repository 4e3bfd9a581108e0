"""What a server that becomes another version is called with."""

from __future__ import annotations

import os
import socket

import pytest

from sandbox.api.renewal import _without_ready_fd, kept_listeners


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["-m", "sandbox", "api", "serve", "--idle", "10m", "--ready-fd", "7"],
         ["-m", "sandbox", "api", "serve", "--idle", "10m"]),
        (["/bin/sandbox", "api", "serve", "--ready-fd=7", "-H", "unix:///a"],
         ["/bin/sandbox", "api", "serve", "-H", "unix:///a"]),
        (["/bin/sandbox", "api", "serve"], ["/bin/sandbox", "api", "serve"]),
    ],
)  # fmt: skip
def test_who_was_told_that_it_listens_is_not_told_again(words: list[str], expected: list[str]) -> None:
    assert _without_ready_fd(words) == expected


def test_only_the_process_itself_takes_what_it_kept() -> None:
    with socket.socket() as listener:
        env = {"SANDBOX_API_LISTENERS": f"{os.getpid() + 1}:{listener.fileno()}"}
        assert kept_listeners(env) == []
        assert kept_listeners({}) == []
        env = {"SANDBOX_API_LISTENERS": f"{os.getpid()}:{os.dup(listener.fileno())}"}
        (kept,) = kept_listeners(env)
        with kept:
            assert not kept.get_inheritable()
