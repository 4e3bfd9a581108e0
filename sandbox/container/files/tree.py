"""Reaches a container's tree, for a function that is called in it: in a forked child that is root of the container's
outer user namespace, with a descriptor of the tree's root, its mounts on it.

Of a container that runs it is the tree that its processes see, in their mount namespace; of one that does not it is
mounted for the call, by the child alone, with its volumes and bind mounts but no tmpfs, and the container is claimed
meanwhile: no two may write below one upper directory, and a start waits.

The child stays outside: its root, and what Python would import, are the host's (CVE-2019-14271).
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from sandbox.container.life.lookup import open_container
from sandbox.container.life.stop import is_active
from sandbox.container.model.claims import (
    Claim,
    LostClaimError,
    TakenError,
    as_holder,
    claim_of,
    own_claim,
    to_start,
    with_claim,
)
from sandbox.container.model.store import update_state
from sandbox.container.monitor.etc_files import gone_error
from sandbox.container.monitor.mounts import OVERLAY_NAME, ROOT_NAME
from sandbox.container.monitor.reach import wait_monitor
from sandbox.errors import NotFoundError, SandboxError, StartError, translated
from sandbox.live_processes import is_alive
from sandbox.named_tuple import NamedTuple
from sandbox.runtime import syscalls as sc
from sandbox.runtime.user_namespace import (
    become_root,
    call_in_forked_child,
    call_in_user_namespace,
    join_user_namespace_of,
)
from sandbox.state import open_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.container.model.record import Container
    from sandbox.paths import Paths
    from sandbox.runtime.rootfs import RootBuilder

#: where a tree is mounted that no monitor has mounted; the mount is the child's own
VIEW_NAME = "view"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Tree(NamedTuple):
    """A container's tree for who works in it."""

    root_fd: int
    #: whom the container's processes run as, as it was asked for; "" is root
    user: str = ""
    #: what could not be mounted, a sentence each
    notes: tuple[str, ...] = ()


class Answer(NamedTuple):
    """What was found or done in a tree, and whose that is."""

    container: Container
    value: object


def call_in_tree(paths: Paths, word: str, work: Callable[..., object], *arguments: object) -> Answer:
    """What `work(tree, *arguments)` returns, JSON-plain, for the container that `word` names; it must be repeatable
    until it has looked at the tree.

    Raises NotFoundError, SandboxError, and the SandboxErrors that `work` raises.
    """
    while True:
        container = _settled(paths, word)
        try:
            if is_active(container):
                return Answer(container, _call_in_active(paths, container, work, arguments))
            return Answer(container, _call_in_stopped(paths, container, work, arguments))
        except (_ChangedError, TakenError):
            continue


class _ChangedError(Exception):
    """The container was started or has ended since it was looked up."""


def _settled(paths: Paths, word: str) -> Container:
    """The container, once nobody is starting or removing it, or copies to or from it."""
    with open_state(paths) as connection:
        container = open_container(connection, paths, word)
        while container.state.monitor_pid and not is_active(container):
            wait_monitor(paths, container)
            container = open_container(connection, paths, container.id)
    return container


# --- of a container that runs


def _call_in_active(
    paths: Paths, container: Container, work: Callable[..., object], arguments: tuple[object, ...]
) -> object:
    waits = container.state.status == "restarting"
    pid = container.state.monitor_pid if waits else container.state.pid
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        raise _ChangedError from None
    try:
        # with the descriptor in hand: the number may have been given anew
        alive = claim_of(container.state).is_alive if waits else _runs(container)
        if not alive:
            raise _ChangedError
        if waits:
            root = f"{container.state.runtime_directory or paths.container_runtime(container.id)}/{ROOT_NAME}"
            return call_in_forked_child(
                lambda: _join_monitor(pid), _work_at, root, container.config.user, work, arguments
            )
        root_fds: list[int] = []
        return call_in_forked_child(
            lambda: root_fds.append(_join_beside(pid, pidfd)),
            _work_in,
            root_fds,
            container.config.user,
            work,
            arguments,
        )
    except StartError:
        # the kernel has many words for namespaces that are going
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, 0)
            raise
        raise _ChangedError from None
    finally:
        os.close(pidfd)


def _runs(container: Container) -> bool:
    state = container.state
    return is_alive(state.pid, state.pid_start, state.boot_id)


def _join_monitor(pid: int) -> None:
    """Enter the namespaces of a container's monitor, whose tree is the host's."""
    try:
        namespaces = [
            (os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC), flag)
            for name, flag in (("user", sc.CLONE_NEWUSER), ("mnt", sc.CLONE_NEWNS))
        ]
        for fd, flag in namespaces:
            sc.setns(fd, flag)
            os.close(fd)
    except OSError as error:
        raise StartError("cannot look into the container", cause=error.strerror or str(error)) from error
    become_root()


