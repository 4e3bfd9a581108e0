"""What a registry answers, read: errors, lists of tags, ranges. Bytes in, values out; nothing in them is believed."""

from __future__ import annotations

import json

from sandbox.errors import RegistryError
from sandbox.image.foreign_texts import printable
from sandbox.image.references import is_tag

_PARTIAL_CONTENT = 206


def continues(status: int, content_range: str, offset: int) -> bool:
    """Whether the answer is the rest from byte `offset` on; a server may send the whole instead (RFC 9110 §14.2)."""
    return status == _PARTIAL_CONTENT and content_range.replace(" ", "").startswith(f"bytes{offset}-")


def received_bytes(header: str) -> int:
    """How many bytes of an upload a registry has, by its Range: "0-1023"; 0 where it does not say.

    "0-0" is one byte or none, and so nothing to build upon.
    """
    start, dash, end = header.removeprefix("bytes=").partition("-")
    return int(end) + 1 if start == "0" and dash and end.isdecimal() and end != "0" else 0


def _error_document(body: bytes) -> list[dict[str, object]]:
    try:
        errors = json.loads(body)["errors"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []
    return [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []


def error_codes(body: bytes) -> tuple[str, ...]:
    """The codes of an error answer, such as NAME_UNKNOWN; none where it is not what it should be."""
    return tuple(str(error.get("code", "")) for error in _error_document(body))


def error_text(body: bytes) -> str:
    """What an error answer says, fit for a terminal; empty where it says nothing."""
    parts = (f"{str(e.get('code', '')).lower()}: {e.get('message', '')}" for e in _error_document(body)[:3])
    return printable("; ".join(parts))


def read_tags(body: bytes, what: str) -> list[str]:
    """The tags in the answer to tags/list; what is no tag is left out. Raises RegistryError."""
    try:
        tags = json.loads(body).get("tags") or []
    except (ValueError, AttributeError, RecursionError) as error:
        raise RegistryError(f"{what}: the list of tags is not JSON", cause=str(error)) from error
    if not isinstance(tags, list):
        raise RegistryError(f"{what}: the list of tags is none")
    return [tag for tag in tags if isinstance(tag, str) and is_tag(tag)]


def next_page(link: str) -> str | None:
    """The path of the following page (RFC 8288); only one on the same host is followed."""
    target, _, parameters = link.partition(";")
    path = target.strip().removeprefix("<").removesuffix(">")
    if "next" not in parameters or not path.startswith("/v2/") or not path.isprintable():
        return None
    return path
