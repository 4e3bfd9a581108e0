"""`pull`, `push`, `load`, `save`, `import`: images coming and going."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from sandbox.cli.command import Command
from sandbox.cli.flags import option
from sandbox.errors import NotFoundError, SandboxError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from sandbox.cli.command import Context, Invocation
    from sandbox.image.references import Reference
    from sandbox.image.store import ImageRecord

#: where it is said how registries are reached
SETTINGS = "mirrors, private certificates, plain HTTP and proxies: docs/configuration.md"
PLATFORM = option("--platform", "text", "Platform of a multi-platform image", "os/arch")


def pull(invocation: Invocation) -> int:
    """Print what `docker pull` prints."""
    from sandbox.image.transfer.progress import choose_progress
    from sandbox.image.transfer.pull import pull_all_tags, pull_image

    context = invocation.context
    (text,) = invocation.arguments
    quiet = invocation.flag("quiet")
    progress = choose_progress(context.stdout, context.stderr, context.env, quiet=quiet)
    where = (context.find_paths(), context.env, text, invocation.text("platform"), progress)
    try:
        pulled = pull_all_tags(*where) if invocation.flag("all-tags") else (pull_image(*where),)
    finally:
        progress.close()
    for one in pulled:
        context.print(str(one.reference))
    return 0


def push(invocation: Invocation) -> int:
    """Print what `docker push` prints."""
    from sandbox.image.transfer.progress import choose_progress
    from sandbox.image.transfer.push import push_image

    context = invocation.context
    (text,) = invocation.arguments
    quiet = invocation.flag("quiet")
    progress = choose_progress(context.stdout, context.stderr, context.env, quiet=quiet)
    try:
        pushed = push_image(
            context.find_paths(), context.env, text, progress,
            all_tags=invocation.flag("all-tags"), platform=invocation.text("platform"),
        )  # fmt: skip
    finally:
        progress.close()
    if quiet:
        for one in pushed:
            context.print(str(one.reference))
    return 0


def load(invocation: Invocation) -> int:
    """Print what `docker load` prints."""
    from sandbox.image.archive.archives import load_archive
    from sandbox.image.platforms import host_platform, parse_platform
    from sandbox.image.transfer.progress import choose_progress

    context = invocation.context
    platform = invocation.text("platform")
    quiet = invocation.flag("quiet")
    wanted = parse_platform(platform) if platform else host_platform()
    progress = choose_progress(context.stdout, context.stderr, context.env, quiet=quiet, layers=False)
    tell = context.print if quiet else progress.line

    def done(names: tuple[Reference, ...], record: ImageRecord) -> None:
        for name in names:
            tell(f"Loaded image: {name.familiar if name.tag else name.familiar + ':latest'}")
        if not names:
            tell(f"Loaded image ID: {record.id}")

    with _open_input(context, invocation.text("input")) as (stream, what), closing(progress):
        load_archive(context.find_paths(), stream, what, wanted, done, progress)
    return 0


def save(invocation: Invocation) -> int:
    """Write the archive to a file, whole or not at all, or to standard output."""
    from sandbox.image.archive.saving import choose_images, write_archive
    from sandbox.image.archive.whole_file import written_whole

    context = invocation.context
    output = invocation.text("output")
    paths = context.find_paths()
    images = choose_images(paths, invocation.arguments)
    if output is None:
        if context.stdout.isatty():
            raise SandboxError("cowardly refusing to save to a terminal", mend="use the -o flag or redirect")
        context.stdout.flush()
        write_archive(paths, images, context.stdout.buffer)
        return 0
    with written_whole(context.cwd.absolute(output)) as stream:
        write_archive(paths, images, stream)
    return 0


def import_(invocation: Invocation) -> int:
    """Print the new image's ID."""
    from datetime import UTC, datetime

    from sandbox.image.archive.importing import ImportRequest, download, import_archive
    from sandbox.image.platforms import host_platform, parse_platform
    from sandbox.image.references import parse_reference
    from sandbox.image.transfer.progress import choose_progress
    from sandbox.image.web.web_file import is_url
    from sandbox.redaction import redact

    context = invocation.context
    source, *name = invocation.arguments
    platform = invocation.text("platform")
    request = ImportRequest(
        parse_reference(name[0]) if name else None,
        invocation.texts("change"),
        invocation.text("message") or "",
        parse_platform(platform) if platform else host_platform(),
        datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    )
    paths = context.find_paths()
    progress = choose_progress(context.stderr, context.stderr, context.env, quiet=False, layers=False)
    with closing(progress):
        if is_url(source):
            with download(source, paths, context.env) as file:
                record = import_archive(paths, file, redact(source), request, progress)
        else:
            with _open_input(context, None if source == "-" else source) as (stream, what):
                record = import_archive(paths, stream, what, request, progress)
    context.print(record.id)
    return 0


@contextmanager
def _open_input(context: Context, path: str | None) -> Iterator[tuple[BinaryIO, str]]:
    import sys

    if path is None:
        if sys.stdin.isatty():
            raise SandboxError("requested load from stdin, but stdin is empty", mend="use -i FILE or redirect")
        yield sys.stdin.buffer, "standard input"
        return
    try:
        stream = open(context.cwd.absolute(path), "rb")  # noqa: SIM115  closed below
    except OSError as error:
        raise NotFoundError(f"cannot open {path}", cause=error.strerror or "", mend=f"ls -l {path}") from error
    with stream:
        yield stream, path


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
        (option("-o --output", "text", "Write to a file, instead of standard output", "string"),),
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
