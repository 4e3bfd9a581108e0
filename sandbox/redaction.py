"""Texts for people without the credentials in the URLs they hold: a name with its password, a token in a name's place
(`https://TOKEN@host`), and what signs a query (`?X-Amz-Signature=…`, `?sig=…`, `?access_token=…`).

A name alone is hidden for http and https only: in `ssh://git@host` it is none. What is written as a variable stays: it
tells nothing.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# a line of megabytes is read once: what is before :// is looked back at, not read from each letter on
_SECRETS = re.compile(
    # user information ends at the last @ before the host's end, RFC 3986 §3.2; an image's name is before its digest
    r"""(?P<web>(?<=http)|(?<=https))?://(?P<user>[^/?\#\s"'<>:]*)(?P<password>:[^/?\#\s"'<>]*)?@(?!sha[0-9]+:)"""
    r"""|(?P<key>[?&;](?:[\w.-]*token|[\w.-]*signature|x-(?:amz|goog)-credential|sig|hmac|jwt|auth|authorization"""
    r"""|[\w.-]*api[_-]?key|[\w.-]*access[_-]?key|password|passwd|pwd|[\w.-]*secret)=)(?P<value>[^&;\#\s"'<>]+)""",
    re.IGNORECASE,
)
_VARIABLE = re.compile(r"\$(?:\w+|\{[^}]*\})")


def redact(text: str) -> str:
    """`text` with the credentials of its URLs as `xxxxx`."""
    return _hide(text, lambda _secret: "xxxxx")


def mask(text: str) -> str:
    """`text` with as many characters as it had: for lines in which places are pointed out."""
    return _hide(text, lambda secret: "x" * len(secret))


def _hide(text: str, hidden: Callable[[str], str]) -> str:
    def shown(secret: str) -> str:
        return secret if not secret or _VARIABLE.fullmatch(secret) else hidden(secret)

    def replaced(found: re.Match[str]) -> str:
        if found["key"]:
            return found["key"] + shown(found["value"])
        user, password = found["user"], found["password"]
        if password is not None:
            return f"://{shown(user)}:{shown(password[1:])}@"
        return f"://{user if found['web'] is None else shown(user)}@"

    return _SECRETS.sub(replaced, text)
