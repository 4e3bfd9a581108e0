"""`manifest`: what registries say of images, and indexes that are put together of them."""

from __future__ import annotations

import json

from sandbox.cli.command import Command, each
from sandbox.cli.flags import option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Invocation

_INSECURE = option("--insecure", "flag", "Allow communication with an insecure registry")


def inspect(invocation: Invocation) -> int:
    """Print a manifest with tabs, an index with three blanks, as Docker does."""
    from sandbox.image.manifests import operations

    context = invocation.context
    *lists, name = invocation.arguments
    where, insecure = context.for_operations(), invocation.flag("insecure")
    if invocation.flag("verbose"):
        told = operations.inspect_verbose(where, name, "".join(lists), insecure=insecure)
        context.print_quoted(json.dumps(told, indent="\t", ensure_ascii=False))
        return 0
    document = json.loads(operations.inspect(where, name, "".join(lists), insecure=insecure).data)
    indent = 3 if "manifests" in document else "\t"
    context.print_quoted(json.dumps(document, indent=indent, ensure_ascii=False))
    return 0


def create(invocation: Invocation) -> int:
    """Print the list's name."""
    from sandbox.image.manifests import operations

    name, *images = invocation.arguments
    made = operations.create(
        invocation.context.for_operations(), name, images, amend=invocation.flag("amend"),
        insecure=invocation.flag("insecure"),
    )  # fmt: skip
    invocation.context.print(f"Created manifest list {made}")
    return 0


def annotate(invocation: Invocation) -> int:
    """Print nothing, as Docker does."""
    from sandbox.image.manifests import operations

    name, image = invocation.arguments
    annotation = operations.Annotation(
        invocation.text("os") or "",
        invocation.text("arch") or "",
        invocation.text("variant") or "",
        invocation.text("os-version") or "",
        invocation.texts("os-features"),
    )
    operations.annotate(invocation.context.for_operations(), name, image, annotation)
    return 0


def push(invocation: Invocation) -> int:
    """Print the digest."""
    from sandbox.image.manifests import operations

    digest = operations.push(
        invocation.context.for_operations(), invocation.arguments[0], purge=invocation.flag("purge"),
        insecure=invocation.flag("insecure"),
    )  # fmt: skip
    invocation.context.print(digest)
    return 0


def remove(invocation: Invocation) -> int:
    """Print nothing of those that go."""
    from sandbox.image.manifests import operations

    context = invocation.context.for_operations()
    return each(invocation, lambda name: operations.remove(context, name))


COMMANDS = (
    Command(
        "manifest create",
        "Create a local manifest list for annotating and pushing to a registry",
        "MANIFEST_LIST MANIFEST [MANIFEST...]",
        (option("-a --amend", "flag", "Amend an existing manifest list"), _INSECURE),
        create,
        least=2,
        examples=("sandbox manifest create me/app:1 me/app:1-amd64 me/app:1-arm64",),
    ),
    Command(
        "manifest annotate",
        "Add additional information to a local image manifest",
        "[OPTIONS] MANIFEST_LIST MANIFEST",
        (
            option("--arch", "text", "Set architecture", "string"),
            option("--os", "text", "Set operating system", "string"),
            option("--os-features", "list", "Set operating system feature", "strings"),
            option("--os-version", "text", "Set operating system version", "string"),
            option("--variant", "text", "Set architecture variant", "string"),
        ),
        annotate,
        least=2,
        most=2,
        examples=("sandbox manifest annotate --arch arm64 --variant v8 me/app:1 me/app:1-arm64",),
    ),
    Command(
        "manifest inspect",
        "Display an image manifest, or manifest list",
        "[OPTIONS] [MANIFEST_LIST] MANIFEST",
        (_INSECURE, option("-v --verbose", "flag", "Output additional info including layers and platform")),
        inspect,
        least=1,
        most=2,
        examples=("sandbox manifest inspect alpine", "sandbox manifest inspect -v me/app:1 me/app:1-arm64"),
        further=("what is here of an image: sandbox image inspect --raw",),
    ),
    Command(
        "manifest push",
        "Push a manifest list to a repository",
        "[OPTIONS] MANIFEST_LIST",
        (_INSECURE, option("-p --purge", "flag", "Remove the local manifest list after push")),
        push,
        least=1,
        most=1,
        examples=("sandbox manifest push me/app:1",),
    ),
    Command(
        "manifest rm",
        "Delete one or more manifest lists from local storage",
        "MANIFEST_LIST [MANIFEST_LIST...]",
        (),
        remove,
        least=1,
        examples=("sandbox manifest rm me/app:1",),
    ),
)
