"""How words find containers, and what names promise."""

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING

import pytest

from sandbox.container.model.names import check_name, random_name
from sandbox.container.model.store import (
    all_containers,
    delete_container,
    find_container,
    insert_container,
    load_container,
    rename_container,
    update_state,
)
from sandbox.errors import ConflictError, NotFoundError, SandboxError, UsageError
from sandbox.random_ids import new_container_id
from sandbox.state import connect_state
from sandbox.transactions import transaction
from tests.sandbox.container.conftest import a_container

if TYPE_CHECKING:
    import sqlite3

    from sandbox.container.model.record import ContainerState
    from sandbox.paths import Paths


def test_a_container_is_found_by_name_by_id_and_by_prefix(database: sqlite3.Connection) -> None:
    kept = insert_container(database, a_container("web", "ab" * 32))
    for word in ("web", "/web", "ab" * 32, "ab" * 6, "a"):
        assert find_container(database, word) == kept


def test_a_name_wins_over_an_id_prefix(database: sqlite3.Connection) -> None:
    insert_container(database, a_container("other", "abcd" + "0" * 60))
    named = insert_container(database, a_container("abcd", "f" * 64))
    assert find_container(database, "abcd") == named


def test_an_ambiguous_prefix_is_refused(database: sqlite3.Connection) -> None:
    insert_container(database, a_container("one", "abc1" + "0" * 60))
    insert_container(database, a_container("two", "abc2" + "0" * 60))
    with pytest.raises(SandboxError, match="Multiple IDs found with provided prefix: abc"):
        find_container(database, "abc")
    assert find_container(database, "abc2").name == "two"


@pytest.mark.parametrize("word", ["", "/", "nope", "ABC", "%", "_", "../../etc", "a b", "'; DROP TABLE container"])
def test_an_unknown_word_is_no_such_container(database: sqlite3.Connection, word: str) -> None:
    insert_container(database, a_container("web"))
    with pytest.raises(NotFoundError, match="No such container: "):
        find_container(database, word)


def test_a_taken_name_is_a_conflict_that_names_the_holder(database: sqlite3.Connection) -> None:
    holder = insert_container(database, a_container("web"))
    with pytest.raises(ConflictError) as raised:
        insert_container(database, a_container("web"))
    assert f'The container name "/web" is already in use by container "{holder.id}"' in raised.value.message


def test_rename_gives_the_name_up_and_refuses_a_taken_one(database: sqlite3.Connection) -> None:
    first = insert_container(database, a_container("one"))
    insert_container(database, a_container("two"))
    with pytest.raises(ConflictError):
        rename_container(database, first.id, "two")
    rename_container(database, first.id, "three")
    assert find_container(database, "three").id == first.id
    insert_container(database, a_container("one"))


def test_containers_are_listed_newest_first(database: sqlite3.Connection) -> None:
    for number in (2, 3, 1):
        insert_container(database, a_container(f"c{number}", created_ns=number))
    assert [c.name for c in all_containers(database)] == ["c3", "c2", "c1"]


def test_update_state_is_undone_by_an_error_and_none_when_gone(database: sqlite3.Connection) -> None:
    kept = insert_container(database, a_container("web"))

    def refuse(state: ContainerState) -> ContainerState:
        raise ConflictError("no")

    with pytest.raises(ConflictError):
        update_state(database, kept.id, refuse)
    assert load_container(database, kept.id) == kept
    changed = update_state(database, kept.id, lambda state: state._replace(status="running"))
    assert changed is not None
    assert changed.status == "running"
    with transaction(database):
        delete_container(database, kept.id)
    assert update_state(database, kept.id, lambda state: state) is None


def _insert_named(paths: Paths, name: str, results: multiprocessing.SimpleQueue[str]) -> None:
    connection = connect_state(paths)
    try:
        results.put(insert_container(connection, a_container(name)).name)
    except ConflictError:
        results.put("conflict")


@pytest.mark.slow
def test_of_many_processes_that_want_one_name_one_gets_it(paths: Paths) -> None:
    context = multiprocessing.get_context("fork")
    results: multiprocessing.SimpleQueue[str] = context.SimpleQueue()
    processes = [context.Process(target=_insert_named, args=(paths, "web", results)) for _ in range(8)]
    for process in processes:
        process.start()
    answers = [results.get() for _ in processes]
    for process in processes:
        process.join()
    assert sorted(answers) == ["conflict"] * 7 + ["web"]


@pytest.mark.parametrize("name", ["web", "0a", "a.b_c-d", "/web"])
def test_good_names(name: str) -> None:
    assert check_name(name) == name.removeprefix("/")


@pytest.mark.parametrize("name", ["", "a", "-a", "_a", "a/b", "../x", "a b", "é1", "a\n", "--rm", "x" * 256, "//ab"])
def test_bad_names(name: str) -> None:
    with pytest.raises(UsageError):
        check_name(name)


def test_random_names_obey_the_rule_and_get_digits_when_crowded() -> None:
    assert check_name(random_name()) != random_name()
    assert random_name(5)[-1].isdigit()


def test_a_short_id_never_reads_as_a_number() -> None:
    assert not any(new_container_id()[:12].isdecimal() for _ in range(2000))
