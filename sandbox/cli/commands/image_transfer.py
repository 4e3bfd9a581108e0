"""`pull`, `push`, `load`, `save`, `import`: images coming and going."""

from __future__ import annotations

from contextlib import closing, contextmanager

from sandbox.cli.command import Command
from sandbox.cli.flags import option
from sandbox.errors import NotFoundError, SandboxError
from sandbox.image import operations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from sandbox.cli.command import Context, Invocation
    from sandbox.image.references import Reference
    from sandbox.image.store import ImageRecord
    from sandbox.image.transfer.progress import Progress
    from sandbox.operation_context import OperationContext

#: where it is said how registries are reached
SETTINGS = "mirrors, private certificates, plain HTTP and proxies: docs/configuration.md"
PLATFORM = option("--platform", "text", "Platform of a multi-platform image", "os/arch")


def pull(invocation: Invocation) -> int:
    """Print what `docker pull` prints."""
    (name,) = invocation.arguments
    context, platform = _operating(invocation, invocation.context.stdout), invocation.text("platform")
    if invocation.flag("all-tags"):
        pulled = operations.pull_all_tags(context, name, platform)
    else:
        pulled = (operations.pull(context, name, platform),)
    for one in pulled:
        invocation.context.print(str(one.reference))
    return 0


def push(invocation: Invocation) -> int:
    """Print what `docker push` prints."""
    (name,) = invocation.arguments
    context = _operating(invocation, invocation.context.stdout)
    all_tags, platform = invocation.flag("all-tags"), invocation.text("platform")
    pushed = operations.push(context, name, all_tags=all_tags, platform=platform)
    if invocation.flag("quiet"):
        for one in pushed:
            invocation.context.print(str(one.reference))
    return 0


def load(invocation: Invocation) -> int:
    """Print what `docker load` prints."""
    context = invocation.context
    progress = _open_progress(invocation, context.stdout, layers=False)
    tell = context.print if invocation.flag("quiet") else progress.line

    def done(names: tuple[Reference, ...], record: ImageRecord) -> None:
        for name in names:
            tell(f"Loaded image: {name.familiar if name.tag else name.familiar + ':latest'}")
        if not names:
            tell(f"Loaded image ID: {record.id}")

    with closing(progress), _open_input(context, invocation.text("input")) as archive:
        operations.load(context.for_operations(lambda: progress), archive, invocation.text("platform"), done)
    return 0


def save(invocation: Invocation) -> int:
    """Write the archive to a file, whole or not at all, or to standard output."""
    from sandbox.image.archive.whole_file import written_whole

    context = invocation.context
    output, platform = invocation.text("output"), invocation.text("platform")
    where = context.for_operations()
    if output is None:
        if context.stdout.isatty():
            raise SandboxError("cowardly refusing to save to a terminal", mend="use the -o flag or redirect")
        context.stdout.flush()
        operations.save(where, invocation.arguments, context.stdout.buffer, platform)
        return 0
    with written_whole(context.cwd.absolute(output)) as stream:
        operations.save(where, invocation.arguments, stream, platform)
    return 0


def import_(invocation: Invocation) -> int:
    """Print the new image's ID."""
    from datetime import UTC, datetime

    from sandbox.builder.changes import apply_changes
    from sandbox.image.archive.importing import ImportRequest, download
    from sandbox.image.platforms import host_platform, parse_platform
    from sandbox.image.references import parse_reference
    from sandbox.image.web.web_file import is_url
    from sandbox.redaction import redact

    context = invocation.context
    source, *name = invocation.arguments
    platform = invocation.text("platform") or context.env.get("DOCKER_DEFAULT_PLATFORM")
    request = ImportRequest(
        parse_reference(name[0]) if name else None,
        apply_changes({}, invocation.texts("change")),
        invocation.text("message") or "",
        parse_platform(platform) if platform else host_platform(),
        datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        redact(source) if is_url(source) else "-",
    )
    where = _operating(invocation, context.stderr, layers=False)
    if is_url(source):
        with download(source, where.paths, where.env) as file:
            record = operations.import_tree(where, operations.Archive(file, redact(source)), request)
    else:
        with _open_input(context, None if source == "-" else source) as archive:
            record = operations.import_tree(where, archive, request)
    context.print(record.id)
    return 0


