"""Trees whose files belong to subordinate ids, removed in the user namespace that owns them."""

from __future__ import annotations

import os

from sandbox.errors import SandboxError, translated
from storage.trees.tree import remove_tree


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


def _remove_once(directory: str) -> None:
    with translated(SandboxError, f"cannot remove {directory}"):
        remove_tree(directory)
