"""A client's containers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from sandbox.client.container_files import ContainerFiles
from sandbox.client.container_options import keyword_of, read_environment, read_options, read_update, read_words
from sandbox.client.errors import APIError, InvalidArgument, raised_as_api_errors
from sandbox.client.filter_texts import filter_texts
from sandbox.client.output import LogOptions, LogStream, OutputStream, StatsStream, opened_input, opened_pipes, read_all
from sandbox.client.structured_options import port_texts
from sandbox.commit.request import CommitRequest
from sandbox.container.operations import ListRequest, StopRequest
from sandbox.container.session.attach import ClientStreams, Streams
from sandbox.container.session.exec_request import ExecRequest
from sandbox.container.view.log_selection import read_selection
from sandbox.grammar.ports import parse_ports
from sandbox.grammar.signals import parse_signal
from sandbox.image.references import parse_reference
from sandbox.warm.values import Descriptor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Literal, Unpack

    from sandbox.client.calls import Caller
    from sandbox.client.container_options import ContainerOptions, UpdateOptions
    from sandbox.client.images import Image, ImageCollection


class ExecResult(NamedTuple):
    """How a command inside ended: its exit code, and what it wrote, or with `demux` standard output and error."""

    exit_code: int | None
    output: Any  # bytes, a pair of bytes, or an iterator of lines


class Container(ContainerFiles):
    """One container. `attrs` is Docker's document of it, as of when it was looked up, or of the last `reload`."""

    def __init__(self, caller: Caller, images: ImageCollection, attrs: dict[str, Any]) -> None:
        super().__init__(caller, attrs)
        self._images = images

    def __repr__(self) -> str:
        return f"<Container: {self.short_id}>"

    @property
    def name(self) -> str:
        return str(self.attrs["Name"]).removeprefix("/")

    @property
    def status(self) -> str:
        """created, running, paused, restarting, removing or exited, as of the last `reload`."""
        return str(self.attrs["State"]["Status"])

    @property
    def health(self) -> str:
        """starting, healthy or unhealthy, as of the last `reload`; "unknown" without a health check, as docker-py."""
        return str(self.attrs["State"].get("Health", {}).get("Status", "unknown"))

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.attrs["Config"]["Labels"] or {})

    @property
    def ports(self) -> dict[str, list[dict[str, str]] | None]:
        """Where each port is published, as of the last `reload`: {"6379/tcp": [{"HostIp": …, "HostPort": …}]}."""
        return dict(self.attrs["NetworkSettings"]["Ports"] or {})

    @property
    def image(self) -> Image:
        """The image it was made of. Raises ImageNotFound."""
        return self._images.get(self.attrs["Image"])

    def reload(self) -> None:
        """Look `attrs` up anew. Raises NotFound."""
        self.attrs = self._caller.call("container.inspect", self.id)

    def start(self) -> None:
        """Start the container; nothing happens where it runs. Its program runs, and its ports are bound, on return.

        Raises APIError.
        """
        self._caller.call("container.start", self.id)

    def stop(self, *, timeout: int | None = None) -> None:
        """Stop the container: its stop signal, and SIGKILL after `timeout` seconds. Returns when it has ended."""
        self._caller.call("container.stop", self.id, StopRequest(None, timeout))

    def restart(self, *, timeout: int | None = None) -> None:
        """Stop the container, where it runs, with SIGKILL after `timeout` seconds, and start it."""
        self._caller.call("container.restart", self.id, StopRequest(None, timeout))

    def kill(self, signal: str | int | None = None) -> None:
        """Send a signal, SIGKILL where none is given. Raises Conflict where it does not run."""
        with raised_as_api_errors():
            number = parse_signal(str(signal or "KILL"))
        self._caller.call("container.kill", self.id, number)

    def pause(self) -> None:
        """Hold all its processes where they are. Raises Conflict where it does not run, or is paused."""
        self._caller.call("container.pause", self.id)

    def unpause(self) -> None:
        """Let them go on. Raises Conflict where it is not paused."""
        self._caller.call("container.unpause", self.id)

    def update(self, **options: Unpack[UpdateOptions]) -> dict[str, Any]:
        """Change its limits and its restart policy, at once where it runs; the keywords are those of `run`.

        {"Warnings": [what is not enforced]}. Raises Conflict, InvalidArgument; APIError for a limit that cannot be.
        """
        with raised_as_api_errors():
            wanted = read_update(options)
        try:
            notes = self._caller.call("container.update", self.id, wanted)
        except InvalidArgument as error:
            error.field = keyword_of(error.field)
            raise
        return {"Warnings": list(notes)}

    def add_ports(self, ports: Mapping[Any, Any]) -> None:
        """Publish ports, as `ports` of `run` has them, at once where it runs, and from its next start on.

        Raises Conflict where one is taken, InvalidArgument.
        """
        with raised_as_api_errors():
            wanted = parse_ports(port_texts(ports))
        self._caller.call("container.add_ports", self.id, wanted)
        self.reload()

    def remove_ports(self, ports: Mapping[Any, Any]) -> None:
        """Publish them no more; a host port of None or 0 stands for all that lead to that port of the container.

        Raises NotFound, InvalidArgument.
        """
        with raised_as_api_errors():
            wanted = parse_ports(port_texts(ports))
        self._caller.call("container.remove_ports", self.id, wanted)
        self.reload()

    def remove(self, v: bool = False, force: bool = False) -> None:
        """Remove the container, with `v` its unnamed volumes too, by force also while it runs. Raises Conflict."""
        self._caller.call("container.remove", self.id, force=force, volumes=v)

    def rename(self, name: str) -> None:
        """Give it another name. Raises Conflict, InvalidArgument."""
        self._caller.call("container.rename", self.id, name)
        self.reload()

    def commit(
        self,
        repository: str | None = None,
        tag: str | None = None,
        *,
        message: str | None = None,
        author: str | None = None,
        pause: bool = True,
        changes: str | Sequence[str] | None = None,
    ) -> Image:
        """Make an image of what it changed; `changes` are instructions of a Dockerfile. With `pause` its processes are
        held meanwhile. Raises InvalidArgument, ImageNotFound where its image is gone.
        """
        with raised_as_api_errors():
            name = parse_reference(f"{repository}:{tag}" if tag else repository) if repository else None
        given = (changes,) if isinstance(changes, str) else tuple(changes or ())
        request = CommitRequest(name, author or "", message or "", given, pause)
        return self._images.get(self._caller.call("container.commit", self.id, request))

    def wait(self, *, timeout: float | None = None) -> dict[str, Any]:
        """Wait for its end: {"StatusCode": exit code}. Raises TimeoutError after `timeout` seconds."""
        code = self._caller.call("container.wait", self.id, timeout)
        if code is None:
            raise TimeoutError(f"container {self.name} did not end within {timeout} seconds")
        return {"StatusCode": code, "Error": None}

    def wait_healthy(self) -> str:
        """Wait for what its health check finds: "healthy" or "unhealthy". Raises Conflict where it has none."""
        return str(self._caller.call("container.wait_healthy", self.id))

    @overload
    def logs(
        self, *, stdout: bool = ..., stderr: bool = ..., stream: Literal[False] = ..., follow: bool = ...,
        timestamps: bool = ..., tail: int | Literal["all"] = ..., since: str | int = ..., until: str | int = ...,
    ) -> bytes: ...  # fmt: skip

    @overload
    def logs(
        self, *, stdout: bool = ..., stderr: bool = ..., stream: Literal[True], follow: bool = ...,
        timestamps: bool = ..., tail: int | Literal["all"] = ..., since: str | int = ..., until: str | int = ...,
    ) -> LogStream: ...  # fmt: skip

    def logs(
        self,
        *,
        stdout: bool = True,
        stderr: bool = True,
        stream: bool = False,
        follow: bool | None = None,
        timestamps: bool = False,
        tail: int | str = "all",
        since: str | int = "",
        until: str | int = "",
    ) -> bytes | LogStream:
        """What the container wrote, or with `stream` an iterator of its lines, which goes on to the container's end
        unless `follow` is false. `since` and `until` are times as the command takes them; a number is Unix time, in
        seconds.

        Raises NotSupported where it keeps no log, InvalidArgument.
        """
        follows = stream if follow is None else follow
        with raised_as_api_errors():
            selection = read_selection(str(since), str(until), str(tail))
        call = self._caller.begin("container.logs", self.id, selection, follow=follows)
        lines = LogStream(call, LogOptions(stdout, stderr, timestamps))
        if stream:
            return lines
        try:
            return b"".join(lines)
        finally:
            lines.close()

    def top(self, ps_args: str | None = None) -> dict[str, Any]:
        """Its processes as the host's ps shows them: {"Titles": […], "Processes": [[…], …]}. Raises Conflict where it
        does not run.
        """
        table = self._caller.call("container.top", self.id, ps_args or "")
        return {"Titles": list(table.titles), "Processes": [list(row) for row in table.rows]}

    @overload
    def stats(
        self, decode: bool | None = ..., stream: Literal[True] = ..., one_shot: bool | None = ...
    ) -> StatsStream: ...

    @overload
    def stats(
        self, decode: bool | None = ..., *, stream: Literal[False], one_shot: bool | None = ...
    ) -> dict[str, Any]: ...

    def stats(
        self, decode: bool | None = None, stream: bool = True, one_shot: bool | None = None
    ) -> StatsStream | dict[str, Any]:
        """What it takes: an iterator of lines of JSON, or with `decode` of documents, one each second until it is
        removed. Without `stream` one document, after a second, or with `one_shot` at once.
        """
        call = self._caller.begin("container.stats", self.id, stream=stream, one_shot=bool(one_shot))
        found = StatsStream(call, decode=bool(decode) or not stream)
        if stream:
            return found
        try:
            document: dict[str, Any] = next(found)
            return document
        finally:
            found.close()

    def exec_run(
        self,
        cmd: str | Sequence[str],
        *,
        stdout: bool = True,
        stderr: bool = True,
        input: bytes | None = None,
        tty: bool = False,
        privileged: bool = False,
        user: str = "",
        detach: bool = False,
        stream: bool = False,
        environment: Mapping[str, str] | Sequence[str] | None = None,
        workdir: str | None = None,
        demux: bool = False,
    ) -> ExecResult:
        """Run a command inside and wait for it; `input` is what it reads. With `stream` the output is an iterator of
        lines, and the exit code None; with `detach` the command is left to itself.

        Raises Conflict where the container does not run; APIError of kind "command_not_found" or "not_executable".
        """
        given = read_environment(environment, self._caller.environment)
        request = ExecRequest(read_words(cmd), given, user, workdir or "", tty, privileged)
        if detach:
            self._caller.call("container.execute", self.id, request, None)
            return ExecResult(None, b"")
        with opened_pipes(2 if demux else 1) as pipes, opened_input(input) as input_fd, open(os.devnull, "wb") as null:
            # what nobody wants goes nowhere
            streams = Streams(
                Descriptor(input_fd) if input_fd >= 0 else -1,
                Descriptor(pipes[0].write_fd if stdout else null.fileno()),
                Descriptor(pipes[-1].write_fd if stderr else null.fileno()),
            )
            client = ClientStreams(streams, input is not None, tty, proxy_signals=False)
            call = self._caller.begin("container.execute", self.id, request, client)
        if stream:
            return ExecResult(None, OutputStream(call, pipes[0].read_fd))
        outputs = read_all([pipe.read_fd for pipe in pipes])
        with raised_as_api_errors():
            return ExecResult(call.result(), outputs if demux else outputs[0])

    def attach(
        self, *, stdout: bool = True, stderr: bool = True, stream: bool = False, logs: bool = False, demux: bool = False
    ) -> Any:
        """What the running container writes from now on, to its end: bytes, or with `demux` a pair of standard output
        and error; with `stream` an iterator of lines of both. With `logs` what it wrote before comes first.

        Raises Conflict where it does not run.
        """
        if logs:
            lines = self.logs(stdout=stdout, stderr=stderr, stream=True)
            return lines if stream else b"".join(lines)
        with opened_pipes(2 if demux and not stream else 1) as pipes, open(os.devnull, "wb") as null:
            streams = Streams(
                -1,
                Descriptor(pipes[0].write_fd if stdout else null.fileno()),
                Descriptor(pipes[-1].write_fd if stderr else null.fileno()),
            )
            call = self._caller.begin("container.attach", self.id, streams, stdin=False)
        if stream:
            return OutputStream(call, pipes[0].read_fd)
        outputs = read_all([pipe.read_fd for pipe in pipes])
        with raised_as_api_errors():
            call.result()
        return outputs if demux else outputs[0]

    def resize(self, height: int, width: int) -> None:
        """Give its terminal so many rows and columns. Raises Conflict where it does not run."""
        self._caller.call("container.resize", self.id, height, width)


