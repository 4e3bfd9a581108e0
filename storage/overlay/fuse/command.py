"""`sandbox-overlay`: the overlay by the command line of fuse-overlayfs, also as a helper of mount(8).

sandbox-overlay [-f] [-d] [-o OPTION[,OPTION…]]… MOUNTPOINT
mount -t fuse.sandbox-overlay [-o …] SOURCE MOUNTPOINT      which calls: sandbox-overlay SOURCE MOUNTPOINT -o …
"""

from __future__ import annotations

import logging
import os
import sys
from typing import NamedTuple, NoReturn

from storage.errors import StorageError, os_failure
from storage.inherited_state import settle_inherited_state
from storage.overlay.fuse.config import OverlayConfig
from storage.overlay.fuse.owners import Owners, parse_id_ranges, read_overflow_id
from storage.overlay.fuse.serving.mounting import FuseOptions, mount_fuse
from storage.syscalls import MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY

#: what /proc/self/mountinfo shows, and mount(8) finds us by
_FILESYSTEM = "fuse.sandbox-overlay"
_HELP = """
    -h, --help       print this
    -V, --version    print the version
    -f, --foreground stay in the foreground
    -d, --debug      the same, with a log
    -o OPTION[,…]    lowerdir=, upperdir=, workdir=, indexdir=, volatile, writeback=0, noxattrs=1, static_nlink,
                     uidmapping=, gidmapping=, squash_to_root, squash_to_uid=, squash_to_gid=, nosuid, nodev, noexec,
                     ro, fsname=; what else fuse-overlayfs takes and does not change what is seen
"""
_USAGE = "usage: sandbox-overlay [-f] [-d] [-o lowerdir=DIR[:DIR…][,upperdir=DIR,workdir=DIR][,OPTION…]] MOUNTPOINT"
#: our own: `indexdir=DIR`, where indexes of lower layers are kept; who gives it says that they never change
#: options of fuse-overlayfs, mount(8) and FUSE that ask for what is so anyway, or change nothing here
# fmt: off
_HARMLESS = frozenset(
    {
        "_netdev", "allow_other", "allow_root", "async", "atime", "auto", "auto_unmount", "big_writes",
        "clone_fd", "context", "default_permissions", "defaults", "defcontext", "diratime", "exec",
        "fast_ino_check", "fscontext", "fsync", "group", "index", "max_idle_threads", "max_read", "max_write",
        "metacopy", "noacl", "noatime", "noauto", "nodiratime", "nofail", "nonempty", "nouser",
        "owner", "redirect_dir", "relatime", "rootcontext", "rw", "static_nlink", "strictatime", "sync",
        "threaded", "timeout", "user", "users", "userxattr", "xino",
    }
)
# fmt: on
_FLAGS = {"ro": MS_RDONLY, "nosuid": MS_NOSUID, "nodev": MS_NODEV, "noexec": MS_NOEXEC}
_OWNER_OPTIONS = ("uidmapping", "gidmapping", "squash_to_root", "squash_to_uid", "squash_to_gid")


class CommandLine(NamedTuple):
    """What was asked for."""

    overlay: OverlayConfig
    mount: FuseOptions
    target: str
    foreground: bool
    debug: bool


class UsageError(Exception):
    """The command line says nothing that could be done."""


def parse(words: list[str]) -> CommandLine:
    """Read the command line. UsageError."""
    options: dict[str, str] = {}
    places: list[str] = []
    foreground = debug = False
    rest = iter(words)
    for word in rest:
        if word in ("-f", "--foreground"):
            foreground = True
        elif word in ("-d", "--debug"):
            foreground = debug = True
        elif word in ("-s", "-n", "-v", "-i"):
            pass
        elif word == "-t":
            next(rest, None)
        elif word.startswith("-o"):
            text = word[2:] or next(rest, None)
            if text is None:
                raise UsageError("-o needs a value")
            options.update(split_options(text))
        elif word.startswith("-") and word != "-":
            raise UsageError(f"unknown option {word}")
        else:
            places.append(word)
    if not 1 <= len(places) <= 2:
        raise UsageError(_USAGE)
    return _understand(options, places, foreground=foreground, debug=debug)


def split_options(text: str) -> dict[str, str]:
    """`a=b,c` as {"a": "b", "c": ""}; a backslash takes the next character as it is, as overlayfs has it."""
    words = [""]
    escaped = False
    for character in text:
        if escaped:
            # `lowerdir` is split once more
            words[-1] += character if character == "," else "\\" + character
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == ",":
            words.append("")
        else:
            words[-1] += character
    pairs = (word.partition("=") for word in words if word)
    return {name: value for name, _, value in pairs}


def split_directories(text: str) -> list[str]:
    """The directories of `lowerdir`; a colon of a name has a backslash before it."""
    directories = [""]
    escaped = False
    for character in text:
        if escaped or character not in "\\:":
            directories[-1] += character
            escaped = False
        elif character == "\\":
            escaped = True
        else:
            directories.append("")
    return [directory for directory in directories if directory]


