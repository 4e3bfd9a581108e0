"""Docker's global options, which scripts bring along: what means this machine is taken, what means another refused."""

from __future__ import annotations

from posixpath import join

from sandbox.docker_variables import LOCAL
from sandbox.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.cli.command import Context
    from sandbox.cli.flags import Value

_LEVELS = ("panic", "fatal", "error", "warn", "warning", "info", "debug", "trace")


def refuse_docker_option(values: Mapping[str, Value]) -> UsageError | None:
    """The error for the first option that would have been about another machine, or says nothing; None for no such."""
    for key in ("host", "context", "tls", "tlsverify", "tlscacert", "tlscert", "tlskey"):
        value = values.get(key, False)
        if not value or value == "default" or (isinstance(value, tuple) and all(map(_is_local, value))):
            continue
        return UsageError(f"--{key} is not supported: there is no daemon to connect to", mend="leave it out")
    level = str(values.get("log-level", "info"))
    if level.lower() not in _LEVELS:
        return UsageError(f"Unable to parse logging level: {level}", mend=f"one of {', '.join(_LEVELS)}")
    return None


def _is_local(host: str) -> bool:
    return host.startswith(LOCAL)


def with_docker_options(context: Context, values: Mapping[str, Value]) -> Context:
    """`context` as they have it: `--config` is where credentials and proxies are read; nothing else means anything."""
    if "config" not in values:
        return context
    directory = join(context.cwd.path, str(values["config"]))
    return context._replace(env={**context.env, "DOCKER_CONFIG": directory})
