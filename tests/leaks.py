"""What a test left behind: descriptors and children of the test process, and processes of the product.

Processes of the product are known by the path of their test's home: in their environment, command line, open files or
mounts; the keeper of networks, which has none of that, by its slirp4netns. Other people's processes on the same machine
are never looked at twice.
"""

from __future__ import annotations

import gc
import os
import select
import time
from contextlib import ExitStack, suppress
from pathlib import Path

_KEEPER = "sandbox-keeper"


def open_descriptors() -> dict[int, str]:
    """Descriptor -> what it is open on, for this process."""
    found: dict[int, str] = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the descriptor of the listing itself
    return found


def descriptors_of(pid: int) -> list[str]:
    """What the descriptors of another process are open on."""
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    return found


def new_descriptors(before: dict[int, str]) -> list[str]:
    """Descriptors that are open now and were not, after giving garbage its chance."""
    fresh = _fresh(before)
    if fresh:
        gc.collect()
        fresh = _fresh(before)
    return fresh


def _fresh(before: dict[int, str]) -> list[str]:
    return [f"{fd} -> {target}" for fd, target in open_descriptors().items() if before.get(fd) != target]


def children() -> set[int]:
    """Pids of this process' children, zombies too."""
    found: set[int] = set()
    for task in os.listdir("/proc/self/task"):
        try:
            found.update(int(pid) for pid in Path(f"/proc/self/task/{task}/children").read_text().split())
        except OSError:
            continue
    return found


def processes_of(home: str) -> list[str]:
    """ "pid command line" of every process that belongs to the test whose home this is."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid() and _belongs(f"/proc/{name}", home):
            found.append(f"{name} {_read(f'/proc/{name}/cmdline').replace(chr(0), ' ').strip()}")
    return found


def _belongs(process: str, home: str) -> bool:
    if any(home in _read(f"{process}/{file}") for file in ("cmdline", "environ", "mountinfo")):
        return True
    if _read(f"{process}/comm").strip() == _KEEPER:
        children = _read(f"{process}/task/{process.rpartition('/')[2]}/children").split()
        return any(home in _read(f"/proc/{child}/cmdline") for child in children)
    try:
        return any(os.readlink(f"{process}/{link}").startswith(home + "/") for link in ("cwd", "exe", "root"))
    except OSError:
        return False


def _read(path: str) -> str:
    try:
        return Path(path).read_bytes().decode(errors="replace")
    except OSError:
        return ""


def wait_processes_gone(home: str, seconds: float = 60, *, besides: str = "", hurry: bool = False) -> list[str]:
    """The processes of `home` that are still there when the time is up; [] as soon as all have gone.

    One whose command line is `besides` may stay. With `hurry` a keeper that waits for a next container is killed where
    nothing else is left but its slirp4netns, which ends with it.
    """
    deadline = time.monotonic() + seconds
    while left := [line for line in processes_of(home) if line.partition(" ")[2] != besides or not besides]:
        if hurry and (keepers := [_keeper_of(int(line.split()[0])) for line in left]) and all(keepers):
            kill(keepers)
        rest = deadline - time.monotonic()
        if rest <= 0 or not _wait_one_ended([int(line.split()[0]) for line in left], rest):
            break
    return left


def _keeper_of(pid: int) -> str:
    """The keeper of networks that it is, or whose child it is, as `processes_of` would tell; "" for other processes."""
    if _read(f"/proc/{pid}/comm").strip() == _KEEPER:
        return f"{pid} keeper"
    parent = next((line.split()[1] for line in _read(f"/proc/{pid}/status").splitlines() if line[:5] == "PPid:"), "0")
    return f"{parent} keeper" if _read(f"/proc/{parent}/comm").strip() == _KEEPER else ""


def wait_ended(pid: int, seconds: float = 60) -> None:
    """Wait for the end of a process, which may be nobody's child here. Fails the test when the time is up."""
    assert _wait_one_ended([pid], seconds), f"process {pid} did not end in {seconds} seconds"


def _wait_one_ended(pids: list[int], seconds: float) -> bool:
    """Whether one of the processes ended; at once where one is gone already."""
    poller = select.poll()
    with ExitStack() as stack:
        for pid in pids:
            try:
                pidfd = os.pidfd_open(pid)
            except ProcessLookupError:
                return True
            stack.callback(os.close, pidfd)
            poller.register(pidfd, select.POLLIN)
        return bool(poller.poll(seconds * 1000))


def kill(processes: list[str]) -> None:
    """SIGKILL to what `processes_of` found, so that one test's failure is not the next one's."""
    for line in processes:
        try:
            os.kill(int(line.split()[0]), 9)
        except OSError:
            continue
