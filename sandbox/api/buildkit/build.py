"""One build that a client has asked for, from its Solve to the answer."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import tempfile
import time
from typing import TYPE_CHECKING, Any

import trio

from sandbox.api.buildkit.answers import Answers
from sandbox.api.buildkit.frontend_request import FrontendBuild, refusal
from sandbox.api.buildkit.progress import Progress
from sandbox.api.buildkit.rpc_errors import UNIMPLEMENTED, UNKNOWN, Detail, RpcError
from sandbox.api.buildkit.schema import ERROR_SOURCE
from sandbox.api.errors import unwrapped
from sandbox.builder.progress.progress import decode_event
from sandbox.warm.values import Descriptor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from sandbox.api.buildkit.session import Sessions
    from sandbox.api.engine import Engine


class Build:
    """A Solve of the Control service; its frontend is run by that itself, or by the client through the bridge."""

    def __init__(self, engine: Engine, sessions: Sessions, request: Mapping[str, Any]) -> None:
        self._engine = engine
        self._sessions = sessions
        self.request = request
        self.ref: str = request["ref"]
        self.progress = Progress()
        self.began_ns = time.time_ns()
        self.ended_ns = 0
        #: what the client's own part of the build has come to: set by Return
        self.returned = trio.Event()
        self.error: RpcError | None = None
        self.response: dict[str, str] = {}
        #: an archive that comes by another request, where the session has none
        self.upload: AsyncIterator[bytes] | None = None
        self.attributes: Mapping[str, str] = request["frontend_attrs"]

    def end(self, error: RpcError | None = None) -> None:
        """Nothing more happens."""
        self.ended_ns = time.time_ns()
        self.error = self.error or error
        self.progress.end()
        self.returned.set()

    async def run_frontend(
        self, frontend: str, attributes: Mapping[str, str], cache_imports: list[Any], *, has_inputs: bool
    ) -> dict[str, str]:
        """What a frontend makes of attributes: the result's metadata. Raises RpcError."""
        self.attributes = attributes
        request = self.request
        cache = request["cache"] or {"exports": (), "imports": (), "import_refs": ()}
        kinds = [each["type"] for each in cache["exports"]]
        told = refusal(frontend, attributes, has_inputs=has_inputs, cache_exports=kinds)
        if told:
            raise RpcError(UNIMPLEMENTED, told)
        exporters = tuple((each["type"], each["attrs"]) for each in request["exporters"])
        if not exporters and request["exporter"]:
            exporters = ((request["exporter"], request["exporter_attrs"]),)
        asked = FrontendBuild(
            dict(attributes),
            exporters,
            _places([*cache["imports"], *cache_imports]),
            _places(cache["exports"]),
            tuple(request["entitlements"]),
        )
        told_last = await self._work(asked)
        if "failed" in told_last:
            raise _failure(told_last["failed"])
        self.response |= told_last.get("result", {})
        metadata: dict[str, str] = told_last.get("metadata", {})
        return metadata

    async def _work(self, asked: FrontendBuild) -> dict[str, Any]:
        session = await self._sessions.wait(self.request["session"])
        last: dict[str, Any] = {}

        async def take(told: Any) -> None:
            if isinstance(told, dict):
                last.update(told)
            else:
                self.progress(decode_event(told))

        ours, theirs = socket.socketpair()
        scratch = tempfile.mkdtemp(prefix="build-", dir=self._engine.context.paths.runtime_root)
        try:
            with unwrapped():
                async with trio.open_nursery() as nursery:
                    answers = Answers(session, self.progress, nursery, scratch, self.upload)
                    nursery.start_soon(answers.serve, ours)
                    await self._engine.call(
                        "api.buildkit", asked, self._engine.session, Descriptor(theirs.fileno()), progress=take
                    )
                    nursery.cancel_scope.cancel()
        finally:
            theirs.close()
            shutil.rmtree(scratch, ignore_errors=True)
        return last


def _places(entries: list[Any]) -> tuple[tuple[str, Mapping[str, str]], ...]:
    return tuple((each["type"], each["attrs"]) for each in entries)


def _failure(failed: Mapping[str, Any]) -> RpcError:
    """An error whose client shows the lines of the file."""
    details: tuple[Detail, ...] = ()
    if failed["data"]:
        lines = {"start": {"line": failed["first"]}, "end": {"line": failed["last"]}}
        info = {
            "filename": failed["file"], "data": base64.b64encode(failed["data"]).decode(), "language": "Dockerfile",
        }  # fmt: skip
        details = (Detail(ERROR_SOURCE, json.dumps({"info": info, "ranges": [lines]}).encode()),)
    return RpcError(UNKNOWN, failed["message"], details)
