"""A stage in the making, and what of its instructions changes the image's configuration alone."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

from net.errors import NetError
from net.ports import parse_exposed
from sandbox.builder.image_state import quoted
from sandbox.dockerfile.instructions import (
    Arg,
    Cmd,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Label,
    Maintainer,
    Onbuild,
    Shell,
    StopSignal,
    User,
    Volume,
)
from sandbox.grammar.health import health_document

if TYPE_CHECKING:
    from sandbox.builder.cache.step_cache import BuildLayer
    from sandbox.builder.image_state import ImageState
    from sandbox.dockerfile.arguments import Scope
    from sandbox.dockerfile.instructions import CommandLine, Instruction
    from sandbox.dockerfile.parser import Node
    from sandbox.values import HealthCheck


class StageState:
    """Image, layers and variables of a stage as its instructions go by."""

    def __init__(self, image: ImageState, layers: list[BuildLayer], scope: Scope) -> None:
        self.image = image
        self.layers = layers
        self.scope = scope
        #: the ARGs so far that have a value, for the history
        self.arguments: list[str] = []
        #: the USER that holds, where it is of this stage or of one above in the same file
        self.user_node: Node | None = None
        #: [key, position of the layer, description, when it was made] of each step, for a cache that is exported
        self.records: list[list[Any]] = []

    def text(self, written: str, node: Node) -> str:
        """`written` expanded."""
        return self.scope.expand(written, node).text

    def path(self, written: str) -> str:
        """An absolute path, by the working directory."""
        return posixpath.join("/", self.image.directory, written)

    def command(self, command: CommandLine) -> tuple[str, ...]:
        """The words of a command line, those of the shell before it in the shell form."""
        return (*self.image.shell, *command.words) if command.shell else command.words

    @property
    def chain_id(self) -> str:
        return self.layers[-1].chain_id if self.layers else "scratch"


def configure(stage: StageState, instruction: Instruction) -> bool:
    """Carry out an instruction that touches no file; false where it is another kind. Raises DockerfileError."""
    image = stage.image
    match instruction:
        case Arg(node, arguments):
            stage.scope.declare(instruction)
            for argument in arguments:
                value = stage.scope.environment.get(argument.name)
                if value is not None and argument.name not in stage.arguments:
                    stage.arguments.append(argument.name)
            texts = [
                argument.name if argument.value is None else f"{argument.name}={stage.text(argument.value, node)}"
                for argument in arguments
            ]
            image.add_history(f"ARG {' '.join(texts)}")
        case Env(node, pairs):
            values = {stage.text(pair.key, node): stage.text(pair.value, node) for pair in pairs}
            stage.scope.assign(pairs, node)
            image.set_environment(values)
            image.add_history(f"ENV {' '.join(f'{key}={value}' for key, value in values.items())}")
        case Label(node, pairs):
            values = {stage.text(pair.key, node): stage.text(pair.value, node) for pair in pairs}
            image.config["Labels"] = {**(image.config.get("Labels") or {}), **values}
            image.add_history(f"LABEL {' '.join(f'{key}={value}' for key, value in values.items())}")
        case Cmd(_, command):
            words = stage.command(command)
            image.set_command(words)
            image.add_history(f"CMD {quoted(words)}")
        case Entrypoint(_, command):
            words = stage.command(command)
            image.set_entrypoint(words)
            image.add_history(f"ENTRYPOINT {quoted(words)}")
        case Shell(_, words):
            image.config["Shell"] = list(words)
            image.add_history(f"SHELL [{' '.join(words)}]")
        case Maintainer(node, name):
            image.document["author"] = stage.text(name, node)
            image.add_history(f"MAINTAINER {image.document['author']}")
        case Onbuild(_, expression):
            image.config["OnBuild"] = [*(image.config.get("OnBuild") or ()), expression]
            image.add_history(f"ONBUILD {expression}")
        case _:
            return _configure_runtime(stage, instruction)
    return True


def _configure_runtime(stage: StageState, instruction: Instruction) -> bool:
    image = stage.image
    match instruction:
        case Expose(node, ports):
            words = [word for port in ports for word in stage.scope.expand(port, node).words]
            try:
                exposed = [port for word in words for port in parse_exposed(word)]
            except NetError as error:
                raise node.error(error.message, mend=error.mend) from error
            image.add_members("ExposedPorts", exposed)
            image.add_history(f"EXPOSE [{' '.join(exposed)}]")
        case Volume(node, paths):
            names = [stage.text(path, node) for path in paths]
            image.add_members("Volumes", names)
            image.add_history(f"VOLUME [{' '.join(names)}]")
        case User(node, user):
            image.config["User"] = stage.text(user, node)
            stage.user_node = node
            image.add_history(f"USER {image.user}")
        case StopSignal(node, signal):
            image.config["StopSignal"] = stage.text(signal, node)
            image.add_history(f"STOPSIGNAL {image.config['StopSignal']}")
        case Healthcheck(_, check):
            _set_health(stage, check)
        case _:
            return False
    return True


def _set_health(stage: StageState, health: HealthCheck) -> None:
    stage.image.config["Healthcheck"] = health_document(health)
    shown = " ".join(f'"{value // 10**6}ms"' for value in (health.interval_ns, health.timeout_ns))
    stage.image.add_history(f"HEALTHCHECK &{{{quoted(health.test)} {shown} '{health.retries}'}}")
