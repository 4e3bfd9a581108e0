"""Mounts of a service, as its containers ask for them: volumes by the project's names, secrets and configs as files."""

from __future__ import annotations

from sandbox.docker_sockets import DOCKER_SOCKETS
from sandbox.stack.model import VolumeBind, VolumeTmpfs, VolumeVolume
from sandbox.stack.request_grants import is_mounted
from sandbox.values import MountRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.stack.model import Service, Volume
    from sandbox.stack.project import Project


def mounts_docker_socket(service: Service) -> bool:
    """Whether its containers get Docker's socket, or the user's own in its place."""
    sources = [each.source for each in service.volumes if not isinstance(each, str)]
    return service.use_api_socket or any(source in DOCKER_SOCKETS for source in sources)


def binds_of(project: Project, service: Service) -> Iterator[str]:
    """The mounts that Docker's short text can say: it makes a directory that is missing, and a volume by its name."""
    if service.use_api_socket and not any(_is_at(each, DOCKER_SOCKETS[0]) for each in service.volumes):
        yield f"{DOCKER_SOCKETS[0]}:{DOCKER_SOCKETS[0]}"
    for volume in service.volumes:
        if not isinstance(volume, str) and fits_text(volume):
            yield bind_text(project, volume)


def bind_text(project: Project, volume: Volume) -> str:
    """Docker's short text for a mount that it can say."""
    if not volume.source:
        return volume.target
    modes = ["ro" if volume.read_only else "rw"]
    bind = volume.bind or VolumeBind()
    modes += [each for each in (bind.selinux, bind.propagation) if each and volume.type == "bind"]
    if volume.volume is not None and volume.volume.nocopy and volume.type == "volume":
        modes.append("nocopy")
    return f"{_source(project, volume)}:{volume.target}:{','.join(modes)}"


def _is_at(volume: Volume | str, target: str) -> bool:
    return not isinstance(volume, str) and volume.target == target


def fits_text(volume: Volume) -> bool:
    """Whether the short text can say all of it."""
    if ":" in volume.source or ":" in volume.target:
        return False
    if volume.type == "bind":
        bind = volume.bind or VolumeBind()
        return bind.create_host_path and not bind.recursive
    own = volume.volume or VolumeVolume()
    # nothing keeps an anonymous volume from being written to
    return volume.type == "volume" and not own.labels and not own.subpath and (bool(volume.source) or not own.nocopy)


def _source(project: Project, volume: Volume) -> str:
    if volume.type != "volume" or not volume.source:
        return volume.source
    named = project.volumes.value(volume.source)
    return named.name if named is not None else volume.source


def mounts_of(project: Project, service: Service) -> Iterator[MountRequest]:
    """The other mounts, and the files of secrets and configs that are mounted."""
    for volume in service.volumes:
        if not isinstance(volume, str) and not fits_text(volume):
            yield mount_of(project, volume)
    for grants, objects, folder in (
        (service.secrets, project.secrets, "/run/secrets/"),
        (service.configs, project.configs, "/"),
    ):
        for grant in grants:
            found = objects.value(grant.source)
            if found is not None and is_mounted(grant, found):
                target = grant.target or grant.source
                yield MountRequest(
                    "bind", found.file, target if target.startswith("/") else f"{folder}{target}", read_only=True
                )


def mount_of(project: Project, volume: Volume) -> MountRequest:
    """A mount as Docker's long form has it."""
    bind, own, tmpfs = volume.bind or VolumeBind(), volume.volume or VolumeVolume(), volume.tmpfs or VolumeTmpfs()
    if volume.type == "bind":
        return MountRequest(
            "bind",
            volume.source,
            volume.target,
            volume.read_only,
            propagation=bind.propagation,
            recursion=bind.recursive,
            create_source=bind.create_host_path,
        )
    if volume.type == "tmpfs":
        return MountRequest(
            "tmpfs",
            target=volume.target,
            read_only=volume.read_only,
            tmpfs_size_bytes=int(tmpfs.size),
            tmpfs_mode=tmpfs.mode or None,
        )
    return MountRequest(
        volume.type,
        _source(project, volume),
        volume.target,
        volume.read_only,
        no_copy=own.nocopy,
        labels=tuple(own.labels),
        subpath=own.subpath,
    )


def tmpfs_of(service: Service) -> Iterator[tuple[str, str]]:
    """Targets and their options."""
    for text in service.tmpfs:
        target, _, options = text.partition(":")
        yield target, options
