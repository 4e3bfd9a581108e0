"""A build for a client of BuildKit, done in a worker: what it takes comes by the line, what happens is told.

Told are lines of `encode_event`, and at last one dict: {"result": …}, or {"failed": …} with the lines of the file.
"""

from __future__ import annotations

import os
import posixpath
import shutil
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from sandbox.api.buildkit.frontend_request import is_cache, prefixed, read_network, read_settings, warnings_of
from sandbox.api.buildkit.line import Asker
from sandbox.api.buildkit.needed_files import needed_files
from sandbox.api.buildkit.reading import domains_of, may_trigger, read, takes_of
from sandbox.api.buildkit.results import read_outputs_of, send_outputs, shown
from sandbox.api.credentials import auth_environment
from sandbox.api.session import recorded_in
from sandbox.builder.build_image import BuildOptions, build_image
from sandbox.builder.entitlements import read_entitlements
from sandbox.builder.progress.progress import encode_event, warn
from sandbox.builder.results.cache_transfer import read_cache_from, read_cache_to
from sandbox.builder.results.exporting import ExportRequest
from sandbox.builder.results.outputs import read_epoch
from sandbox.builder.sources.contexts import ContextRoom
from sandbox.builder.sources.named_contexts import context_name
from sandbox.builder.sources.ssh_agents import SshSource
from sandbox.builder.subrequests import answer_call, read_call
from sandbox.caller_directory import CallerDirectory
from sandbox.dockerfile.dockerignore import read_ignore_lines
from sandbox.dockerfile.errors import DockerfileError
from sandbox.errors import NotFoundError, SandboxError
from sandbox.image.platforms import parse_platform
from sandbox.image.registry.docker_config import DOCKER_HUB_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.api.buildkit.frontend_request import FrontendBuild
    from sandbox.api.buildkit.reading import Reading
    from sandbox.builder.progress.progress import Event
    from sandbox.builder.results.outputs import Output
    from sandbox.operation_context import OperationContext

#: what a client calls its directories, where it does not say
_CONTEXT, _DOCKERFILE = "context", "dockerfile"
_UPLOADS = "http://buildkit-session/"
_SUBREQUESTS = {
    "frontend.lint": "check", "frontend.outline": "outline", "frontend.targets": "targets",
}  # fmt: skip


def build(
    context: OperationContext,
    request: FrontendBuild,
    session: str,
    line_fd: int,
    tell: Callable[[Any], None],
) -> None:
    """Build, or answer what is asked of the file. What is wrong with it, or fails in a step, is told; raises
    SandboxError for the rest.
    """
    asker = Asker(os.dup(line_fd))
    with ExitStack() as stack:
        stack.callback(asker.close)
        room = ContextRoom(context.paths, CallerDirectory("/"), context.env, {})
        stack.callback(room.close)
        building = _Building(context, request, session, asker, room, tell)
        try:
            building.run()
        except DockerfileError as error:
            tell({"failed": building.describe(error)})


