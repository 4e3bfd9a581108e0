"""Executes a mount plan, by descriptors.

No path of the container's tree is ever handed to a call that would follow it by itself: targets are opened by
openat2(2) with RESOLVE_IN_ROOT and missing ones are made below descriptors; mounts are made detached (fsmount,
open_tree) and attached to the descriptor (move_mount). A link that is swapped meanwhile changes nothing.
"""

from __future__ import annotations

import errno
import os
import stat

from sandbox.errors import HostError, StartError
from sandbox.faults import limit_reached
from sandbox.runtime import syscalls as sc
from sandbox.runtime.rootfs_plan import Bind, BindDevice, Link, Mask, MountFilesystem, ReadOnlyPath, ReadOnlyRoot
from sandbox.runtime.unmapped_ids import find_unmapped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.errors import UnmappedIdError
    from sandbox.runtime.rootfs_plan import Operation

_IN_ROOT = sc.RESOLVE_IN_ROOT | sc.RESOLVE_NO_MAGICLINKS
_STRICT = sc.RESOLVE_IN_ROOT | sc.RESOLVE_NO_SYMLINKS
_LINK_LIMIT = 16
_PROPAGATION = {
    "private": sc.MS_PRIVATE,
    "rprivate": sc.MS_PRIVATE,
    "slave": sc.MS_SLAVE,
    "rslave": sc.MS_SLAVE,
    "shared": sc.MS_SHARED,
    "rshared": sc.MS_SHARED,
}


