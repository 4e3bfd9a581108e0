"""`compose build`."""

from __future__ import annotations

from sandbox.cli.command import Command
from sandbox.cli.compose_call import as_command, loaded, parallel_of, tell_left_out_of_builds
from sandbox.cli.compose_images import is_classic
from sandbox.cli.flags import option
from sandbox.compose.builds import BuildChoice, service_builds
from sandbox.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.build_options.progress import Display
    from sandbox.cli.command import Invocation
    from sandbox.compose.builds import ServiceBuild

#: Compose's word for a progress -> that of a build
_PROGRESS = {"json": "rawjson"}


def build(invocation: Invocation) -> int:
    """Build the images of services; progress goes to standard output, as Compose has it."""
    from sandbox.compose.building import build_all
    from sandbox.stack.project_request import Steps

    context, names = invocation.context, invocation.arguments
    project = loaded(invocation, names, Steps(resolves_environment=False))
    wanted = project.services.names if invocation.flag("with-dependencies") or not names else names
    builds = service_builds(project, wanted, read_choice(invocation))
    if not builds:
        context.note("WARNING: No services to build")
        return 0
    tell_left_out_of_builds(invocation, project, wanted)
    if invocation.flag("print"):
        from sandbox.compose.bake import bake_document

        context.print(bake_document(builds))
        return 0
    if invocation.flag("check"):
        return _check(invocation, builds)
    if invocation.of_noun.get("dry-run"):
        for each in builds:
            context.note(f"DRY-RUN MODE -  Image {each.names[0]} Built ")
        return 0
    display = choose_display(invocation)
    try:
        built = build_all(context.for_operations(), builds, display, parallel_of(invocation))
    finally:
        display.close()
    if not invocation.flag("quiet"):
        for one in built:
            context.note(f" Image {one.name} Built ")
    return 0


def read_choice(invocation: Invocation) -> BuildChoice:
    """What the options say of all builds. Raises UsageError for what cannot be had."""
    if invocation.text("memory") not in (None, "", "0"):
        invocation.context.note("WARNING: --memory: a build has no limit of its own")
    for key in ("provenance", "sbom"):
        if (invocation.text(key) or "false") not in ("false", "0"):
            raise UsageError(f"--{key}: images are built without attestations", mend=f"leave it out, or --{key}=false")
    # without a value it is the agent
    ssh = (invocation.text("ssh") or "default") if invocation.given("ssh") else ""
    return BuildChoice(
        invocation.texts("build-arg"),
        invocation.flag("no-cache"),
        invocation.flag("pull"),
        invocation.flag("push"),
        (ssh,) if ssh else (),
        every_platform=not invocation.flag("print"),
        is_classic=is_classic(invocation),
    )


def choose_display(invocation: Invocation, *, quiet: bool = False) -> Display:
    """Who shows the builds: `--progress`, before the verb or behind it, and BUILDKIT_PROGRESS. Raises UsageError."""
    from sandbox.cli.build_options.progress import choose_display as choose

    behind = invocation.text("progress") if any(o.key == "progress" for o in invocation.command.options) else None
    said = behind or str(invocation.of_noun.get("progress", ""))
    is_quiet = quiet or ("quiet" in invocation.values and invocation.flag("quiet"))
    values = {"progress": _PROGRESS.get(said, said)} if said else {}
    command = as_command(invocation, "image build", (), {**values, **({"quiet": True} if is_quiet else {})})
    return choose(command, on_output=True)


def _check(invocation: Invocation, builds: tuple[ServiceBuild, ...]) -> int:
    """Hold each Dockerfile against the rules; build nothing."""
    from sandbox.compose.building import check_service

    status = 0
    for each in builds:
        answer = check_service(invocation.context.for_operations(), each)
        invocation.context.print(answer.text)
        status = status or answer.status
    return status


COMMANDS: tuple[Command, ...] = (
    Command(
        "compose build",
        "Build or rebuild services",
        "[OPTIONS] [SERVICE...]",
        (
            option("--build-arg", "list", "Set build-time variables for services", "stringArray"),
            option("--builder", "text", 'Set builder to use: there is one, "default"', "string"),
            option("--check", "flag", "Check build configuration"),
            option("--compress", "flag", "Compress the context: it is not sent anywhere", default=True, hidden=True),
            option("--force-rm", "flag", "Remove intermediate containers: none stay", default=True, hidden=True),
            option("-m --memory", "text", "Set memory limit for the build container. Not supported by BuildKit.",
                   "bytes"),
            option("--no-cache", "flag", "Do not use cache when building the image"),
            option("--no-rm", "flag", "Keep intermediate containers: none stay", hidden=True),
            option("--parallel", "flag", "Build images in parallel: they are", default=True, hidden=True),
            option("--print", "flag", "Print equivalent bake file"),
            option("--progress", "text", "Set type of ui output (auto, tty, plain, json, quiet)", "string",
                   hidden=True),
            option("--provenance", "text", "Add a provenance attestation", "string"),
            option("--pull", "flag", "Always attempt to pull a newer version of the image"),
            option("--push", "flag", "Push service images"),
            option("-q --quiet", "flag", "Suppress the build output"),
            option("--sbom", "text", "Add a SBOM attestation", "string"),
            option("--ssh", "text",
                   "Set SSH authentications used when building service images. (use 'default' for using your default "
                   "SSH Agent)", "string"),
            option("--with-dependencies", "flag", "Also build dependencies (transitively)"),
        ),
        build,
        examples=("sandbox compose build", "sandbox compose build --pull --build-arg VERSION=2 web"),
        further=("an image that its service does not name is called PROJECT-SERVICE",),
    ),
)  # fmt: skip
