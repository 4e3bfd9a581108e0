"""A small image without any registry, and ways to look at what a command left behind."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import tarfile
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests import leaks, needs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.command import Home, Sandbox
    from tests.conftest import FilledHome

_APPLETS = (
    "sh cat echo true false sleep kill id ls env head yes wc trap stty test mkdir hostname grep seq httpd nc touch rm "
    "printf sort tr date ps stat dd chmod chown tail"
)
_PASSWD = "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n"


@pytest.fixture(scope="session")
def busybox_tar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root file system with busybox in it, and a directory with data for volumes."""
    if reason := needs.missing("busybox"):
        pytest.skip(f"busybox: {reason}")
    path = tmp_path_factory.mktemp("busybox") / "root.tar"
    with tarfile.open(path, "w") as archive:
        for name in ("bin", "etc", "tmp", "root", "home/user", "var/data", "proc", "sys", "dev"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            archive.addfile(entry)
        archive.add("/bin/busybox", "bin/busybox", filter=_owned_by_root)
        for name in _APPLETS.split():
            entry = tarfile.TarInfo(f"bin/{name}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(entry)
        for name, text, uid in (
            ("etc/passwd", _PASSWD, 0),
            ("etc/group", "root:x:0:\nuser:x:1000:\n", 0),
            ("var/data/file", "from the image\n", 1000),
            ("bin/no-format", "this is no program\n", 0),
        ):
            entry = tarfile.TarInfo(name)
            entry.size, entry.uid, entry.gid, entry.mode = len(text), uid, uid, 0o755
            archive.addfile(entry, io.BytesIO(text.encode()))
    return path


def _owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry


@pytest.fixture
def odd_image(sandbox: Sandbox, busybox_tar: Path) -> str:
    """The same tree as other tools may describe it: no platform, null, a text for a list, variables without a value."""
    layer = busybox_tar.read_bytes()
    config = {
        "created": None, "history": [None], "rootfs": {"diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
        "config": {
            "Env": ["BARE", "=nameless", "SET=1", None], "Entrypoint": [""], "Cmd": "/bin/env", "User": None,
            "Labels": {"label": None}, "Volumes": {"/volume": None}, "ExposedPorts": {"80/tcp": None},
            "Healthcheck": {"Test": None},
        },
    }  # fmt: skip
    entry = {"Config": "config.json", "Layers": ["layer.tar"], "RepoTags": ["odd:1"]}
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        documents = {"manifest.json": json.dumps([entry]).encode(), "config.json": json.dumps(config).encode()}
        for name, data in {**documents, "layer.tar": layer}.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    sandbox.run("load", input=archive.getvalue())
    return "odd:1"


@pytest.fixture(scope="session")
def busybox_home(filled_home: FilledHome, busybox_tar: Path) -> Iterator[Home]:
    """A home with the image `busybox` in its store."""
    with filled_home(lambda sandbox: sandbox.run("import", str(busybox_tar), "busybox")) as home:
        yield home


@pytest.fixture
def busybox(sandbox: Sandbox, busybox_home: Home) -> str:
    """The name of the image in the test's own store."""
    sandbox.home.take_store_of(busybox_home)
    return "busybox"


@pytest.fixture
def eventually() -> Callable[[Callable[[], object]], None]:
    """Look again and again until a condition holds; a test that waits in vain fails.

    For what another process does in its own time and tells nobody. Each look is a command or a request, and takes its
    own time; where there is an event (a process ends, a line is written) the test waits for that.
    """

    def wait(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, "it never came true"

    return wait


def state_files(sandbox: Sandbox) -> list[str]:
    """Everything that belongs to containers: data directories and runtime files."""
    found = []
    for root in (sandbox.home.data / "sandbox/containers", sandbox.home.runtime / "sandbox/containers"):
        if root.is_dir():
            found += [str(root / name) for name in os.listdir(root)]
    return found


def monitor_pid(sandbox: Sandbox, name: str) -> int:
    """The pid of the container's monitor: the parent of its first process."""
    pid = int(sandbox.run("container", "inspect", "--format", "{{.State.Pid}}", name).stdout)
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def kill_monitor(sandbox: Sandbox, name: str) -> None:
    """Kill the container's monitor, and wait for its end: until then the container runs for who asks."""
    pid = monitor_pid(sandbox, name)
    os.kill(pid, signal.SIGKILL)
    leaks.wait_ended(pid)


def slirp_pid(monitor: int) -> int:
    """The pid of the slirp4netns that belongs to a monitor."""
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                with open(f"/proc/{name}/stat") as file:
                    head, _, rest = file.read().rpartition(")")
            except OSError:
                continue
            if "(slirp4netns" in head and int(rest.split()[1]) == monitor:
                return int(name)
    raise AssertionError(f"no slirp4netns of monitor {monitor}")


def has_socket(pid: int) -> bool:
    """Whether the command is joined to a monitor."""
    with suppress(FileNotFoundError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with suppress(FileNotFoundError):
                if os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:"):
                    return True
    return False
