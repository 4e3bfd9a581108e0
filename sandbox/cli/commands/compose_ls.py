"""`compose ls` and `compose version`: what needs no Compose file."""

from __future__ import annotations

import re
from collections import Counter

from sandbox.cli.command import Command
from sandbox.cli.flags import option
from sandbox.cli.output.sections import print_section
from sandbox.compose.names import CONFIG_FILES
from sandbox.compose.observe import observe_all
from sandbox.errors import UsageError
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Invocation
    from sandbox.compose.observe import ObservedContainer, ProjectSummary


class ProjectLine(NamedTuple):
    """A project's row."""

    name: str
    #: "exited(1), running(2)"
    status: str
    #: paths, by commas
    config_files: str


def list_all(invocation: Invocation) -> int:
    """Print the projects that have containers."""
    context = invocation.context
    names = _names(invocation)
    projects = observe_all(context.for_operations())
    found = [line for project in projects if (line := project_line(project, all=invocation.flag("all"))) is not None]
    lines = [line for line in found if not names or any(_matches(name, line) for name in names)]
    if invocation.flag("quiet"):
        for line in lines:
            context.print_quoted(line.name)
        return 0
    documents = [
        {"Name": line.name, "Status": line.status, "ConfigFiles": line.config_files} for line in lines
    ]  # fmt: skip
    print_section(context, ("NAME", "STATUS", "CONFIG FILES"), lines, documents, invocation.text("format") or "")
    return 0


def project_line(project: ProjectSummary, *, all: bool) -> ProjectLine | None:
    """The project's row; without `all` of what runs of it, and None where nothing does."""
    containers = [each for each in project.containers if all or each.is_running]
    if not containers:
        return None
    counts = Counter(each.status for each in containers)
    status = ", ".join(f"{name}({count})" for name, count in sorted(counts.items()))
    return ProjectLine(project.name, status, _config_files(containers))


def _config_files(containers: list[ObservedContainer]) -> str:
    """Each file once; Docker's "N/A" where one container does not tell."""
    texts = [each.labels.get(CONFIG_FILES, "") for each in containers]
    if not all(texts):
        return "N/A"
    return ",".join(dict.fromkeys(path for text in texts for path in text.split(",")))


def _names(invocation: Invocation) -> tuple[str, ...]:
    """What the filters want a name to be. Raises UsageError for a filter that there is not."""
    names = []
    for text in invocation.texts("filter"):
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"invalid argument {text!r}: bad format of filter (expected name=value)")
        if key.strip().lower() != "name":
            raise UsageError(f"invalid filter '{key.strip().lower()}'", mend="--filter name=PATTERN")
        names.append(value.strip())
    return tuple(names)


def _matches(pattern: str, line: ProjectLine) -> bool:
    try:
        return pattern == line.name or re.search(pattern, line.name) is not None
    except re.error:
        return False


def version(invocation: Invocation) -> int:
    """Print the version of Compose that files and labels are understood as."""
    from sandbox.stack.request import COMPOSE_VERSION

    form = invocation.text("format") or ""
    if form not in ("", "pretty", "json"):
        raise UsageError(f"unsupported format {form!r}", mend="--format pretty, or --format json")
    if invocation.flag("short"):
        invocation.context.print(COMPOSE_VERSION)
    elif form == "json":
        invocation.context.print(f'{{"version":"v{COMPOSE_VERSION}"}}')
    else:
        invocation.context.print(f"Docker Compose version v{COMPOSE_VERSION}")
    return 0


COMMANDS: tuple[Command, ...] = (
    Command(
        "compose ls",
        "List running compose projects",
        "[OPTIONS]",
        (
            option("-a --all", "flag", "Show all stopped Compose projects"),
            option("--filter", "list", "Filter output based on conditions provided", "filter"),
            option("--format", "text", "Format the output. Values: [table | json]", "string", "table"),
            option("-q --quiet", "flag", "Only display project names"),
        ),
        list_all,
        most=0,
        examples=("sandbox compose ls", "sandbox compose ls -a --filter name=shop --format json"),
    ),
    Command(
        "compose version",
        "Show the Docker Compose version information",
        "[OPTIONS]",
        (
            option("-f --format", "text", "Format the output. Values: [pretty | json]. (Default: pretty)", "string"),
            option("--short", "flag", "Shows only Compose's version number"),
        ),
        version,
        most=0,
        examples=("sandbox compose version", "sandbox compose version --short"),
        further=(
            "it is that of the Compose whose files, labels and words are kept to; sandbox version has this one's",
        ),
    ),
)
