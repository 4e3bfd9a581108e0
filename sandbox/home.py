"""Where the person's home directory is."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def find_home(env: Mapping[str, str]) -> str:
    """The home directory, to be followed by a slash; "" where nobody knows it.

    HOME, or what the user database has where that is unset, empty or relative (services, cron, `env -i`).
    """
    home = env.get("HOME", "")
    if not home.startswith("/"):
        import pwd  # for such an environment only

        try:
            home = pwd.getpwuid(os.getuid()).pw_dir
        except KeyError:
            return ""
    if not home.startswith("/"):
        return ""
    # "/" is the home of many a service
    return home.rstrip("/") or "/."


def expand_home(path: str, env: Mapping[str, str]) -> str:
    """`path` with a `~` at its beginning put out; another user's `~name` as well."""
    if path == "~" or path.startswith("~/"):
        return (find_home(env) or path[:1]) + path[1:]
    return os.path.expanduser(path)
