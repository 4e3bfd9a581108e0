"""Commands run with the user's subordinate ids, made without any code of the product.

Tests need it to make trees with true ownership, to remove what a container wrote, and to know whether the host lets an
unprivileged user do it at all: so it leans on unshare(1) and newuidmap(1) only.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: tells its parent that the namespace is there, waits for the maps, then becomes the command: exec by uid 0 gives it
#: back the capabilities that the shell lost while it had no uid
_GATE = 'echo ready; read -r _; exec "$@"'


class SubordinateError(Exception):
    """Why subordinate ids cannot be used here."""


def subordinate_range(kind: str) -> tuple[int, int]:
    """First id and count of this user's range; `kind` is "uid" or "gid". Raises SubordinateError."""
    name = pwd.getpwuid(os.getuid()).pw_name
    for line in _range_lines(kind, name):
        owner, first, count = line.split(":")
        if owner in (name, str(os.getuid())) and int(count) >= 65535:
            return int(first), int(count)
    raise SubordinateError(f"no 65536 subordinate {kind}s for {name}")


def _range_lines(kind: str, name: str) -> list[str]:
    lines: list[str] = []
    try:
        with open(f"/etc/sub{kind}") as file:
            lines = [line for line in file.read().splitlines() if line.count(":") == 2]
    except FileNotFoundError:
        pass
    if shutil.which("getsubids"):
        # "0: dev 100000 65536": also answers where the ranges come from a directory service
        options = ["-g"] if kind == "gid" else []
        found = subprocess.run(["getsubids", *options, name], capture_output=True, text=True, check=False)
        lines += [":".join(line.split()[1:4]) for line in found.stdout.splitlines() if len(line.split()) == 4]
    return lines


def run_as_namespace_root(
    command: Sequence[str | bytes | os.PathLike[str]], *, mounts: bool = False, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run `command` as uid 0 of a user namespace that holds this user's ids; with `mounts`, in a mount namespace too.

    Raises SubordinateError where the maps cannot be made, CalledProcessError as subprocess.run does.
    """
    first_uid, uid_count = subordinate_range("uid")
    first_gid, gid_count = subordinate_range("gid")
    options = ["--user", "--mount", "--propagation", "private"] if mounts else ["--user"]
    child = subprocess.Popen(
        ["unshare", *options, "--", "sh", "-c", _GATE, "sh", *command],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert child.stdout is not None
        if child.stdout.readline() != "ready\n":
            _, talk = child.communicate()
            raise SubordinateError(talk.strip() or "unshare said nothing")
        map_ids("newuidmap", child.pid, (0, os.getuid(), 1), (1, first_uid, min(uid_count, 65535)))
        map_ids("newgidmap", child.pid, (0, os.getgid(), 1), (1, first_gid, min(gid_count, 65535)))
        output, talk = child.communicate("go\n")
    except BaseException:
        child.kill()
        child.wait()
        raise
    finished = subprocess.CompletedProcess(child.args, child.returncode, output, talk)
    if check and finished.returncode != 0:
        raise subprocess.CalledProcessError(child.returncode, list(command), output, talk)
    return finished


def map_ids(helper: str, pid: int, *lines: tuple[int, int, int]) -> None:
    """Have newuidmap or newgidmap write a map of (inner, outer, count) for `pid`. Raises SubordinateError."""
    words = [helper, str(pid), *(str(number) for line in lines for number in line)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise SubordinateError(f"{helper} is not installed") from None
    if done.returncode != 0:
        raise SubordinateError(done.stderr.strip() or f"{helper} failed")


def remove_tree(path: str) -> None:
    """Remove a tree, whoever of the subordinate ids owns what lies in it."""
    shutil.rmtree(path, ignore_errors=True)
    if os.path.lexists(path):
        run_as_namespace_root(["rm", "-rf", "--one-file-system", "--", path])