def _join_beside(pid: int, pidfd: int) -> int:
    """Become root above the container whose first process is `pid`; a descriptor of the root of its mount namespace.

    Not of that process's root, which it may have changed. Nothing is done in there but to open that.
    """
    try:
        theirs = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise StartError("cannot look into the container", cause=error.strerror or str(error)) from error
    join_user_namespace_of(pid)
    try:
        # still the same process after all were opened
        signal.pidfd_send_signal(pidfd, 0)
    except ProcessLookupError as error:
        raise StartError("cannot look into the container", cause="it has ended") from error
    own = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sc.setns(theirs, sc.CLONE_NEWNS)
        try:
            return os.open("/", _DIRECTORY)
        finally:
            sc.setns(own, sc.CLONE_NEWNS)
            # setns(2) makes the root of the namespace ours, which need not be the one we had
            os.fchdir(root)
            os.chroot(".")
    except OSError as error:
        raise StartError("cannot look into the container", cause=error.strerror or str(error)) from error
    finally:
        for fd in (theirs, own, root):
            os.close(fd)


def _work_in(root_fds: list[int], user: str, work: Callable[..., object], arguments: tuple[object, ...]) -> object:
    return work(Tree(root_fds[0], user), *arguments)


def _work_at(root: str, user: str, work: Callable[..., object], arguments: tuple[object, ...]) -> object:
    try:
        root_fd = os.open(root, _DIRECTORY)
    except OSError as error:
        raise StartError("cannot look into the container", cause=error.strerror or str(error)) from error
    return work(Tree(root_fd, user), *arguments)


# --- of one that does not


def _call_in_stopped(
    paths: Paths, container: Container, work: Callable[..., object], arguments: tuple[object, ...]
) -> object:
    claim = own_claim()
    with open_state(paths, durable=False) as connection:
        state = update_state(connection, container.id, to_start(claim, container.state.runtime_directory))
    if state is None:
        raise NotFoundError(f"No such container: {container.name}", cause="it was removed meanwhile")
    try:
        directory = f"{paths.container_data(container.id)}/{VIEW_NAME}"
        try:
            with suppress(FileExistsError):
                os.mkdir(directory, 0o700)
        except FileNotFoundError as error:
            raise gone_error(container, os.path.dirname(directory), SandboxError) from error
        return call_in_user_namespace(_work_in_stopped, paths, container, directory, work, arguments)
    finally:
        # who removes the container by force takes the claim away
        with suppress(LostClaimError), open_state(paths, durable=False) as connection:
            update_state(connection, container.id, as_holder(claim, lambda state: with_claim(state, Claim())))


def _work_in_stopped(
    paths: Paths, container: Container, directory: str, work: Callable[..., object], arguments: tuple[object, ...]
) -> object:
    from sandbox.runtime.rootfs import RootBuilder
    from storage.drivers import driver_named
    from storage.layers.store import LayerStore

    config = container.config
    upper = f"{paths.container_data(container.id)}/{OVERLAY_NAME}"
    driver = driver_named(config.storage_driver)
    with translated(SandboxError, f"cannot mount the root of container {container.name}"):
        driver.prepare(upper)
        mounted = driver.mount_root(LayerStore(paths.layers).trees(config.layers), upper, directory)
    try:
        mounted.wait_ready()
        builder = RootBuilder(directory)
        try:
            notes = _mount_requested(paths, container, directory, builder)
            return work(Tree(builder.fd, config.user, notes), *arguments)
        finally:
            builder.close()
            sc.umount2(directory, sc.MNT_DETACH)
    finally:
        failure = mounted.unmount()
        if failure:
            raise SandboxError(f"cannot write what was copied to container {container.name}", cause=failure)


def _mount_requested(paths: Paths, container: Container, directory: str, builder: RootBuilder) -> tuple[str, ...]:
    """Mount volumes and bind mounts; a sentence for each that cannot be."""
    from sandbox.container.monitor.runtime_spec import mount_of
    from sandbox.runtime.rootfs_plan import ReadOnlyRoot, mount_to_bind
    from sandbox.runtime.spec import BindMount
    from sandbox.volume.volumes import fill_new_volumes

    config = container.config
    notes = []
    if config.mounts:
        fill_new_volumes(paths, config.mounts, directory)
    for mount in sorted(config.mounts, key=lambda mount: mount.target.count("/")):
        try:
            bind = mount_of(paths, mount)
            # as Docker: a tmpfs is there while the container runs
            if isinstance(bind, BindMount):
                builder.execute((mount_to_bind(bind),))
        except StartError as error:
            notes.append(f"{mount.target} is not mounted: {error.message}")
    if config.read_only:
        builder.execute((ReadOnlyRoot(),))
    return tuple(notes)
