"""BuildKit's services, as one server answers them: Control, and the bridge by which a client runs a frontend itself."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

import trio

from net.host_ports import outgoing_address
from sandbox.api.buildkit.build import Build
from sandbox.api.buildkit.calls import error_of_status, serve_calls
from sandbox.api.buildkit.history import History
from sandbox.api.buildkit.link import Link
from sandbox.api.buildkit.rpc_errors import NOT_FOUND, UNIMPLEMENTED, RpcError
from sandbox.api.buildkit.schema import (
    BRIDGE_SOLVE_REQUEST,
    BRIDGE_SOLVE_RESPONSE,
    EMPTY,
    INFO_RESPONSE,
    LIST_WORKERS_RESPONSE,
    PONG,
    RETURN_REQUEST,
    SOLVE_REQUEST,
    SOLVE_RESPONSE,
    STATUS_REQUEST,
)
from sandbox.api.buildkit.session import Session, Sessions
from sandbox.api.buildkit.usage import disk_usage, prune
from sandbox.image.platforms import host_platform
from sandbox.version import __version__

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sandbox.api.buildkit.calls import ServedCall
    from sandbox.api.buildkit.link import Transport
    from sandbox.api.engine import Engine

_CONTROL, _BRIDGE = "moby.buildkit.v1.Control", "moby.buildkit.v1.frontend.LLBBridge"
#: the version of BuildKit whose protocol this is
_PROTOCOL_VERSION = "v0.13.0"
#: a Status, or a call of the bridge, may come before the Solve that it is about
_WAIT_SECONDS = 30.0
#: what frontends of ours can do, as clients ask for it
_FRONTEND_CAPS = (
    "solve.base", "resolveimage", "resolveimage.resolvemode", "return", "returnmap", "importcaches", "proto.refarray",
    "frontend.inputs", "gateway.solve.metadata", "frontend.caps", "gateway.solve.evaluate", "gateway.evaluate",
    "gateway.warnings",
)  # fmt: skip
_LLB_CAPS = (
    "source.image", "source.image.resolvemode", "source.local", "source.local.unique", "source.local.sessionid",
    "source.local.includepatterns", "source.local.followpaths", "source.local.excludepatterns",
    "source.local.sharedkeyhint", "source.local.differ", "source.git", "source.git.keepgitdir", "source.git.fullurl",
    "source.git.httpauth", "source.git.knownsshhosts", "source.git.mountsshsock", "source.git.subdir", "source.http",
    "source.http.checksum", "source.http.perm", "soruce.http.uidgid", "source.buildop.llbfilename", "exec.meta.base",
    "exec.meta.network", "exec.meta.proxyenv", "exec.meta.ulimit", "exec.meta.setsdefaultpath", "exec.mount.bind",
    "exec.mount.cache", "exec.mount.cache.sharing", "exec.mount.selector", "exec.mount.tmpfs",
    "exec.mount.tmpfs.size", "exec.mount.secret", "exec.mount.ssh", "exec.secretenv", "file.base", "file.rm.wildcard",
    "file.copy.includeexcludepatterns", "constraints", "platform", "meta.ignorecache", "meta.description",
    "meta.exportcache",
)  # fmt: skip
_BUILD_ID = "buildkit-controlapi-buildid"


class BuildService:
    """What all of a server's clients of BuildKit share."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.sessions = Sessions()
        self._builds: dict[str, Build] = {}
        self._changed = trio.Event()
        self._history = History()
        self._handlers: dict[str, Callable[[ServedCall], Awaitable[None]]] = {
            f"{_CONTROL}/ListWorkers": self._list_workers,
            f"{_CONTROL}/Info": self._info,
            f"{_CONTROL}/Solve": self._solve,
            f"{_CONTROL}/Status": self._status,
            f"{_CONTROL}/DiskUsage": lambda call: disk_usage(engine, call),
            f"{_CONTROL}/Prune": lambda call: prune(engine, call),
            f"{_CONTROL}/ListenBuildHistory": self._history.listen,
            f"{_CONTROL}/UpdateBuildHistory": self._history.update,
            f"{_BRIDGE}/Ping": self._ping,
            f"{_BRIDGE}/Solve": self._bridge_solve,
            f"{_BRIDGE}/Evaluate": self._agree,
            f"{_BRIDGE}/Warn": self._agree,
            f"{_BRIDGE}/Inputs": self._agree,
            f"{_BRIDGE}/Return": self._return,
        }

    async def serve(self, transport: Transport) -> None:
        """Answer one client's calls to the end of its connection."""
        await serve_calls(Link(transport, is_client=False), self._handlers)

    async def hold_session(self, transport: Transport, session_id: str) -> None:
        """Ask a client on its session, as builds need it, to the end of its connection."""
        link = Link(transport, is_client=True)
        session = Session(session_id, link)
        if not self.sessions.add(session):
            return
        try:
            await link.run()
        finally:
            self.sessions.remove(session)

    # --- control

    async def _list_workers(self, call: ServedCall) -> None:
        await call.write(LIST_WORKERS_RESPONSE, {"record": [await self._worker()]})

    async def _info(self, call: ServedCall) -> None:
        await call.write(INFO_RESPONSE, {"version": _version()})

    async def _worker(self) -> dict[str, Any]:
        native = host_platform()
        labels = {
            "org.mobyproject.buildkit.worker.executor": "containerd",
            "org.mobyproject.buildkit.worker.hostname": platform.node(),
            "org.mobyproject.buildkit.worker.network": "host",
        }
        if gateway := outgoing_address():
            # what buildx puts for the word in `--add-host NAME:host-gateway`; without it such a build is refused
            labels["org.mobyproject.buildkit.worker.moby.host-gateway-ip"] = gateway
        return {
            "id": await self.engine.node_id(),
            "labels": labels,
            "platforms": [{"architecture": native.architecture, "os": native.os, "variant": native.variant}],
            "version": _version(),
        }

    async def _solve(self, call: ServedCall) -> None:
        request = await call.read(SOLVE_REQUEST)
        build = Build(self.engine, self.sessions, request)
        if not build.ref or build.ref in self._builds:
            raise RpcError(NOT_FOUND if not build.ref else 2, f"job ID {build.ref} exists" if build.ref else "no ref")
        self._builds[build.ref] = build
        self._tell()
        self._history.begin(build)
        error: RpcError | None = None
        try:
            if request["frontend"]:
                has_inputs = bool(request["frontend_inputs"])
                await build.run_frontend(request["frontend"], build.attributes, [], has_inputs=has_inputs)
            elif request["definition"] and request["definition"]["operations"]:
                raise RpcError(UNIMPLEMENTED, refused_definition())
            else:
                await build.returned.wait()
                if build.error is not None:
                    raise build.error
        except RpcError as raised:
            error = raised
            raise
        finally:
            build.end(error)
            self._history.end(build)
            del self._builds[build.ref]
        await call.write(SOLVE_RESPONSE, {"exporter_response": build.response})

    async def _status(self, call: ServedCall) -> None:
        ref = (await call.read(STATUS_REQUEST))["ref"]
        build = await self._find(ref)
        await call.begin()
        async for message in build.progress.messages():
            await call.write_encoded(message)

    async def _find(self, ref: str) -> Build:
        with trio.move_on_after(_WAIT_SECONDS):
            while ref not in self._builds:
                await self._changed.wait()
            return self._builds[ref]
        raise RpcError(NOT_FOUND, f"no such job {ref}")

    # --- the bridge

    async def _ping(self, call: ServedCall) -> None:
        await self._build_of(call)
        pong = {
            "frontend_caps": [{"id": each, "enabled": True} for each in _FRONTEND_CAPS],
            "llb_caps": [{"id": each, "enabled": True} for each in _LLB_CAPS],
            "workers": [await self._worker()],
        }
        await call.write(PONG, pong)

    async def _bridge_solve(self, call: ServedCall) -> None:
        build = await self._build_of(call)
        request = await call.read(BRIDGE_SOLVE_REQUEST)
        if request["definition"] and request["definition"]["operations"]:
            raise RpcError(UNIMPLEMENTED, refused_definition())
        metadata: dict[str, str] = {}
        if request["frontend"]:
            metadata = await build.run_frontend(
                request["frontend"], request["frontend_opt"], request["cache_imports"],
                has_inputs=bool(request["frontend_inputs"]),
            )  # fmt: skip
        result = {
            "ref": {"id": f"{build.ref}-result"},
            "metadata": {key: value.encode() for key, value in metadata.items()},
        }
        await call.write(BRIDGE_SOLVE_RESPONSE, {"result": result})

    async def _agree(self, call: ServedCall) -> None:
        """To what asks nothing of us: a result is there when it is told of."""
        await call.read(EMPTY)
        await call.write(EMPTY, {})

    async def _return(self, call: ServedCall) -> None:
        build = await self._build_of(call)
        request = await call.read(RETURN_REQUEST)
        if request["error"] is not None:
            build.error = error_of_status(request["error"])
        build.returned.set()
        await call.write(EMPTY, {})

    async def _build_of(self, call: ServedCall) -> Build:
        return await self._find(call.metadata.get(_BUILD_ID, ""))

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


def refused_definition() -> str:
    """Why a graph of operations is not carried out."""
    return "a build of LLB definitions is not supported here: only Dockerfiles are built"


def _version() -> dict[str, str]:
    return {"package": "github.com/moby/buildkit", "version": _PROTOCOL_VERSION, "revision": f"sandbox-{__version__}"}
