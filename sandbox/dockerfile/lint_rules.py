"""The rules of `docker build --check`, and which of them a file or a comment leaves out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from sandbox.dockerfile.directives import CheckOptions, read_check_options, read_directive
from sandbox.dockerfile.errors import DockerfileError, Place, printable
from sandbox.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.dockerfile.parser import Dockerfile, Node

_CHECK_ARGUMENT = "BUILDKIT_DOCKERFILE_CHECK"
_WORD_START = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class Rule(NamedTuple):
    """A rule by Docker's name; an experimental one is checked only where a file asks for it."""

    name: str
    summary: str
    experimental: bool = False

    @property
    def url(self) -> str:
        return f"https://docs.docker.com/go/dockerfile/rule/{_WORD_START.sub('-', self.name).lower()}/"


STAGE_NAME_CASING = Rule("StageNameCasing", "Names of stages are in small letters")
FROM_AS_CASING = Rule("FromAsCasing", "AS is written in the case of FROM")
NO_EMPTY_CONTINUATION = Rule("NoEmptyContinuation", "A continued line is not empty: it will become an error")
CONSISTENT_INSTRUCTION_CASING = Rule("ConsistentInstructionCasing", "All instructions are written in the same case")
DUPLICATE_STAGE_NAME = Rule("DuplicateStageName", "No two stages have the same name")
RESERVED_STAGE_NAME = Rule("ReservedStageName", "No stage is named scratch or context")
JSON_ARGS_RECOMMENDED = Rule("JSONArgsRecommended", "CMD and ENTRYPOINT have the JSON form, so that signals arrive")
MAINTAINER_DEPRECATED = Rule("MaintainerDeprecated", "A label names the author, MAINTAINER is deprecated")
UNDEFINED_ARG_IN_FROM = Rule("UndefinedArgInFrom", "A variable in FROM is an ARG before it")
WORKDIR_RELATIVE_PATH = Rule("WorkdirRelativePath", "The first WORKDIR is absolute: what the base has may change")
UNDEFINED_VAR = Rule("UndefinedVar", "A variable is defined before it is used")
MULTIPLE_INSTRUCTIONS_DISALLOWED = Rule(
    "MultipleInstructionsDisallowed", "A stage has one CMD, ENTRYPOINT and HEALTHCHECK: only the last counts"
)
LEGACY_KEY_VALUE_FORMAT = Rule("LegacyKeyValueFormat", "ENV and LABEL are written name=value")
REDUNDANT_TARGET_PLATFORM = Rule(
    "RedundantTargetPlatform", "FROM needs no --platform=$TARGETPLATFORM: it is the default"
)
SECRETS_USED_IN_ARG_OR_ENV = Rule("SecretsUsedInArgOrEnv", "Secrets are not in ARG or ENV: everybody can read those")
INVALID_DEFAULT_ARG_IN_FROM = Rule("InvalidDefaultArgInFrom", "FROM names an image without any --build-arg too")
FROM_PLATFORM_FLAG_CONST_DISALLOWED = Rule("FromPlatformFlagConstDisallowed", "--platform of FROM is not a constant")
COPY_IGNORED_FILE = Rule("CopyIgnoredFile", "COPY and ADD take no file that .dockerignore leaves out")
INVALID_DEFINITION_DESCRIPTION = Rule(
    "InvalidDefinitionDescription", "A comment above ARG or FROM begins with the name it describes", experimental=True
)
EXPOSE_PROTO_CASING = Rule("ExposeProtoCasing", "The protocol in EXPOSE is in small letters")
EXPOSE_INVALID_FORMAT = Rule("ExposeInvalidFormat", "EXPOSE has neither an address nor a port of the host")


class Finding(NamedTuple):
    """One breach of a rule."""

    rule: Rule
    message: str
    place: Place

    def __str__(self) -> str:
        return f"{self.place}: {self.rule.name}: {printable(self.message)}"


class Findings:
    """What was found so far, less what the file leaves out."""

    def __init__(self, options: CheckOptions) -> None:
        self._options = options
        self._found: list[Finding] = []

    def add(self, rule: Rule, message: str, node: Node, place: Place | None = None) -> None:
        """Note a breach at a node, unless the file or a comment above the node leaves the rule out."""
        if _is_on(rule, _with_comments(self._options, node.comments)):
            self._found.append(Finding(rule, message, place or node.line.place(node.keyword.offset)))

    def add_at(self, rule: Rule, message: str, place: Place) -> None:
        if _is_on(rule, self._options):
            self._found.append(Finding(rule, message, place))

    def sorted(self) -> tuple[Finding, ...]:
        """By place; what is said twice in the same words is kept once."""
        unique = dict.fromkeys(self._found)
        return tuple(sorted(unique, key=lambda finding: (finding.place.line, finding.place.column, finding.rule.name)))


def read_file_options(dockerfile: Dockerfile, given: Mapping[str, str]) -> CheckOptions:
    """The options of the build argument BUILDKIT_DOCKERFILE_CHECK, else of the file's `check` directive.

    Raises DockerfileError for the file's, UsageError for the argument's.
    """
    if _CHECK_ARGUMENT in given:
        options = read_check_options(given[_CHECK_ARGUMENT])
        if isinstance(options, str):
            raise UsageError(f"{_CHECK_ARGUMENT}: {options}")
        return options
    directive = dockerfile.directives.values.get("check")
    if directive is None:
        return CheckOptions()
    options = read_check_options(directive.first_word)
    if isinstance(options, str):
        raise DockerfileError(
            options, dockerfile.source.place(directive.line), expected="# check=skip=RULE,RULE;error=true"
        )
    return options


def _is_on(rule: Rule, options: CheckOptions) -> bool:
    if rule.experimental:
        return options.experimental_all or rule.name in options.experimental
    return not options.skip_all and rule.name not in options.skip


def _with_comments(options: CheckOptions, comments: tuple[str, ...]) -> CheckOptions:
    for comment in comments:
        directive = read_directive(comment, comment="")
        if directive is None or directive.name != "check":
            continue
        found = read_check_options(directive.first_word)
        # one that cannot be read leaves nothing out, and does not fail the build
        return options if isinstance(found, str) else options.merged(found)
    return options
