"""`pruneFilters` of Docker's config.json: filters that every prune has besides those of its command line."""

from __future__ import annotations

from sandbox.docker_proxies import docker_config_path
from sandbox.errors import SandboxError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def with_kept_filters(env: Mapping[str, str], given: Sequence[str]) -> tuple[str, ...]:
    """The filters given, and those of the file; a label that is given goes before its opposite in the file.

    Raises SandboxError for a file that cannot be read: what it means to keep would be removed.
    """
    path = docker_config_path(env)
    try:
        with open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        return tuple(given)
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    import json  # few commands have such a file

    try:
        document = json.loads(content or b"{}")
        kept = [text for text in document.get("pruneFilters") or () if isinstance(text, str)]
    except (ValueError, RecursionError, AttributeError, TypeError) as error:
        raise _unreadable(path, "it is not JSON of Docker's form") from error
    return (*given, *(text for text in kept if "=" in text and _opposite(text) not in given))


def _opposite(text: str) -> str:
    key, _, value = text.partition("=")
    return {"label": f"label!={value}", "label!": f"label={value}"}.get(key, "")


def _unreadable(path: str, cause: str) -> SandboxError:
    return SandboxError(
        f"cannot read {path}, which may say what is never pruned", cause=cause, mend=f"editor {path}, or remove it"
    )
