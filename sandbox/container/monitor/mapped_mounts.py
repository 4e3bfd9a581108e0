"""Bind mounts with mapped owners, as the monitor makes them: each a FUSE mount in the container's runtime directory,
bound from there into its tree like any other host directory.
"""

from __future__ import annotations

import os

from sandbox.container.monitor.mount_servers import forget_server, note_server
from sandbox.errors import StartError, translated
from sandbox.grammar.volumes import IMAGE_USER
from sandbox.runtime.users import read_account_text, resolve_identity
from storage.mount_points import is_mounted
from storage.overlay.fuse.mapped.id_mapping import IdMapping, MappedBind
from storage.overlay.fuse.mapped.mapped_mount import mount_mapped_bind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.container.model.record import ContainerConfig
    from storage.overlay.fuse.serving.server_process import ServedMount
    from storage.waits import Steps

_NAME = "mapped"


def mapped_path(runtime_dir: str, position: int) -> str:
    """Where the mount at `position` of a container's mounts lies on the host, with its owners mapped."""
    return f"{runtime_dir}/{_NAME}-{position}"


class MappedMounts:
    """All of one container. `mount` again mounts what was lost."""

    def __init__(self, config: ContainerConfig, runtime_dir: str) -> None:
        self._config = config
        self._runtime_dir = runtime_dir
        self._mounts: dict[int, ServedMount] = {}

    @property
    def pidfds(self) -> Sequence[int]:
        return tuple(mount.pidfd for mount in self._mounts.values())

    def lost(self, pidfd: int) -> tuple[str, str]:
        """The target inside and the reason, for one whose server ended."""
        position, mount = next(pair for pair in self._mounts.items() if pair[1].pidfd == pidfd)
        return self._config.mounts[position].target, mount.failure()

    def mount_steps(self, root: str) -> Steps[None]:
        """Mount what is not there; names of users are looked up in the image's tree at `root`. Raises StartError."""
        made = []
        for position, wanted in enumerate(self._config.mounts):
            if not wanted.mapped_user:
                continue
            old = self._mounts.get(position)
            if old is not None and not old.failure() and is_mounted(old.target):
                continue
            if old is not None:
                yield from old.unmount_steps()
            mapping = self._mapping(wanted.mapped_user, root)
            target = mapped_path(self._runtime_dir, position)
            with translated(StartError, f"cannot mount {wanted.source}"):
                mount = self._mounts[position] = mount_mapped_bind(MappedBind(wanted.source, mapping), target)
            note_server(target, mount.pid)
            made.append((wanted.source, mount))
        # all of them get ready at once
        for source, mount in made:
            with translated(StartError, f"cannot mount {source}"):
                yield from mount.ready_steps()

    def kill(self) -> None:
        for mount in self._mounts.values():
            mount.kill()

    def unmount_steps(self) -> Steps[None]:
        """Unmount them; twice is safe."""
        for mount in self._mounts.values():
            target = mount.target
            yield from mount.unmount_steps()
            forget_server(target)
        self._mounts.clear()

    def _mapping(self, user: str, root: str) -> IdMapping:
        name = self._config.user if user == IMAGE_USER else user
        root_fd = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            texts = [read_account_text(root_fd, path) for path in ("/etc/passwd", "/etc/group")]
        finally:
            os.close(root_fd)
        identity = resolve_identity(name, (), *texts)
        return IdMapping(identity.uid, identity.gid)
