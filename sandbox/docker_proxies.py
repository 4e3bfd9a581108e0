"""`proxies.default` of Docker's config.json: the proxies that containers, and the commands of a build, are told of.

Of no concern to us is how this machine itself reaches a registry: that is the caller's environment.
"""

from __future__ import annotations

from sandbox.home import find_home

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: member of the file, in small letters -> variable; Docker sets each in both spellings
_VARIABLES = {
    "httpproxy": "HTTP_PROXY",
    "httpsproxy": "HTTPS_PROXY",
    "ftpproxy": "FTP_PROXY",
    "noproxy": "NO_PROXY",
    "allproxy": "ALL_PROXY",
}


def docker_config_path(env: Mapping[str, str]) -> str:
    """config.json of `$DOCKER_CONFIG`, else of ~/.docker."""
    return f"{env.get('DOCKER_CONFIG') or f'{find_home(env)}/.docker'}/config.json"


def find_proxies(env: Mapping[str, str], warn: Callable[[str], None]) -> dict[str, str]:
    """The variables, in both spellings; none where the file has none. As with Docker, a file that cannot be read is
    warned of and keeps nothing from starting.
    """
    path = docker_config_path(env)
    try:
        with open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        return {}
    except OSError as error:
        warn(f"WARNING: no proxies are taken from {path}: {error.strerror}")
        return {}
    import json  # few commands have such a file

    try:
        document = json.loads(content or b"{}")
        default = ((document.get("proxies") or {}).get("default") or {}).items()
    except (ValueError, RecursionError, AttributeError):
        warn(f"WARNING: no proxies are taken from {path}: it is not JSON of Docker's form")
        return {}
    found = {_VARIABLES.get(key.lower(), ""): value for key, value in default if isinstance(value, str) and value}
    found.pop("", None)
    return {spelt: value for name, value in found.items() for spelt in (name, name.lower()) if "\0" not in value}
