"""Servers of Git repositories, looked at before the `git` program is sent there: it looks names up by itself, and would
follow whatever a server or a file `.gitmodules` says.

A remote's host is judged as that of every other request (`sandbox.image.hosts.permitted_hosts`). For HTTP, git
is then told which proxy to take and which addresses the name has (`http.curloptResolve`, since git 2.37): no second
answer of a name server counts. It follows no redirect; where one is answered, `locate` asks where it leads, as for any
download.
"""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING, NamedTuple

from sandbox.builder.sources.copy_sources import StepError
from sandbox.errors import SandboxError
from sandbox.image.hosts.addresses import is_address, refusal
from sandbox.image.registry.endpoints import proxy_for
from sandbox.image.web.web_file import WebRequest, locate_url
from sandbox.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.paths import Paths

#: Only what git and ssh read as we do. A host in percent signs or other letters is one for curl, and none for us;
#: `transport::address` is run by git as a helper's name.
_REMOTE = re.compile(
    r"(?P<scheme>https?|git|ssh|git\+ssh|ssh\+git)://(?:[^/?#\\\s]*@)?"
    r"(?P<host>[a-zA-Z0-9._-]+|\[[0-9a-fA-F:.]+(?:%25\w+)?\])(?::(?P<port>[0-9]*))?(?:[/?#].*)?"
)
_SCP = re.compile(r"(?:[^/:\s]*@)?(?P<host>[a-zA-Z0-9._-]+):(?!:|//).*")
_PORTS = {"http": 80, "https": 443, "git": 9418}
_REFS = "/info/refs?service=git-upload-pack"


class _Place(NamedTuple):
    scheme: str
    host: str
    port: int


def look_at(remote: str, env: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """git's settings, as keys and values, for the way to a remote that may be asked. Raises StepError for another."""
    place = _place_of(remote)
    if place.scheme not in ("http", "https"):
        _judge(remote, place.host, _look_up(remote, place))
        return ()
    proxy = proxy_for(place.scheme, place.host, env)
    settings = [("http.followRedirects", "false"), ("http.proxy", proxy or "")]
    if proxy is not None or is_address(place.host):
        _judge(remote, place.host, (place.host,))
        return tuple(settings)
    addresses = _look_up(remote, place)
    _judge(remote, place.host, addresses)
    listed = ",".join(f"[{address}]" if ":" in address else address for address in addresses)
    return (*settings, ("http.curloptResolve", f"{place.host}:{place.port}:{listed}"))


def locate(remote: str, authorization: str, paths: Paths, env: Mapping[str, str]) -> str:
    """Where the repository is that `remote` redirects to. Raises StepError."""
    request = WebRequest(remote.rstrip("/") + _REFS, authorization)
    try:
        found = locate_url(request, paths, env)
    except SandboxError as error:
        raise StepError(error.message, cause=error.cause, mend=error.mend) from error
    if not found.endswith(_REFS):
        raise StepError(
            f"cannot fetch {redact(remote)}", cause=f"it leads to {redact(found)[:200]!r}, which is no repository"
        )
    return found.removesuffix(_REFS)


def _place_of(remote: str) -> _Place:
    found = _REMOTE.fullmatch(remote)
    if found is not None:
        scheme = found["scheme"]
        return _Place(scheme, found["host"].strip("[]").lower(), int(found["port"] or _PORTS.get(scheme, 22)))
    found = _SCP.fullmatch(remote)
    if found is None:
        raise StepError(
            f"cannot fetch {redact(remote)[:200]}",
            cause="no URL with http, https, git or ssh and a host in plain letters",
        )
    return _Place("ssh", found["host"].lower(), 22)


def _look_up(remote: str, place: _Place) -> tuple[str, ...]:
    try:
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, OverflowError) as error:
        raise StepError(
            f"cannot fetch {redact(remote)}", cause=f"no such host: {place.host}", mend="check the URL's spelling"
        ) from error
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


def _judge(remote: str, host: str, addresses: tuple[str, ...]) -> None:
    for address in addresses:
        refused = refusal(host, address)
        if refused is not None:
            raise StepError(f"{refused.message} for {redact(remote)}", cause=refused.cause, mend=refused.mend)
