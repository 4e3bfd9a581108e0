"""Secrets and configs: where the content lies, who is told of it, and what a SIGKILL leaves."""

from __future__ import annotations

import json
import os
import signal
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from sandbox.container.request.request import ContainerRequest
from sandbox.errors import ConflictError, NotFoundError, UsageError
from sandbox.events import read_events
from sandbox.operation_context import OperationContext
from sandbox.paths import Paths
from sandbox.record_copies import find_unrecorded
from sandbox.secret import operations
from sandbox.secret.operations import ObjectRequest
from sandbox.secret.record import KINDS
from sandbox.secret.store import list_objects, read_content, tidy
from sandbox.service.record import Service
from sandbox.service.spec import ServiceSpec
from sandbox.service.store import insert_service
from sandbox.state import open_state
from sandbox.transactions import transaction
from sandbox.upkeep.rebuild import find_loss, rebuild_database
from sandbox.values import FileGrant

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sandbox.secret.record import Kind

_CONTENT = b"swordfish\0\xff-7f3a"
both = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def context(tmp_path: Path) -> OperationContext:
    return OperationContext(Paths(str(tmp_path / "data"), str(tmp_path / "run"), str(tmp_path)), {})


@pytest.fixture(autouse=True)
def _data_root(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()


def _files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


@both
def test_the_content_is_in_one_file_of_this_user_alone(context: OperationContext, tmp_path: Path, kind: Kind) -> None:
    os.umask(0)
    try:
        made = operations.create(context, kind, ObjectRequest("key", _CONTENT, (("a", "b"),)))
    finally:
        os.umask(0o022)
    holding = [path for path in _files(tmp_path) if _CONTENT[:9] in path.read_bytes()]
    assert holding == [tmp_path / "data" / f"{kind}s" / made / "content"]
    assert holding[0].read_bytes() == _CONTENT
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (holding[0], *holding[0].parents[:2])]
    assert modes == [0o600, 0o700, 0o700]


def test_a_secret_is_shown_without_its_content_and_a_config_with_it(context: OperationContext) -> None:
    for kind in KINDS:
        operations.create(context, kind, ObjectRequest("key", b"hello", (("a", "b"),)))
    secret, config = (operations.inspect(context, kind, "key") for kind in KINDS)
    assert secret["Spec"] == {"Name": "key", "Labels": {"a": "b"}}
    assert config["Spec"] == {"Name": "key", "Labels": {"a": "b"}, "Data": "aGVsbG8="}
    assert secret["Version"] == {"Index": 1}
    assert "hello" not in repr(ObjectRequest("key", b"hello"))


@both
def test_what_is_found_by_name_id_and_the_beginning_of_an_id(context: OperationContext, kind: Kind) -> None:
    made = operations.create(context, kind, ObjectRequest("key", b"x"))
    assert {operations.find(context, kind, word).id for word in (made, "key", made[:9])} == {made}
    assert len(made) == 25
    with pytest.raises(NotFoundError, match=f"{kind} nope not found"):
        operations.find(context, kind, "nope")
    with pytest.raises(NotFoundError):
        operations.find(context, kind, "")


@both
def test_a_name_is_one_objects(context: OperationContext, kind: Kind) -> None:
    operations.create(context, kind, ObjectRequest("key", b"x"))
    with pytest.raises(ConflictError, match=f"{kind} key already exists"):
        operations.create(context, kind, ObjectRequest("key", b"y"))
    assert operations.same_content(context, kind, "key", b"x")
    assert not operations.same_content(context, kind, "key", b"y")


@pytest.mark.parametrize("name", ["", "-a", "a-", "a b", "a/b", "é", "a" * 65, "..", "a\n"])
def test_names_that_cannot_be(context: OperationContext, name: str) -> None:
    with pytest.raises(UsageError, match="invalid name, only 64"):
        operations.create(context, "secret", ObjectRequest(name, b"x"))


@pytest.mark.parametrize(("kind", "most"), [("secret", 512000), ("config", 1024000)])
def test_sizes_that_cannot_be(context: OperationContext, kind: Kind, most: int) -> None:
    for size in (0, most + 1):
        with pytest.raises(UsageError, match=f"larger than 0 and less than {most} bytes") as raised:
            operations.create(context, kind, ObjectRequest("key", b"q" * size))
        assert "qqq" not in raised.value.render()
    assert operations.create(context, kind, ObjectRequest("key", b"q" * most))


@both
def test_labels_are_all_that_changes(context: OperationContext, kind: Kind) -> None:
    made = operations.create(context, kind, ObjectRequest("key", b"x"))
    changed = operations.update(context, kind, "key", {"new": "1"})
    assert (changed.id, changed.version, changed.labels) == (made, 2, {"new": "1"})
    assert operations.find(context, kind, "key") == changed


