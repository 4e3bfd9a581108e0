"""What is watched of a project, and what a change of files causes. Pure, but for ignore files."""

from __future__ import annotations

import os

from sandbox.dockerfile.dockerignore import read_ignore_file, read_patterns
from sandbox.errors import SandboxError
from sandbox.named_tuple import NamedTuple
from sandbox.stack.consistency import place_of
from sandbox.stack.errors import problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sandbox.dockerfile.dockerignore import IgnoreRules
    from sandbox.stack.model import Service, Trigger
    from sandbox.stack.project import Project

#: what editors and tools make beside a file and take away again, and Git's own
_PASSING = (
    "**/*___jb_old___", "**/*___jb_tmp___", "**/.idea/**", "**/.#*", "**/#*#", "**/4913", "**/*~", "**/.*.swp",
    "**/.*.swx", "**/.*.swo", "**/.*.swn", "**/.*.kate-swp", "**/*-go-tmp-umask", "**/.git",
)  # fmt: skip
_SYNCS = ("sync", "sync+restart", "sync+exec")


class Rule(NamedTuple):
    """A path that is watched for a service; `root` is it with its links followed."""

    service: str
    trigger: Trigger
    root: str
    include: IgnoreRules | None
    ignore: IgnoreRules
    #: those of the build's context, which begin there
    context: str = ""
    context_rules: IgnoreRules | None = None

    @property
    def syncs(self) -> bool:
        return self.trigger.action in _SYNCS

    @property
    def begins_by_syncing(self) -> bool:
        return self.syncs and (self.trigger.initial_sync or self.has_old_word)

    @property
    def has_old_word(self) -> bool:
        """Whether it asks for the first files by the name that `initial_sync` once had."""
        return dict(self.trigger.extensions).get("x-initialSync") is True

    def target_of(self, path: str) -> str | None:
        """Where a changed file is in containers, "" for a rule that copies nothing; None where it is not meant."""
        if path != self.root and not path.startswith(f"{self.root.rstrip('/')}/"):
            return None
        below = os.path.relpath(path, self.root)
        name = os.path.basename(path) if below == "." else below
        if self.include is not None and not self.include.ignores(name):
            return None
        if self.ignore.ignores(name) or _PASSING_RULES.ignores(name) or self._is_out_of_context(path):
            return None
        target = self.trigger.target
        return target if below == "." or not target else os.path.join(target, below)

    def _is_out_of_context(self, path: str) -> bool:
        rules, context = self.context_rules, self.context
        return rules is not None and path.startswith(f"{context}/") and rules.ignores(os.path.relpath(path, context))


_PASSING_RULES = read_patterns(_PASSING)


class Actions(NamedTuple):
    """What a batch of changes causes, by service."""

    rebuild: tuple[str, ...] = ()
    #: files of the host and their places in containers
    sync: Mapping[str, tuple[tuple[str, str], ...]] = {}
    restart: tuple[str, ...] = ()
    #: rules whose commands are run
    execute: tuple[Rule, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.rebuild or self.sync or self.restart or self.execute)


def rules_of(project: Project, services: Iterable[str]) -> tuple[Rule, ...]:
    """The rules of those services. Raises ComposeFileError for one that cannot be followed, UsageError."""
    found: list[Rule] = []
    for name in services:
        service = project.services.value(name)
        if service is None or service.develop is None:
            continue
        for number, trigger in enumerate(service.develop.watch):
            _check(project, name, service, number, trigger)
            if trigger.action not in ("rebuild", "restart") and _is_mounted(service, trigger.path):
                continue
            found.append(_rule(name, service, trigger))
    return tuple(found)


def _check(project: Project, name: str, service: Service, number: int, trigger: Trigger) -> None:
    path = f"services.{name}.develop.watch[{number}]"
    message = ""
    if trigger.action == "rebuild" and service.build is None:
        message = f'can\'t watch service "{name}" with action rebuild without a build context'
    elif trigger.action in _SYNCS and not trigger.target:
        message = f"action {trigger.action} needs a target"
    elif trigger.action == "sync+exec" and not trigger.exec.command:
        message = f'can\'t watch with action "sync+exec" on service {name} without a command'
    if message:
        raise problem(place_of(project.places, path), path, message)


def _is_mounted(service: Service, path: str) -> bool:
    """What the containers see through a mount need not be copied."""
    return any(
        not isinstance(each, str) and each.type == "bind" and f"{path}/".startswith(f"{each.source.rstrip('/')}/")
        for each in service.volumes
    )


def mounted_paths(project: Project, services: Iterable[str]) -> Iterator[str]:
    """Paths that are not watched, as containers have them mounted."""
    for name in services:
        service = project.services.value(name)
        for trigger in service.develop.watch if service is not None and service.develop is not None else ():
            if (
                service is not None
                and trigger.action not in ("rebuild", "restart")
                and _is_mounted(service, trigger.path)
            ):
                yield trigger.path


def _rule(name: str, service: Service, trigger: Trigger) -> Rule:
    root = os.path.realpath(trigger.path)
    include = read_patterns(trigger.include) if trigger.include else None
    rule = Rule(name, trigger, root, include, read_patterns(trigger.ignore))
    build = service.build
    if build is None or not build.context.startswith("/"):
        return rule
    context = os.path.realpath(build.context)
    for file in (f"{build.dockerfile or 'Dockerfile'}.dockerignore", ".dockerignore"):
        try:
            with open(os.path.join(context, file), "rb") as stream:
                return rule._replace(context=context, context_rules=read_ignore_file(stream.read(), file))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise SandboxError(f"cannot read {file}", cause=error.strerror or "") from error
    return rule


def actions_of(rules: Sequence[Rule], paths: Iterable[str]) -> Actions:
    """What the changes of these paths cause; each at most once."""
    rebuild: dict[str, None] = {}
    restart: dict[str, None] = {}
    sync: dict[str, dict[tuple[str, str], None]] = {}
    execute: dict[int, None] = {}
    for path in sorted(paths):
        for number, rule in enumerate(rules):
            target = rule.target_of(path)
            if target is None:
                continue
            if rule.trigger.action == "rebuild":
                rebuild[rule.service] = None
            if rule.syncs:
                sync.setdefault(rule.service, {})[(path, target)] = None
            if rule.trigger.action in ("restart", "sync+restart"):
                restart[rule.service] = None
            if rule.trigger.action == "sync+exec":
                execute[number] = None
    return Actions(
        tuple(rebuild),
        {service: tuple(pairs) for service, pairs in sync.items()},
        tuple(restart),
        tuple(rules[number] for number in sorted(execute)),
    )


def initial_files(rule: Rule) -> tuple[tuple[str, str], ...]:
    """The files that a rule would copy, as they are now."""
    found: list[tuple[str, str]] = []
    paths = [rule.root] if os.path.isfile(rule.root) else []
    for directory, _names, files in os.walk(rule.root):
        paths += [os.path.join(directory, file) for file in files]
    for path in sorted(paths):
        target = rule.target_of(path)
        if target:
            found.append((path, target))
    return tuple(found)
