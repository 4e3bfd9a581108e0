"""A store whose database was lost, emptied, damaged or replaced by an older one: nothing of it is lost with that."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from sandbox.schema import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.upkeep.conftest import Store

pytestmark = [pytest.mark.requires("userns", "subids", "overlay", "seccomp", "umoci", "busybox"), pytest.mark.slow]

_REPAIR = "mend: sandbox system check --repair"
#: what asks the database, each in its own way
_COMMANDS = (
    ("ps", "-a"),
    ("images",),
    ("run", "--rm", "--network", "none", "made", "true"),
    ("create", "made", "true"),
    ("start", "job"),
    ("rm", "job"),
    ("logs", "job"),
    ("inspect", "job"),
    ("tag", "made", "other"),
    ("rmi", "made"),
    ("image", "prune", "-af"),
    ("container", "prune", "-f"),
    ("system", "prune", "-af"),
    ("builder", "prune", "-af"),
    ("system", "df"),
    ("info",),
    ("save", "made"),
    ("export", "job"),
    ("build", "-q", "-"),
    ("import", "-"),
)


def _databases(store: Store) -> list[Path]:
    return [store.root / f"state.db{suffix}" for suffix in ("", "-wal", "-shm")]


def _remove(store: Store) -> None:
    for path in _databases(store):
        path.unlink(missing_ok=True)


def _remove_file_alone(store: Store) -> None:
    (store.root / "state.db").unlink()


def _truncate_to_nothing(store: Store) -> None:
    os.truncate(store.root / "state.db", 0)


def _truncate(store: Store) -> None:
    os.truncate(store.root / "state.db", 5000)


def _overwrite(store: Store) -> None:
    size = (store.root / "state.db").stat().st_size
    (store.root / "state.db").write_bytes(b"no database" * (size // 11))


def _overwrite_pages(store: Store) -> None:
    with open(store.root / "state.db", "r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 3 * 4096)


def _delete_rows(store: Store) -> None:
    for table in ("image_name", "image_digest", "image", "container", "volume"):
        store.query(f"DELETE FROM {table}")


def _drop_tables(store: Store) -> None:
    _remove(store)
    with closing(sqlite3.connect(store.root / "state.db")) as connection:
        connection.execute("CREATE TABLE other (x)")


def _says(store: Store) -> dict[str, str]:
    """What the store holds, as a person sees it."""
    run = store.sandbox.run
    return {
        "images": run("images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}").stdout,
        "containers": run("ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.Image}} {{.Command}}").stdout,
        "volumes": json.dumps(store.query("SELECT * FROM volume")),
        "job": run("start", "-a", "job").stdout,
        "written": "".join(path.read_text() for path in store.root.glob("containers/*/**/written")),
        "kept": run("run", "--rm", "-v", "kept:/v", "--network", "none", "made", "cat", "/v/file").stdout,
    }


@pytest.mark.parametrize(
    "lose",
    [
        _remove, _remove_file_alone, _truncate_to_nothing, _truncate, _overwrite, _overwrite_pages, _delete_rows,
        _drop_tables,
    ],
)  # fmt: skip
def test_a_lost_database_is_an_error_and_is_made_again(store: Store, lose: Callable[[Store], None]) -> None:
    before = _says(store)
    store.put_in_one_file()
    lose(store)
    everything = sorted(path.name for path in store.root.iterdir())
    for command in _COMMANDS if lose is _remove else _COMMANDS[:3]:
        done = store.sandbox.run(*command, status=None, input="FROM made\nRUN true\n")
        assert done.status != 0, command
        assert _REPAIR in done.stderr, (command, done.stderr)
    assert ("database", str(store.root / "state.db")) in store.found()
    assert sorted(path.name for path in store.root.iterdir()) == everything
    store.check("--repair", clean=True)
    store.check("--repair", clean=True)
    assert _says(store) == before
    store.is_whole()


def test_an_older_database_loses_nothing(store: Store) -> None:
    run = store.sandbox.run
    run("create", "--name", "goes", "made", "true")
    store.put_in_one_file()
    shutil.copyfile(store.root / "state.db", store.root / "older")
    run("build", "-q", "-t", "newer", "-", input="FROM busybox\nRUN echo newer >/newer\n")
    run("tag", "newer", "made")
    run("rm", "goes")
    run("run", "--name", "goes", "-v", "more:/more", "newer", "sh", "-c", "echo more >/more/file; echo up >/up")
    run("rename", "job", "renamed")
    before = {key: run(*words).lines for key, words in (("images", ("images", "-q")), ("ps", ("ps", "-aq")))}
    _remove(store)
    (store.root / "older").rename(store.root / "state.db")
    for command in (("ps",), ("rmi", "busybox"), ("image", "prune", "-af")):
        assert _REPAIR in run(*command, status=None).stderr
    assert {kind for kind, _name in store.found()} == {"image", "container", "volume"}
    store.check("--repair", clean=True)
    store.check("--repair", clean=True)
    assert set(run("images", "-q").lines) == set(before["images"])
    assert set(before["ps"]) <= set(run("ps", "-aq").lines)
    # the name is another's in the older one, so the container's id is added to it
    (name,) = [name for name in run("ps", "-a", "--format", "{{.Names}}").lines if name.startswith("goes-")]
    assert run("start", "-a", name).stdout == ""
    assert run("run", "--rm", "--network", "none", "made", "cat", "/newer").stdout == "newer\n"
    assert run("run", "--rm", "-v", "more:/v", "--network", "none", "made", "cat", "/v/file").stdout == "more\n"


def test_a_container_that_runs_goes_on_under_the_database_made_again(store: Store) -> None:
    run = store.sandbox.run
    run("run", "-d", "--name", "web", "--network", "none", "made", "sh", "-c", "mkfifo /end; read x </end; exit 7")
    run("run", "-d", "--name", "gone", "--network", "none", "made", "sleep", "1000")
    _remove(store)
    store.check("--repair", clean=True)
    assert run("ps", "--format", "{{.Names}}").lines == ["gone", "web"]
    assert run("exec", "web", "echo", "here").stdout == "here\n"
    assert "running" in run("rm", "web", status=1).stderr
    # the container may end before what ended it
    run("exec", "web", "sh", "-c", "echo x >/end", status=None)
    assert run("wait", "web").lines == ["7"]
    assert run("inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", "web").stdout == "exited 7\n"
    assert run("rm", "-f", "gone").lines == ["gone"]
    store.is_whole()


def test_what_a_damaged_database_still_says_is_taken_over(store: Store) -> None:
    steps = store.query("SELECT key FROM build_cache")
    assert steps
    store.put_in_one_file()
    # an index of another table
    with closing(sqlite3.connect(store.root / "state.db")) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'container_image'").fetchone()
    with open(store.root / "state.db", "r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    store.check("--repair", clean=True)
    assert store.query("SELECT key FROM build_cache") == steps
    (aside,) = store.root.glob("state.db.damaged-*Z")
    assert aside.stat().st_size > 0
    store.is_whole()


def test_a_store_without_copies_keeps_its_images_and_its_containers_directories(store: Store) -> None:
    (container,) = os.listdir(store.root / "containers")
    images = set(store.sandbox.run("images", "-q").lines)
    _remove(store)
    for path in (store.root / "images").iterdir():
        path.unlink()
    (store.root / "containers" / container / "record.json").unlink()
    (store.root / "volumes/kept/record.json").unlink()
    assert _REPAIR in store.sandbox.run("ps", status=125).stderr
    (left,) = [found for found in store.check("--repair", clean=False)["findings"] if not found["repaired"]]
    assert left["mend"] == f"sandbox system check --repair --remove {container}"
    assert set(store.sandbox.run("images", "-q").lines) == images
    assert store.query("SELECT name FROM volume") == [("kept",)]
    assert [path.read_text() for path in store.root.glob("containers/*/**/written")] == ["written\n"]
    store.check("--repair", "--remove", container, clean=True)
    assert os.listdir(store.root / "containers") == []


#: indexes go with their tables
_OBJECTS = "SELECT type, name FROM sqlite_schema WHERE type IN ('table', 'trigger') AND name NOT LIKE 'sqlite_%'"


def test_a_store_from_before_the_copies_gets_them(store: Store) -> None:
    paths = [*store.root.glob("images/*"), *store.root.glob("*/*/record.json")]
    # what was asked for is kept in the database since
    texts = {path: path.read_text().partition(', "request": ')[0] for path in paths}
    assert len(texts) == 4
    for path in paths:
        path.unlink()
    store.query("ALTER TABLE container DROP COLUMN request")
    with closing(sqlite3.connect(":memory:")) as then:
        for statements in MIGRATIONS[: MIGRATIONS.index("")]:
            then.executescript(statements)
        of_then = set(then.execute(_OBJECTS))
    # what hangs on a table goes with it
    for kind, name in sorted(set(store.query(_OBJECTS)) - of_then):
        store.query(f"DROP {kind} IF EXISTS {name}")
    store.query("ALTER TABLE volume DROP COLUMN options")
    store.query(f"PRAGMA user_version = {MIGRATIONS.index('')}")
    store.sandbox.run("ps")
    assert {path: path.read_text().partition(', "request": ')[0] for path in paths} == texts
    assert store.sandbox.run("inspect", "-f", "{{.Name}}", "job").lines == ["/job"]


def test_a_lost_copy_is_written_again_by_a_repair(store: Store) -> None:
    for path in (*store.root.glob("images/*"), *store.root.glob("*/*/record.json")):
        path.write_text("{")
    store.check("--repair", clean=True)
    _remove(store)
    store.check("--repair", clean=True)
    assert store.sandbox.run("start", "-a", "job").status == 0
    store.is_whole()
