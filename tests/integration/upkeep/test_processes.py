"""Containers that run and that no record names: told, given their records back, or ended."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import leaks
from tests.integration.container.conftest import monitor_pid
from tests.subordinate import remove_tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.upkeep.conftest import Store

pytestmark = [pytest.mark.requires("userns", "subids", "overlay", "seccomp", "umoci", "busybox"), pytest.mark.slow]

_RUN = ("run", "-d", "--network", "none", "--init")


def _is_gone(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] in "ZX"
    return True


def test_what_runs_and_has_its_record_is_let_alone(store: Store) -> None:
    store.sandbox.run(*_RUN, "--name", "web", "made", "sleep", "300")
    assert store.found(clean=True) == []
    assert store.found("--repair", clean=True) == []
    assert store.sandbox.run("exec", "web", "echo", "there").stdout == "there\n"


def test_a_process_that_no_record_names_is_told_and_ended(store: Store) -> None:
    store.sandbox.run(*_RUN, "--name", "ghost", "made", "sleep", "300")
    monitor = monitor_pid(store.sandbox, "ghost")
    other = store.sandbox.run(*_RUN, "made", "sleep", "300").stdout.strip()
    (container_id,) = store.query("SELECT id FROM container WHERE name = 'ghost'")[0]
    # as after a record was written over: the copy goes before the row does
    (store.root / "containers" / container_id / "record.json").unlink()
    store.query("DELETE FROM container WHERE name = 'ghost'")
    assert ("process", str(monitor)) in store.found()
    assert not _is_gone(monitor)
    assert ("process", str(monitor)) in store.found("--repair")
    assert _is_gone(monitor)
    assert store.sandbox.run("exec", other, "echo", "there").stdout == "there\n"


@pytest.fixture
def other_data(store: Store) -> Iterator[Path]:
    """A place for another store, on a file system in which it has the path that the first one ends with."""
    place = Path("/dev/shm") / store.sandbox.home.data.relative_to("/tmp")
    assert os.stat("/dev/shm").st_dev != store.root.stat().st_dev
    place.mkdir(mode=0o700, parents=True)
    yield place
    remove_tree(str(place.parent))


def test_containers_of_another_store_are_not_ours(store: Store, other_data: Path) -> None:
    other = {"XDG_DATA_HOME": str(other_data)}
    archive = store.root.parent / "made.tar"
    store.sandbox.run("save", "-o", str(archive), "made")
    store.sandbox.run("load", "-i", str(archive), env=other)
    store.sandbox.run(*_RUN, "--name", "theirs", "made", "sleep", "300", env=other)
    try:
        assert store.found("--repair", clean=True) == []
        assert store.sandbox.run("exec", "theirs", "echo", "there", env=other).stdout == "there\n"
    finally:
        store.sandbox.run("rm", "-f", "theirs", env=other)


def test_a_container_that_runs_gets_the_record_of_an_older_database_back(store: Store) -> None:
    store.sandbox.run("create", "--name", "web", "--network", "none", "--init", "made", "sleep", "300")
    store.put_in_one_file()
    shutil.copy(store.root / "state.db", store.root / "older")
    store.sandbox.run("tag", "made", "later")
    store.sandbox.run("start", "web")
    monitor = monitor_pid(store.sandbox, "web")
    for suffix in ("-wal", "-shm"):
        (store.root / f"state.db{suffix}").unlink(missing_ok=True)
    (store.root / "older").rename(store.root / "state.db")
    assert store.sandbox.run("ps", "-a", "--filter", "name=web", "--format", "{{.State}}").stdout == "created\n"
    assert ("container", "web") in store.found()
    assert {("container", "web"), ("image", "later:latest")} <= set(store.found("--repair", clean=True))
    assert store.sandbox.run("images", "-q", "later").stdout == store.sandbox.run("images", "-q", "made").stdout
    assert store.sandbox.run("exec", "web", "echo", "there").stdout == "there\n"
    assert monitor_pid(store.sandbox, "web") == monitor
    assert store.sandbox.run("stop", "-t", "0", "web").lines == ["web"]
    leaks.wait_ended(monitor)
    assert store.sandbox.run("ps", "-a", "--filter", "name=web", "--format", "{{.State}}").stdout == "exited\n"
