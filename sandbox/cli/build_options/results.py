"""`sandbox build`: where the result goes and what is written of it: `-o`, `--push`, `--load`, `--metadata-file`,
`--iidfile`."""

from __future__ import annotations

import json
import os
import secrets
import string
from typing import TYPE_CHECKING, Any

from sandbox.cli.flags import option
from sandbox.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.builder.results.exporting import Exported, ExportRequest
    from sandbox.cli.command import Invocation

OPTIONS = (
    option("-t --tag", "list", 'Name and optionally a tag (format: "name:tag")', "stringArray"),
    option("-o --output", "list", 'Output destination (format: "type=local,dest=path")', "stringArray"),
    option("--push", "flag", 'Shorthand for "--output=type=registry"'),
    option("--load", "flag", 'Shorthand for "--output=type=docker": the image is in this machine\'s store'),
    option("--annotation", "list", "Add annotation to the image", "stringArray"),
    option("--iidfile", "text", "Write the image ID to a file", "string"),
    option("--metadata-file", "text", "Write build result metadata to a file", "string"),
    option("-q --quiet", "flag", "Suppress the build output and print image ID on success"),
)


def read_export(invocation: Invocation, arguments: Mapping[str, str]) -> ExportRequest:
    """What the options above ask for. Raises UsageError."""
    from sandbox.builder.results.exporting import ExportRequest
    from sandbox.builder.results.outputs import read_epoch, read_outputs
    from sandbox.image.references import parse_reference

    names = tuple(parse_reference(name) for name in invocation.texts("tag"))
    for name in names:
        if name.digest:
            raise UsageError(f"invalid tag {name.familiar!r}: a digest cannot be given", mend="-t NAME:TAG")
    outputs = read_outputs(
        invocation.texts("output"), names, invocation.texts("annotation"),
        push=invocation.flag("push"), load=invocation.flag("load"),
    )  # fmt: skip
    # before anything is built: where these lie must be known
    for path in (invocation.text("iidfile"), invocation.text("metadata-file"), *(output.dest for output in outputs)):
        if path not in (None, "", "-"):
            invocation.context.cwd.absolute(path)
    return ExportRequest(
        outputs,
        invocation.context.cwd,
        read_epoch(invocation.context.env, arguments),
        portable=invocation.given("metadata-file"),
    )


def write_results(invocation: Invocation, exported: Exported) -> None:
    """Write the files that were asked for, and say what was made: the ID alone where `-q` wants it."""
    context = invocation.context
    for key, text in (("iidfile", exported.image_id), ("metadata-file", json.dumps(_metadata(exported), indent=2))):
        path = invocation.text(key)
        if path is not None:
            _write(context.cwd.absolute(path), text)
    if invocation.flag("quiet"):
        context.print(exported.image_id)
        return
    if exported.loaded:
        context.note(f"Built {exported.image_id}")
        for name in exported.names:
            context.note(f"Tagged {name.familiar if name.tag else name.familiar + ':latest'}")


def _metadata(exported: Exported) -> dict[str, Any]:
    """What buildx writes, under its keys."""
    alphabet = string.ascii_lowercase + string.digits
    reference = "".join(secrets.choice(alphabet) for _letter in range(25))
    found: dict[str, Any] = {"buildx.build.ref": f"default/default/{reference}"}
    if exported.digest:
        annotations = {"config.digest": exported.image_id}
        if exported.created:
            annotations["org.opencontainers.image.created"] = exported.created
        found |= {
            "containerimage.config.digest": exported.image_id,
            "containerimage.descriptor": {
                "mediaType": exported.media_type,
                "digest": exported.digest,
                "size": exported.size,
                "annotations": annotations,
            },
            "containerimage.digest": exported.digest,
        }
    if exported.names:
        found["image.name"] = ",".join(name.name for name in exported.names)
    return found


def _write(path: str, text: str) -> None:
    from sandbox.image.archive.whole_file import written_whole

    with written_whole(path) as file:
        file.write(text.encode())
        if file.seekable():
            os.fchmod(file.fileno(), 0o644)
