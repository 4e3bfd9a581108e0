"""mountinfo as the kernel writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.runtime.mount_table import find_mount

if TYPE_CHECKING:
    from pathlib import Path

_TEXT = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:26 / /home rw,nosuid,nodev shared:5 master:2 - nfs4 server:/home rw
31 30 0:27 / /home/a\\040b rw - tmpfs tmpfs rw
32 22 0:28 / /home rw,noexec - xfs /dev/sdb rw
"""


def test_longest_and_latest_mount_wins(tmp_path: Path) -> None:
    file = tmp_path / "mountinfo"
    file.write_text(_TEXT)
    assert find_mount("/etc/passwd", str(file)).filesystem == "ext4"
    assert find_mount("/home/a b/x", str(file)).filesystem == "tmpfs"
    assert find_mount("/home/nobody", str(file)) == ("/home", "xfs", frozenset({"rw", "noexec"}))
    assert find_mount("/homework", str(file)).mount_point == "/"


def test_this_machine() -> None:
    assert find_mount("/proc/self").filesystem == "proc"
