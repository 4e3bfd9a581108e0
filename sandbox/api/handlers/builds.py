"""Images made: of a Dockerfile, of a container; and what builds leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from sandbox.api.call import Answer
from sandbox.api.credentials import auth_environment, decoded_header
from sandbox.api.documents.classic_request import ClassicBuild
from sandbox.api.documents.create_request import read_ulimits
from sandbox.api.documents.filters import read_filters
from sandbox.api.documents.reading import text, texts
from sandbox.api.errors import ApiError
from sandbox.api.message_stream import MessageStream
from sandbox.api.pipes import feed
from sandbox.grammar.hosts import parse_extra_host
from sandbox.grammar.sizes import parse_size
from sandbox.warm.values import Descriptor

if TYPE_CHECKING:
    from sandbox.api.call import Call
    from sandbox.api.message_stream import Tell


#: limits of the processes of a build that are not held here
_UNHELD = ("memory", "memswap", "cpushares", "cpuperiod", "cpuquota", "cpusetcpus", "cpusetmems")


async def build(call: Call) -> Answer | None:
    """Build the archive that comes, what a URL leads to, or what a session has. Raises ApiError."""
    if call.flag("squash"):
        raise ApiError(400, "squash is only supported with experimental mode")
    if call.text("isolation") not in ("", "default"):
        raise ApiError(400, f'Unsupported isolation: "{call.text("isolation")}"')
    request = _read(call)
    if call.text("version") == "2":
        # HTTP/2 is for clients of BuildKit alone
        from sandbox.api.handlers.buildkit import builds_of

        return await builds_of(call.engine).carry(call, request)
    environment = auth_environment(_auths(call))
    engine = call.engine

    async def act(tell: Tell) -> None:
        async def run(fd: int) -> None:
            await engine.call(
                "api.build", request, engine.session, Descriptor(fd), progress=tell, environment=environment
            )

        await feed(call.body(), run)

    await MessageStream(call, reads_body=True).carry(act)
    return None


def _read(call: Call) -> ClassicBuild:
    shm = call.text("shmsize")
    return ClassicBuild(
        remote=call.text("remote"),
        file=call.text("dockerfile"),
        tags=tuple(tag for tag in call.query.get("t", ()) if tag),
        arguments={key: value for key, value in _table(call, "buildargs").items() if value is not None},
        labels={key: value or "" for key, value in _table(call, "labels").items()},
        target=call.text("target"),
        no_cache=call.flag("nocache"),
        pull=call.flag("pull"),
        platform=call.text("platform"),
        network=call.text("networkmode") or "default",
        extra_hosts=tuple(
            parse_extra_host(each) for value in call.query.get("extrahosts", ()) for each in value.split(",") if each
        ),
        shm_size_bytes=parse_size(shm) if shm and shm != "0" else 0,
        quiet=call.flag("q"),
        limits=read_ulimits(_objects(call, "ulimits")),
        cache_from=tuple(_texts(call, "cachefrom")),
        warnings=tuple(
            f"{name} is not held to: what a build takes is not limited here"
            for name in _UNHELD
            if call.text(name) not in ("", "0")
        ),
    )


def _decoded(call: Call, key: str) -> Any:  # Any: JSON
    given = call.text(key)
    try:
        return msgspec.json.decode(given.encode()) if given else None
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        raise ApiError(400, f"error reading {key}: {error}") from error


def _texts(call: Call, key: str) -> list[str]:
    found = _decoded(call, key) or []
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise ApiError(400, f"error reading {key}: it is no list of texts")
    return found


def _objects(call: Call, key: str) -> list[dict[str, Any]]:
    found = _decoded(call, key) or []
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ApiError(400, f"error reading {key}: it is no list of objects")
    return found


def _table(call: Call, key: str) -> dict[str, Any]:
    found = _decoded(call, key)
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(value, str | None) for value in found.values()):
        raise ApiError(400, f"error reading {key}: it is no object of texts")
    return found


def _auths(call: Call) -> dict[str, dict[str, object]]:
    given = decoded_header(call.headers.get("x-registry-config", ""))
    return {domain: entry for domain, entry in given.items() if isinstance(entry, dict)}


async def prune(call: Call) -> Answer:
    """Remove what builds have kept."""
    keep = call.number("keep-storage")
    # `system prune` hands them to all that it prunes; what a build keeps has no labels, and Docker heeds none here
    filters = tuple(each for each in read_filters(call.text("filters")) if not each.startswith(("label=", "label!=")))
    records, freed = await call.engine.call("builder.prune", filters, shared=call.flag("all"), keep_bytes=keep or None)
    return Answer(document={"CachesDeleted": [record[0] for record in records], "SpaceReclaimed": freed})


async def cancel(call: Call) -> Answer:
    """End a build of version 2; any other ends when its client goes, and needs no other word."""
    from sandbox.api.handlers.buildkit import builds_of

    builds_of(call.engine).cancel(call.text("id"))
    return Answer(204)


async def commit(call: Call) -> Answer:
    """Make an image of a container."""
    body = await call.document()
    name, tag = call.text("repo"), call.text("tag")
    changes = tuple(line for value in call.query.get("changes", ()) for line in value.split("\n") if line)
    image_id = await call.engine.call(
        "api.commit", call.text("container"), f"{name}:{tag}" if name and tag else name,
        (call.text("author"), call.text("comment")), (*_changes_of(body), *changes),
        call.engine.session, pause=call.flag("pause", default=True),
    )  # fmt: skip
    return Answer(201, {"Id": image_id})


def _changes_of(config: dict[str, Any]) -> list[str]:
    """Instructions for what a Config in the body says."""
    found = [f"{word} {msgspec.json.encode(list(texts(config, key))).decode()}"
             for word, key in (("CMD", "Cmd"), ("ENTRYPOINT", "Entrypoint")) if config.get(key)]  # fmt: skip
    found += [f"ENV {_quoted(each)}" for each in texts(config, "Env")]
    found += [f"{word} {text(config, key)}" for word, key in (("USER", "User"), ("WORKDIR", "WorkingDir"))
              if text(config, key)]  # fmt: skip
    labels = config.get("Labels") or {}
    found += [f"LABEL {_quoted(f'{key}={value}')}" for key, value in labels.items()]
    return found


def _quoted(pair: str) -> str:
    name, _, value = pair.partition("=")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'{name}="{escaped}"'
