"""The formats of listings that a person keeps in Docker's config.json: psFormat, imagesFormat and their likes."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Invocation


def format_of(invocation: Invocation, key: str) -> str | None:
    """What `--format` says, or else the `key` of the file; None where neither does. A file that cannot be read says
    nothing here: who needs it for more tells of that.
    """
    given = invocation.text("format")
    if given is not None:
        return given
    from sandbox.docker_proxies import docker_config_path

    try:
        with open(docker_config_path(invocation.context.env), "rb") as file:
            content = file.read()
    except OSError:
        return None
    import json  # few have such a file

    try:
        document = json.loads(content or b"{}")
    except (ValueError, RecursionError):
        return None
    found = document.get(key) if isinstance(document, dict) else None
    return found if isinstance(found, str) and found else None
