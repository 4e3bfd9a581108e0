"""`sandbox build`: an image from a Dockerfile and a directory."""

from __future__ import annotations

import os

from sandbox.cli.command import Command, Context, Invocation
from sandbox.cli.flags import option
from sandbox.errors import NotFoundError, SandboxError, UsageError

_NETWORKS = ("default", "none", "host")
_PROGRESS = ("auto", "plain", "quiet")
_NOT_BUILT_CONTEXTS = ("http://", "https://", "git://", "git@", "ssh://")


def build(invocation: Invocation) -> int:
    """Print the image's ID where `-q` asks for it; progress and errors go to standard error."""
    # the language, and what builds, are for this command alone
    from sandbox.build.build_image import BuildOptions, build_image
    from sandbox.build.plain_progress import PlainProgress
    from sandbox.container.image_lookup import choose_progress
    from sandbox.image.references import parse_reference

    context = invocation.context
    path = invocation.arguments[0]
    if path.startswith(_NOT_BUILT_CONTEXTS):
        raise UsageError(f"building from {path} is not built yet", mend="clone or download it, and build the directory")
    file = invocation.text("file") or ""
    quiet = invocation.flag("quiet") or _one_of(invocation, "progress", _PROGRESS) == "quiet"
    if path == "-" and file not in ("", "-"):
        raise UsageError("a Dockerfile of its own with a context on standard input is not built yet")
    options = BuildOptions(
        "" if path == "-" else os.path.join(context.cwd, path),
        os.path.join(context.cwd, file) if file not in ("", "-") else file,
        tuple(parse_reference(name) for name in invocation.texts("tag")),
        _pairs(invocation.texts("build-arg"), context),
        invocation.text("target") or "",
        no_cache=invocation.flag("no-cache"),
        pull=invocation.flag("pull"),
        labels=_labels(invocation.texts("label")),
        network=_one_of(invocation, "network", _NETWORKS),
        secrets=dict(_read_secret(text, context) for text in invocation.texts("secret")),
        events=PlainProgress(quiet=quiet),
    )
    for name in options.names:
        if name.digest:
            raise UsageError(f"invalid tag {name.familiar!r}: a digest cannot be given", mend="-t NAME:TAG")
    progress = choose_progress(context.stderr, context.env, quiet=quiet)
    record = build_image(context.find_paths(), context.env, options, progress)
    _write_iidfile(invocation, record.id)
    if quiet:
        context.print(record.id)
        return 0
    context.note(f"Built {record.id}")
    for name in options.names:
        context.note(f"Tagged {name.familiar if name.tag else name.familiar + ':latest'}")
    return 0


def _one_of(invocation: Invocation, key: str, known: tuple[str, ...]) -> str:
    value = invocation.text(key) or known[0]
    if value not in known:
        raise UsageError(f"--{key} {value} is not built yet, or no such thing", mend=f"--{key} {'|'.join(known)}")
    return value


def _pairs(texts: tuple[str, ...], context: Context) -> dict[str, str]:
    """NAME=VALUE, or NAME with its value from the environment; one that is not set there is not given."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name:
            raise UsageError(f"invalid --build-arg {text!r}", mend="--build-arg NAME=VALUE")
        if equals:
            found[name] = value
        elif name in context.env:
            found[name] = context.env[name]
    return found


def _labels(texts: tuple[str, ...]) -> dict[str, str]:
    return dict(text.partition("=")[::2] for text in texts)


def _read_secret(text: str, context: Context) -> tuple[str, bytes]:
    fields = dict(field.partition("=")[::2] for field in text.split(","))
    unknown = fields.keys() - {"id", "src", "source", "env", "type"}
    name = fields.get("id") or ""
    if unknown or not name:
        raise UsageError(f"invalid --secret {text!r}", mend="--secret id=NAME,src=FILE or id=NAME,env=VARIABLE")
    source = fields.get("src") or fields.get("source") or ""
    variable = fields.get("env") or (name if not source and name in context.env else "")
    if variable:
        if variable not in context.env:
            raise NotFoundError(f"the variable {variable} of --secret {name} is not set")
        return name, os.fsencode(context.env[variable])
    try:
        with open(os.path.join(context.cwd, source or name), "rb") as file:
            return name, file.read()
    except OSError as error:
        raise NotFoundError(f"cannot read the secret {name}", cause=f"{source or name}: {error.strerror}") from error


def _write_iidfile(invocation: Invocation, image_id: str) -> None:
    path = invocation.text("iidfile")
    if path is None:
        return
    try:
        with open(os.path.join(invocation.context.cwd, path), "w") as file:
            file.write(image_id)
    except OSError as error:
        raise SandboxError(f"cannot write {path}", cause=error.strerror or str(error)) from error


COMMANDS: tuple[Command, ...] = (
    Command(
        "image build",
        "Build an image from a Dockerfile",
        "[OPTIONS] PATH|-",
        (
            option("-t --tag", "list", 'Name and optionally a tag (format: "name:tag")', "stringArray"),
            option("-f --file", "text", 'Name of the Dockerfile (default: "PATH/Dockerfile")', "string"),
            option("--build-arg", "list", "Set build-time variables", "stringArray"),
            option("--target", "text", "Set the target build stage to build", "string"),
            option("--no-cache", "flag", "Do not use cache when building the image"),
            option("--pull", "flag", "Always attempt to pull all referenced images"),
            option("-q --quiet", "flag", "Suppress the build output and print image ID on success"),
            option("--iidfile", "text", "Write the image ID to a file", "string"),
            option("--label", "list", "Set metadata for an image", "stringArray"),
            option("--network", "text", "Set the networking mode for RUN (default, none, host)", "string", "default"),
            option("--progress", "text", "Set type of progress output (auto, plain, quiet)", "string", "auto"),
            option("--secret", "list", 'Secret to expose to the build ("id=mysecret[,src=/local/secret]")', "list"),
        ),
        build,
        least=1,
        most=1,
        examples=("sandbox build -t app .", "sandbox build -t tools - < Dockerfile"),
    ),
)
