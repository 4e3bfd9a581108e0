"""Stale records are seen and mended: pid gone, pid of another boot, pid that is another process now."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from sandbox.container.life.reconcile import is_stale, mended_state, reconcile, reconcile_all
from sandbox.container.model.record import ContainerState
from sandbox.container.model.store import all_containers, find_container, insert_container, update_state
from sandbox.live_processes import boot_id, process_start
from tests.sandbox.container.conftest import a_container

if TYPE_CHECKING:
    import sqlite3

    from sandbox.paths import Paths


def _alive() -> ContainerState:
    return ContainerState(
        "running", 1, 1, monitor_pid=os.getpid(), monitor_start=process_start(os.getpid()), boot_id=boot_id()
    )


def _dead() -> ContainerState:
    process = subprocess.Popen(["true"])
    start = process_start(process.pid) or 1
    process.wait()
    return _alive()._replace(monitor_pid=process.pid, monitor_start=start)


def test_a_record_whose_monitor_runs_is_left_alone(database: sqlite3.Connection, paths: Paths) -> None:
    kept = insert_container(database, a_container("web", state=_alive()))
    assert reconcile(database, paths, kept) is kept


def test_a_killed_monitor_makes_the_container_exited_137(database: sqlite3.Connection, paths: Paths) -> None:
    kept = insert_container(database, a_container("web", state=_dead()))
    runtime = paths.container_runtime(kept.id)
    os.makedirs(f"{runtime}/rootfs")
    with open(f"{runtime}/monitor.sock", "w"):
        pass
    mended = reconcile(database, paths, kept)
    assert mended is not None
    assert (mended.state.status, mended.state.exit_code, mended.state.error) == (
        "exited",
        137,
        "the monitor was killed",
    )
    assert mended.state.pid == mended.state.monitor_pid == 0
    assert mended.state.finished_ns > 0
    assert find_container(database, "web") == mended
    assert not os.path.exists(runtime)


def test_another_boot_is_told_apart(database: sqlite3.Connection, paths: Paths) -> None:
    state = _alive()._replace(boot_id="00000000-0000-0000-0000-000000000000")
    kept = insert_container(database, a_container("web", state=state))
    mended = reconcile(database, paths, kept)
    assert mended is not None
    assert mended.state.error == "the machine was restarted"


def test_a_pid_that_is_another_process_now_is_stale() -> None:
    assert is_stale(_alive()._replace(monitor_start=1))


def test_a_container_that_never_ran_stays_created() -> None:
    state = ContainerState(status="created", monitor_pid=5, monitor_start=1, boot_id="x")
    assert mended_state(state, same_boot=True, now_ns=1) == ContainerState(status="created", boot_id="x")


def test_a_container_under_rm_is_removed(database: sqlite3.Connection, paths: Paths) -> None:
    plain = a_container("gone", state=_dead())
    doomed = insert_container(database, plain._replace(config=plain.config._replace(auto_remove=True)))
    stays = insert_container(database, a_container("stays"))
    os.makedirs(f"{paths.container_data(doomed.id)}/upper/diff")
    assert reconcile_all(database, paths, [doomed, stays]) == [stays]
    assert not os.path.exists(paths.container_data(doomed.id))


def test_a_removal_that_was_killed_is_finished(database: sqlite3.Connection, paths: Paths) -> None:
    half = insert_container(database, a_container("half", state=_dead()._replace(status="removing")))
    os.makedirs(f"{paths.container_data(half.id)}/overlay/upper")
    assert reconcile(database, paths, half) is None
    assert all_containers(database) == []
    assert not os.path.exists(paths.container_data(half.id))


def test_a_removal_that_is_cut_short_again_goes_on_being_one(
    database: sqlite3.Connection, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_short(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sandbox.container.monitor.discard.discard_container", cut_short)
    half = insert_container(database, a_container("half", state=_dead()._replace(status="removing")))
    with pytest.raises(KeyboardInterrupt):
        reconcile(database, paths, half)
    assert find_container(database, "half").state.status == "removing"


def test_the_truth_is_told_where_it_cannot_be_written(database: sqlite3.Connection, paths: Paths) -> None:
    """`ps` on a full disk."""
    kept = insert_container(database, a_container("web", state=_dead()))
    database.execute("PRAGMA query_only = ON")
    told = reconcile_all(database, paths, [kept])
    assert [(container.state.status, container.state.exit_code) for container in told] == [("exited", 137)]
    database.execute("PRAGMA query_only = OFF")
    assert find_container(database, "web").state.status == "running"


def test_runtime_files_of_who_started_it_meanwhile_stay(database: sqlite3.Connection, paths: Paths) -> None:
    """Two commands see a stale record; one mends and starts it, the other must not take its files."""
    seen = insert_container(database, a_container("web", state=_dead()))
    runtime = paths.container_runtime(seen.id)
    os.makedirs(runtime)
    update_state(database, seen.id, lambda _state: _alive())
    found = reconcile(database, paths, seen)
    assert found is not None
    assert found.state.monitor_pid == os.getpid()
    assert os.path.isdir(runtime)
