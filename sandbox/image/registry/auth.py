"""What a registry asks for in WWW-Authenticate, read and answered: text in, values out, no sockets.

    WWW-Authenticate: Bearer realm="https://auth.example/token",service="reg",scope="repository:x:pull"
    WWW-Authenticate: Basic realm="registry"

(distribution-spec, "Token Authentication Specification"; RFC 9110 §11.6.1)
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode, urlsplit

from sandbox.errors import AuthenticationError, RegistryError
from sandbox.image.hosts.addresses import is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.image.registry.docker_config import Credentials

_TOKEN_CHARACTERS = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
#: who asks, told to token servers
CLIENT_ID = "sandbox"


class Challenge(NamedTuple):
    """One way to prove who asks; `scheme` and the parameters' names are lower case."""

    scheme: str
    parameters: Mapping[str, str]


class TokenRequest(NamedTuple):
    """One request for a token: a GET of `url`, or a POST where there is a `form`."""

    url: str
    headers: Mapping[str, str]
    form: Mapping[str, str] | None


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """The challenges of a WWW-Authenticate header, in its order; what cannot be read is left out."""
    challenges: list[tuple[str, dict[str, str]]] = []
    position = 0
    while position < len(header):
        word, position = _read_token(header, _skip(header, position, " \t,"))
        after = _skip(header, position, " \t")
        if not word:
            position = after + 1
        elif after < len(header) and header[after] == "=" and challenges:
            value, position = _read_value(header, _skip(header, after + 1, " \t"))
            challenges[-1][1][word.lower()] = value
        else:
            challenges.append((word.lower(), {}))
            position = after
    return tuple(Challenge(scheme, parameters) for scheme, parameters in challenges)


def basic_header(credentials: Credentials) -> str:
    """The Authorization value for a name and password."""
    return "Basic " + base64.b64encode(f"{credentials.username}:{credentials.password}".encode()).decode()


def token_request(
    challenge: Challenge, scope: str, credentials: Credentials | None, *, registry_url: str
) -> TokenRequest:
    """The request that gets a token for `scope`, or several with spaces between, from the server the registry names.

    The realm gets the person's password, so it must be https, unless the registry itself is reached without TLS and
    the realm is on the same host. Raises RegistryError.
    """
    realm = challenge.parameters.get("realm", "")
    _check_realm(realm, registry_url)
    service = challenge.parameters.get("service", "")
    asked = {key: value for key, value in (("service", service), ("scope", scope)) if value}
    # several scopes are as many parameters of a URL, and one field of a form
    parameters = [(key, value) for key, text in asked.items() for value in (text.split() if key == "scope" else [text])]
    if credentials is not None and credentials.identity_token:
        form = {"grant_type": "refresh_token", "refresh_token": credentials.identity_token, "client_id": CLIENT_ID}
        return TokenRequest(realm, {}, {**form, **asked})
    headers = {} if credentials is None else {"Authorization": basic_header(credentials)}
    return TokenRequest(realm + ("&" if "?" in realm else "?") + urlencode(parameters), headers, None)


def read_token(body: bytes, realm: str) -> str:
    """The token in a token server's answer. Raises AuthenticationError."""
    try:
        document = json.loads(body)
        token = document.get("token") or document.get("access_token")
    except (ValueError, AttributeError, RecursionError):
        token = None
    # a token goes into a header: a line break in it would add headers of the server's choice
    if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
        raise AuthenticationError(f"the token server {realm} gave no token", cause="its answer holds none")
    return token


def _check_realm(realm: str, registry_url: str) -> None:
    try:
        url, registry = urlsplit(realm), urlsplit(registry_url)
        host = url.hostname or ""
    except ValueError as error:
        raise RegistryError(f"the registry names a token server that is no URL: {realm[:200]!r}") from error
    if url.username or url.password or url.fragment or not host or not realm.isprintable():
        raise RegistryError(f"the registry names a token server that is no plain URL: {realm[:200]!r}")
    if url.scheme == "https":
        return
    both_here = is_loopback(host) and is_loopback(registry.hostname or "")
    if url.scheme == "http" and registry.scheme == "http" and (host == registry.hostname or both_here):
        return
    raise RegistryError(
        f"refusing to send credentials to {realm[:200]}",
        cause=f"the registry {registry.netloc} names this token server, and the way to it is not encrypted",
    )


def _skip(text: str, position: int, letters: str) -> int:
    while position < len(text) and text[position] in letters:
        position += 1
    return position


def _read_token(text: str, position: int) -> tuple[str, int]:
    start = position
    while position < len(text) and text[position] in _TOKEN_CHARACTERS:
        position += 1
    return text[start:position], position


def _read_value(text: str, position: int) -> tuple[str, int]:
    if position >= len(text) or text[position] != '"':
        return _read_token(text, position)
    value, position = [], position + 1
    while position < len(text) and text[position] != '"':
        if text[position] == "\\" and position + 1 < len(text):
            position += 1
        value.append(text[position])
        position += 1
    return "".join(value), position + 1
