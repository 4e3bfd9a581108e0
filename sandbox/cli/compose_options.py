"""The options that stand between `compose` and its verb, and the project that they name."""

from __future__ import annotations

from sandbox.cli.flags import option
from sandbox.stack.project_request import Caller, ProjectRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.cli.command import Invocation

OPTIONS = (
    option("--all-resources", "flag", "Include all resources, even those not used by services"),
    option("--ansi", "text", 'Control when to print ANSI control characters ("never"|"always"|"auto")', "string",
           "auto"),
    option("--best-effort", "flag", "Warn about limits this machine cannot enforce, rather than refuse"),
    option("--compatibility", "flag", "Run compose in backward compatibility mode"),
    option("--dry-run", "flag", "Execute command in dry run mode"),
    option("--insecure-registry", "list", "Use insecure registry to pull Compose OCI artifacts", "stringArray",
           hidden=True),
    option("--env-file", "list", "Specify an alternate environment file", "stringArray"),
    option("-f --file", "list", "Compose configuration files", "stringArray"),
    option("--parallel", "number", "Control max parallelism, -1 for unlimited", "int", -1),
    option("--profile", "list", "Specify a profile to enable", "stringArray"),
    option("--progress", "text", "Set type of progress output (auto, tty, plain, json, quiet)", "string"),
    option("--project-directory", "text",
           "Specify an alternate working directory (default: the path of the, first specified, Compose file)",
           "string"),
    option("-p --project-name", "text", "Project name", "string"),
    option("-v --version", "flag", "Show the version"),
    option("--verbose", "flag", "Show more output", hidden=True),
    option("--workdir", "text", "Of old: --project-directory", "string", hidden=True),
)  # fmt: skip
#: these may stand behind the verb as well
EVERYWHERE = ("best-effort", "dry-run")


def project_request(invocation: Invocation, services: tuple[str, ...] = ()) -> ProjectRequest:
    """What the options name; `services` are those that the command is about."""
    given = invocation.of_noun

    def texts(key: str) -> tuple[str, ...]:
        value = given.get(key, ())
        return value if isinstance(value, tuple) else ()

    directory = given.get("project-directory") or given.get("workdir") or ""
    return ProjectRequest(
        files=texts("file"),
        name=str(given.get("project-name", "")),
        directory=str(directory),
        env_files=texts("env-file"),
        profiles=texts("profile"),
        services=services,
        keeps_unused=bool(given.get("all-resources")),
        is_compatible=is_compatible(invocation),
    )


def is_compatible(invocation: Invocation) -> bool:
    """Whether names are those of Compose's first version: `--compatibility`, COMPOSE_COMPATIBILITY."""
    given = invocation.of_noun.get("compatibility")
    said = invocation.context.env.get("COMPOSE_COMPATIBILITY", "")
    return bool(given) if given is not None else said.lower() in ("1", "true", "t", "yes", "on")


def caller_of(invocation: Invocation, files: tuple[str, ...]) -> Caller:
    """The caller as projects see him; standard input is read where a file is `-`. Raises SandboxError."""
    context = invocation.context
    stdin = b""
    if "-" in files:
        import sys

        stdin = sys.stdin.buffer.read()
    return Caller(context.cwd.absolute("").rstrip("/") or "/", context.env, stdin, _fetcher(invocation))


def _fetcher(invocation: Invocation) -> Callable[[str], str]:
    insecure = invocation.of_noun.get("insecure-registry", ())
    known: dict[str, str] = {}

    def fetch(path: str) -> str:
        # the registry's client only where a file lies in one
        from sandbox.compose.published import fetch_project

        if path not in known:
            places = insecure if isinstance(insecure, tuple) else ()
            known[path] = fetch_project(invocation.context.for_operations(), path, places)
        return known[path]

    return fetch
