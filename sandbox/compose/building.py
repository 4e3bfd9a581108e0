"""A project's images built: each by a worker, several at once, one that takes from another after it."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager

from sandbox.compose.interrupts import run_interruptible
from sandbox.compose.together import values_of
from sandbox.errors import NotFoundError, SandboxError, UsageError
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sandbox.builder.build_image import BuildOptions
    from sandbox.builder.progress.progress import Event
    from sandbox.builder.subrequests import Answer
    from sandbox.compose.builds import ServiceBuild
    from sandbox.operation_context import OperationContext

_SECRET_BYTES_MOST = 500 * 1024
#: of the table of operations that workers do
OPERATION = "compose.build"


class Built(NamedTuple):
    service: str
    #: the image's first name, and its id
    name: str
    image_id: str


def build_service(context: OperationContext, build: ServiceBuild, tell: Callable[[str], None]) -> str:
    """Build the image of one service, in a worker; its id. What happens is told as lines of `encode_event`.

    Raises DockerfileError, SandboxError.
    """
    from sandbox.builder.build_image import build_image
    from sandbox.builder.progress.progress import encode_event

    with _file_of(build) as file:
        options = _options(context, build, file)._replace(events=lambda event: tell(encode_event(event)))
        return build_image(context.paths, context.env, options).image_id


def check_service(context: OperationContext, build: ServiceBuild) -> Answer:
    """What the rules of Dockerfiles say of the service's. Raises as `build_service`."""
    from sandbox.builder.subrequests import answer_call, read_call

    def table(rows: Sequence[Sequence[str]]) -> str:
        return "".join("\t".join(row) + "\n" for row in rows)

    with _file_of(build) as file:
        options = _options(context, build, file)
        return answer_call(context.paths, context.env, options, read_call("", check=True), table)


@contextmanager
def _file_of(build: ServiceBuild) -> Iterator[str]:
    """The Dockerfile's path for as long as the block; one of the Compose file is written for that long."""
    if not build.dockerfile:
        yield build.file
        return
    with tempfile.TemporaryDirectory(prefix="compose-") as directory:
        path = os.path.join(directory, "Dockerfile")
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(build.dockerfile)
        yield path


def _options(context: OperationContext, build: ServiceBuild, file: str) -> BuildOptions:
    from sandbox.builder.build_image import BuildOptions
    from sandbox.builder.entitlements import read_entitlements
    from sandbox.builder.request import RunSettings
    from sandbox.builder.results.cache_transfer import read_cache_from, read_cache_to
    from sandbox.builder.results.exporting import ExportRequest
    from sandbox.builder.results.outputs import read_epoch, read_outputs
    from sandbox.builder.sources.named_contexts import read_contexts
    from sandbox.builder.sources.ssh_agents import read_ssh
    from sandbox.caller_directory import CallerDirectory
    from sandbox.container.monitor.runtime_spec import resource_limit
    from sandbox.docker_proxies import find_proxies
    from sandbox.grammar.hosts import parse_extra_host
    from sandbox.image.platforms import parse_platform
    from sandbox.image.references import parse_reference
    from sandbox.values import Rlimit

    cwd = CallerDirectory(build.directory)
    arguments = dict(build.arguments)
    names = tuple(parse_reference(name) for name in build.names)
    return BuildOptions(
        build.context,
        file,
        cwd,
        arguments,
        build.target,
        no_cache=build.no_cache,
        no_cache_stages=frozenset(name.lower() for name in build.no_cache_filter),
        pull=build.pull,
        labels=dict(build.labels),
        proxies=find_proxies(context.env, lambda _text: None),
        network=build.network,
        entitlements=read_entitlements(build.entitlements, build.network),
        platform=str(parse_platform(build.platform)) if build.platform else "",
        settings=RunSettings(
            tuple(map(parse_extra_host, build.extra_hosts)),
            build.shm_size_bytes,
            tuple(resource_limit(Rlimit(*limit)) for limit in build.limits),
        ),
        cache_from=tuple(read_cache_from(text, cwd) for text in build.cache_from),
        cache_to=tuple(read_cache_to(text, cwd) for text in build.cache_to),
        secrets={secret.id: _secret(secret.id, secret.path, secret.value) for secret in build.secrets},
        contexts=read_contexts(tuple(f"{name}={value}" for name, value in build.contexts)),
        ssh=tuple(read_ssh(text, cwd, context.env) for text in dict.fromkeys(build.ssh)),
        export=ExportRequest(
            read_outputs((), names, (), push=build.push, load=False), cwd, read_epoch(context.env, arguments)
        ),
    )


