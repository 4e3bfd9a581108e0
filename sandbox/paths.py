"""Where things lie: state below `$XDG_DATA_HOME/sandbox`, runtime files below `$XDG_RUNTIME_DIR/sandbox`.

DATA/state.db               the one database
DATA/reserve                room that the database gets on a full disk
DATA/blobs/sha256/…         manifests, configs and layers as received
DATA/layers/<chain id>/…    unpacked layers
DATA/images/<hex>           a copy of each image's record and documents
DATA/containers/<id>/…      a container's upper directory, log, /etc files, a copy of its record
DATA/volumes/<name>/_data   named volumes; beside it a copy of the record
DATA/secrets/<id>/content   secrets, and DATA/configs/…; beside it a copy of the record
DATA/cache/…                what can be made again (compiled seccomp filters)
DATA/router/…               which processes hold the namespaces of bridge networks
RUNTIME/containers/<data root><id>/…  sockets and mount points of a running container
"""

from __future__ import annotations

import os
import stat

from sandbox.errors import HostError
from sandbox.home import find_home
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


#: each overrides a key of the settings file: `SANDBOX_` SECTION `_` KEY (`sandbox.config` reads their values)
SETTINGS_VARIABLES = (
    "SANDBOX_NETWORKS_DEFAULT_ADDRESS_POOLS",
    "SANDBOX_REGISTRIES_CA", "SANDBOX_REGISTRIES_CONCURRENCY", "SANDBOX_REGISTRIES_INSECURE",
    "SANDBOX_REGISTRIES_MIRRORS", "SANDBOX_REGISTRIES_REDIRECTS", "SANDBOX_STORAGE_DRIVER",
)  # fmt: skip


class Paths(NamedTuple):
    """The three roots; every other place is derived from them."""

    data_root: str
    runtime_root: str
    config_root: str
    #: of SETTINGS_VARIABLES those that the caller has set, and their values
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def database(self) -> str:
        return f"{self.data_root}/state.db"

    @property
    def reserve(self) -> str:
        return f"{self.data_root}/reserve"

    @property
    def layers(self) -> str:
        return f"{self.data_root}/layers"

    @property
    def volumes(self) -> str:
        return f"{self.data_root}/volumes"

    @property
    def cache(self) -> str:
        return f"{self.data_root}/cache"

    @property
    def router(self) -> str:
        return f"{self.data_root}/router"

    @property
    def api_socket(self) -> str:
        """Where the user's own server of the API listens; the name is Docker's."""
        return f"{self.runtime_root}/docker.sock"

    def container_data(self, container_id: str) -> str:
        return f"{self.data_root}/containers/{container_id}"

    def container_runtime(self, container_id: str) -> str:
        # a part of the id: a socket's path has 107 bytes at most, unix(7), and slirp4netns takes no other form
        return f"{self.runtime_root}/containers/{self.runtime_prefix}{container_id[:24]}"

    @property
    def runtime_prefix(self) -> str:
        """What the runtime directories of this data root begin with: the runtime root is shared by all of a user's."""
        try:
            status = os.stat(self.data_root)
        except FileNotFoundError:
            return "0" * 8
        # by inode, so that it is the same by whatever path; hashlib takes 2 ms to import
        return f"{(status.st_dev * 0x9E3779B1 ^ status.st_ino * 0x85EBCA6B) & 0xFFFFFFFF:08x}"


def find_paths(env: Mapping[str, str]) -> Paths:
    """The paths for this user; directories are made 0700 where missing.

    A runtime directory that is unset or belongs to somebody else (su, cron, sudo leak it) is replaced by a
    private one below /tmp. Raises HostError where a root cannot be made or is not ours, or no home is known.
    """
    home = find_home(env)
    if not home and not _absolute(env.get("XDG_DATA_HOME"), ""):
        raise HostError(
            "there is no home directory to keep images and containers in",
            cause=f"HOME is not set to an absolute path, and user id {os.getuid()} is not in the user database",
            mend="export HOME=DIRECTORY, or XDG_DATA_HOME, one that you can write",
        )
    data_root = find_data_root(env, home)
    config_root = _absolute(env.get("XDG_CONFIG_HOME"), f"{home}/.config") + "/sandbox"
    runtime_base = env.get("XDG_RUNTIME_DIR", "")
    if runtime_base.startswith("/") and _is_ours(runtime_base):
        runtime_root = f"{runtime_base}/sandbox"
    else:
        runtime_root = f"/tmp/sandbox-{os.getuid()}"
    _make_private(data_root, "XDG_DATA_HOME")
    _make_private(runtime_root, "XDG_RUNTIME_DIR")
    return Paths(data_root, runtime_root, config_root, tuple([(n, env[n]) for n in SETTINGS_VARIABLES if env.get(n)]))


def find_data_root(env: Mapping[str, str], home: str) -> str:
    """Where data are kept with these variables; nothing is made."""
    return _absolute(env.get("XDG_DATA_HOME"), f"{home}/.local/share") + "/sandbox"


def _absolute(value: str | None, default: str) -> str:
    # XDG base directory specification: a relative path is to be ignored
    return value.rstrip("/") if value and value.startswith("/") else default


def _is_ours(directory: str) -> bool:
    try:
        status = os.stat(directory)
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()


def _make_private(directory: str, variable: str) -> None:
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        status = os.lstat(directory)
    except OSError as error:
        raise HostError(
            f"cannot make the directory {directory}",
            cause=f"{error.strerror}: {os.fsdecode(error.filename)}" if error.filename else str(error),
            mend=f"export {variable}=DIRECTORY, one that you can write",
        ) from error
    # lstat: below /tmp somebody else could have put a symlink there first
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise HostError(f"{directory} is not a directory of this user", mend=f"ls -ld {directory}")
    if status.st_mode & 0o077:
        os.chmod(directory, 0o700)
