"""Detach keys and raw mode."""

from __future__ import annotations

import fcntl
import os
import signal
import termios
from typing import NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.errors import UsageError
from sandbox.runtime.terminal import (
    DEFAULT_DETACH_KEYS,
    DetachKeys,
    RawTerminal,
    WindowSize,
    get_window_size,
    parse_detach_keys,
    set_window_size,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", b""),
        (DEFAULT_DETACH_KEYS, b"\x10\x11"),
        ("ctrl-@,a", b"\x00a"),
        ("ctrl-],Z", b"\x1dZ"),
        ("ctrl-C", b"\x03"),
    ],
)
def test_sequences(text: str, expected: bytes) -> None:
    assert parse_detach_keys(text) == expected


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-aa", "ctrl-1", "ab", ",", "é", "ctrl-é"])
def test_bad_sequences(text: str) -> None:
    with pytest.raises(UsageError):
        parse_detach_keys(text)


@pytest.mark.parametrize(
    ("pieces", "passed", "detached"),
    [
        ((b"abc",), b"abc", False),
        ((b"a\x10\x11b",), b"a", True),
        ((b"a\x10", b"\x11"), b"a", True),
        ((b"\x10", b"x"), b"\x10x", False),
        ((b"\x10\x10", b"\x11"), b"\x10", True),
        ((b"\x11\x10",), b"\x11", False),
    ],
)
def test_detach(pieces: tuple[bytes, ...], passed: bytes, detached: bool) -> None:
    keys, out, done = DetachKeys(b"\x10\x11"), b"", False
    for piece in pieces:
        part, done = keys.feed(piece)
        out += part
    assert (out, done) == (passed, detached)


@settings(database=None, deadline=None)
@given(st.lists(st.binary(max_size=5)))
def test_without_a_sequence_everything_passes(pieces: list[bytes]) -> None:
    keys = DetachKeys(b"")
    assert [keys.feed(piece) for piece in pieces] == [(piece, False) for piece in pieces]


@settings(database=None, deadline=None)
@given(st.binary(max_size=30).filter(lambda data: b"\x10" not in data), st.integers(1, 30))
def test_cuts_do_not_matter(data: bytes, cut: int) -> None:
    keys = DetachKeys(b"\x10\x11")
    first, second = keys.feed(data[:cut])[0], keys.feed(data[cut:])[0]
    assert first + second == data


def test_terminal_gets_its_settings_back() -> None:
    master, slave = os.openpty()
    before = termios.tcgetattr(slave)
    with RawTerminal(slave):
        inside = termios.tcgetattr(slave)
        assert not inside[3] & (termios.ICANON | termios.ECHO | termios.ISIG)
        assert not inside[1] & termios.OPOST
    assert termios.tcgetattr(slave) == before
    set_window_size(slave, WindowSize(33, 111))
    assert get_window_size(master) == WindowSize(33, 111)
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize("output_only", [False, True])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1])
def test_terminal_gets_its_settings_back_when_a_signal_ends_the_process(number: int, output_only: bool) -> None:
    master, slave = os.openpty()
    before = termios.tcgetattr(slave)
    pid = os.fork()
    if pid == 0:
        _be_killed_in_raw_mode(slave, number, output_only)
    _pid, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == -number
    assert termios.tcgetattr(slave) == before
    os.close(master)
    os.close(slave)


def _be_killed_in_raw_mode(slave: int, number: int, output_only: bool) -> NoReturn:
    try:
        # a session of its own, which has the terminal
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        # where the signal does not end it the status tells
        signal.signal(number, signal.SIG_DFL)
        with RawTerminal(slave, output_only=output_only):
            if not termios.tcgetattr(slave)[1] & termios.OPOST:
                os.kill(os.getpid(), number)
    finally:
        os._exit(1)


def test_a_session_that_reads_no_keys_leaves_them_alone() -> None:
    """And does nothing to a terminal that another process group has in the foreground."""
    master, slave = os.openpty()
    before = termios.tcgetattr(slave)
    with RawTerminal(slave, output_only=True):
        assert termios.tcgetattr(slave) == before
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
            with RawTerminal(slave, output_only=True):
                inside = termios.tcgetattr(slave)
            expected = [before[0], before[1] & ~termios.OPOST, *before[2:]]
            os._exit(0 if (inside, termios.tcgetattr(slave)) == (expected, before) else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(master)
    os.close(slave)


def test_a_terminal_that_is_gone_is_no_error() -> None:
    master, slave = os.openpty()
    with RawTerminal(slave):
        os.close(master)
    os.close(slave)


def test_no_terminal_is_no_error() -> None:
    read_end, write_end = os.pipe()
    with RawTerminal(read_end):
        assert get_window_size(read_end) is None
    os.close(read_end)
    os.close(write_end)
