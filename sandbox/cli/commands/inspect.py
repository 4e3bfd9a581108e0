"""`sandbox inspect`: whatever a name means, as its document."""

from __future__ import annotations

from sandbox.cli.command import Command, Invocation, render_error, with_meant_name
from sandbox.cli.flags import option
from sandbox.errors import ImageError, NotFoundError, SandboxError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sandbox.operation_context import OperationContext

    Document = dict[str, Any]  # Any: JSON

#: Docker's kinds of which there are none here
_ABSENT_KINDS = ("config", "network", "node", "plugin", "secret", "service", "task")


def inspect(invocation: Invocation) -> int:
    """Print the documents of what each name means; 1 if any means nothing."""
    from sandbox.cli.output.inspect_output import print_documents

    context = invocation.context
    kind = invocation.text("type") or ""
    kinds = [kind] if invocation.given("type") else list(_READERS)
    if kinds[0] not in (*_READERS, *_ABSENT_KINDS):
        valid = ", ".join(f'"{name}"' for name in sorted((*_READERS, *_ABSENT_KINDS)))
        what = f'unknown type: "{kind}"' if kind else "type is empty"
        # not one of the slips that Docker answers with 125
        raise SandboxError(f"{what}: must be one of {valid}", mend="leave --type out")
    with_size = invocation.flag("size")
    if with_size and kind not in ("", "container"):
        context.note(f"WARNING: --size ignored for {kind}s")
    where = context.for_operations()
    documents, failures = [], []
    for word in invocation.arguments:
        try:
            documents.append(_describe(where, word, kinds, with_size=with_size))
        except SandboxError as error:
            failures.append(with_meant_name(invocation, error, (word,)))
    status = print_documents(context, documents, invocation.text("format"))
    for failure in failures:
        context.note(render_error(failure))
    return status or (1 if failures else 0)


def _describe(context: OperationContext, word: str, kinds: list[str], *, with_size: bool) -> Document:
    """The document of the first of `kinds` that knows the word."""
    near = ""
    for kind in kinds:
        reader = _READERS.get(kind)
        if reader is None:
            raise NotFoundError(f"No such {kind}: {word}", cause=f"there are no {kind}s here")
        try:
            return reader(context, word, with_size)
        except (NotFoundError, ImageError) as error:
            if len(kinds) == 1:
                raise
            near = near or (error.near if isinstance(error, NotFoundError) else "")
    mend = "sandbox ps -a; sandbox images; sandbox volume ls"
    raise NotFoundError(f"No such object: {word}", mend=mend, word=word, near=near)


def _container(context: OperationContext, word: str, with_size: bool) -> Document:
    from sandbox.container import operations

    return operations.inspect(context, word, with_size=with_size)


def _image(context: OperationContext, word: str, _with_size: bool) -> Document:
    from sandbox.image import operations

    return operations.inspect(context, word)


def _volume(context: OperationContext, word: str, _with_size: bool) -> Document:
    from sandbox.volume import operations

    return operations.inspect(context, word)


#: in the order of Docker's client: a container's name wins over an image's
_READERS: dict[str, Callable[[OperationContext, str, bool], Document]] = {
    "container": _container,
    "image": _image,
    "volume": _volume,
}

COMMANDS: tuple[Command, ...] = (
    Command(
        "system inspect",
        "Return low-level information on containers, images and volumes",
        "[OPTIONS] NAME|ID [NAME|ID...]",
        (
            option("-f --format", "text", "Format the output: 'json', or a Go template", "string"),
            option("-s --size", "flag", "Display total file sizes if the type is container"),
            option("--type", "text", "Only inspect objects of the given type: container, image, volume", "string"),
        ),
        inspect,
        least=1,
        examples=(
            "sandbox inspect web",
            "sandbox inspect -f '{{json .Config.Env}}' nginx",
            "sandbox inspect --type volume data",
        ),
    ),
)