class RootBuilder:
    """The root of a container while it is being built: a bind mount of `directory` onto itself.

    Mounts inherited from a more privileged mount namespace are locked together, so the root must be a mount of this
    namespace. `prepared` has file systems that were made elsewhere, by target. The descriptors close with `close`.
    """

    def __init__(self, directory: str, prepared: Mapping[str, int] | None = None) -> None:
        self._prepared = dict(prepared or {})
        self.fd = sc.open_tree(sc.AT_FDCWD, directory, sc.OPEN_TREE_CLONE | sc.AT_RECURSIVE)
        sc.mount_setattr(self.fd, "", sc.AT_EMPTY_PATH | sc.AT_RECURSIVE, propagation=sc.MS_PRIVATE)
        sc.move_mount(self.fd, "", sc.AT_FDCWD, directory, sc.MOVE_MOUNT_F_EMPTY_PATH)

    def execute(self, plan: tuple[Operation, ...]) -> None:
        """Carry out `plan`. Raises StartError naming the operation that failed."""
        for operation in plan:
            try:
                self._execute(operation)
            except OSError as error:
                raise StartError(
                    f"cannot {operation.describe()}", cause=_explain(operation, error), mend=_mend(operation, error)
                ) from error

    def enter(self) -> None:
        """Make this the root of the calling process's mount namespace; the old one is gone afterwards."""
        os.fchdir(self.fd)
        sc.pivot_root(".", ".")  # pivot_root(2): the old root lies over the new one then
        sc.umount2(".", sc.MNT_DETACH)
        os.chdir("/")
        self.close()

    def close(self) -> None:
        os.close(self.fd)

    def make_directory(self, path: str) -> None:
        """Make `path` with its parents where missing, owned by the container's root."""
        os.close(_open_or_make(self.fd, path, directory=True))

    def _execute(self, operation: Operation) -> None:
        match operation:
            case MountFilesystem():
                self._mount_filesystem(operation)
            case Bind():
                self._bind(operation)
            case BindDevice():
                self._bind_device(operation)
            case Link():
                self._link(operation)
            case Mask():
                self._mask(operation)
            case ReadOnlyPath():
                self._read_only(operation)
            case ReadOnlyRoot():
                sc.mount_setattr(self.fd, "", sc.AT_EMPTY_PATH, attr_set=sc.MOUNT_ATTR_RDONLY)

    def _mount_filesystem(self, operation: MountFilesystem) -> None:
        try:
            mount_fd = self._prepared.pop(operation.target, -1)
            if mount_fd < 0:
                mount_fd = make_filesystem(operation.kind, operation.options, operation.attributes)
        except OSError:
            if operation.optional:
                return
            raise
        self._attach(mount_fd, operation.target, directory=True, by_request=operation.by_request)

    def _bind(self, operation: Bind) -> None:
        flags = sc.OPEN_TREE_CLONE | (sc.AT_RECURSIVE if operation.recursive else 0)
        if operation.subpath:
            mount_fd = _clone_below(operation.source, operation.subpath, flags)
        else:
            mount_fd = sc.open_tree(sc.AT_FDCWD, operation.source, flags)
        all_read_only = operation.recursive and not operation.writable_below
        recursive = sc.AT_EMPTY_PATH | (sc.AT_RECURSIVE if all_read_only else 0)
        propagation = _PROPAGATION.get(operation.propagation, sc.MS_PRIVATE)
        deep = sc.AT_EMPTY_PATH | (sc.AT_RECURSIVE if operation.propagation.startswith("r") else 0)
        sc.mount_setattr(mount_fd, "", deep, propagation=propagation)
        if operation.read_only:
            sc.mount_setattr(mount_fd, "", recursive, attr_set=sc.MOUNT_ATTR_RDONLY)
        directory = stat.S_ISDIR(os.fstat(mount_fd).st_mode)
        self._attach(mount_fd, operation.target, directory=directory, by_request=operation.by_request)

    def _bind_device(self, operation: BindDevice) -> None:
        mount_fd = _open_device(operation.source, operation.number)
        self._attach(mount_fd, operation.target, directory=False, by_request=operation.number is None)

    def _link(self, operation: Link) -> None:
        parent, name = os.path.split(operation.target)
        parent_fd = sc.openat2(self.fd, parent, os.O_PATH | os.O_DIRECTORY, _STRICT)
        try:
            os.symlink(operation.text, name, dir_fd=parent_fd)
        finally:
            os.close(parent_fd)

    def _mask(self, operation: Mask) -> None:
        target_fd = _open_kernel_path(self.fd, operation.target)
        if target_fd is None:
            return
        if stat.S_ISDIR(os.fstat(target_fd).st_mode):
            mount_fd = make_filesystem("tmpfs", ("nr_blocks=1", "nr_inodes=1", "mode=555"), sc.MOUNT_ATTR_RDONLY)
        else:
            mount_fd = _open_device("/dev/null", (1, 3))
        _move(mount_fd, target_fd)

    def _read_only(self, operation: ReadOnlyPath) -> None:
        target_fd = _open_kernel_path(self.fd, operation.target)
        if target_fd is None:
            return
        mount_fd = sc.open_tree(target_fd, "", sc.AT_EMPTY_PATH | sc.OPEN_TREE_CLONE | sc.AT_RECURSIVE)
        sc.mount_setattr(mount_fd, "", sc.AT_EMPTY_PATH | sc.AT_RECURSIVE, attr_set=sc.MOUNT_ATTR_RDONLY)
        _move(mount_fd, target_fd)

    def _attach(self, mount_fd: int, target: str, *, directory: bool, by_request: bool) -> None:
        if by_request:
            target_fd = _open_or_make(self.fd, target, directory=directory)
            # seen on the file system that was reached: a link of the image may lead there under another name
            if sc.filesystem_type(target_fd) == sc.PROC_SUPER_MAGIC:
                raise StartError(f"cannot mount over {target}: it leads into /proc", mend="mount it elsewhere")
            if os.path.samestat(os.fstat(target_fd), os.fstat(self.fd)):
                # it would lie over the root: unseen by who is in there, and all that is seen by who comes later
                raise StartError(
                    f"cannot mount over {target}: it leads to the root of the container",
                    cause="the image has a symbolic link there",
                    mend="mount it elsewhere",
                )
        else:
            target_fd = _open_or_make_strictly(self.fd, target, directory=directory)
        if stat.S_ISDIR(os.fstat(target_fd).st_mode) != directory:
            # move_mount(2) would say EINVAL
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        _move(mount_fd, target_fd)


