"""The texts that grant a secret or a config."""

from __future__ import annotations

import pytest

from sandbox.errors import UsageError
from sandbox.grammar.grants import parse_run_secret, parse_service_grant
from sandbox.values import FileGrant


@pytest.mark.parametrize(
    ("text", "grant"),
    [
        ("key", FileGrant("key", "key")),
        ("source=key", FileGrant("key", "key")),
        ("key,type=mount,target=/a/b,uid=5,gid=6,mode=0400", FileGrant("key", "/a/b", 5, 6, 0o400)),
        ("key,mode=400", FileGrant("key", "key", mode=0o400)),
        ("key,type=env", FileGrant("key", variable="key")),
        ("key,type=env,target=KEY", FileGrant("key", variable="KEY")),
        ('key,"target=/a,b"', FileGrant("key", "/a,b")),
    ],
)
def test_podmans_form(text: str, grant: FileGrant) -> None:
    assert parse_run_secret(text) == grant


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the secret's name is missing"),
        ("target=/x", "the secret's name is missing"),
        ("key,target", "option target must be in form option=value"),
        ("key,colour=red", "unknown option colour=red"),
        ("key,type=file", "type file is invalid"),
        ("key,uid=root", "invalid uid specified: 'root'"),
        ("key,mode=888", "invalid mode specified: '888'"),
        ("key,type=env,mode=400", "uid, gid and mode are of type=mount"),
    ],
)
def test_slips_in_podmans_form(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_run_secret(text)


@pytest.mark.parametrize(
    ("text", "grant"),
    [
        ("key", FileGrant("key", "key")),
        ("source=key,target=/a,mode=0440", FileGrant("key", "/a", mode=0o440)),
        ("SRC=key,uid=5,gid=6", FileGrant("key", "key", 5, 6)),
        # Go's reading: without a first 0 it is decimal
        ("source=key,mode=256", FileGrant("key", "key", mode=0o400)),
    ],
)
def test_the_form_of_services(text: str, grant: FileGrant) -> None:
    assert parse_service_grant(text, "secret") == grant


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("source=key,target", "invalid field 'target' must be a key=value pair"),
        ("source=key,colour=red", "invalid field in config request: colour"),
        ("target=/x", "source is required"),
        ("source=key,mode=0999", "invalid mode specified"),
    ],
)
def test_slips_in_the_form_of_services(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_service_grant(text, "config")
