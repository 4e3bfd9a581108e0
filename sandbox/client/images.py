"""A client's images."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from sandbox.client.build import BuildRequest
from sandbox.client.errors import APIError, BuildError, InvalidArgument
from sandbox.client.filter_texts import filter_texts
from sandbox.client.model import Model
from sandbox.client.output import PieceStream, opened_pipes
from sandbox.warm.values import Descriptor

if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable, Iterator, Mapping

    from sandbox.client.calls import Caller


#: docker-py's, of what is streamed
DEFAULT_CHUNK_SIZE = 2 * 1024 * 1024


class Image(Model):
    """One image; its id is sha256:…. `attrs` is Docker's document of it, as of when it was looked up."""

    def __repr__(self) -> str:
        return f"<Image: {', '.join(repr(tag) for tag in self.tags)}>"

    @property
    def short_id(self) -> str:
        """The first twelve digits, with sha256: before them."""
        return self.id[: len("sha256:") + 12]

    @property
    def tags(self) -> list[str]:
        """Names with their tags."""
        return list(self.attrs["RepoTags"] or [])

    @property
    def labels(self) -> dict[str, str]:
        return dict((self.attrs["Config"] or {}).get("Labels") or {})

    def reload(self) -> None:
        """Look `attrs` up anew. Raises ImageNotFound."""
        self.attrs = self._caller.call("image.inspect", self.id)

    def tag(self, repository: str, tag: str | None = None) -> bool:
        """Give the image one more name. Raises InvalidArgument."""
        self._caller.call("image.tag", self.id, f"{repository}:{tag}" if tag else repository)
        self.reload()
        return True

    def history(self) -> list[dict[str, Any]]:
        """How it was made, the last step first: {"Id", "Created", "CreatedBy", "Tags", "Size", "Comment"} of each."""
        steps: list[dict[str, Any]] = self._caller.call("image.history", self.id)
        return steps

    def save(self, chunk_size: int = DEFAULT_CHUNK_SIZE, named: str | bool = False) -> PieceStream:
        """It as an archive, in pieces of `chunk_size` bytes at the most: without a name, or with `named` under its
        first one, or under the one given. Raises InvalidArgument for one that it does not have.
        """
        name = self.id
        if named:
            name = self.tags[0] if named is True and self.tags else str(named)
            if name not in self.tags:
                raise InvalidArgument(f"{name} is not a valid tag for this image")
        with opened_pipes(1) as (pipe,):
            call = self._caller.begin("image.save", [name], Descriptor(pipe.write_fd))
        return PieceStream(call, pipe.read_fd, chunk_size)

    def remove(self, force: bool = False, noprune: bool = False) -> None:
        """Remove the image with all its names. Raises Conflict where a container or another image needs it."""
        self._caller.call("image.remove", self.id, force=force, noprune=noprune)


