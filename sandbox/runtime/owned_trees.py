"""Trees whose files belong to subordinate ids, removed in the user namespace that owns them."""

from __future__ import annotations

import os
from functools import partial

from sandbox.errors import SandboxError, translated
from sandbox.runtime.bound_child import fork_bound
from storage.trees.tree import is_small_tree, remove_tree
from storage.waits import child_steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from storage.waits import Steps


def remove_files(directory: str) -> None:
    """Remove a tree of ours, whoever its files belong to below. Raises SandboxError."""
    if not os.path.lexists(directory):
        return
    try:
        _remove_once(directory)
    except (SandboxError, PermissionError):
        if os.geteuid() == 0:
            raise
        from sandbox.runtime.user_namespace import call_in_user_namespace

        call_in_user_namespace(_remove_once, directory)


def removal_steps(directory: str) -> Steps[None]:
    """`remove_files`, for who does something else meanwhile: in a child, unless it is done in a moment. Raises
    SandboxError.
    """
    if not os.path.lexists(directory):
        return
    if is_small_tree(directory):
        remove_files(directory)
        return
    if (yield from child_steps(fork_bound(partial(remove_files, directory)))):
        raise SandboxError(f"cannot remove {directory}")


def _remove_once(directory: str) -> None:
    with translated(SandboxError, f"cannot remove {directory}"):
        remove_tree(directory)
