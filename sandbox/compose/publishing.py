"""A project on its way to a registry: its files as an artifact, and what a person should know of them before."""

from __future__ import annotations

import os

from sandbox.compose.published import ENV_FILE, ENV_FILE_TYPE, EXTENDS, FILE, FILE_TYPE
from sandbox.compose.sensitive import Finding, findings_in, findings_of, is_literal, is_suspicious
from sandbox.errors import SandboxError, UsageError
from sandbox.image.artifacts import Layer
from sandbox.stack.loading import read_text
from sandbox.stack.places import Source
from sandbox.stack.request import COMPOSE_VERSION
from sandbox.stack.rewriting import local_includes, rewritten

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.stack.nodes import Node
    from sandbox.stack.project import Project

VERSION = "com.docker.compose.version"


def check_publishable(project: Project) -> None:
    """Raise UsageError for a project that nobody else could bring up."""
    built = [name for name, service in project.all_services if not service.image and service.build is not None]
    if built:
        listed = "".join(f'\n- "{name}"' for name in built)
        raise UsageError(
            "your Compose stack cannot be published as it only contains a build section for service(s):" + listed,
            mend=f"give {built[0]} an image: what it is built to, and pushed as",
        )
    for path in project.files:
        if local_includes(read_text(path, "file")):
            raise UsageError(
                "cannot publish compose file with local includes", mend="include what is published: oci://REPOSITORY"
            )


def layers_of(project: Project, *, with_environment: bool, digests: str = "") -> tuple[Layer, ...]:
    """The project's files, then what they extend, with `with_environment` their files of variables, and the override
    `digests`, where there is one. Raises ComposeFileError.
    """
    layers: list[Layer] = []
    env_files: dict[str, str] = {}
    waiting: dict[str, str] = {}
    for path in project.files:
        found = rewritten(read_text(path, "file"), _source(project, path))
        env_files |= found.env_files
        waiting |= found.extended
        layers.append(_file_layer(os.path.basename(path), found.text))
    done: set[str] = set()
    while left := [path for path in waiting if path not in done]:
        for path in left:
            done.add(path)
            found = rewritten(read_text(path, "file"), _source(project, path))
            env_files |= found.env_files
            waiting |= found.extended
            layers.append(_file_layer(waiting[path], found.text, (EXTENDS, "true")))
    if with_environment:
        layers += [_layer(ENV_FILE_TYPE, read_text(path, "env file"), (ENV_FILE, name)) for path, name in
                   env_files.items()]  # fmt: skip
    if digests:
        layers.append(_file_layer("image-digests.yaml", digests))
    return tuple(layers)


def _source(project: Project, path: str) -> Source:
    is_own = path in project.files
    directory = project.working_directory if is_own else os.path.dirname(path)
    return Source(path, path, directory, project.environment)


def _file_layer(name: str, text: str, *more: tuple[str, str]) -> Layer:
    return _layer(FILE_TYPE, text, (FILE, name), *more)


def _layer(media_type: str, text: str, *annotations: tuple[str, str]) -> Layer:
    return Layer(media_type, text.encode(), tuple(sorted((*annotations, (VERSION, COMPOSE_VERSION)))))


def questions(project: Project, *, with_environment: bool) -> Iterator[str]:
    """What is asked before anything leaves, a text each. Raises ComposeFileError."""
    mounts = _bind_mounts(project)
    if mounts:
        yield (
            "you are about to publish bind mounts declaration within your OCI artifact.\n"
            "only the bind mount declarations will be added to the OCI artifact (not content)\n"
            "please double check that you are not mounting potential user's sensitive directories or data\n"
            f"{mounts}Are you ok to publish these bind mount declarations?"
        )
    found = list(_sensitive(project))
    if found:
        listed = "".join(f'{each.kind}\n"{each.key}": {each.value}\n' for each in found)
        yield (
            "you are about to publish sensitive data within your OCI artifact.\n"
            "please double check that you are not leaking sensitive data\n"
            f"{listed}Are you ok to publish these sensitive data?"
        )
    environment, configs = _declared(project)
    if environment and not with_environment:
        yield (
            "you are about to publish env-related declarations within your OCI artifact.\n"
            "env_file paths and literal values for sensitive-looking keys are embedded as-is in the published YAML;\n"
            'interpolated values like "${VAR}" are kept symbolic and have already been excluded.\n'
            f"{environment}Use --with-env to silence this prompt and always publish env declarations.\n"
            "Are you ok to publish these env declarations?"
        )
    if configs:
        listed = "".join(f'  config "{name}"\n' for name in configs)
        yield (
            "you are about to publish literal inline config content within your OCI artifact.\n"
            f"{listed}Are you ok to publish these config contents?"
        )


