"""A client's services and stacks: `client.services` and `client.stacks`."""

from __future__ import annotations

import os
from os import PathLike
from typing import TYPE_CHECKING, Any

from sandbox.client.errors import InvalidArgument, NotFound, raised_as_api_errors
from sandbox.client.filter_texts import filter_texts
from sandbox.client.model import Model
from sandbox.client.output import LogOptions, LogStream
from sandbox.client.service_options import with_options
from sandbox.client.stack_side import StackFiles
from sandbox.container.view.log_selection import read_selection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Unpack

    from sandbox.client.calls import Caller
    from sandbox.client.service_options import ServiceOptions
    from sandbox.deploy.images import Resolve

_STACK = "com.docker.stack.namespace"


class Service(Model):
    """One service. `attrs` is Docker's document of it, as of when it was looked up, or of the last `reload`."""

    _ID_FIELD = "ID"

    def __repr__(self) -> str:
        return f"<Service: {self.short_id}>"

    @property
    def name(self) -> str:
        return str(self.attrs["Spec"]["Name"])

    @property
    def version(self) -> int:
        """Of its document: a change names the one that it has read."""
        return int(self.attrs["Version"]["Index"])

    def reload(self) -> None:
        """Look `attrs` up anew. Raises NotFound."""
        self.attrs = self._caller.call("api.service", self.id, defaults=False)

    def remove(self) -> None:
        """Remove it; its containers go after it. Raises NotFound."""
        self._caller.call("api.remove_service", self.id)

    def tasks(self, filters: Mapping[str, object] | None = None) -> list[dict[str, Any]]:
        """Docker's documents of its tasks that pass the filters (id, name, node, label, desired-state)."""
        documents: list[dict[str, Any]] = self._caller.call("api.tasks", (*filter_texts(filters), f"service={self.id}"))
        return documents

    def update(
        self,
        *,
        image: str | None = None,
        command: str | Sequence[str] | None = None,
        fetch_current_spec: bool = False,
        **options: Unpack[ServiceOptions],
    ) -> dict[str, Any]:
        """Have it be what the keywords say; what they do not say is as of a new one, or with `fetch_current_spec` as it
        is. Raises Conflict where it has changed since `attrs` was looked up, InvalidArgument, NotFound, TypeError.
        """
        spec = self.attrs["Spec"]
        before = spec if fetch_current_spec else {"Name": spec["Name"], "Mode": spec["Mode"]}
        if options.get("force_update") is True:
            options["force_update"] = int(spec["TaskTemplate"].get("ForceUpdate", 0)) + 1
        wanted = image if image is not None else str(spec["TaskTemplate"]["ContainerSpec"]["Image"])
        self._caller.call(
            "client.update_service", self.id, self.version, with_options(before, wanted, command, options)
        )
        self.reload()
        return {"Warnings": None}

    def scale(self, replicas: int) -> bool:
        """Have so many replicas. Raises InvalidArgument for a service that has no number of them, NotFound."""
        self._caller.call("client.scale_service", self.id, replicas)
        self.reload()
        return True

    def force_update(self) -> bool:
        """Have its containers replaced, by its rules for updates. Raises NotFound, Conflict."""
        self.update(force_update=True, fetch_current_spec=True)
        return True

    def logs(
        self,
        *,
        follow: bool = False,
        stdout: bool = True,
        stderr: bool = True,
        since: str | int = "",
        timestamps: bool = False,
        tail: int | str = "all",
    ) -> LogStream:
        """An iterator of the lines that its tasks wrote, which with `follow` goes on until it is removed; `close` ends
        it. A number in `since` is Unix time, in seconds. Raises InvalidArgument.
        """
        with raised_as_api_errors():
            selection = read_selection(str(since), "", str(tail))
        call = self._caller.begin("client.service_logs", self.id, selection, follow=follow)
        return LogStream(call, LogOptions(stdout, stderr, timestamps))


class ServiceCollection:
    """The services of a client: `client.services`."""

    def __init__(self, caller: Caller, created: Callable[[Service], None]) -> None:
        self._caller = caller
        self._created = created

    def create(
        self, image: str, command: str | Sequence[str] | None = None, **options: Unpack[ServiceOptions]
    ) -> Service:
        """Make a service. Raises Conflict for a name or a port that is taken, InvalidArgument, NotSupported, TypeError
        for a keyword that there is not.
        """
        document = with_options({}, image, command, options)
        made = self.get(self._caller.call("client.create_service", document))
        self._created(made)
        return made

    def get(self, service_id: str, insert_defaults: bool = False) -> Service:
        """The service of an id, a name or an id's beginning. Raises NotFound."""
        return Service(self._caller, self._caller.call("api.service", service_id, defaults=insert_defaults))

    def list(self, filters: Mapping[str, object] | None = None, status: bool = False) -> list[Service]:
        """The services that pass the filters (id, name, label, mode), by name; with `status` their `attrs` say how many
        tasks run. Raises InvalidArgument.
        """
        return [
            Service(self._caller, document)
            for document in self._caller.call("api.services", filter_texts(filters), status=status)
        ]


class Stack:
    """One stack, by its name; `notes` say what of its files was left out when it was deployed here."""

    def __init__(self, caller: Caller, name: str, notes: tuple[str, ...] = ()) -> None:
        self._caller = caller
        self.name = name
        self.notes = notes

    def __repr__(self) -> str:
        return f"<Stack: {self.name}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stack) and other.name == self.name

    def __hash__(self) -> int:
        return hash((Stack, self.name))

    def services(self) -> list[Service]:
        """Its services, by name."""
        return ServiceCollection(self._caller, _leave).list({"label": f"{_STACK}={self.name}"})

    def remove(self) -> None:
        """Remove all of it but its volumes; returns when its last replica is gone. Raises NotFound, Conflict."""
        self._caller.call("client.remove_stack", self.name)


class StackCollection:
    """The stacks of a client: `client.stacks`."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def deploy(
        self,
        name: str,
        files: str | PathLike[str] | Sequence[str | PathLike[str]],
        *,
        environment: Mapping[str, str] | None = None,
        profiles: Sequence[str] = (),
        prune: bool = False,
        resolve_image: Resolve = "always",
        best_effort: bool = False,
    ) -> Stack:
        """Have what these Compose files say, as `stack deploy` has it; what runs is not waited for. `environment` are
        variables over the client's own. Raises APIError for files that cannot be deployed, InvalidArgument, Conflict.
        """
        if isinstance(files, (str, PathLike)):
            files = (files,)
        if not files:
            raise InvalidArgument("a stack is made of files")
        paths = tuple(os.path.abspath(os.fspath(file)) for file in files)
        variables = tuple((environment or {}).items())
        wanted = StackFiles(name, paths, os.path.dirname(paths[0]), variables, tuple(profiles), best_effort)
        notes = self._caller.call("client.deploy_stack", wanted, resolve_image, prunes=prune)
        return Stack(self._caller, name, notes)

    def list(self) -> list[Stack]:
        """All there are, by name."""
        return [Stack(self._caller, name) for name, _services in self._caller.call("client.stacks")]

    def get(self, name: str) -> Stack:
        """The stack of this name. Raises NotFound, InvalidArgument."""
        if not name:
            raise InvalidArgument("a stack has a name")
        for stack in self.list():
            if stack.name == name:
                return stack
        raise NotFound(f"nothing found in stack: {name}", mend="sandbox stack ls", kind="not_found")


def _leave(_service: Service) -> None:
    """It was not made here."""
