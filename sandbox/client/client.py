"""The client: what a program makes containers with."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sandbox.client.calls import Caller
from sandbox.client.containers import Container, ContainerCollection
from sandbox.client.errors import APIError, NotFound
from sandbox.client.events import EventStream
from sandbox.client.filter_texts import filter_texts
from sandbox.client.images import Image, ImageCollection
from sandbox.client.networks import Network, NetworkCollection
from sandbox.client.objects import ConfigCollection, SecretCollection, StoredModel
from sandbox.client.services import Service, ServiceCollection, StackCollection
from sandbox.client.volumes import Volume, VolumeCollection
from sandbox.system.versions import describe_version

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Any, Self


class Client:
    """Containers, images, volumes and networks of one user, as the command has them.

    with sandbox.Client() as box:
        redis = box.containers.run("redis", ports={6379: 0}, detach=True)

    `environment` is in place of the process's own: where data lies (XDG_DATA_HOME), proxies, credentials. With
    `remove_created` closing removes the containers, volumes and networks that this client made, and their unnamed
    volumes; `remove_on_close` says so of one. Any thread may use it.
    """

    def __init__(self, *, environment: Mapping[str, str] | None = None, remove_created: bool = False) -> None:
        """Raises APIError where there is no place for images and containers."""
        self._caller = Caller(os.environ if environment is None else environment)
        self._removed_on_close: list[Container | Image | Network | Service | StoredModel | Volume] = []
        created = self.remove_on_close if remove_created else _leave
        self.images = ImageCollection(self._caller)
        self.containers = ContainerCollection(self._caller, self.images, created)
        self.volumes = VolumeCollection(self._caller, created)
        self.secrets = SecretCollection(self._caller, created)
        self.configs = ConfigCollection(self._caller, created)
        self.networks = NetworkCollection(self._caller, self.containers, created)
        self.services = ServiceCollection(self._caller, created)
        self.stacks = StackCollection(self._caller)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def remove_on_close(self, thing: Container | Image | Network | Service | StoredModel | Volume) -> None:
        """Remove a container, by force and with its unnamed volumes, an image, a volume or a network when the client is
        closed.
        """
        self._removed_on_close.append(thing)

    def events(
        self, since: str | int = "", until: str | int = "", filters: Mapping[str, object] | None = None
    ) -> EventStream:
        """What happens from now on, as Docker's documents; with `since` what has happened since then before that, with
        `until` an end. Times (a number is Unix time in seconds) and filters are those of `sandbox events`. Raises
        InvalidArgument when it is read.
        """
        # a time of ours: what happens while the worker begins is told as well
        since_ns = 0 if until else time.time_ns()
        times = (str(since), str(until))
        return EventStream(self._caller.begin("events", times, since_ns, filter_texts(filters)))

    def df(self) -> dict[str, Any]:
        """What images, containers, volumes and the build cache take on disk, as Docker's document. Raises APIError."""
        document: dict[str, Any] = self._caller.call("system.usage")
        return document

    def info(self) -> dict[str, Any]:
        """What this machine gives and what is in use: the document of `sandbox info`."""
        document: dict[str, Any] = self._caller.call("system.info")
        return document

    def version(self) -> dict[str, Any]:
        """The engine's version and that of its API: the part `Server` of `sandbox version`."""
        return describe_version()

    def close(self) -> None:
        """Remove what is to be removed, and end the processes of this client; twice is safe.

        Everything is tried. Raises APIError, the first that there was, where something could not be removed.
        """
        failure: APIError | None = None
        things, self._removed_on_close = self._removed_on_close[::-1], []
        # services and containers first, the newest before others: these may be in use by it
        for thing in sorted(things, key=lambda thing: not isinstance(thing, Container | Service)):
            try:
                with suppress(NotFound):
                    _remove(thing)
            except APIError as error:
                failure = failure or error
        self._caller.close()
        if failure is not None:
            raise failure


def _remove(thing: Container | Image | Network | Service | StoredModel | Volume) -> None:
    if isinstance(thing, Container):
        thing.remove(v=True, force=True)
    elif isinstance(thing, Network | Service | StoredModel):
        thing.remove()
    else:
        thing.remove(force=True)


def _leave(_thing: Container | Network | Service | StoredModel | Volume) -> None:
    """It stays when the client is closed."""
