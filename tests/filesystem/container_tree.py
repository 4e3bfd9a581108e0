"""What a running container's root holds, looked at from outside as root of its user namespace, without its mounts.

As a program (`python -m tests.filesystem.container_tree PID`, in that namespace) it writes a snapshot, pickled.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

from tests.filesystem.snapshot import Seen, snapshot
from tests.needs import REPOSITORY

#: mounted, or given to the container for a start
_NOT_OF_THE_ROOT = ("dev", "proc", "sys", ".dockerenv", "etc/hosts", "etc/hostname", "etc/resolv.conf")


def container_tree(pid: int, recent_ns: int) -> dict[str, Seen]:
    """Everything of the root that the process `pid` sees, by path; times after `recent_ns` show as 0."""
    done = subprocess.run(
        ["nsenter", "--target", str(pid), "--user", "--preserve-credentials",
         sys.executable, "-m", "tests.filesystem.container_tree", str(pid), str(recent_ns)],
        cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    tree: dict[str, Seen] = pickle.loads(done.stdout)
    return tree


def main() -> None:
    """Look at the root of the process that the command line names."""
    root, recent_ns = Path(f"/proc/{sys.argv[1]}/root"), int(sys.argv[2])
    found: dict[str, Seen] = {}
    for name in sorted(os.listdir(root)):
        if name not in _NOT_OF_THE_ROOT:
            below = snapshot(str(root / name), recent_ns)
            found |= {os.path.normpath(f"{name}/{path}"): seen for path, seen in below.items()}
    for path in _NOT_OF_THE_ROOT:
        found.pop(path, None)
    sys.stdout.buffer.write(pickle.dumps(found))


if __name__ == "__main__":
    main()