@both
def test_filters(context: OperationContext, kind: Kind) -> None:
    ids = {
        name: operations.create(context, kind, ObjectRequest(name, b"x", labels))
        for name, labels in (("db_key", (("env", "test"),)), ("db_user", ()), ("web", (("env", "live"),)))
    }
    for filters, names in (
        ((), ["db_key", "db_user", "web"]),
        (("name=db",), ["db_key", "db_user"]),
        (("names=db_key",), ["db_key"]),
        (("label=env",), ["db_key", "web"]),
        (("label=env=live",), ["web"]),
        ((f"id={ids['web'][:12]}",), ["web"]),
        (("name=db", "label=env"), ["db_key"]),
    ):
        assert [found.name for found in operations.list_all(context, kind, filters)] == names


@both
def test_events_name_it_and_say_nothing_of_it(context: OperationContext, kind: Kind) -> None:
    made = operations.create(context, kind, ObjectRequest("key", b"hello"))
    operations.update(context, kind, "key", {"a": "b"})
    operations.remove(context, kind, "key")
    with open_state(context.paths) as connection:
        events = [happened.event for happened in read_events(connection)]
    assert [(event.kind, event.action, event.actor) for event in events] == [
        (kind, action, made) for action in ("create", "update", "remove")
    ]
    assert {json.dumps(dict(event.attributes)) for event in events} == {'{"name": "key"}'}


@both
def test_nothing_is_left_of_what_was_removed(context: OperationContext, tmp_path: Path, kind: Kind) -> None:
    operations.create(context, kind, ObjectRequest("key", _CONTENT))
    operations.remove(context, kind, "key")
    assert list((tmp_path / "data" / f"{kind}s").iterdir()) == []
    with pytest.raises(NotFoundError):
        operations.remove(context, kind, "key")


@both
def test_a_lost_database_is_made_again_with_them(context: OperationContext, kind: Kind) -> None:
    made = operations.create(context, kind, ObjectRequest("key", _CONTENT, (("a", "b"),)))
    before = operations.find(context, kind, "key")
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.unlink(context.paths.database + suffix)
    assert f"1 {kind}" in find_loss(context.paths)
    rebuild_database(context.paths)
    assert operations.find(context, kind, made) == before
    assert read_content(context.paths, kind, before) == _CONTENT


def _killed_at(call: int, act: Callable[[], object]) -> bool:
    """Do `act` in a process that is killed at a change of the file system, before it or behind it by turns; whether it
    was.
    """
    pid = os.fork()
    if pid == 0:
        left = call

        def count() -> None:
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            for name in ("mkdir", "rename", "fsync", "unlink", "rmdir", "write"):
                real = getattr(os, name)

                def counted(*words: object, real: Callable[..., object] = real, **named: object) -> object:
                    count()
                    done = real(*words, **named)
                    count()
                    return done

                setattr(os, name, counted)
            act()
        finally:
            os._exit(0)
    _pid, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status)


def _is_whole(context: OperationContext, kind: Kind) -> list[str]:
    """What the next command finds; everything of it is whole, also before it has tidied, and behind that there is
    nothing besides.
    """
    with open_state(context.paths) as connection:
        assert all(read_content(context.paths, kind, each) == _CONTENT for each in list_objects(connection, kind))
    with open_state(context.paths) as connection, transaction(connection):
        assert find_unrecorded(connection, context.paths.data_root) == {}
        tidy(connection, context.paths, kind)
        found = list_objects(connection, kind)
    assert sorted(os.listdir(f"{context.paths.data_root}/{kind}s")) == sorted(each.id for each in found)
    return [each.name for each in found]


def test_a_making_that_is_killed_is_whole_or_none(context: OperationContext) -> None:
    operations.create(context, "secret", ObjectRequest("other", _CONTENT))
    outcomes = []
    call = 0
    while _killed_at(call, lambda: operations.create(context, "secret", ObjectRequest("key", _CONTENT))):
        names = _is_whole(context, "secret")
        outcomes.append("key" in names)
        if "key" in names:
            operations.remove(context, "secret", "key")
        call += 1
    assert {True, False} == set(outcomes)
    assert _is_whole(context, "secret") == ["key", "other"]


def test_a_removal_that_is_killed_is_whole_or_done(context: OperationContext) -> None:
    operations.create(context, "config", ObjectRequest("key", _CONTENT))
    outcomes = []
    call = 0
    while _killed_at(call, lambda: operations.remove(context, "config", "key")):
        names = _is_whole(context, "config")
        outcomes.append(bool(names))
        if not names:
            operations.create(context, "config", ObjectRequest("key", _CONTENT))
        call += 1
    assert {True, False} == set(outcomes)
    assert _is_whole(context, "config") == []


@both
def test_what_a_service_uses_stays(context: OperationContext, kind: Kind) -> None:
    made = operations.create(context, kind, ObjectRequest("key", _CONTENT))
    grants = (FileGrant(made, "other"),)
    asked = (
        ContainerRequest("busybox", secrets=grants) if kind == "secret" else ContainerRequest("busybox", configs=grants)
    )
    with open_state(context.paths) as connection, transaction(connection):
        for number, name in enumerate(("web", "db")):
            insert_service(connection, Service(str(number), name, "", 1, 1, ServiceSpec(name, asked), 0, 0))
    with pytest.raises(ConflictError, match=f"^{kind} 'key' is in use by the following services: db, web$"):
        operations.remove(context, kind, "key")
    assert _is_whole(context, kind) == ["key"]
