"""The user's socket by systemd, which starts a server when somebody connects; and `docker` by the name of `sandbox`."""

from __future__ import annotations

import os
import shlex
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from sandbox.errors import ConflictError, HostError
from sandbox.home import find_home

if TYPE_CHECKING:
    from collections.abc import Mapping

SOCKET_UNIT, SERVICE_UNIT = "sandbox-api.socket", "sandbox-api.service"
_WANTS = "sockets.target.wants"
_IDLE = "60s"
_MARK = "# written by: sandbox api install-shim"
#: what a server must find: where things lie, and helper programs
_VARIABLES = ("PATH", "XDG_DATA_HOME", "XDG_CONFIG_HOME")


class Units(NamedTuple):
    """The texts of both units, systemd.socket(5) and systemd.service(5)."""

    socket: str
    service: str


def unit_texts(command: tuple[str, ...], env: Mapping[str, str]) -> Units:
    """The units for `command`, which is how `sandbox` is called on this machine. Raises HostError."""
    words = (*command, "api", "serve", "--idle", _IDLE)
    variables = [f"{name}={env[name]}" for name in _VARIABLES if env.get(name)]
    for text in (*words, *variables):
        if any(character in text for character in "\n\r\0"):
            raise HostError("a path with a line break cannot stand in a unit", cause=repr(text), mend="rename it")
    head = "# Written by `sandbox api install`; `sandbox api uninstall` removes it."
    socket = (
        head, "[Unit]", "Description=Docker's Engine API, served by sandbox", "", "[Socket]",
        "ListenStream=%t/sandbox/docker.sock", "SocketMode=0600", "DirectoryMode=0700", "RemoveOnStop=yes", "",
        "[Install]", "WantedBy=sockets.target", "",
    )  # fmt: skip
    service = (
        head, "[Unit]", "Description=Docker's Engine API, served by sandbox", f"Requires={SOCKET_UNIT}", "",
        "[Service]",
        *(f"Environment={_quoted(text)}" for text in variables),
        f"ExecStart={' '.join(_quoted(word).replace('$', '$$') for word in words)}",
        "# containers are not this server's: they go on when it ends", "KillMode=process", "",
    )  # fmt: skip
    return Units("\n".join(socket), "\n".join(service))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def install_units(units: Units, env: Mapping[str, str]) -> str:
    """Write the units and enable the socket, as `systemctl --user enable` does; the socket's unit. Raises HostError."""
    directory = _directory(env)
    path = f"{directory}/{SOCKET_UNIT}"
    link = f"{directory}/{_WANTS}/{SOCKET_UNIT}"
    try:
        os.makedirs(os.path.dirname(link), exist_ok=True)
        for name, text in ((SOCKET_UNIT, units.socket), (SERVICE_UNIT, units.service)):
            with open(f"{directory}/{name}.new", "w") as file:
                file.write(text)
            os.rename(f"{directory}/{name}.new", f"{directory}/{name}")
        with suppress(FileNotFoundError):
            os.unlink(link)
        os.symlink(path, link)
    except OSError as error:
        raise HostError(
            f"cannot write the unit {path}", cause=error.strerror or "", mend=f"ls -ld {directory}"
        ) from error
    return path


def remove_units(env: Mapping[str, str]) -> bool:
    """Take them away; whether there were any. Raises HostError."""
    directory, found = _directory(env), False
    for name in (f"{_WANTS}/{SOCKET_UNIT}", SOCKET_UNIT, SERVICE_UNIT, f"{SOCKET_UNIT}.new", f"{SERVICE_UNIT}.new"):
        try:
            os.unlink(f"{directory}/{name}")
            found = True
        except FileNotFoundError:
            continue
        except OSError as error:
            path = f"{directory}/{name}"
            raise HostError(f"cannot remove the unit {path}", cause=error.strerror or "", mend=f"rm {path}") from error
    return found


def _directory(env: Mapping[str, str]) -> str:
    home = find_home(env)
    if not home:
        raise HostError("there is no home directory for units", cause="HOME is not set", mend="export HOME=DIRECTORY")
    # the manager does not know what XDG_CONFIG_HOME a shell has
    return f"{home}/.config/systemd/user"


def install_shim(directory: str, command: tuple[str, ...]) -> str:
    """Put a `docker` there that is `sandbox`; its path. Raises ConflictError for another program of the name,
    HostError.
    """
    path = f"{directory}/docker"
    text = f'#!/bin/sh\n{_MARK}\nexec {shlex.join(command)} "$@"\n'
    try:
        os.makedirs(directory, exist_ok=True)
        with suppress(FileNotFoundError), open(path, "rb") as file:
            if _MARK.encode() not in file.read(4096):
                raise ConflictError(f"{path} is another program", mend=f"rm {path}, or choose another directory")
        aside = f"{path}.new"
        with open(aside, "w") as file:
            file.write(text)
        os.chmod(aside, 0o755)
        os.rename(aside, path)
    except OSError as error:
        raise HostError(f"cannot write {path}", cause=error.strerror or "", mend=f"ls -ld {directory}") from error
    return path
