"""`sandbox-compose`: `sandbox compose` as a program of its own, called as docker-compose is; a link to it may have that
name.
"""

from __future__ import annotations

import sys

from sandbox.cli.flags import option, parse_flags
from sandbox.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

    from sandbox.cli.flags import Option, Value

#: of docker-compose before the verb, and not of `sandbox compose`: the first two are asked in place of a verb, those of
#: the daemon go before the noun, and what is said of the log of a program that is no daemon's is left out
_ASKED = (option("-v --version", "flag", "Show the version"), option("-h --help", "flag", "Show the help"))
_OF_DAEMON = (
    option("-H --host", "list", "The daemon to connect to"),
    option("-c --context", "text", "The daemon to connect to"),
    *(option(f"--tls{name}", "flag", "How to reach the daemon") for name in ("", "verify")),
    *(option(f"--tls{name}", "text", "How to reach the daemon") for name in ("cacert", "cert", "key")),
)
_LEFT_OUT = (
    option("-l --log-level", "text", "What is logged"),
    option("--skip-hostname-check", "flag", "Of the daemon's certificate"),
    option("-D --debug", "flag", "Say more"),
)
_NO_ANSI = option("--no-ansi", "flag", "Of old: --ansi never")


def entry() -> NoReturn:
    """The console script."""
    sys.argv[1:] = as_sandbox(sys.argv[1:])
    from sandbox.cli.main import entry as begin

    begin()


def as_sandbox(words: Sequence[str]) -> list[str]:
    """The words for `sandbox` of those for docker-compose; what cannot be read is left to `sandbox` to refuse."""
    from sandbox.cli.compose_options import OPTIONS

    own = (*_ASKED, *_OF_DAEMON, *_LEFT_OUT, _NO_ANSI)
    try:
        parsed = parse_flags((*own, *OPTIONS), words, interspersed=False)
    except UsageError:
        return ["compose", *words]
    values = parsed.values
    if values.get("version"):
        return ["compose", "version"]
    verb, rest = parsed.arguments[:1], list(parsed.arguments[1:])
    if values.get("help") or verb == ("help",):
        return ["compose", *(rest[:1] if verb == ("help",) else verb), "--help"]
    kept = _given(OPTIONS, values)
    if values.get(_NO_ANSI.key):
        kept.append("--ansi=never")
    return [*_given(_OF_DAEMON, values), "compose", *kept, *verb, *rest]


def _given(declared: Sequence[Option], values: Mapping[str, Value]) -> list[str]:
    """The options among `declared` that were given, as words."""
    found: list[str] = []
    for each in declared:
        value = values.get(each.key)
        if value is not None:
            texts = value if isinstance(value, tuple) else (str(value).lower() if each.kind == "flag" else value,)
            found += [f"--{each.key}={text}" for text in texts]
    return found
