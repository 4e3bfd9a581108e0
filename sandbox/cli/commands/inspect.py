"""`sandbox inspect`: whatever a name means, as its document."""

from __future__ import annotations

from sandbox.cli.command import Command, Invocation, render_error, with_meant_name
from sandbox.cli.flags import option
from sandbox.errors import ImageError, NotFoundError, SandboxError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from sandbox.operation_context import OperationContext

    Document = dict[str, Any]  # Any: JSON

#: Docker's kinds of which there are none here
_ABSENT_KINDS = ("node", "plugin")


def inspect(invocation: Invocation) -> int:
    """Print the documents of what each name means; 1 if any means nothing."""
    from sandbox.cli.output.inspect_output import print_documents

    context = invocation.context
    kind = invocation.text("type") or ""
    kinds = [kind] if invocation.given("type") else ["container", *_READERS]
    known = ("container", *_READERS, *_ABSENT_KINDS)
    if kinds[0] not in known:
        valid = ", ".join(f'"{name}"' for name in sorted(known))
        what = f'unknown type: "{kind}"' if kind else "type is empty"
        # not one of the slips that Docker answers with 125
        raise SandboxError(f"{what}: must be one of {valid}", mend="leave --type out")
    with_size = invocation.flag("size")
    if with_size and kind not in ("", "container"):
        context.note(f"WARNING: --size ignored for {kind}s")
    where, words = context.for_operations(), invocation.arguments
    documents, failures = [], []
    for word, container in zip(words, _containers(where, words, kinds, with_size=with_size), strict=True):
        try:
            documents.append(_describe(where, word, kinds, container))
        except SandboxError as error:
            failures.append(with_meant_name(invocation, error, (word,)))
    try:
        status = print_documents(context, documents, invocation.text("format"))
    finally:
        # also where the template failed on one of those found
        for failure in failures:
            context.note(render_error(failure))
    return status or (1 if failures else 0)


def _containers(
    context: OperationContext, words: tuple[str, ...], kinds: list[str], *, with_size: bool
) -> Sequence[Document | SandboxError]:
    """Of each word the container; an error where it is none, or none is asked for."""
    if "container" not in kinds:
        return [NotFoundError("")] * len(words)
    from sandbox.container import operations

    return operations.inspect_each(context, words, with_size=with_size)


def _describe(context: OperationContext, word: str, kinds: list[str], container: Document | SandboxError) -> Document:
    """The document of the first of `kinds` that knows the word."""
    if not isinstance(container, SandboxError):
        return container
    if kinds == ["container"] or not isinstance(container, NotFoundError):
        raise container
    near = container.near
    for kind in kinds:
        if kind == "container":
            continue
        reader = _READERS.get(kind)
        if reader is None:
            raise NotFoundError(f"No such {kind}: {word}", cause=f"there are no {kind}s here")
        try:
            return reader(context, word)
        except (NotFoundError, ImageError) as error:
            if len(kinds) == 1:
                raise
            near = near or (error.near if isinstance(error, NotFoundError) else "")
    mend = "sandbox ps -a; sandbox images; sandbox network ls; sandbox volume ls"
    raise NotFoundError(f"No such object: {word}", mend=mend, word=word, near=near)


def _image(context: OperationContext, word: str) -> Document:
    from sandbox.image import operations

    return operations.inspect(context, word)


def _network(context: OperationContext, word: str) -> Document:
    from sandbox.network import operations

    return operations.inspect(context, word)


def _volume(context: OperationContext, word: str) -> Document:
    from sandbox.volume import operations

    return operations.inspect(context, word)


def _service(context: OperationContext, word: str) -> Document:
    from sandbox.service.documents import service_document
    from sandbox.service.known_names import known_names
    from sandbox.service.looking import inspect

    return service_document(inspect(context, word), known_names(context), defaults=True)


def _task(context: OperationContext, word: str) -> Document:
    from sandbox.service.documents import task_document
    from sandbox.service.known_names import known_names
    from sandbox.service.looking import inspect_task

    row = inspect_task(context, word)
    return task_document(row.task, row.service, row.spec, known_names(context))


def _secret(context: OperationContext, word: str) -> Document:
    from sandbox.secret import operations

    return operations.inspect(context, "secret", word)


def _config(context: OperationContext, word: str) -> Document:
    from sandbox.secret import operations

    return operations.inspect(context, "config", word)


#: in the order of Docker's client
_READERS: dict[str, Callable[[OperationContext, str], Document]] = {
    "image": _image,
    "network": _network,
    "volume": _volume,
    "service": _service,
    "task": _task,
    "secret": _secret,
    "config": _config,
}

COMMANDS: tuple[Command, ...] = (
    Command(
        "system inspect",
        "Return low-level information on containers, images, networks and volumes",
        "[OPTIONS] NAME|ID [NAME|ID...]",
        (
            option("-f --format", "text", "Format the output: 'json', or a Go template", "string"),
            option("-s --size", "flag", "Display total file sizes if the type is container"),
            option(
                "--type",
                "text",
                "Only inspect objects of the given type: " + ", ".join(("container", *_READERS)),
                "string",
            ),
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
