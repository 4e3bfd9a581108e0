"""Random steps of the language of calls, and random layers, from a seed. A few short names, so that they often meet."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from storage.whiteouts import make_opaque, make_whiteout

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

_NAMES = "abcde"
_FDS = ("p", "q", "r")
_MODES = ("0644", "0755", "0600", "0777", "04755", "02755", "0000", "01777")
_WHO = ("", "", "", "", "", "as 1000 ", "as 1001 ", "as 1000:1000,1001 ")
_MTIME_NS = 1_000_000_000_123_456_789


def random_path(dice: random.Random, deepest: int = 3) -> str:
    return "/".join(dice.choice(_NAMES) for _ in range(dice.randint(1, deepest)))


def random_step(dice: random.Random) -> str:
    """One line. Reading is rarer than changing: the trees are compared anyway."""
    kind = dice.choices(list(_MAKERS), list(_WEIGHTS.values()))[0]
    return dice.choice(_WHO) + _MAKERS[kind](dice)


def _data(dice: random.Random) -> str:
    return f"{dice.choice('xyz')}*{dice.choice((1, 10, 100, 5000, 70000))}"


def _open(dice: random.Random) -> str:
    flags = ["O_RDWR", *(word for word in ("O_CREAT", "O_EXCL", "O_TRUNC", "O_APPEND") if dice.random() < 0.3)]
    return f"open {random_path(dice)} {'|'.join(flags)} {dice.choice(_MODES)} -> {dice.choice(_FDS)}"


def _descriptor(dice: random.Random) -> str:
    fd, offset = f"${dice.choice(_FDS)}", dice.randint(0, 100_000)
    return dice.choice(
        (
            f"write {fd} {_data(dice)}",
            f"pwrite {fd} {offset} {_data(dice)}",
            f"pread {fd} 100 {offset}",
            f"ftruncate {fd} {offset}",
            f"fchmod {fd} {dice.choice(_MODES)}",
            f"fchown {fd} {dice.randint(0, 3)} 1000",
            f"fstat {fd} mode,uid,gid,size,nlink",
            f"fsync {fd}",
            f"fsetxattr {fd} user.fd {offset}",
            f"copy_file_range {fd} {offset // 3} ${dice.choice(_FDS)} {offset} 3000",
            f"close {fd}",
        )
    )


def _rename(dice: random.Random) -> str:
    flags = dice.choice(("0", "0", "0", "0", "NOREPLACE", "EXCHANGE"))
    return f"rename {random_path(dice)} {random_path(dice)} {flags}"


def _attributes(dice: random.Random) -> str:
    path = random_path(dice)
    return dice.choice(
        (
            f"chmod {path} {dice.choice(_MODES)}",
            f"chmod {path} {dice.choice(_MODES)}",
            f"lchown {path} {dice.choice((-1, 0, 1000, 1001))} {dice.choice((-1, 0, 1000, 1001))}",
            f"utimens {path} {dice.randint(1, 10**9)} {dice.randint(1, 10**9)} NOFOLLOW",
            f"setxattr {path} user.{dice.choice('mn')} {dice.choice('vw')}",
            f"removexattr {path} user.{dice.choice('mn')}",
            f"setacl {path} u::rwx,u:1001:{dice.choice(('r-x', '---', 'rwx'))},g::r-x,m::rwx,o::--x",
        )
    )


def _reading(dice: random.Random) -> str:
    path = random_path(dice)
    return dice.choice(
        (
            f"look {path}",
            f"ls {path}",
            f"cat {path}",
            f"readlink {path}",
            f"listxattr {path}",
            f"access {path} R_OK|W_OK",
            f"access {path} X_OK",
            f"statx {path}",
        )
    )


_MAKERS: dict[str, Callable[[random.Random], str]] = {
    "open": _open,
    "descriptor": _descriptor,
    "rename": _rename,
    "attributes": _attributes,
    "reading": _reading,
    "put": lambda dice: f"put {random_path(dice)} {_data(dice)}",
    "append": lambda dice: f"append {random_path(dice)} {_data(dice)}",
    "truncate": lambda dice: f"truncate {random_path(dice)} {dice.randint(1, 100_000)}",
    "mkdir": lambda dice: f"mkdir {random_path(dice)} {dice.choice(('0755', '0755', '0777', '02775', '01777'))}",
    "rmdir": lambda dice: f"rmdir {random_path(dice)}",
    "unlink": lambda dice: f"unlink {random_path(dice)}",
    "link": lambda dice: f"link {random_path(dice)} {random_path(dice)}",
    "symlink": lambda dice: f"symlink {random_path(dice, 2)} {random_path(dice)}",
    "mknod": lambda dice: f"mknod {random_path(dice)} {dice.choice(('fifo', 'socket', 'file'))} 0644",
}
_WEIGHTS = {
    "open": 8, "descriptor": 20, "rename": 14, "attributes": 12, "reading": 12, "put": 8, "append": 6, "truncate": 4,
    "mkdir": 10, "rmdir": 5, "unlink": 7, "link": 5, "symlink": 3, "mknod": 2,
}  # fmt: skip


def make_random_layers(dice: random.Random, bottom: str, top: str, upper: str, *, hard_links: bool) -> None:
    """Fill three layers, of which the upper two also hide things of those below; or one, with hard links."""
    _fill(dice, bottom, 0)
    if hard_links:
        # nothing over them: a name that is hidden still counts as a link of the others
        _link(dice, bottom)
    else:
        _fill(dice, top, 0)
        _fill(dice, upper, 0)
        _hide(dice, upper, top)
        _hide(dice, top, bottom)
    for layer in (bottom, top, upper):
        for directory, directories, files in os.walk(layer, topdown=False):
            for name in (*directories, *files):
                os.utime(f"{directory}/{name}", ns=(_MTIME_NS, _MTIME_NS), follow_symlinks=False)
        os.utime(layer, ns=(_MTIME_NS, _MTIME_NS))


def _fill(dice: random.Random, directory: str, depth: int) -> None:
    for name in _NAMES:
        path = f"{directory}/{name}"
        what = dice.random()
        if what < 0.35 and depth < 3:
            os.mkdir(path)
            _fill(dice, path, depth + 1)
            os.chmod(path, int(dice.choice(("0755", "0755", "0777", "02775", "01777")), 8))
        elif what < 0.65:
            with open(path, "wb") as file:
                file.write(dice.randbytes(dice.choice((0, 10, 5000, 150_000))))
            os.chown(path, *dice.choice(((0, 0), (1000, 1000), (1001, 1001))))
            os.chmod(path, int(dice.choice(_MODES), 8))
            if dice.random() < 0.2:
                os.setxattr(path, "user.m", b"below")
        elif what < 0.72:
            os.symlink(random_path(dice, 2), path)


def _hide(dice: random.Random, layer: str, below: str) -> None:
    """Whiteouts and opaque directories, only where there is something below: overlayfs makes no others either."""
    for directory, directories, _files in os.walk(layer):
        lower = f"{below}/{os.path.relpath(directory, layer)}"
        if not os.path.isdir(lower) or os.path.islink(lower):
            directories.clear()
            continue
        directories.sort()
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if directory != layer and dice.random() < 0.2:
                make_opaque(fd)
                directories.clear()
                continue
            for name in sorted(os.listdir(lower)):
                if not os.path.lexists(f"{directory}/{name}") and dice.random() < 0.25:
                    make_whiteout(fd, os.fsencode(name))
        finally:
            os.close(fd)


def _link(dice: random.Random, layer: str) -> None:
    """Give some files of the layer second names."""
    files = sorted(f"{directory}/{name}" for directory, _, names in os.walk(layer) for name in names)
    directories = sorted(directory for directory, _, _ in os.walk(layer))
    for path in files:
        other = f"{dice.choice(directories)}/{dice.choice(_NAMES)}"
        if dice.random() < 0.4 and not os.path.lexists(other) and not os.path.islink(path):
            os.link(path, other)