def _bind_mounts(project: Project) -> str:
    found = ""
    for name, service in project.all_services:
        binds = [each for each in service.volumes if not isinstance(each, str) and each.type == "bind"]
        found += name if binds else ""
        found += "".join(f"{each.source}:{each.target}{':ro' if each.read_only else ''}\n" for each in binds)
    return found


def _trees(project: Project) -> Iterator[Node]:
    """The files that are published, as they are written."""
    from sandbox.stack.yaml_reading import read_documents

    waiting = list(project.files)
    seen: set[str] = set()
    while waiting:
        path = waiting.pop(0)
        if path in seen:
            continue
        seen.add(path)
        source = _source(project, path)
        text = read_text(path, "file")
        waiting += rewritten(text, source).extended
        yield from read_documents(text.encode(), source)


def _sensitive(project: Project) -> Iterator[Finding]:
    for tree in _trees(project):
        yield from findings_of(tree)
    for _name, service in project.all_services:
        for each in service.env_file:
            for line in _content(each.path).splitlines():
                key, equals, value = line.partition("=")
                yield from findings_in(value if equals else line, key.strip() if equals else "")
    files = [each.file for pairs in (project.configs, project.secrets) for _, each in pairs if each.file]
    for path in files:
        yield from findings_in(_content(path))


def _content(path: str) -> str:
    """What cannot be read is nothing that is published."""
    try:
        return read_text(path, "file")
    except SandboxError:
        return ""


def _declared(project: Project) -> tuple[str, tuple[str, ...]]:
    """What the files say of variables, a line each, and the configs whose content they have."""
    from sandbox.stack.nodes import Mapping, Scalar

    has_files: set[str] = set()
    keys: dict[str, set[str]] = {}
    configs: set[str] = set()
    for tree in _trees(project):
        for name, service in _entries(tree, "services"):
            if not isinstance(service, Mapping):
                continue
            if service.get("env_file") is not None:
                has_files.add(name)
            found = {key for key, value in _environment(service.get("environment")) if is_suspicious(key, value)}
            keys.setdefault(name, set()).update(found)
        for name, config in _entries(tree, "configs"):
            content = config.get("content") if isinstance(config, Mapping) else None
            if isinstance(content, Scalar) and is_literal(content.text):
                configs.add(name)
    lines = ""
    for name in sorted({*has_files, *keys}):
        if name in has_files:
            lines += f'  service "{name}": env_file declared\n'
        if keys.get(name):
            quoted = ", ".join(f'"{key}"' for key in sorted(keys[name]))
            lines += f'  service "{name}": literal value for {quoted}\n'
    return lines, tuple(sorted(configs))


def _entries(tree: Node, name: str) -> Iterator[tuple[str, Node]]:
    from sandbox.stack.nodes import Mapping

    found = tree.get(name) if isinstance(tree, Mapping) else None
    for key, entry in found.entries.items() if isinstance(found, Mapping) else ():
        yield key, entry.node


def _environment(node: Node | None) -> Iterator[tuple[str, str]]:
    from sandbox.stack.nodes import Mapping, Scalar, Sequence

    if isinstance(node, Mapping):
        for key, entry in node.entries.items():
            if isinstance(entry.node, Scalar):
                yield key, entry.node.text
    elif isinstance(node, Sequence):
        for item in node.items:
            if isinstance(item, Scalar) and "=" in item.text:
                key, _, value = item.text.partition("=")
                yield key, value
