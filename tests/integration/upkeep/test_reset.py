"""`system reset`: everything of a data root ends and goes, whatever state it is in, and nothing of another one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.integration.container.conftest import monitor_pid
from tests.other_host import OtherHost

if TYPE_CHECKING:
    from tests.integration.upkeep.conftest import Store

pytestmark = [pytest.mark.requires("userns", "subids", "overlay", "seccomp", "umoci", "busybox"), pytest.mark.slow]

_RUN = ("run", "-d", "--network", "none")


def _is_gone(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def _is_as_new(store: Store) -> None:
    home = store.sandbox.home
    assert list(home.data.iterdir()) == []
    assert list(home.runtime.iterdir()) == []
    assert store.sandbox.run("ps", "-aq").lines == []
    assert store.sandbox.run("images", "-q").lines == []
    assert store.found(clean=True) == []


def test_everything_ends_and_goes_once_it_is_wanted(store: Store) -> None:
    run = store.sandbox.run
    # what nobody but root of the namespace may remove, and a restart that must not happen
    script = "mkdir -m 700 /kept/own; touch /kept/own/file; chown -R 33:33 /kept/own; exec sleep 300"
    run(*_RUN, "--name", "web", "--restart", "always", "-v", "kept:/kept", "made", "sh", "-c", script)
    pid = monitor_pid(store.sandbox, "web")
    asked = run("system", "reset", input="n\n").stdout
    assert asked.startswith("WARNING! This will remove:\n  - all containers, those that run too\n")
    assert "2 containers, 2 images, 1 volume" in asked
    assert asked.endswith("Are you sure you want to continue? [y/N] ")
    assert not _is_gone(pid)
    assert run("system", "reset", input="y\n").lines[-1].startswith("Are you sure you want to continue? [y/N] Total")
    assert _is_gone(pid)
    _is_as_new(store)
    run("system", "reset", "-f")
    assert not store.sandbox.home.data.joinpath("sandbox").exists()


def test_no_container_starts_at_boot_any_more(store: Store) -> None:
    """But those of another data root do."""
    run, unit = store.sandbox.run, store.sandbox.home.root / ".config/systemd/user/sandbox-autostart.service"
    run("system", "autostart", "enable", "--method", "systemd")
    other = {"XDG_DATA_HOME": str(store.sandbox.home.root / "other")}
    asked = run("system", "reset", input="n\n", env=other).stdout
    assert "at boot" not in asked
    run("system", "reset", "-f", env=other)
    assert unit.exists()
    asked = run("system", "reset", input="n\n").stdout
    assert f"  - all build cache\n  - the start of containers at boot: {unit}\n\nIn " in asked
    assert unit.exists()
    run("system", "reset", "-f")
    assert not unit.exists()
    assert not os.path.lexists(unit.parent / "default.target.wants" / unit.name)
    _is_as_new(store)


@pytest.mark.parametrize("damage", ["removed", "damaged"])
def test_no_database_is_needed(store: Store, damage: str) -> None:
    store.sandbox.run(*_RUN, "--name", "web", "made", "sleep", "300")
    pid = monitor_pid(store.sandbox, "web")
    for suffix in ("", "-wal", "-shm"):
        path = store.root / f"state.db{suffix}"
        if damage == "removed":
            path.unlink(missing_ok=True)
        elif path.exists():
            path.write_bytes(b"nothing that a database would be" * 1000)
    store.sandbox.run("system", "reset", "-f")
    assert _is_gone(pid)
    _is_as_new(store)


def test_what_a_killed_reset_had_set_aside_goes_with_the_next(store: Store) -> None:
    aside = store.root / ".reset-1"
    aside.mkdir()
    (store.root / "volumes").rename(aside / "volumes")
    # the database comes first, and without it no command adds to the rest
    for path in store.root.glob("state.db*"):
        path.rename(aside / path.name)
    assert "system check --repair" in store.sandbox.run("ps", status=125).stderr
    store.sandbox.run("system", "reset", "-f")
    _is_as_new(store)
    aside.mkdir()
    assert store.found(clean=True) == [("stage", ".reset-1")]
    store.check("--repair", clean=True)
    assert not aside.exists()


def test_without_newuidmap_it_says_what_is_left_and_goes_on_later(store: Store) -> None:
    store.sandbox.run("run", "--rm", "--network", "none", "-v", "kept:/kept", "made", "chown", "-R", "33:33", "/kept")
    host = OtherHost(store.sandbox.home)
    host.lacks_program("newuidmap")
    with host.enter() as there:
        refused = there.run("system", "reset", "-f", status=125).stderr
    assert "what belongs to subordinate ids could not be removed" in refused
    assert "newuidmap is missing" in refused
    assert "then sandbox system reset" in refused
    assert [path.name.startswith(".reset-") for path in store.root.iterdir()] == [True]
    store.sandbox.run("system", "reset", "-f")
    _is_as_new(store)


def test_a_command_in_the_namespace_sees_what_containers_own(store: Store) -> None:
    run = store.sandbox.run
    run("run", "--rm", "--network", "none", "-v", "kept:/kept", "made", "chown", "33:34", "/kept/file")
    file = str(store.root / "volumes/kept/_data/file")
    assert run("unshare", "stat", "-c", "%u:%g", file).stdout == "33:34\n"
    assert run("system", "unshare", "sh", "-c", "id -u; exit 7", status=7).stdout == "0\n"
    run("unshare", "chown", "0:0", file)
    assert os.stat(file).st_uid == os.getuid()
    assert "nope is not there" in run("unshare", "nope", status=127).stderr
    assert "cannot be executed" in run("unshare", file, status=126).stderr
    assert run("unshare", "sh", "-c", "kill -TERM $$", status=143).stdout == ""
