"""Starts real containers for tests: a busybox tree, a monitor forked from the test, the real Launcher in it."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from sandbox.runtime.capabilities import DEFAULT_CAPABILITIES
from sandbox.runtime.kernel_paths import DEFAULT_MASKED_PATHS, DEFAULT_READ_ONLY_PATHS
from sandbox.runtime.launch import Launcher
from sandbox.runtime.process import Stdio
from sandbox.runtime.spec import ContainerSpec, ProcessSpec
from sandbox.runtime.user_namespace import call_in_user_namespace, enter_user_namespace, make_peers, map_forked_child

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_APPLETS = (
    "sh ls cat id mount ps env hostname ip true false sleep grep touch readlink stat kill head tty echo mkdir umount"
)


class Outcome(NamedTuple):
    """How a container's first process ended, and what it wrote (stdout and stderr together)."""

    status: int
    output: str

    @property
    def lines(self) -> list[str]:
        return self.output.splitlines()


def make_root(directory: Path) -> Path:
    """A root file system with busybox in /bin and nothing else."""
    (directory / "bin").mkdir(parents=True)
    (directory / "etc").mkdir()
    shutil.copy("/usr/bin/busybox" if os.path.exists("/usr/bin/busybox") else "/bin/busybox", directory / "bin/busybox")
    for applet in _APPLETS.split():
        (directory / "bin" / applet).symlink_to("busybox")
    (directory / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nweb:x:33:33:web:/var/www:/bin/sh\n")
    (directory / "etc/group").write_text("root:x:0:\nweb:x:33:\nlog:x:4:web\n")
    return directory


def remove_root(directory: Path) -> None:
    """Remove a tree that may hold files of subordinate ids."""
    call_in_user_namespace(_remove, os.fspath(directory))


def process(*arguments: str) -> ProcessSpec:
    """A process with Docker's default capabilities and PATH=/bin."""
    return ProcessSpec(arguments, ("PATH=/bin",), capabilities=DEFAULT_CAPABILITIES)


def container(root: Path, *arguments: str) -> ContainerSpec:
    """A container as `sandbox run` would make it by default."""
    return ContainerSpec(
        container_id="c" * 64,
        process=process(*arguments),
        root=os.fspath(root),
        hostname="box",
        masked_paths=DEFAULT_MASKED_PATHS,
        read_only_paths=DEFAULT_READ_ONLY_PATHS,
    )


def shell(root: Path, script: str) -> ContainerSpec:
    return container(root, "sh", "-c", script)


def run(spec: ContainerSpec, before: Callable[[], None] | None = None) -> Outcome:
    """Run the container to its end; `before` is called in the monitor first. Raises what the Launcher raises."""
    status, output = _pair(call_in_user_namespace(_run_in_monitor, spec, before))
    return Outcome(status, output)


@contextmanager
def running(spec: ContainerSpec) -> Iterator[int]:
    """Start the container and give the pid of its first process; it is ended at the end of the block."""
    peers = make_peers()
    read_end, write_end = os.pipe()
    monitor = os.fork()
    if monitor == 0:
        try:
            enter_user_namespace(peers)
            launcher = Launcher()
            launcher.prepare(spec)
            started = launcher.start(spec, Stdio())
            os.write(write_end, b"%d" % started.pid)
            os.close(write_end)
            os.waitpid(started.pid, 0)
        finally:
            os._exit(0)
    os.close(write_end)
    try:
        map_forked_child(peers, monitor)
        pid = int(os.read(read_end, 16) or b"0")
        assert pid, "the container did not start"
        try:
            yield pid
        finally:
            os.kill(pid, 9)
    finally:
        os.close(read_end)
        os.waitpid(monitor, 0)


def _run_in_monitor(spec: ContainerSpec, before: Callable[[], None] | None) -> tuple[int, str]:
    if before is not None:
        before()
    launcher = Launcher()
    launcher.prepare(spec)
    return run_once(launcher, spec)


def run_once(launcher: Launcher, spec: ContainerSpec) -> tuple[int, str]:
    """One life of the container, its output collected."""
    out = os.memfd_create("output")
    started = launcher.start(spec, Stdio(None, out, out))
    _pid, status = os.waitpid(started.pid, 0)
    os.close(started.pidfd)
    output = os.pread(out, 1 << 20, 0).decode(errors="replace")
    os.close(out)
    return os.waitstatus_to_exitcode(status), output


def _pair(value: object) -> tuple[int, str]:
    assert isinstance(value, list)
    return value[0], value[1]


def _remove(path: str) -> None:
    shutil.rmtree(path, ignore_errors=True)


def compile_static(source: str, target: Path) -> None:
    """Compile a C program with no library at run time."""
    subprocess.run(
        ["gcc", "-static", "-O1", "-w", "-x", "c", "-o", os.fspath(target), "-"], input=source.encode(), check=True
    )
