"""What is said of an id that no range of the user's has."""

from __future__ import annotations

import os

import pytest

from sandbox.errors import UnmappedIdError
from sandbox.runtime import unmapped_ids
from sandbox.runtime.id_maps import IdMap, IdRange, full_map, grant_command, user_name
from sandbox.runtime.reports import decode_error, encode_error

_USERS = full_map(os.getuid(), (IdRange(100000, 65536), IdRange(300000, 1000)))
_GROUPS = full_map(1001, (IdRange(200000, 65536),))


@pytest.fixture
def ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unmapped_ids, "_map_outside", lambda: IdMap(_USERS, _GROUPS))


@pytest.mark.usefixtures("ranges")
def test_the_ranges_are_named_and_more_are_asked_for() -> None:
    error = unmapped_ids.complete(UnmappedIdError("user id 200000", id_kind="user", id=200000))
    assert error.cause == (
        "containers of this user have the user ids 0 to 66536: "
        "your own and the subordinate ids 100000-165535, 300000-300999 of /etc/subuid"
    )
    # three times what useradd gives
    assert error.mend == grant_command(user_name(os.getuid()), count=200000 - 66536)
    error = unmapped_ids.complete(UnmappedIdError("group id 65537", id_kind="group", id=65537))
    assert error.cause.endswith(
        "the group ids 0 to 65536: your own and the subordinate ids 200000-265535 of /etc/subgid"
    )


@pytest.mark.usefixtures("ranges")
def test_what_nobody_is_given_is_not_asked_for() -> None:
    error = unmapped_ids.complete(UnmappedIdError("user id", id_kind="user", id=(1 << 31) - 1))
    assert error.mend == "use an id up to 66536"


def test_without_subordinate_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unmapped_ids, "_map_outside", lambda: IdMap(_USERS[:1], _GROUPS[:1]))
    error = unmapped_ids.complete(UnmappedIdError("user id 5", id_kind="user", id=5))
    assert error.cause == "containers of this user have the user ids 0 to 0: your own; /etc/subuid gives no more"


def test_every_id_is_mapped_here() -> None:
    assert unmapped_ids.find_unmapped(os.getuid(), (0, 70000, 1 << 30)) is None


@pytest.mark.parametrize("number", [(1 << 32) - 1, 1 << 32, 9999999999])
def test_what_is_no_id_is_never_mapped(number: int) -> None:
    for found in (unmapped_ids.find_unmapped(number, ()), unmapped_ids.find_unmapped(0, (number,))):
        assert found is not None
        assert found.id == number


def test_it_crosses_from_process_to_process() -> None:
    error = UnmappedIdError("message", cause="cause", mend="mend", id_kind="group", id=70000)
    found = decode_error(encode_error(error))
    assert isinstance(found, UnmappedIdError)
    assert (found.message, found.cause, found.mend, found.id_kind, found.id) == (
        "message",
        "cause",
        "mend",
        "group",
        70000,
    )
