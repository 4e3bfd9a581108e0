"""`diff`: the same lines whatever mounts the root, of a container that runs and of one that does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.command import Sandbox

pytestmark = [pytest.mark.requires("userns", "subids", "busybox"), pytest.mark.slow]
SCRIPT = """
echo new > /etc/new; echo more >> /etc/passwd; rm /etc/group; chmod 700 /home
mkdir -p /made/deep; echo x > /made/deep/er
rm -r /var/data; mkdir /var/data; echo x > /var/data/other; busybox mv /home/user /home/moved; : >> /bin/no-format
busybox ln -s x /tmp/link; mkdir /tmp/dir; chown 1000 /tmp/dir; chmod 700 /tmp/dir; rm /bin/yes; mkdir /bin/yes
"""
LINES = [
    "C /bin", "C /bin/yes",
    "C /etc", "D /etc/group", "A /etc/new", "C /etc/passwd",
    "C /home", "A /home/moved", "D /home/user",
    "A /made", "A /made/deep", "A /made/deep/er",
    "A /mnt", "A /mnt/here",
    "C /tmp", "A /tmp/dir", "A /tmp/link",
    "C /var", "C /var/data", "D /var/data/file", "A /var/data/other",
]  # fmt: skip


@pytest.mark.parametrize("driver", ["overlay", "fuse", "copy"])
def test_the_lines_are_docker_s(sandbox: Sandbox, busybox: str, driver: str) -> None:
    options = ("--network", "none", "--storage-driver", driver, "-v", "data:/mnt/here")
    sandbox.run("create", "--name", "new", *options, busybox, "true")
    assert sandbox.run("diff", "new").stdout == ""
    sandbox.run("run", "-d", "--name", "web", *options, busybox, "busybox", "sleep", "1000000")
    assert sandbox.run("diff", "web").lines == ["A /mnt", "A /mnt/here"]
    sandbox.run("exec", "web", "sh", "-c", SCRIPT)
    assert sandbox.run("diff", "web").lines == LINES
    sandbox.run("kill", "web")
    assert sandbox.run("container", "diff", "web").lines == LINES
    assert sandbox.run("diff", "nobody", status=1).stderr.startswith("Error: No such container: nobody")
