"""`compose publish`."""

from __future__ import annotations

import io
import sys

from sandbox.cli.command import Command
from sandbox.cli.compose_call import loaded
from sandbox.cli.compose_runs import is_dry
from sandbox.cli.flags import option
from sandbox.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Invocation
    from sandbox.image.artifacts import Layer
    from sandbox.stack.project import Project

#: a shell's status for what SIGINT ended: Compose's for a question that was answered by no
_DECLINED = 130


def publish(invocation: Invocation) -> int:
    """Bring the project's files to a registry, as an artifact that `-f oci://…` names."""
    from sandbox.cli.compose_progress import display_of
    from sandbox.compose.progress import Progress
    from sandbox.compose.publishing import check_publishable, layers_of, questions
    from sandbox.stack.project_request import Steps

    if invocation.flag("app"):
        raise UsageError(
            "--app: the images of a project are not copied into its repository",
            mend="leave --app out, and --resolve-image-digests in",
        )
    (name,) = invocation.arguments
    all_profiles = invocation._replace(of_noun={**invocation.of_noun, "profile": ("*",)})
    project = loaded(all_profiles, (), Steps(resolves_environment=False))
    check_publishable(project)
    with_environment = invocation.flag("with-env")
    for question in questions(project, with_environment=with_environment):
        if not _is_confirmed(invocation, question):
            return _DECLINED
    _push_images(invocation, project)
    digests = _digests(invocation, project) if invocation.flag("resolve-image-digests") else ""
    layers = layers_of(project, with_environment=with_environment, digests=digests)
    display = display_of(invocation)
    display.tell(Progress(name, "publishing"))
    try:
        if not is_dry(invocation):
            _push(invocation, name, layers)
    except BaseException:
        display.tell(Progress(name, "publishing", "error"))
        raise
    else:
        display.tell(Progress(name, "published", "done"))
    finally:
        display.close()
    return 0


def _is_confirmed(invocation: Invocation, question: str) -> bool:
    if invocation.flag("yes"):
        return True
    stderr = invocation.context.stderr
    stderr.write(f"{question} [y/N]: ")
    stderr.flush()
    answer = sys.stdin.readline() if sys.stdin is not None else ""
    if not answer.endswith("\n"):
        stderr.write("\n")
    return answer.strip().lower() in ("y", "yes")


def _push_images(invocation: Invocation, project: Project) -> None:
    """Push what is built here and has a name; one that cannot be is told of, as with Compose."""
    from sandbox.cli.commands.compose_transfer import transfer
    from sandbox.compose.pulling import push_plan

    plan = [each for each in push_plan(project, project.services.names) if not each.skipped]
    transfer(invocation, plan, "image.push", ("Pushing", "Pushed"), quiet=False)


def _digests(invocation: Invocation, project: Project) -> str:
    """An override that pins each image. Raises RegistryError, NotFoundError."""
    from sandbox.cli.commands.compose_config import with_digests
    from sandbox.stack.yaml_writing import write_yaml

    pinned = with_digests(invocation, project)
    stream = io.StringIO()
    write_yaml({"services": {name: {"image": each.image} for name, each in pinned.services if each.image}}, stream)
    return stream.getvalue()


def _push(invocation: Invocation, name: str, layers: tuple[Layer, ...]) -> None:
    import time

    from sandbox.compose.published import KIND
    from sandbox.image.artifacts import push_artifact

    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    push_artifact(
        invocation.context.for_operations(), name, KIND, layers, {"org.opencontainers.image.created": now},
        version=invocation.text("oci-version") or "", insecure=invocation.flag("insecure-registry"),
    )  # fmt: skip


COMMANDS: tuple[Command, ...] = (
    Command(
        "compose publish",
        "Publish compose application",
        "[OPTIONS] REPOSITORY[:TAG]",
        (
            option("--app", "flag", "Published compose application (includes referenced images)"),
            option("--insecure-registry", "flag", "Use insecure registry", hidden=True),
            option("--oci-version", "text",
                   "OCI image/artifact specification version (automatically determined by default)", "string"),
            option("--resolve-image-digests", "flag", "Pin image tags to digests"),
            option("--with-env", "flag", "Include environment variables in the published OCI artifact"),
            option("-y --yes", "flag", 'Assume "yes" as answer to all prompts'),
        ),
        publish,
        least=1,
        most=1,
        examples=(
            "sandbox compose publish registry.example.com/team/shop:1.0",
            "sandbox compose -f oci://registry.example.com/team/shop:1.0 up -d",
        ),
        further=("images that the project builds are pushed as well; --app is refused",),
    ),
)  # fmt: skip
