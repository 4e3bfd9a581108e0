"""A program run as uid 0 of the subordinate ids: what layer directories are when laid over each other.

    python layer_trees.py BASE DIRECTORY...      lowest first; prints JSON: path -> what is there

BASE is a file with what an earlier call printed, or - for nothing.

Written for both programs' stores, which keep layers as overlayfs takes them, and with nothing of the product.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from typing import Any


def merge(tree: dict[str, dict[str, Any]], directories: list[str]) -> dict[str, dict[str, Any]]:
    """The tree with the directories laid over it."""
    for directory in directories:
        _lay_over(tree, directory)
    return tree


def _lay_over(tree: dict[str, dict[str, Any]], root: str) -> None:
    for directory, names, files in os.walk(root):
        inside = directory[len(root) :]
        if _xattr(directory, "user.overlay.opaque") == b"y":
            _remove_below(tree, inside)
        for name in sorted(names + files):
            path, place = f"{inside}/{name}", f"{directory}/{name}"
            status = os.lstat(place)
            if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
                tree.pop(path, None)
                _remove_below(tree, path)
                continue
            if not stat.S_ISDIR(status.st_mode):
                _remove_below(tree, path)
            tree[path] = _describe(place, status)


def _remove_below(tree: dict[str, dict[str, Any]], path: str) -> None:
    for other in [other for other in tree if other.startswith(f"{path}/")]:
        del tree[other]


def _describe(place: str, status: os.stat_result) -> dict[str, Any]:
    described: dict[str, Any] = {"kind": stat.filemode(status.st_mode)[0], "owner": f"{status.st_uid}:{status.st_gid}"}
    if stat.S_ISLNK(status.st_mode):
        return {**described, "target": os.readlink(place)}
    described["mode"] = f"{stat.S_IMODE(status.st_mode):04o}"
    xattrs = {
        name: os.getxattr(place, name, follow_symlinks=False).hex()
        for name in os.listxattr(place, follow_symlinks=False)
        if not name.startswith(("user.overlay.", "user.sandbox.", "security.selinux"))
    }
    if xattrs:
        described["xattrs"] = xattrs
    if stat.S_ISREG(status.st_mode):
        with open(place, "rb") as file:
            described |= {"size": status.st_size, "sha256": hashlib.sha256(file.read()).hexdigest()}
    return described


def _xattr(place: str, name: str) -> bytes:
    try:
        return os.getxattr(place, name)
    except OSError:
        return b""


if __name__ == "__main__":
    base: dict[str, dict[str, Any]] = {}
    if sys.argv[1] != "-":
        with open(sys.argv[1]) as opened:
            base = json.load(opened)
    json.dump(merge(base, sys.argv[2:]), sys.stdout)
