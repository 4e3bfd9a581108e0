"""`buildx imagetools`: the same views of registries as `manifest`, by the names of Docker's plugin."""

from __future__ import annotations

import json

from sandbox.cli.command import Command
from sandbox.cli.flags import option
from sandbox.errors import UsageError
from sandbox.image.manifests import operations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sandbox.cli.command import Invocation
    from sandbox.image.manifests.operations import Found


def imagetools(invocation: Invocation) -> int:
    """Do what the first word says."""
    verb, *names = invocation.arguments
    if verb != "inspect":
        raise UsageError(
            f"sandbox buildx imagetools {verb} is not built",
            mend="sandbox manifest create NAME IMAGE…, then: sandbox manifest push NAME",
        )
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
        "inspect [OPTIONS] NAME",
        (
            option("--format", "text", "Format the output using the given Go template", "string"),
            option("--raw", "flag", "Show original, unformatted JSON manifest"),
        ),
        imagetools,
        least=1,
        examples=("sandbox buildx imagetools inspect --raw alpine",),
        further=("indexes are put together by: sandbox manifest create",),
    ),
)