def make_filesystem(kind: str, options: tuple[str, ...] = (), attributes: int = 0) -> int:
    """A detached mount of a new file system, close-on-exec. Raises OSError, with the option that was refused."""
    fs_fd = sc.fsopen(kind)
    try:
        sc.fsconfig(fs_fd, sc.FSCONFIG_SET_STRING, "source", kind)
        for option in options:
            key, equals, value = option.partition("=")
            try:
                if equals:
                    sc.fsconfig(fs_fd, sc.FSCONFIG_SET_STRING, key, value)
                else:
                    sc.fsconfig(fs_fd, sc.FSCONFIG_SET_FLAG, key, None)
            except OSError as error:
                # devpts, gid=5 (tty): that group is not there in a map of one id
                if key == "gid" and error.errno == errno.EINVAL and kind == "devpts":
                    continue
                unmapped = _unmapped_owner(key, value) if error.errno == errno.EINVAL else None
                if unmapped is not None:
                    raise unmapped from error
                raise OSError(error.errno, f"option {option}: {os.strerror(error.errno or 0)}") from error
        sc.fsconfig(fs_fd, sc.FSCONFIG_CMD_CREATE, None, None)
        try:
            return sc.fsmount(fs_fd, sc.FSMOUNT_CLOEXEC, attributes)
        except PermissionError:
            # --privileged on a host whose own /sys is read-only, another container say: no user may have more than that
            if kind != "sysfs" or attributes & sc.MOUNT_ATTR_RDONLY:
                raise
            return sc.fsmount(fs_fd, sc.FSMOUNT_CLOEXEC, attributes | sc.MOUNT_ATTR_RDONLY)
    finally:
        os.close(fs_fd)


def _unmapped_owner(key: str, value: str) -> UnmappedIdError | None:
    """For an option `uid=` or `gid=` of a file system that was refused."""
    if key not in ("uid", "gid") or not value.isdecimal() or len(value) > 10:
        return None
    return find_unmapped(int(value) if key == "uid" else 0, (int(value),) if key == "gid" else ())


