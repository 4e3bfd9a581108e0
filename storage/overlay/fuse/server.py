"""Serves one overlay until its mount is gone.

The process has this for its only work: it changes its umask and the limit of open files.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pyfuse3
import trio

from storage.errors import StorageError, os_failure
from storage.overlay.fuse.extensions import limit_writes, trace_reads, types_for
from storage.overlay.fuse.index import open_index
from storage.overlay.fuse.nodes import Layer
from storage.overlay.fuse.serving.request_loop import TASKS, RequestLoop
from storage.overlay.fuse.tree import Tree
from storage.overlay.fuse.work import Work

if TYPE_CHECKING:
    from collections.abc import Callable

    from storage.overlay.fuse.config import OverlayConfig
    from storage.overlay.fuse.operations import OverlayOperations

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_KEPT_FDS = 1024


def serve(config: OverlayConfig, mount: str, on_ready: Callable[[], None]) -> None:
    """Serve the overlay at `mount`: a directory, or "/dev/fd/N" where N is /dev/fuse and mounted already.

    `on_ready` is called when requests are answered. Returns when the file system was unmounted, or after SIGTERM or
    SIGINT. StorageError where it cannot be served.
    """
    os.umask(0)
    kept_fds = _raise_descriptor_limit()
    with ExitStack() as stack:
        operations, loop = _prepare(config, stack, kept_fds, on_ready)
        loop.install()
        try:
            pyfuse3.init(operations, mount, _mount_options())
        except RuntimeError as error:
            raise StorageError(f"cannot mount an overlay at {mount}", cause=str(error)) from error
        # what is there now stays: the collector need not look at it again, and the tree has no cycles that matter
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            trio.run(_run)
        finally:
            pyfuse3.close(unmount=not mount.startswith("/dev/fd/"))


def _mount_options() -> set[str]:
    """Options for where libfuse mounts, by fusermount3: users may open theirs to others only if the host allows it."""
    options = {"default_permissions", "fsname=sandbox-overlay", "subtype=sandbox-overlay"}
    return options | {"allow_other"} if os.geteuid() == 0 else options


async def _run() -> None:
    async with trio.open_nursery() as nursery:
        # the readers do not let others run while requests come
        await nursery.start(_end_on_signal)
        await pyfuse3.main(min_tasks=TASKS, max_tasks=TASKS)
        nursery.cancel_scope.cancel()


async def _end_on_signal(task_status: trio.TaskStatus[None]) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for _number in signals:
            pyfuse3.terminate()
            return


def _prepare(
    config: OverlayConfig, stack: ExitStack, kept_fds: int, on_ready: Callable[[], None]
) -> tuple[OverlayOperations, RequestLoop]:
    loop = RequestLoop()
    try:
        layers = [_open_layer(config, place, stack) for place in reversed(range(len(config.lower)))]
        upper_fd = None if config.upper is None else _open(config.upper, stack)
        work = None
        if config.work is not None:
            work = Work(_open(config.work, stack))
            stack.callback(work.close)
        tree = Tree(layers, upper_fd, work, kept_fds, config.owners, static_nlink=config.static_nlink)
        stack.callback(tree.descriptors.close)
    except OSError as error:
        raise os_failure("cannot open the directories of an overlay", error) from error
    copy_up_type, operations_type = types_for(config)
    copy_up = copy_up_type(tree, loop, durable=not config.volatile)
    operations = operations_type(
        tree, loop, copy_up, durable=not config.volatile, writeback=config.writeback, ready=on_ready
    )
    operations.no_xattrs = config.no_xattrs
    if config.quota_bytes and upper_fd is not None:
        limit_writes(operations, copy_up, config.quota_bytes, upper_fd)
    if config.trace_path:
        try:
            trace_reads(operations, copy_up, config, layers, stack)
        except OSError as error:
            raise os_failure(f"cannot write {config.trace_path}", error) from error
    return operations, loop


def _open_layer(config: OverlayConfig, place: int, stack: ExitStack) -> Layer:
    fd = _open(config.lower[place], stack)
    path = config.indexes[place] if config.indexes else None
    return Layer(fd, os.fstat(fd).st_dev, open_index(path, fd) if path is not None else None)


def _open(place: str | int, stack: ExitStack) -> int:
    fd = os.open(place, _OPEN) if isinstance(place, str) else os.open(".", _OPEN, dir_fd=place)
    stack.callback(os.close, fd)
    return fd


def _raise_descriptor_limit() -> int:
    """Allow as many open files as we may; how many directories to keep open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return min(_KEPT_FDS, hard // 8) if hard > 0 else _KEPT_FDS
