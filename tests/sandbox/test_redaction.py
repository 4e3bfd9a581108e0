"""Credentials in URLs: what is hidden, and what is none."""

from __future__ import annotations

import pytest

from sandbox.errors import SandboxError
from sandbox.redaction import mask, redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("fatal: https://user:pass@host/x, not found", "fatal: https://xxxxx:xxxxx@host/x, not found"),
        ("https://ghp_t0ken@host/r.git", "https://xxxxx@host/r.git"),
        ("HTTP://t0ken@host", "HTTP://xxxxx@host"),
        ("https://:pass@host/", "https://:xxxxx@host/"),
        ("https://user:@host/", "https://xxxxx:@host/"),
        ("https://user:p@ss:w0rd@host/", "https://xxxxx:xxxxx@host/"),
        ("https://us@er@host/", "https://xxxxx@host/"),
        ("'https://t0ken@host/' and https://u:p@other", "'https://xxxxx@host/' and https://xxxxx:xxxxx@other"),
        ("postgres://me:pass@db/x", "postgres://xxxxx:xxxxx@db/x"),
        ("https://t0ken@[::1]:80/", "https://xxxxx@[::1]:80/"),
        (
            "https://b.s3/f?X-Amz-Credential=AKIA%2F1&X-Amz-Date=2&X-Amz-Signature=abc#x",
            "https://b.s3/f?X-Amz-Credential=xxxxx&X-Amz-Date=2&X-Amz-Signature=xxxxx#x",
        ),
        ("https://a/f?sv=1&sig=a%2Bb%3D&se=2", "https://a/f?sv=1&sig=xxxxx&se=2"),
        ("https://gitlab/f?private_token=abc", "https://gitlab/f?private_token=xxxxx"),
        ("https://a/f?Signature=abc&Expires=1&Key-Pair-Id=2", "https://a/f?Signature=xxxxx&Expires=1&Key-Pair-Id=2"),
    ],
)
def test_credentials_are_hidden(text: str, shown: str) -> None:
    assert redact(text) == shown
    assert redact(shown) == shown
    assert SandboxError(text).render() == f"Error: {shown}"
    assert len(mask(text)) == len(text)
    assert redact(mask(text)) == shown


@pytest.mark.parametrize(
    "text",
    [
        *(
            "ssh://git@host/r.git",
            "git@host:r.git",
            "https://host:8080/@scope/x",
            "https://host/a@b",
            "https://host?q=a@b",
        ),
        *("https://$TOKEN@host/", "https://${USER}:$PASSWORD@host/", "docker-image://busybox:1@sha256:0123"),
        *("https://host/f?x=1&y=2", "https://host/f?design=blue&monkey=2", "me@example.com", "https://host/sig=abc"),
    ],
)
def test_what_is_no_credential_stays(text: str) -> None:
    assert redact(text) == mask(text) == text


@pytest.mark.parametrize("piece", ["a", "://a:", "token", "@:", "?token", "://a@"])
def test_a_line_of_megabytes_is_read_once(piece: str) -> None:
    """By the square of its length it would take hours."""
    redact("://" + piece * 500_000)