class ContainerError(APIError):
    """A command that `containers.run` waited for ended with another status than 0."""

    def __init__(self, container: Container, exit_status: int, command: object, image: str, stderr: bytes) -> None:
        told = stderr.decode(errors="replace").strip()
        super().__init__(
            f"Command {command!r} in image {image!r} returned non-zero exit status {exit_status}", cause=told
        )
        self.container = container
        self.exit_status = exit_status
        self.command = command
        self.image = image
        self.stderr = stderr


class ContainerCollection:
    """The containers of a client: `client.containers`."""

    def __init__(self, caller: Caller, images: ImageCollection, created: Callable[[Container], None]) -> None:
        self._caller = caller
        self._images = images
        self._created = created

    def create(
        self, image: str | Image, command: str | Sequence[str] | None = None, **options: Unpack[ContainerOptions]
    ) -> Container:
        """Make a container that is started later; its image is not pulled. Raises ImageNotFound, InvalidArgument,
        Conflict.
        """
        return self._create(image, command, "never", options)

    @overload
    def run(
        self, image: str | Image, command: str | Sequence[str] | None = ..., *, detach: Literal[True],
        stdout: bool = ..., stderr: bool = ..., remove: bool = ..., **options: Unpack[ContainerOptions],
    ) -> Container: ...  # fmt: skip

    @overload
    def run(
        self, image: str | Image, command: str | Sequence[str] | None = ..., *, detach: Literal[False] = ...,
        stdout: bool = ..., stderr: bool = ..., remove: bool = ..., **options: Unpack[ContainerOptions],
    ) -> bytes: ...  # fmt: skip

    def run(
        self,
        image: str | Image,
        command: str | Sequence[str] | None = None,
        *,
        detach: bool = False,
        stdout: bool = True,
        stderr: bool = False,
        remove: bool = False,
        **options: Unpack[ContainerOptions],
    ) -> Container | bytes:
        """Make a container and start it, its image pulled where it is not here.

        With `detach` the running container; without it its end is waited for, and what it wrote returned. `remove`
        removes it then, with `detach` as soon as it ends.

        Raises ContainerError where the command waited for fails, ImageNotFound, InvalidArgument, Conflict, APIError.
        """
        if detach and remove:
            options["auto_remove"] = True
        container = self._create(image, command, "missing", options)
        try:
            container.start()
            if detach:
                container.reload()
                return container
            code = int(container.wait()["StatusCode"])
            if code:
                raise ContainerError(container, code, command, _name(image), container.logs(stdout=False))
            return container.logs(stdout=stdout, stderr=stderr)
        finally:
            if remove and not detach:
                container.remove(v=True, force=True)

    def get(self, container_id: str) -> Container:
        """The container of a name, an id or the beginning of one. Raises NotFound."""
        return Container(self._caller, self._images, self._caller.call("container.inspect", container_id))

    def list(
        self, all: bool = False, *, filters: Mapping[str, object] | None = None, limit: int | None = None
    ) -> list[Container]:
        """The containers that run, or all, the newest first; `filters` as the command has them. Raises
        InvalidArgument.
        """
        request = ListRequest(filter_texts(filters), all, limit)
        documents = self._caller.call("container.documents", request)
        return [Container(self._caller, self._images, document) for document in documents]

    def prune(self, filters: Mapping[str, object] | None = None) -> dict[str, Any]:
        """Remove the containers that do not run and pass the filters (until, label, label!): "ContainersDeleted",
        "SpaceReclaimed" (bytes). Raises InvalidArgument.
        """
        ids, freed_bytes = self._caller.call("container.prune", filter_texts(filters))
        return {"ContainersDeleted": list(ids), "SpaceReclaimed": freed_bytes}

    def _create(
        self, image: str | Image, command: str | Sequence[str] | None, pull: str, options: ContainerOptions
    ) -> Container:
        with raised_as_api_errors():
            request = read_options(_name(image), command, pull, options, self._caller.environment)
        try:
            container_id = self._caller.call("container.create", request)
        except InvalidArgument as error:
            error.field = keyword_of(error.field)
            raise
        container = self.get(container_id)
        self._created(container)
        return container


def _name(image: str | Image) -> str:
    return image if isinstance(image, str) else image.id
