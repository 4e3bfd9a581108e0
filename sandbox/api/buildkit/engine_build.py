"""`POST /build` of version 2: how Docker's command line of before buildx asks for a build by its session."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import trio

from sandbox.api.buildkit.build import Build
from sandbox.api.buildkit.protobuf import decode
from sandbox.api.buildkit.rpc_errors import RpcError
from sandbox.api.buildkit.schema import SOLVE_REQUEST
from sandbox.api.call import Answer
from sandbox.api.errors import ApiError
from sandbox.api.message_stream import MessageStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from sandbox.api.buildkit.service import BuildService
    from sandbox.api.call import Call
    from sandbox.api.documents.classic_request import ClassicBuild

    Tell = Callable[[dict[str, Any]], Awaitable[None]]

_UPLOAD = "upload-request"
_SESSION = "client-session"
_UPLOADED_CONTEXT = "http://buildkit-session/upload"
_WAIT_SECONDS = 30.0


class EngineBuilds:
    """Builds that are on, and archives that wait for theirs, by the ids that clients give."""

    def __init__(self, service: BuildService) -> None:
        self._service = service
        self._uploads: dict[str, _Upload] = {}
        self._scopes: dict[str, trio.CancelScope] = {}
        self._changed = trio.Event()

    async def carry(self, call: Call, request: ClassicBuild) -> Answer | None:
        """Build what the request says, or hold the archive that another request is about. Raises ApiError."""
        build_id = call.text("buildid")
        if build_id.startswith(f"{_UPLOAD}:"):
            return await self._hold_upload(call, build_id.partition(":")[2])
        solve = _solve_request(call, request)
        build = Build(self._service.engine, self._service.sessions, solve)
        if request.remote == _UPLOAD:
            build.upload = self._take_upload(build_id)

        async def act(tell: Tell) -> None:
            with trio.CancelScope() as scope:
                self._scopes[build_id] = scope
                try:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(_trace, build, tell)
                        error: RpcError | None = None
                        try:
                            await build.run_frontend("dockerfile.v0", build.attributes, [], has_inputs=False)
                        except RpcError as raised:
                            error = raised
                            raise
                        finally:
                            build.end(error)
                finally:
                    self._scopes.pop(build_id, None)
            if scope.cancelled_caught:
                raise RpcError(1, "context canceled")
            if image_id := build.response.get("containerimage.digest"):
                await tell({"id": "moby.image.id", "aux": {"ID": image_id}})
                if request.quiet:
                    await tell({"stream": f"{image_id}\n"})

        await MessageStream(call, fails_in_stream=True).carry(act)
        return None

    def cancel(self, build_id: str) -> None:
        """End a build that is on."""
        if build_id in self._scopes:
            self._scopes[build_id].cancel()

    async def _hold_upload(self, call: Call, build_id: str) -> Answer:
        upload = self._uploads[build_id] = _Upload(call)
        self._changed.set()
        self._changed = trio.Event()
        try:
            with trio.move_on_after(_WAIT_SECONDS):
                await upload.taken.wait()
            if upload.taken.is_set():
                await upload.done.wait()
        finally:
            self._uploads.pop(build_id, None)
        return Answer()

    async def _take_upload(self, build_id: str) -> AsyncIterator[bytes]:
        with trio.move_on_after(_WAIT_SECONDS):
            while build_id not in self._uploads:
                await self._changed.wait()
        upload = self._uploads.get(build_id)
        if upload is None:
            raise ApiError(400, "no context was uploaded")
        upload.taken.set()
        try:
            async for part in upload.call.body():
                yield part
        finally:
            upload.done.set()


class _Upload:
    """An archive whose request is being answered."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.taken = trio.Event()
        self.done = trio.Event()


async def _trace(build: Build, tell: Tell) -> None:
    async for message in build.progress.messages():
        await tell({"id": "moby.buildkit.trace", "aux": base64.b64encode(message).decode()})


def _solve_request(call: Call, request: ClassicBuild) -> dict[str, Any]:
    outputs = _list(call, "outputs")
    exporters: list[dict[str, Any]] = [
        {"type": str(each.get("Type") or ""), "attrs": _texts(each.get("Attrs") or {})}
        for each in outputs
        if isinstance(each, dict)
    ] or [{"type": "moby", "attrs": {}}]
    for exporter in exporters:
        if exporter["type"] == "moby":
            exporter["attrs"]["name"] = ",".join(request.tags)
    imports = [{"type": "registry", "attrs": {"ref": ref}} for ref in _list(call, "cachefrom") if isinstance(ref, str)]
    inline = request.arguments.get("BUILDKIT_INLINE_CACHE") in ("1", "true")
    cache = {
        "imports": imports, "exports": [{"type": "inline", "attrs": {}}] if inline else [], "import_refs": [],
        "export_ref": "",
    }  # fmt: skip
    return {
        **decode(SOLVE_REQUEST, b""),
        "ref": call.text("buildid"),
        "session": call.text("session"),
        "exporters": [] if exporters[0]["type"] == "cacheonly" else exporters,
        "frontend": "dockerfile.v0",
        "frontend_attrs": _attributes(call, request),
        "entitlements": ["network.host"] if request.network == "host" else [],
        "cache": cache,
    }


def _attributes(call: Call, request: ClassicBuild) -> dict[str, str]:
    """What the frontend is asked for in these parameters."""
    found = {
        "filename": request.file,
        "target": request.target,
        "platform": request.platform,
        "add-hosts": ",".join(host.replace(":", "=", 1) for host in request.extra_hosts),
        "shm-size": str(request.shm_size_bytes or ""),
        "force-network-mode": "" if request.network in ("default", "bridge") else request.network,
        "cgroup-parent": call.text("cgroupparent"),
        "image-resolve-mode": "pull" if request.pull else "default",
        "ulimit": ",".join(
            f"{each.get('Name')}={each.get('Soft')}:{each.get('Hard')}"
            for each in _list(call, "ulimits")
            if isinstance(each, dict)
        ),
        "context": {_SESSION: "", _UPLOAD: _UPLOADED_CONTEXT}.get(request.remote, request.remote),
        **{f"build-arg:{key}": value for key, value in request.arguments.items()},
        **{f"label:{key}": value for key, value in request.labels.items()},
    }
    always = ("build-arg:", "label:")
    kept = {key: value for key, value in found.items() if value or key.startswith(always)}
    return {**kept, "no-cache": ""} if request.no_cache else kept


def _list(call: Call, key: str) -> list[Any]:
    text = call.text(key)
    if not text:
        return []
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"error reading {key}: {error}") from error
    return found if isinstance(found, list) else []


def _texts(attributes: Mapping[str, Any]) -> dict[str, str]:
    return {str(key): str(value) for key, value in attributes.items()}
