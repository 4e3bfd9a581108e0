"""Whether somebody follows events: a lock that goes with its holder."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from sandbox.event_followers import anybody_follows, begin_following, followers_path
from sandbox.event_stream import Selection, counted_as_follower, read_event_filters
from sandbox.paths import Paths

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(f"{tmp_path}/data", f"{tmp_path}/run", f"{tmp_path}/config")


def test_nobody_follows_where_nobody_ever_did(paths: Paths) -> None:
    assert not anybody_follows(followers_path(paths))


def test_each_who_follows_counts_until_he_ends(paths: Paths) -> None:
    path = followers_path(paths)
    one, other = begin_following(paths), begin_following(paths)
    # asking changes nothing
    assert anybody_follows(path)
    os.close(one)
    assert anybody_follows(path)
    os.close(other)
    assert not anybody_follows(path)


def test_one_that_is_killed_counts_no_more(paths: Paths) -> None:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        begin_following(paths)
        os.write(writing, b"f")
        signal.pause()
    os.read(reading, 1)
    assert anybody_follows(followers_path(paths))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert not anybody_follows(followers_path(paths))
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize(
    ("filters", "follows"),
    [
        ((), True),
        (("type=container",), True),
        (("event=exec_die",), True),
        (("type=volume",), False),
        (("event=die",), False),
    ],
)
def test_who_hears_nothing_of_probes_does_not_count(paths: Paths, filters: tuple[str, ...], follows: bool) -> None:
    selection = Selection(filters=read_event_filters(filters))
    with counted_as_follower(paths, selection):
        assert anybody_follows(followers_path(paths)) == follows
    assert not anybody_follows(followers_path(paths))
