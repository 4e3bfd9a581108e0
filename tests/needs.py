"""What a test may need of the host: a closed list of words, each probed once by trying the thing.

A probe returns "" where the host gives it, or one line that says what is missing and, where a package brings it, which.
`VM_ONLY` names what an ordinary CI machine cannot give: tests that need it carry the mark `vm`, which is deselected
unless asked for (docs/testing.md); everything else must be there in CI.
"""

from __future__ import annotations

import functools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.subordinate import SubordinateError, run_as_namespace_root

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: an administrator's machine with systemd and a delegated subtree: docs/testing.md says how to get one
VM_ONLY = frozenset({"cgroup_v2", "systemd"})

REPOSITORY = Path(__file__).parent.parent


def vectors_directory() -> Path:
    """Where the conformance vectors lie, whether or not they do."""
    return Path(os.environ.get("SANDBOX_VECTORS") or REPOSITORY.parent / "shared" / "vectors")


@functools.cache
def missing(need: str) -> str:
    """Why `need` is not met, or "". Raises KeyError for a word that is not in the list."""
    return PROBES[need]()


def _tried(command: Sequence[str], hint: str = "") -> str:
    """ "" if the command succeeds, else the last line of what it said."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=False
        )
    except FileNotFoundError:
        return f"{command[0]} is not installed" + (f" (package {hint})" if hint else "")
    talk = (done.stderr or done.stdout).strip().splitlines()
    return "" if done.returncode == 0 else (talk[-1] if talk else f"{command[0]} failed with {done.returncode}")


def _program(command: str, package: str = "", *arguments: str) -> Callable[[], str]:
    def probe() -> str:
        # Debian keeps servers in sbin, which a user's PATH often lacks
        path = shutil.which(command) or shutil.which(command, path="/usr/sbin:/sbin:/usr/local/sbin")
        return _tried([path or command, *(arguments or ("--version",))], package or command)

    return probe


def _user_namespace() -> str:
    return _tried(["unshare", "--user", "true"], "util-linux")


def _subordinate_ids() -> str:
    try:
        done = run_as_namespace_root(["cat", "/proc/self/uid_map"])
    except (SubordinateError, subprocess.CalledProcessError) as error:
        return str(error)
    return "" if len(done.stdout.splitlines()) == 2 else "the maps did not take"


def _overlay() -> str:
    with tempfile.TemporaryDirectory(prefix="sbx-", dir="/tmp", ignore_cleanup_errors=True) as place:
        script = (
            f"cd {place} && mkdir l u w m && mount -t overlay overlay -o userxattr,lowerdir=l,upperdir=u,workdir=w m"
            " && touch m/x; s=$?; umount m; rm -rf w; exit $s"
        )
        return _tried(["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script])


def _tap() -> str:
    # TUNSETIFF with IFF_TAP | IFF_NO_PI, <linux/if_tun.h>
    script = (
        "import fcntl, os, struct; "
        "fcntl.ioctl(os.open('/dev/net/tun', os.O_RDWR), 0x400454ca, struct.pack('16sH22x', b'tap0', 0x1002))"
    )
    return _tried(["unshare", "--user", "--map-root-user", "--net", sys.executable, "-c", script])


def _fuse() -> str:
    if not os.path.exists("/dev/fuse"):
        return "there is no /dev/fuse"
    script = (
        "exec 9<>/dev/fuse || exit 1; mkdir -p $0/m; "
        "mount -i -t fuse -o fd=9,rootmode=40000,user_id=0,group_id=0 none $0/m"
    )
    with tempfile.TemporaryDirectory(prefix="sbx-", dir="/tmp") as place:
        return _tried(["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, place])


def _pyfuse3() -> str:
    return _tried([sys.executable, "-c", "import pyfuse3"])


def _seccomp() -> str:
    return _tried([sys.executable, "-c", "import ctypes; ctypes.CDLL('libseccomp.so.2').seccomp_init"])


def _vectors() -> str:
    place = vectors_directory()
    return "" if (place / "README.md").is_file() else f"no conformance vectors in {place} (set SANDBOX_VECTORS)"


def _ipv6() -> str:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        return f"no IPv6 on the loopback: {error.strerror}"
    return ""


def _cgroup_v2() -> str:
    root = Path("/sys/fs/cgroup")
    own = next(
        (line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")), None
    )
    if own is None or not (root / "cgroup.controllers").exists():
        return "no cgroup v2 here"
    uid = os.getuid()
    handed_out = [root / own.lstrip("/"), *(root / own.lstrip("/")).parents]
    if Path(f"/run/user/{uid}/bus").exists():
        # a scope from the user's manager
        handed_out.append(root / f"user.slice/user-{uid}.slice/user@{uid}.service")
    for directory in handed_out:
        controllers = directory / "cgroup.subtree_control"
        if os.access(directory, os.W_OK) and {"cpu", "memory", "pids"} <= set(controllers.read_text().split()):
            return ""
    return "no cgroup v2 subtree with cpu, memory and pids is delegated to this user"


def _postgresql() -> str:
    found = list(Path("/usr/lib/postgresql").glob("*/bin/pgbench"))
    return "" if found else "pgbench is not installed (package postgresql)"


def _podman() -> str:
    if os.path.ismount("/sys/fs/cgroup/unified"):
        return "podman's crun refuses hybrid cgroups: unshare -m sh -c 'umount /sys/fs/cgroup/unified && …'"
    return _tried(["podman", "--version"], "podman")


def _systemd() -> str:
    return _tried(["systemctl", "--user", "show-environment"], "systemd")


PROBES: dict[str, Callable[[], str]] = {
    "userns": _user_namespace,
    "subids": _subordinate_ids,
    "overlay": _overlay,
    "tap": _tap,
    "fuse": _fuse,
    "pyfuse3": _pyfuse3,
    "seccomp": _seccomp,
    "ipv6": _ipv6,
    "cgroup_v2": _cgroup_v2,
    "systemd": _systemd,
    "slirp4netns": _program("slirp4netns"),
    "pasta": _program("pasta", "passt", "--version"),
    "registry": _program("docker-registry"),
    "skopeo": _program("skopeo"),
    "umoci": _program("umoci"),
    "buildah": _program("buildah"),
    "podman": _podman,
    "docker": _program("docker", "docker.io", "--version"),
    "docker-compose": _program("docker-compose", "docker-compose", "--version"),
    "busybox": _program("busybox", "busybox-static", "true"),
    "mmdebstrap": _program("mmdebstrap"),
    "openssl": _program("openssl", "openssl", "version"),
    "curl": _program("curl"),
    # it ends with a failure whenever it is only asked for its version
    "wrk": lambda: "" if shutil.which("wrk") else "wrk is not installed (package wrk)",
    "dig": _program("dig", "bind9-dnsutils", "-v"),
    "strace": _program("strace"),
    "zstd": _program("zstd"),
    "npm": _program("npm"),
    "git": _program("git"),
    "zsh": _program("zsh"),
    "fish": _program("fish"),
    "gcc": _program("gcc"),
    "make": _program("make"),
    "rsync": _program("rsync"),
    "nft": _program("nft", "nftables"),
    "acl": _program("setfacl", "acl"),
    "postgresql": _postgresql,
    "vectors": _vectors,
}

#: what running any container takes
CONTAINER = ("userns", "subids", "overlay", "seccomp")
