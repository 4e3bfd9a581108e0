"""Where a file system is known to answer another way than ext4 does: data, each with its reason.

A row of ours that is listed and passes all the same is a failure too: the list is to be true. The kernel's overlay is
here for comparison only, and differs between kernels.
"""

from __future__ import annotations

from tests.filesystem.origins import ORIGINS

_BELOW = ("lower", "merged")
_EXDEV = "without redirect_dir, which userxattr rules out, directories of lower layers are not renamed (EXDEV)"
_BROKEN_LINKS = "without index, which userxattr rules out, copy-up makes a new file of each hard link"
_SIMPLE_COPY_UP = "copy-up touches change times, and files opened for reading stay the lower ones"
_FIFO = "data in a fifo are the kernel's own: the file below never hears of them, and keeps its times"
_NO_FALLOCATE = "pyfuse3 has no handler for fallocate: the kernel answers EOPNOTSUPP, and glibc writes zeros instead"
_NO_TMPFILE = "pyfuse3 has no handler for O_TMPFILE: the kernel answers EOPNOTSUPP, and programs make a named file"
_NO_DONT_MASK = (
    "pyfuse3 cannot ask for FUSE_CAP_DONT_MASK: the kernel takes the umask off before a default list is seen"
)
_OWN_WORDS = "names and attributes of the overlay's own are refused, for the next mount would obey them"

#: file system -> title of a row -> (origins it holds for, reason)
DIFFERENCES: dict[str, dict[str, tuple[tuple[str, ...], str]]] = {
    "plain": {},
    "kernel": {
        "link: a file": (_BELOW, _BROKEN_LINKS),
        "link: errors": (_BELOW, _BROKEN_LINKS),
        "link: into another directory": (_BELOW, _BROKEN_LINKS),
        "link: over a whiteout": (_BELOW, _BROKEN_LINKS),
        "link: symlinks, fifos": (_BELOW, _BROKEN_LINKS),
        "link: what was linked below is one file": (_BELOW, _BROKEN_LINKS),
        "link: written through an open descriptor of the other name": (_BELOW, _BROKEN_LINKS),
        "unlink: each kind": (_BELOW, _BROKEN_LINKS),
        "unlink: times of the parent and of other links": (_BELOW, _BROKEN_LINKS),
        "rename: to itself and between links": (_BELOW, _BROKEN_LINKS),
        "rename: EXCHANGE of a file and a directory": (_BELOW, _EXDEV),
        "rename: EXCHANGE of directories": (_BELOW, _EXDEV),
        "rename: NOREPLACE": (_BELOW, _EXDEV),
        "rename: a directory into another, and deeper change": (_BELOW, _EXDEV),
        "rename: a directory of another owner needs write permission in it": (_BELOW, _EXDEV),
        "rename: a directory twice and back": (_BELOW, _EXDEV),
        "rename: a directory with what is below": (_BELOW, _EXDEV),
        "rename: an opaque directory": (_BELOW, _EXDEV),
        "rename: kinds against each other": (_BELOW, _EXDEV),
        "rename: over a directory emptied before": (_BELOW, _EXDEV),
        "rename: with a file open below": (_BELOW, _EXDEV),
        "rename: with the directory open": (_BELOW, _EXDEV),
        "mkdir: link counts of directories count those in them": (_BELOW, "1 for merged directories: not counted"),
        "rename: WHITEOUT": (ORIGINS, "leaves a whiteout where ext4, without CAP_MKNOD, refuses"),
        "write: to a fifo changes its times": (ORIGINS, _FIFO),
        "open: of an existing file changes nothing": (_BELOW, _SIMPLE_COPY_UP),
        "open: replaced by a rename while open": (_BELOW, _SIMPLE_COPY_UP),
        "open: unlinked while open for reading only": (_BELOW, _SIMPLE_COPY_UP),
        "write: changes times, and only the file's": (_BELOW, _SIMPLE_COPY_UP),
    },
    "sandbox-overlay": {
        "fallocate: more space": (ORIGINS, _NO_FALLOCATE),
        "fallocate: without changing the size": (ORIGINS, _NO_FALLOCATE),
        "fallocate: a hole": (ORIGINS, _NO_FALLOCATE),
        "fallocate: a hole in a file from below": (ORIGINS, _NO_FALLOCATE),
        "fallocate: zeros": (ORIGINS, _NO_FALLOCATE),
        "fallocate: clears set-id bits": (ORIGINS, _NO_FALLOCATE),
        "open: O_TMPFILE": (ORIGINS, _NO_TMPFILE),
        "open: O_TMPFILE with O_EXCL has no name ever": (ORIGINS, _NO_TMPFILE),
        "acl: a default list is handed down": (ORIGINS, _NO_DONT_MASK),
        "acl: the umask does not count where there is a default list": (ORIGINS, _NO_DONT_MASK),
        "truncate: times": (
            ORIGINS,
            "with write-back cache mtime is the kernel's, which sees no change in truncate(2) to the same size",
        ),
        "write: clears setgid without group execution for who is not of the group": (
            ORIGINS,
            "fuse_setattr takes setgid off with group execution only; without it the bit has no effect",
        ),
        "rename: WHITEOUT": (ORIGINS, "refused: a whiteout would be made in the merged tree"),
        "write: to a fifo changes its times": (ORIGINS, _FIFO),
        "open: names of whiteouts": (ORIGINS, _OWN_WORDS),
        "xattr: the overlay's own are not to be forged": (ORIGINS, _OWN_WORDS),
    },
}


def known_difference(stand: str, title: str, origin: str) -> str | None:
    """The reason, or None where the row must hold."""
    found = DIFFERENCES.get(stand, {}).get(title)
    return found[1] if found is not None and origin in found[0] else None
