"""Which files of its context a Dockerfile takes, so that a client need not send the others.

What the file alone does not tell (variables in paths, mounts, quoted names) takes everything.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from sandbox.builder.sources.git_urls import parse_git_url
from sandbox.dockerfile.instructions import Add, Copy, Run
from sandbox.image.web.web_file import is_url

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox.dockerfile.instructions import Instruction

#: of mounts that take nothing of the context
_OTHER_MOUNTS = frozenset({"type=cache", "type=secret", "type=ssh", "type=tmpfs"})
_UNTOLD = ("$", "\\", "**")


def needed_files(instructions: Iterable[Instruction]) -> tuple[str, ...] | None:
    """The paths, which may have wildcards and are followed where they are links; None for everything."""
    found: dict[str, None] = {}
    for instruction in instructions:
        if isinstance(instruction, Run):
            if _mounts_context(instruction):
                return None
            continue
        if not isinstance(instruction, Copy | Add) or (isinstance(instruction, Copy) and instruction.source_name):
            continue
        for source in instruction.sources:
            if isinstance(instruction, Add) and (is_url(source) or parse_git_url(source) is not None):
                continue
            path = posixpath.normpath(f"/{source}").lstrip("/")
            if not path or any(mark in source for mark in _UNTOLD):
                return None
            found[path] = None
    return tuple(found)


def _mounts_context(run: Run) -> bool:
    return any(
        not source and not _OTHER_MOUNTS & {field.strip().lower() for field in mount.split(",")}
        for mount, source in zip(run.mounts, run.mount_sources, strict=True)
    )