def _clone_below(source: str, path: str, flags: int) -> int:
    """A clone of the tree at `path` below `source`. A container that has the same volume may swap links in it: the path
    is followed once, and not out of the source.
    """
    source_fd = os.open(source, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = sc.openat2(source_fd, path, os.O_PATH | os.O_CLOEXEC, sc.RESOLVE_BENEATH | sc.RESOLVE_NO_MAGICLINKS)
    finally:
        os.close(source_fd)
    try:
        return sc.open_tree(fd, "", flags | sc.AT_EMPTY_PATH)
    finally:
        os.close(fd)


def _move(mount_fd: int, target_fd: int) -> None:
    sc.move_mount(mount_fd, "", target_fd, "", sc.MOVE_MOUNT_F_EMPTY_PATH | sc.MOVE_MOUNT_T_EMPTY_PATH)
    os.close(mount_fd)
    os.close(target_fd)


def _open_device(path: str, number: tuple[int, int] | None) -> int:
    mount_fd = sc.open_tree(sc.AT_FDCWD, path, sc.OPEN_TREE_CLONE)
    # of the descriptor, not of the path: what was looked at is what gets mounted (CVE-2025-31133)
    status = os.fstat(mount_fd)
    is_device = stat.S_ISCHR(status.st_mode) or (number is None and stat.S_ISBLK(status.st_mode))
    if not is_device or number not in (None, (os.major(status.st_rdev), os.minor(status.st_rdev))):
        os.close(mount_fd)
        raise HostError(f"{path} on this host is not the device it should be", mend=f"ls -l {path}")
    return mount_fd


def _open_kernel_path(root_fd: int, path: str) -> int | None:
    """A path that must lie on procfs or sysfs, opened without following links; None where it is missing."""
    try:
        fd = sc.openat2(root_fd, path, os.O_PATH, _STRICT)
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        return None
    if sc.filesystem_type(fd) not in (sc.PROC_SUPER_MAGIC, sc.SYSFS_MAGIC):
        os.close(fd)
        # the container brought its own /sys (a volume): there is nothing of the kernel's to protect
        if path.startswith("/sys"):
            return None
        raise StartError(f"cannot protect {path}: it is not part of the kernel's file system")
    return fd


def _open_or_make_strictly(root_fd: int, path: str, *, directory: bool) -> int:
    # /proc, /sys and what is in /dev must be where they say, not where a link of the image leads
    parent, name = os.path.split(path)
    flags = os.O_PATH | os.O_DIRECTORY
    parent_fd = sc.openat2(root_fd, parent, flags, _STRICT)
    try:
        _make_entry(parent_fd, name, directory=directory)
        return sc.openat2(
            parent_fd, name, flags if directory else os.O_PATH, sc.RESOLVE_BENEATH | sc.RESOLVE_NO_SYMLINKS
        )
    finally:
        os.close(parent_fd)


def _open_or_make(root_fd: int, path: str, *, directory: bool, links: int = _LINK_LIMIT) -> int:
    """`path` inside the root, links of the image followed inside it only; made with its parents where missing."""
    try:
        return sc.openat2(root_fd, path, os.O_PATH, _IN_ROOT)
    except FileNotFoundError:
        pass
    parent, name = os.path.split(path.rstrip("/"))
    parent_fd = _open_or_make(root_fd, parent or "/", directory=True, links=links)
    try:
        _make_entry(parent_fd, name, directory=directory)
        return sc.openat2(parent_fd, name, os.O_PATH, sc.RESOLVE_BENEATH | sc.RESOLVE_NO_SYMLINKS)
    except OSError as error:
        if error.errno != errno.ELOOP or links == 0:
            raise
        # a dangling link of the image: what it names is made, inside the root
        text = os.readlink(name, dir_fd=parent_fd)
        joined = text if text.startswith("/") else f"{parent}/{text}"
        return _open_or_make(root_fd, joined, directory=directory, links=links - 1)
    finally:
        os.close(parent_fd)


def _make_entry(parent_fd: int, name: str, *, directory: bool) -> None:
    try:
        if directory:
            os.mkdir(name, 0o755, dir_fd=parent_fd)
        else:
            flags = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_WRONLY
            os.close(os.open(name, flags, 0o755, dir_fd=parent_fd))
    except FileExistsError:
        pass


def _explain(operation: Operation, error: OSError) -> str:
    text = error.strerror or str(error)
    if error.errno == errno.ENOTDIR:
        return f"{text} (are you trying to mount a directory onto a file, or a file onto a directory?)"
    if error.errno == errno.ENOENT and isinstance(operation, Bind | BindDevice):
        return f"{text}: the source path does not exist"
    if error.errno == errno.EXDEV and isinstance(operation, Bind) and operation.subpath:
        return f"{text}: the path leads out of the volume"
    if error.errno == errno.EPERM and isinstance(operation, MountFilesystem) and operation.kind in ("proc", "sysfs"):
        return f"{text}: the kernel lets a user mount {operation.kind} only where the host's own is fully visible"
    if error.errno == errno.EINVAL and isinstance(operation, Bind) and not operation.recursive:
        return f"{text}: there are mounts below the source, which a user can only bind together"
    if error.errno == errno.ELOOP and isinstance(operation, Bind | BindDevice) and _is_circle(operation.source):
        return f"{text}: those of the source lead in a circle"
    if error.errno == errno.ELOOP:
        return f"{text}: the image has a symbolic link there"
    return text


def _is_circle(path: str) -> bool:
    try:
        os.stat(path)
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


def _mend(operation: Operation, error: OSError) -> str:
    if error.errno == errno.EPERM and isinstance(operation, MountFilesystem) and operation.kind in ("proc", "sysfs"):
        return "inside another container: start that one with --security-opt systempaths=unconfined"
    return limit_reached(error)[1]
