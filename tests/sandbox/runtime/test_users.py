"""Identities from hostile passwd and group files."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.errors import StartError
from sandbox.runtime.reports import decode_error, encode_error
from sandbox.runtime.users import Identity, PasswdLine, parse_group, parse_passwd, resolve_identity

PASSWD = "root:x:0:0:root:/root:/bin/sh\n1000:x:0:0::/evil:/bin/sh\nweb:x:33:34::/var/www:/bin/sh\nmany:x:50:50::\n"
GROUP = "root:x:0:\nweb:x:34:\nlog:x:4:web,many\naudio:x:29:web\n"


@pytest.mark.parametrize(
    ("user", "groups", "expected"),
    [
        ("", (), Identity(0, 0, (0,), "/root")),
        ("root", (), Identity(0, 0, (0,), "/root")),
        ("web", (), Identity(33, 34, (4, 29, 34), "/var/www")),
        ("33", (), Identity(33, 34, (4, 29, 34), "/var/www")),
        ("web:audio", (), Identity(33, 29, (29,), "/var/www")),
        ("web:", (), Identity(33, 34, (4, 29, 34), "/var/www")),
        (":audio", (), Identity(0, 29, (29,), "/root")),
        ("many", (), Identity(50, 50, (4, 50), "/")),
        ("7777:8888", (), Identity(7777, 8888, (8888,), "/")),
        ("7777", ("audio", "99"), Identity(7777, 0, (29, 99, 0), "/")),
    ],
)
def test_identity(user: str, groups: tuple[str, ...], expected: Identity) -> None:
    assert resolve_identity(user, groups, PASSWD, GROUP) == expected


def test_number_is_never_a_name() -> None:
    """CVE-2016-3697: a user named 1000 with uid 0 in the image."""
    assert resolve_identity("1000", (), PASSWD, GROUP).uid == 1000


@pytest.mark.parametrize("user", ["nobody", "web:nogroup", "0x0", "١٠٠", "-", "--1", "1_0", " 1"])
def test_unknown_names_are_errors(user: str) -> None:
    with pytest.raises(StartError, match="unable to find"):
        resolve_identity(user, (), PASSWD, GROUP)


@pytest.mark.parametrize("number", ["-1", "-0", "2147483648", "4294967294", "4294967295", "4294967296", "9" * 30])
@pytest.mark.parametrize("form", ["{}", "{}:0", "0:{}"])
def test_a_number_that_no_id_can_have_is_out_of_range(form: str, number: str) -> None:
    with pytest.raises(StartError) as caught:
        resolve_identity(form.format(number), (), PASSWD, GROUP)
    assert caught.value.message == f"id {number} is out of range"
    assert caught.value.cause == "uids and gids must be in range 0-2147483647"
    with pytest.raises(StartError, match="out of range"):
        resolve_identity("0", (number,), PASSWD, GROUP)


def test_bad_lines_are_skipped() -> None:
    text = "::::\nx\nroot:x:zero:0::/:\n#c:x:1:1::/:\nweb:x:33\nweb:x:33:33\n-:x:5:99999999999:::\n"
    assert [line.name for line in parse_passwd(text)] == ["web"]
    assert parse_group("x\n:x:1:\na:x:b:\nlog:x:4\n") == (("log", 4, ()),)


@settings(database=None, deadline=None)
@given(st.text(), st.text(), st.text(max_size=10))
def test_no_text_does_more_than_fail(passwd: str, group: str, user: str) -> None:
    try:
        identity = resolve_identity(user, (), passwd, group)
    except StartError:
        return
    assert 0 <= identity.uid < 1 << 31
    assert all(0 <= gid < 1 << 31 for gid in identity.groups)


def test_a_home_with_a_nul_is_no_home() -> None:
    """It could not be put into an environment: the line is skipped as any other bad one."""
    assert parse_passwd("a:x:1:1::/x\0y:/bin/sh\nb:x:2:2::/b:\n") == (PasswdLine("b", 2, 2, "/b"),)


def test_an_error_of_a_call_on_a_descriptor_is_reported() -> None:
    """OSError.filename is a number then; the report must still be made, or the reason is lost."""
    error = IsADirectoryError(21, "Is a directory", 0)
    assert decode_error(encode_error(error, "look")).cause == "Is a directory"