def _operating(invocation: Invocation, story: TextIO, *, layers: bool = True) -> OperationContext:
    return invocation.context.for_operations(lambda: _open_progress(invocation, story, layers=layers))


def _open_progress(invocation: Invocation, story: TextIO, *, layers: bool = True) -> Progress:
    from sandbox.image.transfer.progress import choose_progress

    context = invocation.context
    # `import` has no such option
    quiet = invocation.given("quiet") and invocation.flag("quiet")
    return choose_progress(story, context.stderr, context.env, quiet=quiet, layers=layers)


@contextmanager
def _open_input(context: Context, path: str | None) -> Iterator[operations.Archive]:
    import sys

    if path is None:
        if sys.stdin.isatty():
            raise SandboxError("requested load from stdin, but stdin is empty", mend="use -i FILE or redirect")
        yield operations.Archive(sys.stdin.buffer, "standard input")
        return
    try:
        stream = open(context.cwd.absolute(path), "rb")  # noqa: SIM115  closed below
    except OSError as error:
        raise NotFoundError(f"cannot open {path}", cause=error.strerror or "", mend=f"ls -l {path}") from error
    with stream:
        yield operations.Archive(stream, path)


COMMANDS = (
    Command(
        "image pull",
        "Download an image from a registry",
        "[OPTIONS] NAME[:TAG|@DIGEST]",
        (
            option("-a --all-tags", "flag", "Download all tagged images in the repository"),
            PLATFORM,
            option("-q --quiet", "flag", "Suppress verbose output"),
        ),
        pull,
        least=1,
        most=1,
        examples=("sandbox pull alpine", "sandbox pull --platform linux/arm64 127.0.0.1:5000/web"),
        further=(SETTINGS,),
    ),
    Command(
        "image push",
        "Upload an image to a registry",
        "[OPTIONS] NAME[:TAG]",
        (
            option("-a --all-tags", "flag", "Push all tags of an image to the repository"),
            option("--platform", "text", "Push a platform-specific manifest, if the image is for it", "string"),
            option("-q --quiet", "flag", "Suppress verbose output"),
            option("--disable-content-trust", "flag", "Skip image signing: there is none", default=True, hidden=True),
        ),
        push,
        least=1,
        most=1,
        examples=("sandbox push 127.0.0.1:5000/web:2", "sandbox push -a ghcr.io/user/app"),
        further=(SETTINGS,),
    ),
    Command(
        "image load",
        "Load an image from a tar archive or standard input",
        "[OPTIONS]",
        (
            option("-i --input", "text", "Read from tar archive file, instead of standard input", "string"),
            option("-q --quiet", "flag", "Suppress the load output"),
            PLATFORM,
        ),
        load,
        most=0,
        examples=(
            "sandbox load -i busybox.tar",
            "skopeo copy docker://alpine docker-archive:/dev/stdout | sandbox load",
        ),
    ),
    Command(
        "image save",
        "Save one or more images to a tar archive",
        "[OPTIONS] IMAGE [IMAGE...]",
        (option("-o --output", "text", "Write to a file, instead of standard output", "string"), PLATFORM),
        save,
        least=1,
        examples=("sandbox save -o alpine.tar alpine",),
    ),
    Command(
        "image import",
        "Make an image of the contents of a tar archive",
        "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
        (
            option("-c --change", "list", "Apply Dockerfile instruction to the created image", "list"),
            option("-m --message", "text", "Set commit message for imported image", "string"),
            PLATFORM,
        ),
        import_,
        least=1,
        most=2,
        examples=("sandbox import rootfs.tar.gz mine:1", "sandbox import -c 'CMD [\"sh\"]' - mine < rootfs.tar"),
    ),
)
