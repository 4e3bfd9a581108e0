"""Files from the web, for `ADD URL` and for contexts that are URLs: their names, times, digests, and what is kept."""

from __future__ import annotations

import os
import posixpath
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

from sandbox.builder.cache.url_cache import KeptUrl
from sandbox.builder.sources.copy_sources import StepError
from sandbox.errors import SandboxError
from sandbox.image.web.web_file import WebRequest, fetch_file
from sandbox.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.paths import Paths

_NAME_BYTES_MOST = 255
_VERIFY_MEND = "ADD --checksum=sha256:… says what must come, whatever the way"


class UrlAccess(NamedTuple):
    """With what servers are asked: the caller's environment, and the build's secrets."""

    env: Mapping[str, str]
    secrets: Mapping[str, bytes]


class UrlFile(NamedTuple):
    """A file that was fetched: mode 0600, its time the server's Last-Modified or 1970; `path` ends with `name`."""

    path: str
    digest: str


def url_name(url: str) -> str:
    """What a URL's file is called where only its directory is given. Raises StepError for no name of a file."""
    try:
        path = urlsplit(url).path
    except ValueError as error:
        raise StepError(f"invalid URL {redact(url)!r}", cause=str(error)) from error
    name = posixpath.basename(unquote(path, errors="surrogateescape").rstrip("/"))
    if "\0" in name or len(os.fsencode(name)) > _NAME_BYTES_MOST:
        raise StepError(f"the last part of {redact(url)[:200]!r} is no name of a file")
    return "__unnamed__" if name in ("", ".", "..") else name


def check_digest(text: str) -> str:
    """A `--checksum` of a URL. Raises StepError."""
    algorithm, _, value = text.partition(":")
    if algorithm != "sha256" or len(value) != 64 or not set(value) <= set("0123456789abcdef"):
        raise StepError(f"invalid checksum {text!r}", mend="--checksum=sha256:…, 64 letters of 0-9 and a-f")
    return text


def fetch_url(url: str, checksum: str, place: str, paths: Paths, access: UrlAccess) -> UrlFile:
    """Fetch into the empty directory `place`. Raises StepError, also for content that is not `checksum`."""
    shown = redact(url)
    target = f"{place}/{url_name(url)}"
    kept = KeptUrl(paths, url)
    fd = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        answer = _ask(url, checksum, fd, paths, access, kept.etag)
        if answer.get("same"):
            answer = kept.restore(fd) or _ask(url, checksum, fd, paths, access, "")
            if answer.get("same"):
                raise StepError(f"cannot download {shown}", cause="the server says 304 to what was never asked before")
        else:
            kept.remember(fd, answer, shown)
        digest = str(answer["digest"])
        if checksum and digest != checksum:
            raise StepError(f"digest mismatch for {shown}: {digest} (expected: {checksum})")
        os.utime(fd, (answer["modified"], answer["modified"]))
    finally:
        os.close(fd)
    return UrlFile(target, digest)


def _ask(url: str, checksum: str, fd: int, paths: Paths, access: UrlAccess, etag: str) -> dict[str, Any]:
    request = WebRequest(url, _authorization(url, access), etag, bool(checksum), _VERIFY_MEND)
    try:
        return fetch_file(request, fd, paths, access.env)
    except SandboxError as error:
        raise StepError(error.message, cause=error.cause, mend=error.mend) from error


def _authorization(url: str, access: UrlAccess) -> str:
    """The header of BuildKit's secrets HTTP_AUTH_HEADER_<host> and HTTP_AUTH_TOKEN_<host>."""
    host = urlsplit(url).hostname or ""
    header = access.secrets.get(f"HTTP_AUTH_HEADER_{host}")
    token = access.secrets.get(f"HTTP_AUTH_TOKEN_{host}")
    if header is None and token is None:
        return ""
    text = (header if header is not None else token or b"").decode(errors="replace").strip()
    if not text.isprintable() or not text.isascii():
        raise StepError(f"the secret for {host} is no header")
    return text if header is not None else f"Bearer {text}"