def _secret(name: str, path: str, value: str) -> bytes:
    if not path:
        return value.encode(errors="surrogateescape")
    try:
        with open(path, "rb") as file:
            content = file.read(_SECRET_BYTES_MOST + 1)
    except OSError as error:
        raise NotFoundError(f"cannot read the secret {name}", cause=f"{path}: {error.strerror}") from error
    if len(content) > _SECRET_BYTES_MOST:
        raise UsageError(f"the secret {name} is larger than {_SECRET_BYTES_MOST // 1024} KiB")
    return content


def build_all(
    context: OperationContext, builds: Sequence[ServiceBuild], show: Callable[[Event], None], parallel: int = 0
) -> tuple[Built, ...]:
    """Build them, at most `parallel` at once where it is above 0; `show` gets what happens, each event with its
    service where there are several. The first that fails ends the others. Raises as `build_service`.
    """
    return run_interruptible(_Building(context, builds, show, parallel).run)


class _Building:
    def __init__(
        self,
        context: OperationContext,
        builds: Sequence[ServiceBuild],
        show: Callable[[Event], None],
        parallel: int,
    ) -> None:
        import trio

        self._context = values_of(context)
        self._builds = builds
        self._show = show
        self._room = trio.CapacityLimiter(parallel if parallel > 0 else max(1, len(builds)))
        self._ends: Mapping[str, trio.Event] = {build.service: trio.Event() for build in builds}
        self._built: dict[str, Built] = {}
        self._failure: SandboxError | None = None

    async def run(self) -> tuple[Built, ...]:
        import trio

        from sandbox.warm.trio_workers import open_workers

        async with open_workers() as workers, trio.open_nursery() as nursery:

            async def build_one(build: ServiceBuild) -> None:
                for other in build.after:
                    if other in self._ends:
                        await self._ends[other].wait()
                try:
                    async with self._room:
                        await self._build(workers, build)
                except SandboxError as error:
                    self._failure = self._failure or error
                    nursery.cancel_scope.cancel()

            for build in self._builds:
                nursery.start_soon(build_one, build)
        if self._failure is not None:
            raise self._failure
        return tuple(self._built[build.service] for build in self._builds)

    async def _build(self, workers: object, build: ServiceBuild) -> None:
        from sandbox.builder.progress.progress import decode_event
        from sandbox.warm.line import Request
        from sandbox.warm.trio_workers import TrioWorkers

        assert isinstance(workers, TrioWorkers)

        async def progress(line: str) -> None:
            event = decode_event(line)
            self._show(of_service(build.service, event) if len(self._builds) > 1 else event)

        request = Request(OPERATION, (self._context, build), {}, self._context.env)
        image_id = await workers.call(request, progress)
        self._built[build.service] = Built(build.service, build.names[0], image_id)
        self._ends[build.service].set()


def of_service(service: str, event: Event) -> Event:
    """The event as one of several builds: its step is told from the same step of another service's."""
    step = event.step
    if step is not None:
        name = f"[{service} {step.name[1:]}" if step.name.startswith("[") else f"[{service}] {step.name}"
        inputs = tuple(f"{service}:{each}" for each in step.inputs)
        step = step._replace(
            id=f"{service}:{step.id}", name=name, stage=f"{service} {step.stage}".rstrip(), inputs=inputs
        )
    return event._replace(vertex=f"{service}:{event.vertex}" if event.vertex else "", step=step)
