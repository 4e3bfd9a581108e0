"""`--cache-from` and `--cache-to`: the build cache in a directory, in a registry, or in the image itself.

A cache is an OCI image like any other, so every registry keeps it and everything that moves images moves it. Its config
has one more member:

    "sandbox.buildcache.v1": {
        "records": [[KEY, POSITION, DESCRIPTION, CREATED], …],  the step of this key gave the layer at this position
        "others":  [TAG, …]                             mode=max: further images, of the other stages
    }

What is imported is verified as every pulled image is: digests, diff ids. Which step a layer is the result of is the
word of whoever wrote the cache, so none is looked at that was not named (CVE-2024-24557); the rest of that image is
forgotten again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from sandbox.builder.cache.step_cache import BuildLayer, StepCache
from sandbox.builder.progress.progress import Vertex, begin_step, vertex_id, warn
from sandbox.builder.progress.transfer_reports import ReportedProgress
from sandbox.builder.results.exporting import ExportRequest, export_result
from sandbox.builder.results.outputs import Output
from sandbox.errors import ImageError, SandboxError, UsageError
from sandbox.grammar.comma_fields import split_fields
from sandbox.image.copies import keep_image_copies
from sandbox.image.events import emit_of
from sandbox.image.go_json import load_document
from sandbox.image.platforms import host_platform
from sandbox.image.recording import content_store, parse_time_ns
from sandbox.image.references import parse_reference
from sandbox.image.removal import forget_image
from sandbox.image.store import find_named_image, set_name
from sandbox.state import open_state
from sandbox.transactions import transaction
from storage.digests import parse_digest
from storage.layers.store import LayerStore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandbox.builder.progress.progress import EventSink
    from sandbox.builder.request import BuildResult
    from sandbox.caller_directory import CallerDirectory
    from sandbox.image.store import ImageRecord
    from sandbox.image.transfer.progress import Progress
    from sandbox.paths import Paths

MEMBER = "sandbox.buildcache.v1"
_LOCAL_NAME = "build.cache/cache:latest"
_TAG = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
_RECORDS_MOST, _OTHERS_MOST = 10_000, 200
_TYPES = ("local", "registry", "inline")
_MEND = "type=local,dest=DIR, type=registry,ref=NAME or type=inline, each with mode=min|max"


class CachePlace(NamedTuple):
    """Where a cache is: a directory, or a reference; neither for `inline`. `every`: mode=max."""

    kind: Literal["local", "registry", "inline"]
    place: str = ""
    every: bool = False
    #: a failed export is a warning
    lenient: bool = False


def read_cache_from(text: str, cwd: CallerDirectory) -> CachePlace:
    """A `--cache-from`; a text without fields is a reference. Raises UsageError."""
    if "=" not in text:
        return CachePlace("registry", str(parse_reference(text)))
    return _read(text, cwd, "--cache-from", "src")


def read_cache_to(text: str, cwd: CallerDirectory) -> CachePlace:
    """A `--cache-to`. Raises UsageError."""
    if "=" not in text:
        text = f"type={text}" if text == "inline" else f"type=registry,ref={text}"
    return _read(text, cwd, "--cache-to", "dest")


def _read(text: str, cwd: CallerDirectory, flag: str, place_key: str) -> CachePlace:
    values = {}
    for field in split_fields(text):
        key, equals, value = field.partition("=")
        if not equals:
            raise UsageError(f"invalid {flag} {text!r}: {field!r} is no key=value", mend=_MEND)
        values[key.strip().lower()] = value
    kind = next((one for one in _TYPES if one == values.get("type", "registry")), None)
    known = {"type", "mode", "ignore-error", "ref", place_key, "tag", "digest", "oci-mediatypes", "image-manifest"}
    unknown = values.keys() - known
    if kind is None or unknown:
        what = f"unknown field {min(unknown)!r}" if kind else f"type {values['type']!r} is not supported"
        raise UsageError(f"invalid {flag} {text!r}: {what}", mend=_MEND)
    mode = values.get("mode", "min")
    if mode not in ("min", "max"):
        raise UsageError(f"invalid {flag} {text!r}: mode {mode!r}", mend="mode=min or mode=max")
    place = {"local": values.get(place_key, ""), "registry": values.get("ref", ""), "inline": "-"}[kind]
    if not place:
        raise UsageError(
            f"invalid {flag} {text!r}: {'ref' if kind == 'registry' else place_key} is required", mend=_MEND
        )
    place = {"local": cwd.absolute(place) if kind == "local" else "", "registry": place, "inline": ""}[kind]
    chosen: Literal["local", "registry", "inline"] = "local" if kind == "local" else "registry"
    return CachePlace(
        "inline" if kind == "inline" else chosen, place, mode == "max", values.get("ignore-error") == "true"
    )


# --- import


def import_caches(paths: Paths, env: Mapping[str, str], places: Sequence[CachePlace], events: EventSink) -> None:
    """Let the build find what these caches have; one that cannot be had is a warning. The caller holds the store."""
    for number, place in enumerate(places):
        report = begin_step(events, Vertex(vertex_id("import", number), f"importing cache from {place.place}"))
        try:
            _import(paths, env, place, ReportedProgress(report))
        except SandboxError as error:
            report.failed(error.message)
            warn(
                events,
                f"cannot use the cache {place.place}: {error.message}" + (f" ({error.cause})" * bool(error.cause)),
            )
        else:
            report.finished()


def _import(paths: Paths, env: Mapping[str, str], place: CachePlace, progress: Progress) -> None:
    waiting, seen = [""], set[str]()
    while waiting:
        tag = waiting.pop(0)
        if tag in seen:
            continue
        seen.add(tag)
        known = _image_ids(paths)
        image = _fetch(paths, env, place, tag, progress)
        try:
            member = image.config.get(MEMBER)
            if not isinstance(member, dict):
                raise ImageError(f"{place.place} is no build cache", cause=f"its config has no {MEMBER}")
            _remember(paths, image, member)
            others = member.get("others")
            if not tag and isinstance(others, list):
                waiting += [str(one) for one in others[:_OTHERS_MOST]]
        finally:
            if image.id not in known:
                _forget(paths, image.id)


def _fetch(paths: Paths, env: Mapping[str, str], place: CachePlace, tag: str, progress: Progress) -> ImageRecord:
    if place.kind == "local":
        from sandbox.image.archive.archives import load_layout

        if not _TAG.issuperset(tag):
            raise ImageError(f"{place.place} is no build cache", cause=f"it names a part {tag[:80]!r}")
        layout = f"{place.place}/stages/{tag}" if tag else place.place
        return load_layout(paths, layout, "", host_platform(), progress)
    from sandbox.image.transfer.pull import pull_image

    reference = parse_reference(place.place)
    if tag:
        reference = reference._replace(tag=tag, digest="")
    # the name is given to what is pulled; a name that was here before has it back afterwards
    before = _look_up(paths, str(reference))
    pull_image(paths, env, str(reference), None, progress)
    image = _look_up(paths, str(reference))
    if image is None:
        raise ImageError(f"{place.place} was removed as soon as it was pulled")
    if before is not None and before.id != image.id:
        _name_again(paths, reference.name, before.id)
    return image


def _look_up(paths: Paths, text: str) -> ImageRecord | None:
    with open_state(paths) as connection:
        return find_named_image(connection, text)


def _image_ids(paths: Paths) -> set[str]:
    with open_state(paths) as connection:
        return {row[0] for row in connection.execute("SELECT id FROM image")}


def _forget(paths: Paths, image_id: str) -> None:
    with open_state(paths) as connection, transaction(connection):
        forget_image(connection, image_id)


def _remember(paths: Paths, image: ImageRecord, member: Mapping[str, Any]) -> None:
    content = content_store(paths)
    manifest = load_document(content.read(parse_digest(image.manifest_digest)))
    diff_ids = image.config["rootfs"].get("diff_ids") or ()
    layers = list(zip(image.layers, diff_ids, manifest["layers"], strict=True))
    cache = StepCache(paths, LayerStore(paths.layers), content)
    try:
        records = member.get("records")
        for record in records[:_RECORDS_MOST] if isinstance(records, list) else ():
            match record:
                case [str(key), int(position), str(description), str(created)] if 0 <= position < len(layers):
                    if len(key) == 64 and cache.find(key) is None:
                        # a time that is none would spoil the history of what is built
                        made = created if parse_time_ns(created) else ""
                        cache.remember(key, BuildLayer(*layers[position], made), description[:4096])
    finally:
        cache.close()


# --- export


def with_inline_cache(paths: Paths, result: BuildResult) -> BuildResult:
    """The image with its cache in it (`type=inline`)."""
    return result._replace(config={**result.config, MEMBER: {"records": _all_keys(paths, result)}})


def _all_keys(paths: Paths, result: BuildResult) -> list[list[Any]]:
    """The records with every key their layers are known by: that of a COPY --from by what the files hold is one."""
    positions = {chain_id: position for position, chain_id in enumerate(result.chain_ids)}
    found = {record[0]: record for record in result.records}
    own = {record[1] for record in result.records}
    with open_state(paths) as connection:
        for key, layer, description in connection.execute("SELECT key, layer, description FROM build_cache"):
            known = BuildLayer(*json.loads(layer))
            position = positions.get(known.chain_id)
            if position in own:
                found.setdefault(key, [key, position, description, known.created])
    return sorted(found.values(), key=lambda record: (record[1], record[0]))


def export_caches(
    paths: Paths, env: Mapping[str, str], result: BuildResult, places: Sequence[CachePlace], events: EventSink
) -> None:
    """Bring the cache of a build to every place but the image itself. Raises SandboxError, unless it may fail."""
    for place in places:
        if place.kind == "inline":
            continue
        try:
            _export(paths, env, result, place, events)
        except SandboxError as error:
            if not place.lenient:
                raise
            warn(events, f"cannot export the cache to {place.place}: {error.message}")


def _export(paths: Paths, env: Mapping[str, str], result: BuildResult, place: CachePlace, events: EventSink) -> None:
    base = parse_reference(_LOCAL_NAME if place.kind == "local" else place.place)
    base = base._replace(tag=base.tag or "latest")
    others = [one for one in result.others if one.records] if place.every else []
    # a directory is one's own: the parts need no names that differ from other caches'
    prefix = "" if place.kind == "local" else f"{base.tag}-"
    tags = [f"{prefix}stage-{number}" for number in range(len(others))]
    leaves = [(result, base.tag, tags), *((one, tag, []) for one, tag in zip(others, tags, strict=True))]
    for leaf, tag, more in leaves:
        config = {**leaf.config, MEMBER: {"records": _all_keys(paths, leaf), "others": more}}
        names = (base._replace(tag=tag),)
        if place.kind == "local":
            dest = place.place if leaf is result else f"{place.place}/stages/{tag}"
            output = Output("oci", dest, names, tar=False)
        else:
            output = Output("image", names=names, push=True)
        known = _image_ids(paths)
        before = _look_up(paths, str(base._replace(tag=tag))) if place.kind == "registry" else None
        exported = export_result(paths, env, leaf._replace(config=config), ExportRequest((output,)), events)
        if place.kind == "registry" and exported.image_id not in known:
            _forget(paths, exported.image_id)
            if before is not None:
                _name_again(paths, base._replace(tag=tag).name, before.id)


def _name_again(paths: Paths, text: str, image_id: str) -> None:
    with open_state(paths) as connection, transaction(connection):
        set_name(connection, parse_reference(text), image_id)
        emit_of(connection, "tag", image_id, parse_reference(text).familiar)
    with open_state(paths) as connection:
        keep_image_copies(connection)