class ImageCollection:
    """The images of a client: `client.images`."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def get(self, name: str) -> Image:
        """The image of a name or id. Raises ImageNotFound."""
        return Image(self._caller, self._caller.call("image.inspect", name))

    def pull(
        self,
        repository: str,
        tag: str | None = None,
        *,
        platform: str | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> Image:
        """Bring an image here from its registry; `progress` gets each line of the story. Raises ImageNotFound,
        APIError.
        """
        name = repository
        if tag:
            name += f"@{tag}" if tag.startswith("sha256:") else f":{tag}"
        return self.get(self._caller.call("image.pull", name, platform, progress=progress))

    def push(self, repository: str, tag: str | None = None, *, progress: Callable[[str], None] | None = None) -> None:
        """Bring an image to its registry. Raises ImageNotFound, APIError."""
        self._caller.call("image.push", f"{repository}:{tag}" if tag else repository, progress=progress)

    def remove(self, image: str, force: bool = False, noprune: bool = False) -> None:
        """Remove a name, and with its last name the image. Raises ImageNotFound, Conflict where it is used."""
        self._caller.call("image.remove", image, force=force, noprune=noprune)

    def load(self, data: bytes | str | os.PathLike[str]) -> list[Image]:
        """Bring the images of an archive, its content or the path of its file, here. Raises APIError."""
        if isinstance(data, bytes):
            fd = os.memfd_create("archive", os.MFD_CLOEXEC)
            with open(fd, "w+b", closefd=False) as file:
                file.write(data)
            os.lseek(fd, 0, os.SEEK_SET)
        else:
            fd = os.open(data, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return [self.get(image_id) for image_id in self._caller.call("image.load", Descriptor(fd))]
        finally:
            os.close(fd)

    def build(
        self,
        *,
        path: str | os.PathLike[str],
        tag: str | None = None,
        dockerfile: str | None = None,
        buildargs: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        target: str | None = None,
        nocache: bool = False,
        pull: bool = False,
        platform: str | None = None,
        network_mode: str | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> tuple[Image, Iterator[str]]:
        """Build an image of the Dockerfile in the directory `path`; returns it and the lines of the build's log.

        `dockerfile` is a path below `path`. Raises BuildError, with the log; InvalidArgument.
        """
        request = BuildRequest(
            os.path.abspath(path),
            dockerfile or "",
            (tag,) if tag else (),
            dict(buildargs or {}),
            dict(labels or {}),
            target or "",
            nocache,
            pull,
            platform or "",
            network_mode or "default",
        )
        log: list[str] = []

        def hear(line: str) -> None:
            log.append(line)
            if progress is not None:
                progress(line)

        try:
            image_id = self._caller.call("image.build", request, progress=hear)
        except APIError as error:
            if error.kind == "bad_request":
                raise
            failure = BuildError(error.message, cause=error.cause, mend=error.mend, code=error.code, kind=error.kind)
            failure.build_log = tuple(log)
            raise failure from error
        return self.get(image_id), iter(log)

    def search(self, term: str, limit: int | None = None) -> builtins.list[dict[str, Any]]:
        """What Docker Hub, or the registry whose host `term` begins with, finds: {"name", "description", "star_count",
        "is_official", "is_automated"} of each. Raises APIError.
        """
        found: builtins.list[dict[str, Any]] = self._caller.call("image.search", term, limit or 0)
        return found

    def list(self, name: str | None = None, *, filters: Mapping[str, object] | None = None) -> list[Image]:
        """The images whose name fits `name`, a name or a pattern, and that pass the filters, the newest first. Raises
        InvalidArgument.
        """
        return [self.get(found) for found in self._caller.call("image.ids", name or "", filter_texts(filters))]

    def prune(self, filters: Mapping[str, object] | None = None) -> dict[str, Any]:
        """Remove the images without a container and without a name that pass the filters (dangling, until, label,
        label!), with `{"dangling": False}` also those that have one: "ImagesDeleted", "SpaceReclaimed" (bytes).

        Raises InvalidArgument.
        """
        removed, freed_bytes = self._caller.call("image.prune", filter_texts(filters))
        gone: builtins.list[dict[str, str]] = []
        for untagged, deleted in removed:
            gone += [{"Untagged": name} for name in untagged]
            gone += [{"Deleted": digest} for digest in deleted]
        return {"ImagesDeleted": gone, "SpaceReclaimed": freed_bytes}

    def prune_builds(
        self, filters: Mapping[str, object] | None = None, keep_storage: int | None = None, all: bool = False
    ) -> dict[str, Any]:
        """Remove the build cache that passes the filters (until, unused-for, id, type), the longest unused first, until
        at most `keep_storage` bytes are left; with `all` also the steps that images are made of: "CachesDeleted",
        "SpaceReclaimed" (bytes). Raises InvalidArgument, Conflict.
        """
        records, freed_bytes = self._caller.call(
            "builder.prune", filter_texts(filters), shared=all, keep_bytes=keep_storage
        )
        return {"CachesDeleted": [record[0] for record in records], "SpaceReclaimed": freed_bytes}
