"""The engine itself: ping, version, info, events, disk usage, credentials."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import trio

from sandbox.api.call import Answer, encoded
from sandbox.api.credentials import environment_of
from sandbox.api.documents.filters import read_filters
from sandbox.api.documents.reading import text
from sandbox.api.errors import ApiError
from sandbox.api.greeting import PING_HEADERS, SWARM_OF_ONE
from sandbox.errors import AuthenticationError
from sandbox.event_documents import event_document, event_fields
from sandbox.event_stream import Selection, check_times, counted_as_follower, read_event_filters
from sandbox.grammar.filters import parse_time
from sandbox.system.versions import describe_version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.api.call import Call

#: what of the use of disks is asked for by which word
_USES = {"container": "Containers", "image": "Images", "volume": "Volumes", "build-cache": "BuildCache"}
_NO_BUILDER_SIZE_SINCE = (1, 42)
_NO_VIRTUAL_SIZE_SINCE = (1, 44)
#: security options were words without values before
_OPTIONS_SINCE = (1, 25)


async def ping(call: Call) -> Answer:
    """Asked before everything else: nothing is looked at."""
    headers = (*PING_HEADERS, SWARM_OF_ONE if call.engine.cluster.is_active else ("Swarm", "inactive"))
    return Answer(body=b"OK", content_type="text/plain; charset=utf-8", headers=headers)


async def version(_call: Call) -> Answer:
    """Which engine this is."""
    return Answer(document=describe_version())


async def info(call: Call) -> Answer:
    """What the machine gives."""
    document = await call.engine.info()
    document["Swarm"] = call.engine.cluster.info(await call.engine.node_id())
    if call.version < _OPTIONS_SINCE:
        options = [option.partition(",")[0].removeprefix("name=") for option in document["SecurityOptions"]]
        document |= {"SecurityOptions": options, "ExecutionDriver": "<not supported>"}
    return Answer(document=document)


async def usage(call: Call) -> Answer:
    """What is taken on disk, all of it or by some kinds of things. Raises ApiError."""
    wanted = call.query.get("type", list(_USES))
    for kind in wanted:
        if kind not in _USES:
            raise ApiError(400, f"unknown object type: {kind}")
    document: dict[str, Any] = await call.engine.call("system.usage")
    for kind, field in _USES.items():
        if kind not in wanted:
            document[field] = None
    if "image" not in wanted:
        document["LayersSize"] = 0
    if call.version >= _NO_BUILDER_SIZE_SINCE:
        document.pop("BuilderSize", None)
    if call.version < _NO_VIRTUAL_SIZE_SINCE:
        for image in document["Images"] or ():
            image["VirtualSize"] = image["Size"]
    return Answer(document=document)


async def distribution(call: Call) -> Answer:
    """What a registry has under a name."""
    environment = environment_of(call.headers.get("x-registry-auth", ""), call.word)
    with _told_as_unauthorized():
        return Answer(document=await call.engine.call("api.distribution", call.word, environment=environment))


async def authenticate(call: Call) -> Answer:
    """Try credentials at their registry; who asked keeps them."""
    body = await call.document()
    credentials = (text(body, "username"), text(body, "password"), text(body, "identitytoken"))
    with _told_as_unauthorized():
        await call.engine.call("api.authenticate", text(body, "serveraddress"), credentials)
    return Answer(document={"Status": "Login Succeeded", "IdentityToken": ""})


@contextmanager
def _told_as_unauthorized() -> Iterator[None]:
    """By its status a client knows that it is the credentials, and asks for others. Raises ApiError."""
    try:
        yield
    except AuthenticationError as error:
        raise ApiError(401, f"{error.message}: {error.cause}" if error.cause else error.message) from error


async def events(call: Call) -> None:
    """What has happened since a time, and what happens, until another. The head of the answer goes at once."""
    engine = call.engine
    now_ns = time.time_ns()
    since, until = (
        (written, parse_time(written, now_ns)) if (written := call.text(key)) and written != "0" else None
        for key in ("since", "until")
    )
    check_times(since, until)
    until_ns = None if until is None else until[1]
    history = since is not None or until is not None
    begin_ns = (since[1] if since is not None else 0) if history else None
    selection = Selection(begin_ns, until_ns, read_event_filters(read_filters(call.text("filters"))))
    with ExitStack() as stack:
        stack.enter_context(counted_as_follower(engine.context.paths, selection))
        subscription = stack.enter_context(engine.events.subscribed())
        past = await engine.call("api.past_events", begin_ns or 0) if history else []
        last = past[-1].id if past else 0
        async with call.stream() as out:
            for happened in past:
                if selection.takes(happened):
                    await out.write(encoded(event_document(event_fields(happened))) + b"\n")
            left = math.inf if until_ns is None else max(0.0, (until_ns - time.time_ns()) / 1e9)
            with trio.move_on_after(left):
                async for happened in subscription:
                    if happened.id > last and selection.takes(happened):
                        await out.write(encoded(event_document(event_fields(happened))) + b"\n")