def _understand(options: dict[str, str], places: list[str], *, foreground: bool, debug: bool) -> CommandLine:
    lower = split_directories(options.pop("lowerdir", ""))
    upper = options.pop("upperdir", "").replace("\\", "") or None
    work = options.pop("workdir", "").replace("\\", "") or None
    if not lower:
        raise UsageError("no lowerdir is given")
    if (upper is None) != (work is None):
        raise UsageError("upperdir and workdir are given together, or neither")
    if options.pop("xattr_permissions", "0") not in ("", "0"):
        raise UsageError("xattr_permissions is not supported: owners and modes are those of the files themselves")
    index_directory = options.pop("indexdir", "")
    config = OverlayConfig(
        lower=tuple(lower[::-1]),
        indexes=tuple(_index_path(index_directory, layer) for layer in lower[::-1]) if index_directory else (),
        upper=upper,
        work=work,
        writeback=options.pop("writeback", "1") != "0",
        no_xattrs=options.pop("noxattrs", "0") != "0",
        static_nlink=options.pop("static_nlink", None) is not None,
        owners=_owners(options),
        volatile="volatile" in options or options.get("fsync") == "0",
    )
    source = options.pop("fsname", "") or (places[0] if len(places) > 1 else "sandbox-overlay")
    flags = MS_RDONLY if upper is None else 0
    for name, flag in _FLAGS.items():
        flags |= flag if name in options else 0
    known = _HARMLESS | _FLAGS.keys() | {"volatile", "suid", "dev", "subtype"}
    unknown = sorted(name for name in options if name not in known and not name.startswith(("x-", "comment")))
    if unknown:
        raise UsageError(f"unknown option {unknown[0]}")
    return CommandLine(config, FuseOptions(_FILESYSTEM, source, flags), places[-1], foreground, debug)


def _owners(options: dict[str, str]) -> Owners | None:
    given = {name: options.pop(name) for name in _OWNER_OPTIONS if name in options}
    if not given:
        return None
    root = 0 if "squash_to_root" in given else None
    try:
        return Owners(
            parse_id_ranges(given["uidmapping"]) if "uidmapping" in given else (),
            parse_id_ranges(given["gidmapping"]) if "gidmapping" in given else (),
            int(given["squash_to_uid"]) if "squash_to_uid" in given else root,
            int(given["squash_to_gid"]) if "squash_to_gid" in given else root,
            read_overflow_id("uid"),
            read_overflow_id("gid"),
        )
    except ValueError as error:
        raise UsageError(f"cannot read the options of owners: {error}") from None


def _index_path(directory: str, layer: str) -> str:
    """Where the index of a layer is kept: one file for each root directory."""
    try:
        status = os.stat(layer)
        directory = os.path.abspath(directory)
    except OSError as error:
        # without a layer's name it is the current directory that is gone
        raise UsageError(f"{error.filename or directory}: {os.strerror(error.errno or 0)}") from error
    return os.path.join(directory, f"{status.st_dev:x}-{status.st_ino:x}.index")


def main(words: list[str]) -> int:
    """Mount and serve; in the background once it is mounted, unless -f was given."""
    if not {"-h", "--help"}.isdisjoint(words):
        print(_USAGE + "\n" + _HELP, end="")
        return 0
    if not {"-V", "--version"}.isdisjoint(words):
        print(_version())
        return 0
    try:
        command = parse(words)
    except UsageError as error:
        print(error, file=sys.stderr)
        return 1
    logging.basicConfig(
        level=logging.DEBUG if command.debug else logging.WARNING, format="sandbox-overlay: %(message)s"
    )
    try:
        if command.foreground:
            return _serve(command, lambda: None)
        return _serve_in_background(command)
    except StorageError as error:
        print(f"sandbox-overlay: {error.message}{': ' + error.cause if error.cause else ''}", file=sys.stderr)
        if error.mend:
            print(f"  {error.mend}", file=sys.stderr)
        return 1


def _version() -> str:
    """As fuse-overlayfs says it: podman shows the first lines in `podman info`."""
    import importlib.metadata  # only here

    versions = {}
    for name in ("sandbox", "pyfuse3"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return f"sandbox-overlay: version {versions['sandbox']}\npyfuse3: version {versions['pyfuse3']}"


def _serve(command: CommandLine, ready: object) -> int:
    from storage.overlay.fuse.server import serve  # what is said of a bad command line needs neither trio nor pyfuse3

    assert callable(ready)
    _check(command)
    try:
        fd = mount_fuse(command.target, command.mount)
    except PermissionError:
        # without CAP_SYS_ADMIN: libfuse asks fusermount3
        serve(command.overlay, command.target, ready)
        return 0
    except OSError as error:
        raise os_failure(f"cannot mount at {command.target}", error) from error
    serve(command.overlay, f"/dev/fd/{fd}", ready)
    return 0


def _check(command: CommandLine) -> None:
    overlay = command.overlay
    for place in (*overlay.lower, overlay.upper, overlay.work, command.target):
        if isinstance(place, str):
            try:
                os.stat(f"{place}/.")
            except OSError as error:
                raise os_failure(f"cannot use {place}", error) from error


def _serve_in_background(command: CommandLine) -> int:
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        _child(command, write_end)
    os.close(write_end)
    with open(read_end, "rb") as pipe:
        answer = pipe.read()
    if answer == b"ready":
        return 0
    os.waitpid(child, 0)
    return 1


def _child(command: CommandLine, ready_fd: int) -> NoReturn:
    status = 1

    def ready() -> None:
        # relative paths have been used by now
        os.chdir("/")
        os.write(ready_fd, b"ready")
        os.close(ready_fd)
        null = os.open(os.devnull, os.O_RDWR)
        for fd in range(3):
            os.dup2(null, fd)
        os.close(null)

    try:
        os.setsid()
        status = _serve(command, ready)
    except StorageError as error:
        print(f"sandbox-overlay: {error.message}{': ' + error.cause if error.cause else ''}", file=sys.stderr)
    finally:
        sys.stderr.flush()
        os._exit(status)


def entry() -> None:
    """The installed command."""
    settle_inherited_state()
    sys.exit(main(sys.argv[1:]))
