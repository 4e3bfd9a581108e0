"""Where the result of a build goes that a client of BuildKit asks for: the store here, or the client itself.

What goes to the client is made in the build's own place first, and sent when it is whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.api.buildkit.file_send import write_index
from sandbox.builder.results.outputs import read_outputs
from sandbox.errors import UsageError
from sandbox.image.references import parse_reference

if TYPE_CHECKING:
    from sandbox.api.buildkit.frontend_request import FrontendBuild
    from sandbox.api.buildkit.line import Asker
    from sandbox.builder.progress.progress import Event
    from sandbox.builder.results.exporting import ExportRequest
    from sandbox.builder.results.outputs import Output
    from sandbox.builder.sources.contexts import ContextRoom

#: of Docker's own builder, whose images are in the engine's store
_STORES = ("moby", "image", "")
#: fields that clients send by themselves, and that ask nothing of us
_PASSED_OVER = frozenset(
    {"dest", "load", "unpack", "store", "context", "attestation-prefix", "prefer-nondist-layers", "buildinfo",
     "buildinfo-attrs", "danging-name-prefix", "dangling-name-prefix", "unsafe-internal-store-allow-incomplete"}
)  # fmt: skip


def read_outputs_of(request: FrontendBuild, room: ContextRoom) -> tuple[Output, ...]:
    """The builder's outputs, in the order of the exporters. Raises UsageError."""
    found: list[Output] = []
    for kind, attributes in request.exporters:
        names = tuple(parse_reference(name) for name in attributes.get("name", "").split(",") if name)
        fields = [f"{key}={value}" for key, value in attributes.items() if key not in _PASSED_OVER and key != "name"]
        if kind in _STORES:
            text = ",".join(("type=image", *fields))
        elif kind == "local":
            # as an archive: of a directory the owner of its files may be kept out by their modes
            text = f"type=tar,dest={room.new_directory()}/result"
        elif kind in ("tar", "oci", "docker"):
            text = ",".join((f"type={kind}", f"dest={room.new_directory()}/result", *fields))
        else:
            raise UsageError(f"exporter {kind!r} is not supported here")
        found += read_outputs((text,), names, (), push=False, load=False)
    return tuple(found) or read_outputs(("type=cacheonly",), (), (), push=False, load=False)


def send_outputs(request: FrontendBuild, export: ExportRequest, asker: Asker) -> None:
    """Send the client what is its own. Raises RpcError."""
    for number, ((kind, attributes), output) in enumerate(zip(request.exporters, export.outputs, strict=False)):
        if kind == "local":
            write_index(output.dest)
            asker.ask("send-tree", number=number, path=output.dest)
        elif output.dest:
            asker.ask("send-file", number=number, path=output.dest, metadata=dict(attributes))


def shown(event: Event, request: FrontendBuild, outputs: tuple[Output, ...]) -> Event:
    """The event without our own places in it, as a client is used to see its outputs."""
    for (kind, _attributes), output in zip(request.exporters, outputs, strict=False):
        if output.dest and event.text.endswith(output.dest):
            return event._replace(text="copying files" if kind == "local" else "sending tarball")
        if kind == "local" and event.step is not None and event.step.name == "exporting to client tarball":
            return event._replace(step=event.step._replace(name="exporting to client directory"))
    return event
