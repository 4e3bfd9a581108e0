"""Why something cannot be written, and what mends it: asked of the file system once a write was refused."""

from __future__ import annotations

import os
import pwd
import resource
import shlex
import stat

from sandbox.runtime.mount_table import find_mount


def explain_refusal(path: str, variable: str = "XDG_DATA_HOME") -> tuple[str, str]:
    """The cause and the mend for `path`, which could not be written or made; two empty texts where it could be.

    `variable` is the one that has us write elsewhere.
    """
    place = path
    while not os.path.lexists(place) and place not in ("/", ""):
        place = os.path.dirname(place)
    elsewhere = f"export {variable}=DIRECTORY, one that you can write"
    try:
        if os.statvfs(place).f_flag & os.ST_RDONLY:
            mount = find_mount(place).mount_point
            return f"{mount} is mounted read-only", f"sudo mount -o remount,rw {shlex.quote(mount)}; or {elsewhere}"
        for at in dict.fromkeys((place, os.path.dirname(place))):
            if not os.access(at, os.W_OK):
                return _denied(at, elsewhere)
    except OSError:
        pass
    return "", ""


def explain_database(database: str) -> tuple[str, str]:
    """As `explain_refusal`, for a database and what SQLite keeps beside it: those have the mode it had when made."""
    found = ((explain_refusal(database + suffix)) for suffix in ("", "-wal", "-shm"))
    return next((refusal for refusal in found if refusal[0]), None) or _explain_file_limit()


def _explain_file_limit() -> tuple[str, str]:
    """What is left where the file system has nothing against it; SQLite calls that an I/O error."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if limit == resource.RLIM_INFINITY:
        return "", ""
    return f"files of more than {limit} bytes are not allowed to this shell: ulimit -f", "ulimit -Sf hard"


def _denied(path: str, elsewhere: str) -> tuple[str, str]:
    status = os.lstat(path)
    try:
        owner = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        owner = str(status.st_uid)
    cause = f"you may not write {path}, of {owner}, mode {stat.S_IMODE(status.st_mode):04o}"
    own = status.st_uid == os.getuid()
    command = f"chmod u+rw {shlex.quote(path)}" if own else f"sudo chown {os.getuid()} {shlex.quote(path)}"
    return cause, f"{command}; or {elsewhere}"
