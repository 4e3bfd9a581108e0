"""The rules on what stands in a stage, and on the variables there."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sandbox.dockerfile import instructions as said
from sandbox.dockerfile import lint_rules as rules
from sandbox.dockerfile.arguments import Globals, Scope
from sandbox.dockerfile.dockerignore import clean_path
from sandbox.dockerfile.errors import WordError, did_you_mean
from sandbox.dockerfile.words import Expansion, expand_heredoc, expand_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.dockerfile.dockerignore import IgnoreRules
    from sandbox.dockerfile.lint_rules import Findings
    from sandbox.dockerfile.stages import Program, Stage

_SECRET = frozenset(
    ["apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token"]
)
_NO_SECRET = frozenset({"public", "file", "version"})
_UNKNOWN_TO_NO_ONE = frozenset({"BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"})


def _nothing_known(_base: str) -> Mapping[str, str] | None:
    return None


class Surroundings(NamedTuple):
    """What a file does not say itself.

    `base_environment` gives the variables of a base image by its name, None where they are not known: variables of
    such a stage are then not reported as undefined.
    """

    base_environment: Callable[[str], Mapping[str, str] | None] = _nothing_known
    ignore: IgnoreRules | None = None


class _State(NamedTuple):
    """A stage at its end, for those that start from it."""

    scope: Scope
    known: bool
    workdir_set: bool
    shell_set: bool


def check_stages(program: Program, globals_: Globals, surroundings: Surroundings, findings: Findings) -> None:
    """Go through all stages in their order."""
    done: dict[str, _State] = {}
    for number, stage in enumerate(program.stages):
        base = globals_.expand(stage.base, stage.start.node).text
        found = done.get(base.lower())
        if found:
            state = found._replace(scope=found.scope.inherit())
        else:
            environment = {} if base == "scratch" else surroundings.base_environment(base)
            variables = {"PATH": "", **(environment or {})}
            state = _State(Scope(globals_, variables), environment is not None, workdir_set=False, shell_set=False)
        done[str(number)] = _Checker(findings, surroundings, state, globals_.escape).check(stage)
        if stage.name:
            done[stage.name] = done[str(number)]


class _Checker:
    """Goes through the instructions of one stage."""

    def __init__(self, findings: Findings, surroundings: Surroundings, state: _State, escape: str) -> None:
        self._findings = findings
        self._ignore = surroundings.ignore
        self._scope = state.scope
        self._state = state
        self._escape = escape
        self._once: dict[str, said.Instruction] = {}

    def check(self, stage: Stage) -> _State:
        for instruction in stage.instructions:
            self._check(instruction)
        return self._state

    def _check(self, instruction: said.Instruction) -> None:
        node = instruction.node
        if isinstance(instruction, said.Arg):
            self._check_argument(instruction)
        elif isinstance(instruction, said.Env | said.Label):
            self._check_pairs(instruction)
        elif isinstance(instruction, said.Cmd | said.Entrypoint | said.Healthcheck):
            self._check_once(instruction)
        elif isinstance(instruction, said.Copy | said.Add):
            self._check_files(instruction)
        elif isinstance(instruction, said.Expose):
            self._check_ports(instruction)
        elif isinstance(instruction, said.Workdir):
            self._check_workdir(instruction)
        elif isinstance(instruction, said.Maintainer):
            message = f"LABEL org.opencontainers.image.authors={instruction.name!r} takes the place of MAINTAINER"
            self._findings.add(rules.MAINTAINER_DEPRECATED, message, node)
        elif isinstance(instruction, said.Shell):
            self._state = self._state._replace(shell_set=True)
        else:
            for text in _texts(instruction):
                self._expand(text, instruction)

    def _check_argument(self, arg: said.Arg) -> None:
        before = set(self._scope.declared)
        for argument in arg.arguments:
            self._check_secret("ARG", argument.name, arg)
        for expansion in self._scope.declare(arg):
            self._report_unset(expansion, arg, before)

    def _check_pairs(self, instruction: said.Env | said.Label) -> None:
        node = instruction.node
        for pair in instruction.pairs:
            if pair.legacy:
                message = f"write {node.instruction} {pair.key}=… in place of {node.instruction} {pair.key} …"
                self._findings.add(rules.LEGACY_KEY_VALUE_FORMAT, message, node)
        if isinstance(instruction, said.Label):
            for pair in instruction.pairs:
                self._expand(pair.key, instruction)
                self._expand(pair.value, instruction)
            return
        for pair in instruction.pairs:
            self._check_secret("ENV", pair.key, instruction)
        for expansion in self._scope.assign(instruction.pairs, node):
            self._report_unset(expansion, instruction)

    def _check_secret(self, what: str, name: str, instruction: said.Instruction) -> None:
        words = set(name.lower().split("_"))
        if words & _SECRET and not words & _NO_SECRET:
            message = f"{what} {name} looks like a secret: use RUN --mount=type=secret"
            self._findings.add(rules.SECRETS_USED_IN_ARG_OR_ENV, message, instruction.node)

    def _check_once(self, instruction: said.Cmd | said.Entrypoint | said.Healthcheck) -> None:
        node = instruction.node
        earlier = self._once.get(node.instruction)
        if earlier is not None:
            message = f"this {node.instruction} has no effect, another follows on line {node.start_line}"
            self._findings.add(
                rules.MULTIPLE_INSTRUCTIONS_DISALLOWED,
                message,
                node,
                earlier.node.line.place(earlier.node.keyword.offset),
            )
        self._once[node.instruction] = instruction
        if not isinstance(instruction, said.Healthcheck) and instruction.command.shell and not self._state.shell_set:
            message = f"a shell is between the signals and this {node.instruction}: use the JSON form"
            self._findings.add(rules.JSON_ARGS_RECOMMENDED, message, node)

    def _check_workdir(self, instruction: said.Workdir) -> None:
        path = self._expand(instruction.path, instruction)
        if not self._state.workdir_set and not path.startswith("/"):
            message = f"{path!r} is relative to a directory that the base image may change"
            self._findings.add(rules.WORKDIR_RELATIVE_PATH, message, instruction.node)
        self._state = self._state._replace(workdir_set=True)

    def _check_files(self, instruction: said.Copy | said.Add) -> None:
        flags = [instruction.chown, instruction.chmod]
        if isinstance(instruction, said.Add):
            flags.append(instruction.checksum)
        for text in (*flags, instruction.target):
            self._expand(text, instruction)
        for file in instruction.files:
            if file.expand:
                self._report_unset(self._expand_body(file, instruction), instruction)
        from_context = isinstance(instruction, said.Add) or not instruction.source_name
        for source in instruction.sources:
            path = self._expand(source, instruction)
            if from_context:
                self._check_ignored(path, instruction)

    def _expand_body(self, file: said.InlineFile, instruction: said.Instruction) -> Expansion:
        try:
            return expand_heredoc(file.content, self._scope.environment)
        except WordError as error:
            raise instruction.node.error(f"heredoc {file.name}: {error.message}") from error

    def _check_ignored(self, path: str, instruction: said.Instruction) -> None:
        # with exceptions a directory may be left out and a file in it not, which no pattern alone tells
        if self._ignore is None or self._ignore.has_exceptions or path.startswith(("http://", "https://")):
            return
        path = clean_path(path)
        whole = path in (".", "/")
        if self._ignore.takes_all if whole else self._ignore.ignores(path.removeprefix("/")):
            message = f"{path!r} is left out by .dockerignore"
            self._findings.add(rules.COPY_IGNORED_FILE, message, instruction.node)

    def _check_ports(self, instruction: said.Expose) -> None:
        for text in instruction.ports:
            try:
                ports = expand_words(text, self._scope.environment, self._escape)
            except WordError as error:
                raise instruction.node.error(error.message) from error
            for port in ports:
                *outside, inside = port.split(":")
                protocol = inside.partition("/")[2]
                if protocol != protocol.lower():
                    message = f"the protocol of {port} should be in small letters"
                    self._findings.add(rules.EXPOSE_PROTO_CASING, message, instruction.node)
                if any(outside):
                    message = f"{port} has an address or a port of the host, which are for -p"
                    self._findings.add(rules.EXPOSE_INVALID_FORMAT, message, instruction.node)

    def _expand(self, text: str, instruction: said.Instruction) -> str:
        expansion = self._scope.expand(text, instruction.node)
        self._report_unset(expansion, instruction)
        return expansion.text

    def _report_unset(
        self, expansion: Expansion, instruction: said.Instruction, declared: set[str] | None = None
    ) -> None:
        if not self._state.known:
            return
        known = self._scope.declared if declared is None else declared
        for name in sorted(expansion.unset - known - _UNKNOWN_TO_NO_ONE):
            message = f"${name} is not defined{did_you_mean(name, self._scope.environment)}"
            self._findings.add(rules.UNDEFINED_VAR, message, instruction.node)


def _texts(instruction: said.Instruction) -> tuple[str, ...]:
    """What of an instruction is expanded, and has no rule of its own."""
    if isinstance(instruction, said.Run):
        values = (field.partition("=")[2] for text in instruction.mounts for field in text.split(","))
        return tuple(value for value in values if "$" in value)
    if isinstance(instruction, said.User):
        return (instruction.user,)
    if isinstance(instruction, said.Volume):
        return instruction.paths
    if isinstance(instruction, said.StopSignal):
        return (instruction.signal,)
    return ()
