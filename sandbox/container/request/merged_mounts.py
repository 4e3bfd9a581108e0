"""The mounts that a request asks for: binds, mounts, tmpfs, those of other containers, and the image's volumes."""

from __future__ import annotations

from sandbox.errors import ImageError, UsageError, at_field
from sandbox.values import MountPoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sandbox.container.request.image_defaults import ImageDefaults
    from sandbox.container.request.request import ContainerRequest


def merged_mounts(
    request: ContainerRequest, defaults: ImageDefaults, mounts_of: Mapping[str, tuple[MountPoint, ...]]
) -> tuple[MountPoint, ...]:
    """Each target once: a mount of the request goes before one of another container, and both before the image's.

    Raises UsageError, which names the field that is at fault; ImageError.
    """
    own: dict[str, MountPoint] = {}
    for field, mount in _own_mounts(request):
        if mount.target in own:
            raise UsageError(f"Duplicate mount point: {mount.target}", field=field)
        own[mount.target] = mount
    inherited = _inherited(request, mounts_of)
    found = {target: mount for target, mount in inherited.items() if target not in own} | own
    for mount in _image_volumes(defaults, request.image):
        found.setdefault(mount.target, mount)
    return tuple(found.values())


def _own_mounts(request: ContainerRequest) -> Iterator[tuple[str, MountPoint]]:
    """Each mount, and the field it is from."""
    if request.binds:
        from sandbox.grammar import volumes

        for position, text in enumerate(request.binds):
            with at_field(f"binds[{position}]"):
                mount = volumes.mount_of(volumes.parse_volume(text))
            yield f"binds[{position}]", mount
    if request.mounts or request.tmpfs:
        from sandbox.grammar import mounts, tmpfs

        for position, asked in enumerate(request.mounts):
            with at_field(f"mounts[{position}]"):
                mount = mounts.mount_of(asked)
            yield f"mounts[{position}]", mount
        for position, (target, options) in enumerate(request.tmpfs):
            with at_field(f"tmpfs[{position}]"):
                mount = tmpfs.tmpfs_of(target, options)
            yield f"tmpfs[{position}]", mount


def _inherited(request: ContainerRequest, mounts_of: Mapping[str, tuple[MountPoint, ...]]) -> dict[str, MountPoint]:
    found: dict[str, MountPoint] = {}
    for position, text in enumerate(request.volumes_from):
        from sandbox.grammar.volumes import parse_volumes_from

        with at_field(f"volumes_from[{position}]"):
            name, read_only = parse_volumes_from(text)
            if name not in mounts_of:
                raise UsageError(f"No such container: {name}", mend="sandbox ps -a")
        for mount in mounts_of[name]:
            found[mount.target] = mount._replace(read_only=mount.read_only or read_only)
    return found


def _image_volumes(defaults: ImageDefaults, image: str) -> Iterator[MountPoint]:
    from sandbox.grammar.volumes import check_target, clean_path

    for text in defaults.volumes:
        try:
            check_target(text, text)
        except UsageError as error:
            raise ImageError(f"image {image} declares a volume that cannot be: {error.message}") from error
        yield MountPoint("volume", "", clean_path(text), anonymous=True)


def containers_of(request: ContainerRequest) -> tuple[str, ...]:
    """The names of the containers whose mounts `request` asks for. Raises UsageError."""
    from sandbox.grammar.volumes import parse_volumes_from

    found = []
    for position, text in enumerate(request.volumes_from):
        with at_field(f"volumes_from[{position}]"):
            found.append(parse_volumes_from(text)[0])
    return tuple(found)
