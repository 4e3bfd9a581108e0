"""The local and tar outputs: the tree of the target stage, merged from its layers.

It runs as root of the outer user namespace, which alone may read every file of an image. In a directory of the
caller's that root is the caller: files made there are the caller's own.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from sandbox.builder.cache.step_cache import BuildLayer
from sandbox.builder.step_layers import Workshop
from sandbox.container.life.driver_choice import driver_of_store
from sandbox.errors import SandboxError, translated
from sandbox.runtime.user_namespace import call_in_user_namespace
from storage.tar.writer import write_tree
from storage.trees.copy_as_caller import copy_as_caller
from storage.trees.tree import remove_content

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.paths import Paths


def export_directory(paths: Paths, layers: Sequence[tuple[str, str]], dest: str, *, replace: bool) -> tuple[str, ...]:
    """Copy the tree into the directory `dest`, which is made where it is missing; notes on what was left out.

    With `replace` what was in it is removed first, else it stays where no entry takes its place. `layers` are (chain
    id, diff id), lowest first. Raises SandboxError.
    """
    try:
        os.makedirs(dest, exist_ok=True)
        dest_fd = os.open(dest, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise SandboxError(f"cannot write to {dest}", cause=error.strerror or str(error)) from error
    try:
        return _export(paths, layers, ("local", dest_fd, replace))
    finally:
        os.close(dest_fd)


def export_tar(paths: Paths, layers: Sequence[tuple[str, str]], out_fd: int) -> tuple[str, ...]:
    """Write the tree as an archive to `out_fd`, with its owners. Raises SandboxError."""
    return _export(paths, layers, ("tar", out_fd, False))


def _export(paths: Paths, layers: Sequence[tuple[str, str]], how: tuple[str, int, bool]) -> tuple[str, ...]:
    driver = driver_of_store(paths)
    notes = call_in_user_namespace(_export_in_namespace, paths, driver, [list(layer) for layer in layers], *how)
    assert isinstance(notes, list)
    return tuple(str(note) for note in notes)


def _export_in_namespace(paths: Paths, driver: str, layers: list[list[str]], kind: str, fd: int, replace: bool) -> Any:
    workshop = Workshop(paths, driver)
    try:
        with (
            translated(SandboxError, "cannot export the tree"),
            workshop.mounted([BuildLayer(chain_id, diff_id, {}) for chain_id, diff_id in layers]) as step,
        ):
            if kind == "tar":
                with step.true_owners() as owners:
                    return list(write_tree(step.root_fd, fd, owners))
            if replace:
                remove_content(fd)
            return list(copy_as_caller(step.root_fd, fd))
    finally:
        workshop.close()
