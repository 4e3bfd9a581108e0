"""What every table counts on: images, containers and volumes, made once for all rows."""

from __future__ import annotations

import functools
import io
import tarfile
from pathlib import Path

from tests.ports import find_free_port

_PASSWD = b"root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n"
_GROUP = b"root:x:0:\nuser:x:1000:\n"
_APPLETS = "sh cat echo true false sleep id ls env mkdir touch rm httpd wc head tail printf ps pwd stat hostname kill"


#: images `busybox` and `team/app:1` (which has labels, a port and a volume), and one without a name;
#: containers: `web` runs and publishes a port, `old` ended with 3 and mounts `data`, `made` never ran;
#: volumes: `data` has a label, `spare` is nobody's
def standing_lines(port: int) -> tuple[tuple[str, ...], ...]:
    """The command lines that make it, in a directory with `root.tar`."""
    return (
        ("import", "-c", "CMD [\"sh\"]", "root.tar", "busybox"),
        ("import", "-c", "LABEL tier=front com.example.my-team=blue", "-c", "EXPOSE 8080", "-c", "VOLUME /store",
     "-c", "CMD [\"true\"]", "root.tar", "team/app:1"),
        ("import", "root.tar"),
        ("volume", "create", "--label", "keep=yes", "data"),
        ("volume", "create", "spare"),
        ("create", "--name", "made", "-l", "tier=back", "busybox", "echo", "a long line of words"),
        ("run", "--name", "old", "-v", "data:/data", "-e", "A=b", "busybox", "sh", "-c",
         "echo out; echo err >&2; exit 3"),
        ("run", "-d", "--name", "web", "-p", f"127.0.0.1:{port}:80", "-l", "tier=front",
         "-l", "com.example.my-team=red", "--init", "busybox", "sleep", "100000"),
    )  # fmt: skip


@functools.cache
def published_port(engine: str) -> int:
    """That of `web` where `engine` runs it; a table writes {PORT}."""
    return find_free_port()


def root_tar() -> bytes:
    """A tree with busybox in it."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name in ("bin", "etc", "tmp", "root", "proc", "sys", "dev"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        program = Path("/bin/busybox").read_bytes()
        for name, content in (("bin/busybox", program), ("etc/passwd", _PASSWD), ("etc/group", _GROUP)):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
        for name in _APPLETS.split():
            entry = tarfile.TarInfo(f"bin/{name}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(entry)
    return data.getvalue()
