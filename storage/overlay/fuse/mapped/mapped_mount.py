"""Mounting a host directory or file with mapped ids; what serves it is `mapped_bind`."""

from __future__ import annotations

import os
import stat

from storage.errors import os_failure
from storage.overlay.fuse.serving.server_process import serve_mount
from storage.private_directories import make_private_directory
from storage.syscalls import MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_POSIXACL, MS_RDONLY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from storage.overlay.fuse.mapped.id_mapping import MappedBind
    from storage.overlay.fuse.serving.server_process import ServedMount

#: statvfs(3) numbers them as mount(2) does
_KEPT_FLAGS = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC


def mount_mapped_bind(bind: MappedBind, target: str) -> ServedMount:
    """Mount it at `target`, which is made, a directory or a file as the source is. Raises StorageError.

    Restrictions of the mount that the source lies on hold here as well.
    """
    try:
        status, place = os.stat(bind.source), os.statvfs(bind.source)
        if stat.S_ISDIR(status.st_mode):
            make_private_directory(target)
        else:
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise os_failure(f"cannot mount {bind.source} with mapped owners", error) from error

    def serve(device_fd: int, on_ready: Callable[[], None]) -> None:
        # in the server: pyfuse3 and trio are its alone
        from storage.overlay.fuse.mapped.mapped_bind import serve_mapped_bind

        serve_mapped_bind(bind, device_fd, on_ready)

    # MS_POSIXACL leaves the umask to the server, which knows of default ACLs (fs/fuse/inode.c)
    flags = place.f_flag & _KEPT_FLAGS | MS_POSIXACL
    return serve_mount(target, serve, flags=flags, root_mode=stat.S_IFMT(status.st_mode))