class _Building:
    def __init__(
        self,
        context: OperationContext,
        request: FrontendBuild,
        session: str,
        asker: Asker,
        room: ContextRoom,
        tell: Callable[[Any], None],
    ) -> None:
        self._context = context
        self._request = request
        self._attributes = request.attributes
        self._session = session
        self._asker = asker
        self._room = room
        self._tell = tell
        self._data = b""
        self._is_parsed = False
        self._outputs: tuple[Output, ...] = ()
        self._reading: Reading | None = None
        #: where the Dockerfile lies; its path there is what errors name
        self._cwd = CallerDirectory("/")

    def run(self) -> None:
        options = self._options()
        for warning in warnings_of(self._request):
            warn(options.events, warning)
        asked = self._attributes.get("requestid", "")
        if asked:
            self._answer(asked, options)
            return
        env, options = self._equipped(options)
        with recorded_in(self._session):
            exported = build_image(self._context.paths, env, options)
        send_outputs(self._request, options.export, self._asker)
        names = ",".join(name.name for name in exported.names)
        response = {"containerimage.config.digest": exported.image_id, "image.name": names}
        # the image's own digest is its id where it is kept here alone
        response["containerimage.digest"] = exported.image_id if exported.loaded else exported.digest
        self._tell({"result": {key: value for key, value in response.items() if value}})

    def describe(self, error: DockerfileError) -> dict[str, object]:
        """What a client shows of it."""
        place = error.place
        message = error.message
        if not self._is_parsed:
            message = f"dockerfile parse error on line {place.line}: {message}"
        return {
            "message": message, "file": place.file, "first": place.line, "last": place.line + len(error.following),
            "data": self._data if place.file == self._name else b"",
        }  # fmt: skip

    # --- what the build is made of

    @property
    def _name(self) -> str:
        return self._attributes.get("filename") or "Dockerfile"

    def _options(self) -> BuildOptions:
        attributes = self._attributes
        arguments = prefixed(attributes, "build-arg:")
        network = read_network(attributes)
        main, file = self._open_main()
        outputs = self._outputs = read_outputs_of(self._request, self._room)
        no_cache = attributes.get("no-cache")
        return BuildOptions(
            main,
            file,
            self._cwd,
            arguments,
            attributes.get("target", ""),
            no_cache=no_cache == "",
            no_cache_stages=frozenset(name.strip().lower() for name in (no_cache or "").split(",") if name.strip()),
            pull=attributes.get("image-resolve-mode") == "pull",
            labels=prefixed(attributes, "label:"),
            network=network,
            entitlements=read_entitlements(self._request.entitlements, network),
            platform=str(parse_platform(attributes["platform"])) if attributes.get("platform") else "",
            settings=read_settings(attributes),
            cache_from=tuple(
                read_cache_from(_fields(*each), self._cwd) for each in self._request.cache_imports if is_cache(each[0])
            ),
            cache_to=tuple(read_cache_to(_fields(*each), self._cwd) for each in self._request.cache_exports),
            export=ExportRequest(outputs, self._cwd, read_epoch({}, arguments)),
            events=self._event,
            contexts=self._named_contexts(),
        )

    def _event(self, event: Event) -> None:
        self._tell(encode_event(shown(event, self._request, self._outputs)))

    def _open_main(self) -> tuple[str, str]:
        """The context and the Dockerfile, as the builder takes them."""
        given = self._attributes.get("context", "")
        name = posixpath.normpath(self._name)
        if given.startswith(_UPLOADS):
            return self._uploaded(given.removeprefix(_UPLOADS)), name
        if given:
            return given, self._attributes.get("filename", "")
        dockerfiles = self._tree(
            self._attributes.get("dockerfilekey") or _DOCKERFILE, f"[internal] load build definition from {name}",
            "transferring dockerfile:", self._file_names(name),
        )  # fmt: skip
        self._cwd = CallerDirectory(dockerfiles)
        path = os.path.join(dockerfiles, self._read_dockerfile(dockerfiles, name))
        key = self._attributes.get("contextkey") or _CONTEXT
        excludes = self._excludes(key, path)
        if self._attributes.get("requestid"):
            # what is asked of the file alone takes nothing of it
            return self._room.new_directory(), path
        follow = self._needed()
        if follow == ():
            return self._room.new_directory(), path
        title = "[internal] load build context"
        return self._tree(key, title, "transferring context:", follow or (), excludes), path

    def _needed(self) -> tuple[str, ...] | None:
        """What the file takes of its context; None for everything. Raises DockerfileError."""
        reading = self._reading = read(self._data, self._name, self._attributes)
        self._is_parsed = True
        attributes = self._attributes
        if reading is None or attributes.get("platform") or attributes.get("image-resolve-mode") == "pull":
            return None
        found = needed_files(each for stage in reading.stages for each in stage.instructions)
        if found is None or may_trigger(self._context.paths, reading):
            return None
        # the rules say more of a file that is not there
        return (*found, ".dockerignore") if found else ()

    @staticmethod
    def _file_names(name: str) -> tuple[str, ...]:
        lower = os.path.join(os.path.dirname(name), "dockerfile") if os.path.basename(name) == "Dockerfile" else ""
        return tuple(each for each in (name, f"{name}.dockerignore", lower) if each)

    def _read_dockerfile(self, directory: str, name: str) -> str:
        """Its name as it is there."""
        for each in (name, *self._file_names(name)[2:]):
            data = self._room.read(directory, each)
            if data is not None:
                self._data = data
                return each
        raise NotFoundError(f"failed to read dockerfile: open {self._name}: no such file or directory")

    def _excludes(self, key: str, dockerfile: str) -> tuple[str, ...]:
        """The patterns of what the client need not send."""
        directory, name = os.path.split(dockerfile)
        data = self._room.read(directory, f"{name}.dockerignore")
        if data is None:
            ignores = self._tree(key, "[internal] load .dockerignore", "transferring context:", (".dockerignore",))
            data = self._room.read(ignores, ".dockerignore")
        text = (data or b"").decode("utf-8", "replace").removeprefix("\ufeff")
        return tuple(line.pattern for line in read_ignore_lines(text))

    def _tree(
        self, key: str, title: str, status: str, follow: tuple[str, ...] = (), excludes: tuple[str, ...] = ()
    ) -> str:
        """A directory of the client's, here; what is not a context's owner's is root's."""
        words = {"name": key, "title": title, "status": status, "follow": follow, "excludes": excludes}
        return self._received(self._asker.ask_for_stream("tree", **words), title)

    def _received(self, fd: int, shown: str) -> str:
        with open(fd, "rb") as stream:
            try:
                path = self._room.receive(stream, shown)
            except SandboxError:
                # of an archive that was cut short the client says why
                self._asker.check_end()
                raise
        self._asker.check_end()
        return path

    def _uploaded(self, name: str) -> str:
        path = f"{self._room.new_directory()}/upload"
        with open(self._asker.ask_for_stream("upload", path=f"/{name}"), "rb") as stream, open(path, "wb") as file:
            shutil.copyfileobj(stream, file, 1 << 20)
        self._asker.check_end()
        return path

    def _named_contexts(self) -> dict[str, str]:
        found = {}
        for name, value in prefixed(self._attributes, "context:").items():
            # the platform behind a name is that of the build, of which there is one
            name = name.partition("::")[0]
            if value.startswith("local:"):
                title = f"[context {name}] load from client"
                value = self._tree(value.removeprefix("local:"), title, "transferring context:")
            found[context_name(name)] = value
        return found

    # --- what only the client has

    def _equipped(self, options: BuildOptions) -> tuple[Mapping[str, str], BuildOptions]:
        """The environment and options, with the secrets, agents and credentials that the file takes."""
        takes = takes_of(self._reading, options)
        secrets = {}
        for name in takes.secrets:
            value = self._asker.ask("secret", id=name)
            if value is not None:
                secrets[name] = value
        asked = ((name, self._asker.ask("ssh", id=name)) for name in dict.fromkeys(takes.agents))
        agents = tuple(SshSource(name, (path,)) for name, path in asked if path is not None)
        pushed = (name.domain for output in options.export.outputs if output.push for name in output.names)
        auths: dict[str, dict[str, object]] = {}
        for domain in dict.fromkeys((*domains_of(takes.images), *pushed)):
            host = "registry-1.docker.io" if domain == "docker.io" else domain
            found = self._asker.ask("credentials", host=host)
            if found is not None:
                user, password = found
                kept = {"username": user, "password": password} if user else {"identitytoken": password}
                auths[DOCKER_HUB_KEY if domain == "docker.io" else domain] = dict(kept)
        env = {**self._context.env, **auth_environment(auths)}
        return env, options._replace(secrets=secrets, ssh=agents)

    # --- what is asked of the file

    def _answer(self, asked: str, options: BuildOptions) -> None:
        method = _SUBREQUESTS.get(asked)
        if method is None:
            raise SandboxError(f"unsupported request {asked}")
        paths, env = self._context.paths, self._context.env
        answers = [
            answer_call(paths, env, options, read_call(f"{method},format={form}", check=False), _table)
            for form in ("json", "text")
        ]
        metadata = {"result.json": answers[0].text, "result.txt": answers[1].text, "version": "1.0.0"}
        if method == "check":
            metadata["result.statuscode"] = str(answers[0].status)
        self._tell({"metadata": metadata})


def _fields(kind: str, attributes: Mapping[str, str]) -> str:
    """A cache as the command line writes it."""
    return ",".join((f"type={kind}", *(f"{key}={value}" for key, value in attributes.items())))


def _table(rows: Any) -> str:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))] if rows else []
    return "".join("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n"
                   for row in rows)  # fmt: skip
