"""The process that downloads one URL, for a build or an import; the only one that imports httpx and trio for it.

    caller                                       this process
    standard input: what to fetch, JSON ───────▶
    descriptor: an empty file ─────────────────▶ gets the body
    ◀─────────────────────────────────────────── standard output: {"digest", "etag", …} or {"error": [what, why, mend]}

A process of its own, for the caller forks and enters namespaces, which no process with trio's threads may. Redirects
are followed here: what proves who we are stays with the host it was meant for, none leads from https to http, and
none to services that only we can reach (`sandbox.image.hosts.permitted_hosts`, which judges the first host too).
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import httpx

from sandbox.errors import SandboxError
from sandbox.image.hosts.permitted_hosts import Reach
from sandbox.image.registry.transport import ConnectionProblem, RoutedTransport, Trust
from sandbox.image.trio_runs import run_trio
from sandbox.redaction import redact
from sandbox.runtime import syscalls
from sandbox.version import __version__

_REDIRECTS_MAX = 10
_TIMEOUT = httpx.Timeout(60.0, connect=30.0)


class _Job(NamedTuple):
    """As `sandbox.image.web.web_file.WebRequest`; `output` is the descriptor."""

    url: str
    shown: str
    env: dict[str, str]
    config_root: str
    authorization: str
    etag: str
    verified: bool
    verify_mend: str
    locate: bool
    #: hosts of private networks that the person's settings name
    redirects: tuple[str, ...]
    output: int | None


def main() -> None:
    """Serve one request."""
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    job = _Job(**json.load(sys.stdin))
    try:
        answer = run_trio(lambda: _fetch(job))
    except SandboxError as error:
        answer = {"error": [error.message, error.cause, error.mend]}
    json.dump(answer, sys.stdout)


async def _fetch(job: _Job) -> dict[str, Any]:
    trust = Trust(job.env, job.config_root, {}, frozenset())
    headers = {"User-Agent": f"sandbox/{__version__}", "Accept-Encoding": "identity"}
    url = httpx.URL()
    try:
        first = url = httpx.URL(job.url)
        async with httpx.AsyncClient(
            transport=RoutedTransport(job.env, trust, job.redirects), follow_redirects=False, timeout=_TIMEOUT,
            trust_env=False, headers=headers,
        ) as client:  # fmt: skip
            reach = Reach(first.host, first, kind="server")
            for _hop in range(_REDIRECTS_MAX + 1):
                # whoever wrote the URL chose its host, and nobody where that sends us
                limit = {} if _is_same(first, url) else {"reach": reach}
                headers = _headers(job, first, url)
                async with client.stream("GET", url, headers=headers, extensions=limit) as response:
                    if not response.has_redirect_location:
                        return {"url": str(url)} if job.locate else await _keep(job, response)
                    url = _redirect(job, url, response.headers["location"])
    except httpx.InvalidURL as error:
        raise SandboxError(f"cannot download {job.shown}", cause=f"invalid URL: {error}") from error
    except httpx.TransportError as error:
        raise _unreachable(job, url, error) from error
    raise SandboxError(f"cannot download {job.shown}", cause=f"more than {_REDIRECTS_MAX} redirects")


def _headers(job: _Job, first: httpx.URL, url: httpx.URL) -> dict[str, str]:
    headers = {"If-None-Match": job.etag} if job.etag else {}
    if job.authorization and _is_same(first, url):
        headers["Authorization"] = job.authorization
    return headers


def _is_same(first: httpx.URL, url: httpx.URL) -> bool:
    return (url.scheme, url.host, url.port) == (first.scheme, first.host, first.port)


def _redirect(job: _Job, url: httpx.URL, location: str) -> httpx.URL:
    target = url.join(location)
    if target.scheme not in ("http", "https"):
        raise SandboxError(
            f"cannot download {job.shown}", cause=f"it leads to {redact(str(target))[:200]!r}, which is no web page"
        )
    if url.scheme == "https" and target.scheme == "http" and not job.verified:
        raise SandboxError(
            f"cannot download {job.shown}",
            cause=f"it leads from https to {redact(str(target))[:200]!r}, where anybody on the way may change it",
            mend=job.verify_mend,
        )
    return target


async def _keep(job: _Job, response: httpx.Response) -> dict[str, Any]:
    assert job.output is not None
    if response.status_code == httpx.codes.NOT_MODIFIED:
        return {"same": True}
    if not response.is_success:
        raise SandboxError(
            f"cannot download {job.shown}",
            cause=f"invalid response status {response.status_code}",
            mend="check the URL",
        )
    sha256, size = hashlib.sha256(), 0
    try:
        async for piece in response.aiter_raw(1 << 20):
            sha256.update(piece)
            size += len(piece)
            rest = memoryview(piece)
            while rest:
                rest = rest[os.write(job.output, rest) :]
    except OSError as error:
        raise SandboxError(f"cannot keep {job.shown}", cause=error.strerror or str(error)) from error
    etag = response.headers.get("etag", "")
    return {
        "digest": f"sha256:{sha256.hexdigest()}", "size": size, "etag": etag if len(etag) < 1000 else "",
        "modified": _seconds(response.headers.get("last-modified", "")),
    }  # fmt: skip


def _seconds(date: str) -> int:
    """Seconds since 1970 of an HTTP date; 0 where there is none."""
    try:
        return max(0, int(parsedate_to_datetime(date).timestamp()))
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0


def _unreachable(job: _Job, url: httpx.URL, error: httpx.TransportError) -> SandboxError:
    problem = ConnectionProblem(error)
    cause, mend = problem.text, ""
    if problem.unknown_host:
        cause, mend = f"no such host: {url.host}", "check the URL's spelling"
    elif problem.refused:
        cause, mend = f"connection refused by {url.host}", f"curl -I {job.shown}"
    elif problem.untrusted:
        cause, mend = f"its certificate is not trusted: {problem.untrusted.verify_message}", "see SSL_CERT_FILE"
    elif problem.tls:
        cause = f"no TLS connection: {problem.tls.reason or problem.tls}"
    elif isinstance(error, httpx.TimeoutException):
        cause, mend = f"no answer in time from {url.host}", "check the network and the proxy settings"
    return SandboxError(f"cannot download {job.shown}", cause=cause, mend=mend)
