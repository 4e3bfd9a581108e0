"""A unit of the user's systemd manager: a file, and the link by which the manager starts it."""

from __future__ import annotations

import os
from contextlib import suppress

from sandbox.autostart.launch import Launch, refuse_line_breaks
from sandbox.errors import HostError

NAME = "sandbox-autostart.service"
_TARGET = "default.target.wants"
_ASIDE = ".new"
_VARIABLE = "Environment="


def unit_text(launch: Launch) -> str:
    """The unit, systemd.service(5). Raises HostError for a path that no unit can hold."""
    refuse_line_breaks(launch)
    for text in (*launch.words, *(value for _name, value in launch.variables)):
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            raise HostError(
                "a path that is no UTF-8 cannot stand in a unit", cause=repr(text), mend="--method cron, or rename it"
            )
    words = " ".join(_quoted(word).replace("$", "$$") for word in launch.words)
    return "\n".join((
        "# Written by `sandbox system autostart enable`; `sandbox system autostart disable` removes it.",
        "[Unit]",
        "Description=Containers of sandbox that have a restart policy",
        "",
        "[Service]",
        "Type=oneshot",
        "RemainAfterExit=yes",
        *(f"{_VARIABLE}{_quoted(f'{name}={value}')}" for name, value in launch.variables),
        f"ExecStart={words}",
        "# one container that cannot be started is no reason to end the others",
        "SuccessExitStatus=1",
        "TimeoutStartSec=infinity",
        "",
        "[Install]",
        "WantedBy=default.target",
        "",
    ))  # fmt: skip


def unit_variables(text: str) -> dict[str, str]:
    """The variables that a unit of ours gives."""
    found = {}
    for line in text.splitlines():
        if line.startswith(_VARIABLE) and line.endswith('"'):
            name, _, value = _unquoted(line[len(_VARIABLE) :]).partition("=")
            found[name] = value
    return found


def unit_path(home: str) -> str:
    """Where the unit's file is. The manager does not know what XDG_CONFIG_HOME a shell has."""
    return f"{home}/.config/systemd/user/{NAME}"


def read_unit(home: str) -> str | None:
    """The unit's text where it is there and enabled, else None."""
    path = unit_path(home)
    if not os.path.lexists(_link(path)):
        return None
    try:
        with open(path) as file:
            return file.read()
    except (OSError, ValueError):
        return None


def write_unit(home: str, text: str) -> None:
    """Put the unit there and enable it, as `systemctl --user enable` does; no manager is needed. Raises HostError."""
    path = unit_path(home)
    link = _link(path)
    aside = f"{path}{_ASIDE}"
    try:
        os.makedirs(os.path.dirname(link), exist_ok=True)
        with open(aside, "w") as file:
            file.write(text)
        os.rename(aside, path)
        # one of another meaning gives way
        with suppress(FileNotFoundError):
            os.unlink(link)
        os.symlink(path, link)
    except OSError as error:
        raise HostError(
            f"cannot write the unit {path}", cause=error.strerror or "", mend=f"ls -ld {os.path.dirname(path)}"
        ) from error


def remove_unit(home: str) -> bool:
    """Take it away; whether there was one. Raises HostError."""
    path = unit_path(home)
    found = False
    # the last is what a killed `enable` leaves
    for each in (_link(path), path, f"{path}{_ASIDE}"):
        try:
            os.unlink(each)
            found = found or not each.endswith(_ASIDE)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise HostError(f"cannot remove the unit {each}", cause=error.strerror or "", mend=f"rm {each}") from error
    return found


def _link(path: str) -> str:
    directory, name = os.path.split(path)
    return f"{directory}/{_TARGET}/{name}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _unquoted(text: str) -> str:
    pieces = text[1:-1].replace("%%", "%").split("\\\\")
    return "\\".join(piece.replace('\\"', '"') for piece in pieces)
