"""`RUN --mount`: what is mounted for one command, and gone after it.

bind     the source under an overlay, or a copy of it, so that what the command writes there is lost, as it must be;
         it is found inside the context's or the stage's root only (CVE-2024-1753, CVE-2024-23651)
cache    a directory in the store, see `cache_mounts`
tmpfs, secret   memory; a secret's text is never written to a disk, into a layer or into a cache key
ssh      a socket that leads to an agent outside, see `ssh_mounts`
"""

from __future__ import annotations

import os
import posixpath
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from sandbox.builder.sources.copy_sources import Source, StepError, open_found
from sandbox.builder.steps.cache_mounts import CacheMounts, name_of
from sandbox.builder.steps.copying import Changes, Copier, Target
from sandbox.builder.steps.ssh_mounts import relay_agent
from sandbox.runtime.spec import BindMount, TmpfsMount
from sandbox.runtime.unmapped_ids import check_mapped
from storage.errors import StorageError
from storage.syscalls import MNT_DETACH, mount, umount2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sandbox.builder.sources.copy_sources import Found
    from sandbox.builder.step_layers import Workshop
    from sandbox.dockerfile.mounts import Mount
    from sandbox.runtime import spec

_AGENT_TARGET = "/run/buildkit/ssh_agent."
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class MountRoom:
    """Makes mounts for the RUNs of one build. `open_source` gives the tree of a `from=`, "" being the context."""

    def __init__(
        self, workshop: Workshop, caches: str, secrets: Mapping[str, bytes], agents: Mapping[str, str]
    ) -> None:
        self._workshop = workshop
        self._caches = CacheMounts(workshop.cache, caches)
        self._secrets = secrets
        self._agents = agents

    @contextmanager
    def prepared(
        self, mounts: Sequence[Mount], directory: str, open_source: Callable[[str, ExitStack], Source]
    ) -> Iterator[tuple[tuple[spec.Mount, ...], dict[str, str]]]:
        """The mounts for the runtime, and the variables secrets are given in; unmounted at the end.

        Raises StepError.
        """
        with ExitStack() as stack:
            made: list[spec.Mount] = []
            seen: list[Mount] = []
            variables: dict[str, str] = {}
            names = self._caches.lock(mounts, directory, stack)
            for wanted in mounts:
                if wanted.uid or wanted.gid:
                    check_mapped(wanted.uid or 0, wanted.gid or 0)
                target = posixpath.join("/", directory, wanted.target)
                if posixpath.normpath(target) in ("/", "//") and wanted.type not in ("secret", "ssh"):
                    raise StepError(f"invalid mount target {target!r}", mend="target=DIRECTORY in the mount")
                if wanted.type == "tmpfs":
                    size = f"size={wanted.size_bytes}" if wanted.size_bytes else ""
                    made.append(TmpfsMount(target, size, wanted.readonly))
                elif wanted.type == "cache":
                    name = names[name_of(wanted, directory)]
                    made.append(
                        self._caches.mount(
                            wanted, target, name, lambda one: self._first_content(one, open_source, stack)
                        )
                    )
                elif wanted.type == "bind":
                    made.append(self._bind(wanted, target, open_source, stack))
                elif wanted.type == "secret":
                    made += self._secret(wanted, directory, variables, stack)
                else:
                    made += self._ssh(wanted, directory, sum(mount.type == "ssh" for mount in seen), variables, stack)
                seen.append(wanted)
            yield tuple(made), variables

    def _bind(
        self, wanted: Mount, target: str, open_source: Callable[[str, ExitStack], Source], stack: ExitStack
    ) -> BindMount:
        source, found = _find(wanted, open_source, stack)
        if source.keeps_owners:
            # a stage's tree is mounted for this command alone, with an upper directory that nobody keeps
            path = os.readlink(f"/proc/self/fd/{found.fd}")
        else:
            path = self._overlay(source, found, stack) or self._copy(source, found, stack)
        return BindMount(path, target, wanted.readonly)

    def _overlay(self, source: Source, found: Found, stack: ExitStack) -> str:
        """A directory of a context under an overlay; "" where that cannot be: files would have to be hidden in it, or
        its file system is none to be a lower layer.
        """
        if not found.is_directory or source.rules:
            return ""
        try:
            return stack.enter_context(self._workshop.overlaid(f"/proc/self/fd/{found.fd}"))
        except StorageError:
            return ""

    def _copy(self, source: Source, found: Found, stack: ExitStack) -> str:
        place = self._workshop.new_directory()
        root_fd = os.open(place, _DIRECTORY)
        stack.callback(os.close, root_fd)
        copier = Copier(Target(root_fd, "/content", into=False), Changes())
        stack.callback(copier.close)
        copier.copy(source, found)
        return f"{place}/content"

    def _first_content(self, wanted: Mount, open_source: Callable[[str, ExitStack], Source], stack: ExitStack) -> str:
        if not wanted.source_name:
            return self._workshop.new_directory()
        return self._copy(*_find(wanted, open_source, stack), stack)

    def _secret(self, wanted: Mount, directory: str, variables: dict[str, str], stack: ExitStack) -> list[spec.Mount]:
        name = wanted.id or wanted.source or posixpath.basename(wanted.target)
        value = self._secrets.get(name)
        if value is None:
            if wanted.required:
                raise StepError(f"secret {name}: not found", mend=f"sandbox build --secret id={name},src=FILE …")
            return []
        if wanted.env is not None:
            variables[wanted.env] = value.decode(errors="surrogateescape")
            if not wanted.target:
                return []
        place = self._workshop.new_directory()
        mount("tmpfs", place, "tmpfs", 0, "mode=0700")
        stack.callback(umount2, place, MNT_DETACH)
        with open(f"{place}/secret", "wb") as file:
            file.write(value)
            os.fchown(file.fileno(), wanted.uid or 0, wanted.gid or 0)
            os.fchmod(file.fileno(), 0o400 if wanted.mode is None else wanted.mode & 0o7777)
        target = posixpath.join("/", directory, wanted.target or f"/run/secrets/{posixpath.basename(name)}")
        return [BindMount(f"{place}/secret", target, read_only=True, recursive=False)]

    def _ssh(
        self, wanted: Mount, directory: str, number: int, variables: dict[str, str], stack: ExitStack
    ) -> list[spec.Mount]:
        name = wanted.id or "default"
        agent = self._agents.get(name)
        if agent is None:
            if wanted.required:
                raise StepError(f"SSH agent {name}: not found", mend=f"sandbox build --ssh {name} …")
            return []
        target = posixpath.join("/", directory, wanted.target or f"{_AGENT_TARGET}{number}")
        owner, mode = (wanted.uid or 0, wanted.gid or 0), 0o600 if wanted.mode is None else wanted.mode & 0o7777
        path = relay_agent(agent, self._workshop.new_directory(), owner, mode, stack)
        # the first of several is what ssh(1) asks
        variables.setdefault("SSH_AUTH_SOCK", target)
        return [BindMount(path, target, recursive=False)]


def _find(wanted: Mount, open_source: Callable[[str, ExitStack], Source], stack: ExitStack) -> tuple[Source, Found]:
    """What a mount takes, inside the tree it names; open as long as the stack."""
    source = open_source(wanted.source_name, stack)
    found = open_found(source, posixpath.normpath(f"/{wanted.source}").lstrip("/"))
    stack.callback(os.close, found.fd)
    return source, found


def is_directory(made: spec.Mount) -> bool:
    """Whether a mount goes over a directory."""
    return isinstance(made, TmpfsMount) or os.path.isdir(made.source)
