"""`buildx imagetools`: the same views of registries as `manifest`, by the names of Docker's plugin."""

from __future__ import annotations

import json

from sandbox.cli.command import Command
from sandbox.cli.flags import option
from sandbox.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sandbox.cli.command import Invocation
    from sandbox.image.manifests.operations import Found


def imagetools(invocation: Invocation) -> int:
    """Do what the first word says."""
    from sandbox.image.manifests import operations

    verb, *names = invocation.arguments
    if verb == "create":
        return _create(invocation, names)
    if verb != "inspect":
        raise UsageError(f"unknown command: sandbox buildx imagetools {verb}", mend="inspect NAME, or create SOURCE…")
    if len(names) != 1:
        raise UsageError("'sandbox buildx imagetools inspect' requires 1 argument")
    context = invocation.context
    where = context.for_operations()
    found = operations.inspect(where, names[0])
    if invocation.flag("raw"):
        context.stdout.write(context.quoted(found.data.decode()))
        return 0
    template = invocation.text("format")
    if template:
        from sandbox.cli.output.inspect_output import print_documents

        configs = operations.configs(where, names[0]) if ".Image" in template else {}
        return print_documents(context, [_document(found, configs)], template)
    _print_summary(invocation, found)
    return 0


def _create(invocation: Invocation, sources: list[str]) -> int:
    from sandbox.image.manifests import operations

    tags = invocation.texts("tag")
    if not sources:
        raise UsageError("no sources specified", mend="sandbox buildx imagetools create -t NAME SOURCE [SOURCE...]")
    dry_run = invocation.flag("dry-run")
    if not tags and not dry_run:
        raise UsageError("can't push with no tags specified, please set --tag or --dry-run")
    if invocation.flag("append"):
        if len(tags) != 1:
            raise UsageError("--append takes one --tag, which it adds to")
        sources = [tags[0], *sources]
    context = invocation.context
    made = operations.combine(context.for_operations(), tags, sources, dry_run=dry_run)
    if dry_run:
        context.print_quoted(made.decode())
    return 0


def _document(found: Found, configs: dict[str, Any]) -> dict[str, Any]:
    manifest = {**json.loads(found.data), "digest": found.digest, "size": len(found.data)}
    manifest.setdefault("mediaType", found.media_type)
    image: Any = configs.get("", configs)
    return {"Name": str(found.reference), "Manifest": manifest, "Image": image}


def _print_summary(invocation: Invocation, found: Found) -> None:
    lines = [f"Name:      {found.reference}", f"MediaType: {found.media_type}", f"Digest:    {found.digest}"]
    repository = found.reference.repository
    document = json.loads(found.data)
    if "manifests" in document:
        lines += [" " * 11, "Manifests: "]
        for entry in document["manifests"]:
            platform = entry.get("platform") or {}
            shown = "/".join(filter(None, (platform.get("os"), platform.get("architecture"), platform.get("variant"))))
            lines += [f"  Name:      {repository}@{entry['digest']}", f"  MediaType: {entry['mediaType']}"]
            if shown:
                lines.append(f"  Platform:  {shown}")
            annotations = entry.get("annotations") or {}
            if annotations:
                lines.append("  Annotations: ")
                lines += [f"    {key + ':':<40} {value}" for key, value in sorted(annotations.items())]
            lines.append(" " * 13)
        lines.pop()
    invocation.context.print_quoted("\n".join(lines))


COMMANDS = (
    Command(
        "buildx imagetools",
        "Look at images in registries, and put indexes together of them",
        "inspect|create [OPTIONS] NAME [NAME...]",
        (
            option("--append", "flag", "Of create: append to an existing manifest"),
            option("--dry-run", "flag", "Of create: show final image instead of pushing"),
            option("--format", "text", "Format the output using the given Go template", "string"),
            option("--raw", "flag", "Show original, unformatted JSON manifest"),
            option("-t --tag", "list", "Of create: set reference for new image", "stringArray"),
        ),
        imagetools,
        least=1,
        examples=(
            "sandbox buildx imagetools inspect --raw alpine",
            "sandbox buildx imagetools create -t me/app:1 me/app:1-amd64 me/app:1-arm64",
        ),
    ),
)
