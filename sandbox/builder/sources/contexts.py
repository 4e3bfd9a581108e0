"""Build contexts: directories, archives, Git repositories and URLs, the build's own and named ones, and the Dockerfile.

What is not a directory already is unpacked or checked out below the build's own place (DATA/build/<name>, locked as
long as it is used), without its owners: files of a context become root's. Everything is opened here, in the calling
process, with the caller's own rights; the builder gets descriptors.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from contextlib import ExitStack
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from sandbox.builder.sources.copy_sources import is_archive
from sandbox.builder.sources.git_source import GitAccess, checkout_git, resolve_git
from sandbox.builder.sources.git_urls import parse_git_url
from sandbox.builder.sources.url_source import UrlAccess, fetch_url
from sandbox.dockerfile.dockerignore import ignore_file_names, read_ignore_file
from sandbox.errors import NotFoundError, SandboxError
from sandbox.image.web.web_file import is_url
from sandbox.redaction import redact
from sandbox.runtime.user_namespace import call_in_user_namespace
from storage.errors import StorageError
from storage.layers.store import make_spread_directory
from storage.layers.unpack import unpack_layer
from storage.locks import lock_directory, unlock
from storage.trees.resolve import open_in_root
from storage.trees.tree import remove_tree

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.builder.sources.git_urls import GitUrl
    from sandbox.caller_directory import CallerDirectory
    from sandbox.dockerfile.dockerignore import IgnoreRules
    from sandbox.paths import Paths

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE_MOST = 16 << 20
_DOCKERFILE = "Dockerfile"


class ContextTree(NamedTuple):
    """A context that is open: files below a directory, less what its ignore file hides."""

    fd: int
    rules: IgnoreRules | None


class Dockerfile(NamedTuple):
    """A Dockerfile read; `name` is what errors call it."""

    name: str
    data: bytes


class MainContext(NamedTuple):
    """What a build is made of. `tree` is None where there is nothing but the Dockerfile."""

    tree: ContextTree | None
    dockerfile: Dockerfile


class _Place(NamedTuple):
    """Where a context's files are: `given` in the caller's own directory, or brought here."""

    fd: int
    shown: str
    given: bool


class ContextRoom:
    """Opens the contexts of one build; `close` closes them and removes what was brought here."""

    def __init__(
        self,
        paths: Paths,
        cwd: CallerDirectory,
        env: Mapping[str, str],
        secrets: Mapping[str, bytes],
        agent_socket: str = "",
    ) -> None:
        self._paths = paths
        self._cwd = cwd
        self._urls = UrlAccess(env, secrets)
        self._git = GitAccess(paths, env, secrets, agent_socket)
        self._stack = ExitStack()
        self._directory = ""
        self._places = 0

    def close(self) -> None:
        """Twice is safe."""
        self._stack.close()

    def open_main(self, context: str, file: str, *, keep_git_dir: bool = False) -> MainContext:
        """The context that PATH, URL or "-" names, with the Dockerfile that `-f` names ("" where it is not given).

        Raises SandboxError.
        """
        if context == "-":
            if file == "-":
                raise SandboxError("standard input cannot be both the context and the Dockerfile")
            return self._open_file(self._spool_input(), "standard input", file)
        repository = parse_git_url(context, as_context=not self._is_here(context))
        if repository is not None:
            place = self._check_out(repository, keep_git_dir=keep_git_dir)
        elif is_url(context):
            fetched = fetch_url(context, "", self.new_directory(), self._paths, self._urls)
            return self._open_file(fetched.path, redact(context), file)
        else:
            path = self._cwd.absolute(context)
            if os.path.isfile(path):
                return self._open_archive(path, context, file)
            place = _Place(self._open_directory(path, context), context, given=True)
        return self._read_main(place, file)

    def open_named(self, value: str) -> ContextTree:
        """A context of `--build-context` that is files: a directory, an archive, a repository, a URL."""
        repository = parse_git_url(value)
        if repository is not None:
            place = self._check_out(repository, keep_git_dir=False)
        elif is_url(value):
            fetched = fetch_url(value, "", self.new_directory(), self._paths, self._urls).path
            place = self._unpack(fetched, redact(value)) if _is_archive(fetched) else self._wrap(fetched)
        else:
            path = self._cwd.absolute(value)
            if os.path.isfile(path) and _is_archive(path):
                place = self._unpack(path, value)
            else:
                place = _Place(self._open_directory(path, value), value, given=True)
        return ContextTree(place.fd, _read_rules(place.fd, [ignore_file_names("")[1]]))

    def receive(self, archive: BinaryIO, shown: str) -> str:
        """Unpack an archive as it comes; the path of its directory, there until `close`. Raises SandboxError."""
        place = self.new_directory()
        self._unpack_into(self._open_directory(place, place), archive, shown)
        return place

    def read(self, directory: str, name: str) -> bytes | None:
        """A file of a directory that `receive` has given, None where it is not there. Raises SandboxError."""
        fd = os.open(directory, _DIRECTORY)
        try:
            return _read_beneath(fd, name)
        finally:
            os.close(fd)

    # --- where files come from

    def _is_here(self, context: str) -> bool:
        # in a directory that was removed there is nothing that a URL could be
        return bool(self._cwd.path) and os.path.exists(self._cwd.absolute(context))

    def _open_file(self, path: str, shown: str, file: str) -> MainContext:
        """What came as one file: an archive, or else a Dockerfile."""
        if _is_archive(path):
            return self._read_main(self._unpack(path, shown), file)
        if file:
            raise SandboxError(f"both -f and {shown} are Dockerfiles", mend=f"sandbox build -f {file} DIRECTORY")
        name = "<stdin>" if shown == "standard input" else shown
        with open(path, "rb") as opened:
            return MainContext(None, Dockerfile(name, opened.read(_FILE_MOST)))

    def _open_archive(self, path: str, shown: str, file: str) -> MainContext:
        if not _is_archive(path):
            raise SandboxError(
                f"unable to prepare context: {shown} is a file, and no archive",
                mend=f"sandbox build -f {shown} DIRECTORY",
            )
        return self._read_main(self._unpack(path, shown), file)

    def _spool_input(self) -> str:
        path = f"{self.new_directory()}/input"
        with open(path, "wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)
        return path

    def _unpack(self, path: str, shown: str) -> _Place:
        place = self.new_directory()
        fd = self._open_directory(place, place)
        with open(path, "rb", buffering=0) as archive:
            self._unpack_into(fd, archive, shown)
        return _Place(fd, shown, given=False)

    @staticmethod
    def _unpack_into(fd: int, archive: BinaryIO, shown: str) -> None:
        try:
            for directory in unpack_layer(archive, fd, plain=True, owners=False).implied:
                made = open_in_root(fd, directory, _DIRECTORY)
                os.fchmod(made, 0o755)
                os.close(made)
        except StorageError as error:
            raise SandboxError(f"cannot unpack the context {shown}: {error.message}", cause=error.cause) from error

    def _wrap(self, path: str) -> _Place:
        """A file alone, as BuildKit has it: a directory with `context` in it."""
        place = self.new_directory()
        os.rename(path, f"{place}/context")
        return _Place(self._open_directory(place, place), path, given=False)

    def _check_out(self, repository: GitUrl, *, keep_git_dir: bool) -> _Place:
        commit = resolve_git(repository, repository.checksum, self._git)
        keep = keep_git_dir if repository.keep_git_dir is None else repository.keep_git_dir
        tree = checkout_git(repository, commit, self.new_directory(), self._git, keep_git_dir=keep)
        return _Place(self._open_directory(tree, tree), repository.shown, given=False)

    def _open_directory(self, path: str, shown: str) -> int:
        try:
            fd = os.open(path, _DIRECTORY)
        except OSError as error:
            raise NotFoundError(
                f"unable to prepare context: path {shown!r}: {error.strerror}", mend="sandbox build DIRECTORY"
            ) from error
        self._stack.callback(os.close, fd)
        return fd

    def new_directory(self) -> str:
        """An empty directory of ours, until `close`."""
        if not self._directory:
            base = f"{self._paths.data_root}/build"
            make_spread_directory(base)
            self._directory = tempfile.mkdtemp(dir=base, prefix="context-")
            lock_fd = lock_directory(self._directory)
            self._stack.callback(unlock, lock_fd)
            self._stack.callback(_remove, self._directory)
        self._places += 1
        place = f"{self._directory}/{self._places}"
        os.mkdir(place, 0o755)
        return place

    # --- the Dockerfile and the ignore file

    def _read_main(self, place: _Place, file: str) -> MainContext:
        ignore_names: list[str] = []
        if file == "-":
            dockerfile = Dockerfile("<stdin>", sys.stdin.buffer.read(_FILE_MOST))
        elif is_url(file):
            fetched = fetch_url(file, "", self.new_directory(), self._paths, self._urls).path
            with open(fetched, "rb") as opened:
                dockerfile = Dockerfile(redact(file), opened.read(_FILE_MOST))
        elif file and place.given:
            return self._read_own_file(place, self._cwd.absolute(file))
        else:
            name = os.path.normpath(file or _DOCKERFILE).lstrip("/")
            data = _read_beneath(place.fd, name)
            if data is None and os.path.basename(name) == _DOCKERFILE:
                name = os.path.join(os.path.dirname(name), _DOCKERFILE.lower())
                data = _read_beneath(place.fd, name)
            if data is None:
                raise NotFoundError(
                    f"no {file or _DOCKERFILE} in {place.shown}", mend="sandbox build -f FILE PATH names another file"
                )
            dockerfile, ignore_names = Dockerfile(name, data), [ignore_file_names(name)[0]]
        rules = _read_rules(place.fd, [*ignore_names, ignore_file_names("")[1]])
        return MainContext(ContextTree(place.fd, rules), dockerfile)

    def _read_own_file(self, place: _Place, path: str) -> MainContext:
        """A Dockerfile the caller names by its path, inside the context or elsewhere; its ignore file is beside it."""
        shown = self._cwd.shown(path)
        try:
            with open(path, "rb") as opened:
                data = opened.read(_FILE_MOST)
        except OSError as error:
            raise NotFoundError(f"cannot read {shown}: {error.strerror}", mend=f"ls -l {shown}") from error
        special, common = ignore_file_names(path)
        try:
            with open(special, "rb") as opened:
                rules = read_ignore_file(opened.read(_FILE_MOST), self._cwd.shown(special))
        except FileNotFoundError:
            return MainContext(ContextTree(place.fd, _read_rules(place.fd, [common])), Dockerfile(shown, data))
        except OSError as error:
            raise SandboxError(f"cannot read {special}", cause=error.strerror or str(error)) from error
        return MainContext(ContextTree(place.fd, rules), Dockerfile(shown, data))


def is_files(value: str) -> bool:
    """Whether a value of `--build-context` is files, and no image or stage."""
    return not value.startswith(("docker-image://", "oci-layout://", "target:"))


def _read_rules(fd: int, names: list[str]) -> IgnoreRules | None:
    """The rules of the first of these files that is there."""
    for name in names:
        data = _read_beneath(fd, name)
        if data is not None:
            return read_ignore_file(data, name)
    return None


def _read_beneath(fd: int, name: str) -> bytes | None:
    """A file of a context: a symlink in it leads nowhere else. None where there is none."""
    try:
        opened = open_in_root(fd, name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise SandboxError(f"cannot read {name} of the context", cause=error.strerror or str(error)) from error
    with os.fdopen(opened, "rb") as file:
        try:
            return file.read(_FILE_MOST)
        except OSError as error:
            raise SandboxError(f"cannot read {name} of the context", cause=error.strerror or str(error)) from error


def _is_archive(path: str) -> bool:
    with open(path, "rb", buffering=0) as file:
        return is_archive(file)


def _remove(directory: str) -> None:
    try:
        remove_tree(directory)
    except StorageError:
        # directories that their own owner may not enter: there root may
        call_in_user_namespace(remove_tree, directory)
