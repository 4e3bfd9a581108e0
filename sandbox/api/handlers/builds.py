"""Images made: of a Dockerfile, of a container; and what builds leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from sandbox.api.call import Answer
from sandbox.api.credentials import auth_environment, decoded_header
from sandbox.api.documents.classic_request import ClassicBuild
from sandbox.api.documents.filters import read_filters
from sandbox.api.documents.reading import text, texts
from sandbox.api.errors import ApiError
from sandbox.api.message_stream import MessageStream
from sandbox.api.pipes import feed
from sandbox.grammar.sizes import parse_size
from sandbox.warm.values import Descriptor

if TYPE_CHECKING:
    from sandbox.api.call import Call
    from sandbox.api.message_stream import Tell


async def build(call: Call) -> None:
    """Build the archive that comes, or what a URL leads to. Raises ApiError."""
    if call.text("version") == "2":
        raise ApiError(501, "BuildKit is not served here: set DOCKER_BUILDKIT=0 for the classic builder")
    request = _read(call)
    environment = auth_environment(_auths(call))
    engine = call.engine

    async def act(tell: Tell) -> None:
        async def run(fd: int) -> None:
            await engine.call(
                "api.build", request, engine.session, Descriptor(fd), progress=tell, environment=environment
            )

        await feed(call.body(), run)

    await MessageStream(call, reads_body=True).carry(act)


def _read(call: Call) -> ClassicBuild:
    shm = call.text("shmsize")
    return ClassicBuild(
        remote=call.text("remote"),
        file=call.text("dockerfile"),
        tags=tuple(tag for tag in call.query.get("t", ()) if tag),
        arguments={key: value for key, value in _table(call, "buildargs").items() if value is not None},
        labels=_table(call, "labels"),
        target=call.text("target"),
        no_cache=call.flag("nocache"),
        pull=call.flag("pull"),
        platform=call.text("platform"),
        network=call.text("networkmode") or "default",
        extra_hosts=tuple(each for value in call.query.get("extrahosts", ()) for each in value.split(",") if each),
        shm_size_bytes=parse_size(shm) if shm and shm != "0" else 0,
        quiet=call.flag("q"),
    )


def _table(call: Call, key: str) -> dict[str, Any]:
    given = call.text(key)
    if not given:
        return {}
    try:
        found = msgspec.json.decode(given.encode())
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        raise ApiError(400, f"error reading {key}: {error}") from error
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
    records, freed = await call.engine.call(
        "builder.prune", read_filters(call.text("filters")), shared=call.flag("all"), keep_bytes=keep or None
    )
    return Answer(document={"CachesDeleted": [record[0] for record in records], "SpaceReclaimed": freed})


async def cancel(_call: Call) -> Answer:
    """A build ends when its client goes, and needs no other word."""
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
