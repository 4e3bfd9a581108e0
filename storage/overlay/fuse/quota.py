"""How much may be written to an overlay: what the upper directory takes is held below a limit, ENOSPC at the write.

What grows is counted at once, in blocks as stat(2) tells them. What shrinks is not: a removed file gives its blocks
back when the last who has it open lets go, or keeps them under another name. Where something may have shrunk and there
is no room, the upper directory is measured anew; so it is when the server starts, and a count that was lost with a
killed server is never missed. Pages must not wait in the kernel's cache, or the write would have succeeded long before.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from pyfuse3 import FUSEError

from storage.overlay.fuse.copy_up import CopyUp
from storage.overlay.fuse.operations import OverlayOperations
from storage.trees.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pyfuse3 import (
        EntryAttributes,
        FileHandleT,
        FileInfo,
        FileNameT,
        FlagT,
        InodeT,
        ModeT,
        RequestContext,
        SetattrFields,
        StatvfsData,
    )

    from storage.overlay.fuse.copy_up import Emptied
    from storage.overlay.fuse.nodes import Node

_BLOCK = 512
_DIRECTORY_BYTES = 4096


class Quota:
    """The count. `open_without_name` gives descriptors of what has no name any more and takes room still."""

    def __init__(self, limit_bytes: int, upper_fd: int) -> None:
        self.limit_bytes = limit_bytes
        self._upper_fd = upper_fd
        self._used = 0
        #: something may have shrunk since it was measured
        self.may_have_shrunk = True
        self.open_without_name: Callable[[], Iterable[int]] = tuple

    def used_bytes(self) -> int:
        """What is written, not more than a moment ago."""
        if self.may_have_shrunk:
            self.may_have_shrunk = False
            self._used = self._measure()
        return self._used

    def has_room(self, size_bytes: int) -> bool:
        """Whether so much more may be written."""
        if self._used + size_bytes <= self.limit_bytes and not self.may_have_shrunk:
            return True
        return self.used_bytes() + size_bytes <= self.limit_bytes

    def take(self, size_bytes: int) -> None:
        """Count so much as written. Raises OSError ENOSPC where there is no room."""
        if not self.has_room(size_bytes):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._used += size_bytes

    def count(self, size_bytes: int) -> None:
        """What was written turned out to be so much more, or less."""
        self._used += size_bytes

    def _measure(self) -> int:
        total, seen = 0, set()
        for step in Walk(self._upper_fd):
            if not step.leaving and (step.status.st_nlink < 2 or step.status.st_ino not in seen):
                seen.add(step.status.st_ino)
                total += step.status.st_blocks * _BLOCK
        return total + sum(os.fstat(fd).st_blocks * _BLOCK for fd in self.open_without_name())


class LimitedCopyUp(CopyUp):
    """Counts what copies take. `quota` is set before the first request."""

    quota: Quota

    async def _file(self, node: Node, emptied: Emptied | None) -> int:
        size_bytes = 0 if emptied is not None else node.entry.st_blocks * _BLOCK
        self.quota.take(size_bytes)
        try:
            return await super()._file(node, emptied)
        except BaseException:
            self.quota.count(-size_bytes)
            raise


class LimitedOperations(OverlayOperations):
    """The handlers that count. `quota` is set before the first request. What is written is counted in bytes.

    Each handler raises FUSEError with the errno.
    """

    quota: Quota

    def limit(self, quota: Quota) -> None:
        """Hold writes below `quota`."""
        self.quota = quota
        quota.open_without_name = self._open_without_name

    def _open_without_name(self) -> Iterable[int]:
        found = {handle.node.number: handle.fd for handle in self.handles.values() if handle.node.parent is None}
        return [fd for fd in found.values() if fd >= 0]

    async def write(self, fh: FileHandleT, off: int, buf: bytes) -> int:
        fd = self.handles[fh].fd
        before = os.fstat(fd)
        if not self.quota.has_room(len(buf)) and not _is_allocated(before, off + len(buf)):
            raise FUSEError(errno.ENOSPC)
        # no checkpoint in between: nobody else writes to the file
        count = await super().write(fh, off, buf)
        self.quota.count((os.fstat(fd).st_blocks - before.st_blocks) * _BLOCK)
        return count

    async def mkdir(self, parent_inode: InodeT, name: FileNameT, mode: ModeT, ctx: RequestContext) -> EntryAttributes:
        if not self.quota.has_room(_DIRECTORY_BYTES):
            raise FUSEError(errno.ENOSPC)
        entry = await super().mkdir(parent_inode, name, mode, ctx)
        self.quota.count(_DIRECTORY_BYTES)
        return entry

    async def statfs(self, ctx: RequestContext) -> StatvfsData:
        answer = await super().statfs(ctx)
        free = max(0, self.quota.limit_bytes - self.quota.used_bytes()) // answer.f_frsize
        answer.f_blocks = self.quota.limit_bytes // answer.f_frsize
        answer.f_bfree, answer.f_bavail = min(free, answer.f_bfree), min(free, answer.f_bavail)
        return answer

    # -- what may shrink ---------------------------------------------------------------------------------------------

    async def open(self, inode: InodeT, flags: FlagT, ctx: RequestContext) -> FileInfo:
        self.quota.may_have_shrunk |= bool(flags & os.O_TRUNC)
        return await super().open(inode, flags, ctx)

    async def release(self, fh: FileHandleT) -> None:
        self.quota.may_have_shrunk |= self.handles[fh].node.parent is None
        await super().release(fh)

    async def setattr(
        self, inode: InodeT, attr: EntryAttributes, fields: SetattrFields, fh: FileHandleT | None, ctx: RequestContext
    ) -> EntryAttributes:
        self.quota.may_have_shrunk |= fields.update_size
        return await super().setattr(inode, attr, fields, fh, ctx)

    async def unlink(self, parent_inode: InodeT, name: FileNameT, ctx: RequestContext) -> None:
        await super().unlink(parent_inode, name, ctx)
        self.quota.may_have_shrunk = True

    async def rmdir(self, parent_inode: InodeT, name: FileNameT, ctx: RequestContext) -> None:
        await super().rmdir(parent_inode, name, ctx)
        self.quota.may_have_shrunk = True

    async def rename(
        self,
        parent_inode_old: InodeT,
        name_old: FileNameT,
        parent_inode_new: InodeT,
        name_new: FileNameT,
        flags: FlagT,
        ctx: RequestContext,
    ) -> None:
        await super().rename(parent_inode_old, name_old, parent_inode_new, name_new, flags, ctx)
        self.quota.may_have_shrunk = True


def _is_allocated(status: os.stat_result, end: int) -> bool:
    """Whether a write up to `end` needs no new blocks: the file has no holes, and does not grow."""
    return end <= status.st_size <= status.st_blocks * _BLOCK
