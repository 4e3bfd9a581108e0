"""Programs of the host: where they lie, what they print, and how a person gets them."""

from __future__ import annotations

import os
import signal

#: looked into after PATH: the services' ones are often missing from a user's PATH
_SYSTEM_DIRECTORIES: tuple[str, ...] = ("/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin")

#: to be the default again in a program that is executed: Python ignores them, and what is ignored stays so, execve(2)
IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)

_APT_LISTS = "/var/lib/apt/lists"
_INSTALLERS = (
    ("/usr/bin/apt-get", "apt-get install -y"),
    ("/usr/bin/dnf", "dnf install -y"),
    ("/usr/bin/zypper", "zypper install -y"),
    ("/usr/bin/pacman", "pacman -S --noconfirm"),
    ("/sbin/apk", "apk add"),
)


def find_program(name: str, search_path: str = "") -> str | None:
    """The absolute path of an executable `name`, from `search_path` (PATH's form), then the system's directories.

    Relative directories are passed over: a helper must not come from wherever the person happens to stand.
    """
    for directory in (*search_path.split(":"), *_SYSTEM_DIRECTORIES):
        path = f"{directory}/{name}"
        if directory.startswith("/") and os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def install_command(package: str) -> str:
    """The one line by which an administrator of this machine installs `package`."""
    for program, command in _INSTALLERS:
        if os.path.exists(program):
            update = "sudo apt-get update && " if command.startswith("apt-get") and not _has_apt_lists() else ""
            return f"{update}sudo {command} {package}"
    return f"install {package} with the package manager"


def _has_apt_lists() -> bool:
    """Whether apt knows any package: images and fresh machines come with empty lists."""
    try:
        return any("_Packages" in name for name in os.listdir(_APT_LISTS))
    except OSError:
        return False


def read_output(command: tuple[str, ...]) -> str:
    """What `command` (an absolute path first) prints on both streams; "" where it cannot be started.

    posix_spawn and a pipe: the subprocess module costs 14 ms to import.
    """
    read_fd, write_fd = os.pipe()
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, write_fd, 1),
        (os.POSIX_SPAWN_DUP2, write_fd, 2),
    ]
    try:
        pid = os.posix_spawn(command[0], command, {"LC_ALL": "C"}, file_actions=actions, setsigdef=IGNORED_BY_PYTHON)
    except OSError:
        os.close(read_fd)
        return ""
    finally:
        os.close(write_fd)
    with open(read_fd, errors="replace") as stream:
        text = stream.read(1 << 20)
    os.waitpid(pid, 0)
    return text
