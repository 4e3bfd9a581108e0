"""A project as `config` prints it: every value in its long form, at the place and under the key where Docker has it."""

from __future__ import annotations

import hashlib
import json

from sandbox.stack.deploy_model import DiscreteResource
from sandbox.stack.measures import Bytes, Mode, Nanoseconds, Pairs, natural_key
from sandbox.stack.model import Dependency, Hook, Service, ThrottleDevice, Trigger, WeightDevice
from sandbox.stack.parts_model import Ulimit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.stack.project import File, Project

#: fields that are printed at their default as well
_ALWAYS: dict[type, tuple[str, ...]] = {
    Dependency: ("condition", "required"),
    DiscreteResource: ("kind", "value"),
    ThrottleDevice: ("path", "rate"),
    Trigger: ("path", "action"),
    WeightDevice: ("path", "weight"),
}
#: in JSON nothing at all is told from no words
_ALWAYS_IN_JSON: dict[type, tuple[str, ...]] = {Service: ("command", "entrypoint"), Hook: ("command",)}
#: what changes how a service's containers come to be, and not what they are
_NOT_IN_HASH = ("build", "pull_policy", "scale", "depends_on", "profiles")
_SECTIONS = ("services", "networks", "volumes", "secrets", "configs", "models")


def document_of(project: Project | File, *, is_json: bool = False) -> dict[str, object]:
    """The whole project as plain values, in order; a section with nothing in it is left out, services are not."""
    document: dict[str, object] = {"name": project.name} if project.name else {}
    for section in _SECTIONS:
        content = getattr(project, section)
        if content or section == "services":
            document[section] = printed(content, is_json=is_json)
    for key, value in project.extensions:
        document[key] = printed(value, is_json=is_json)
    return dict(sorted(document.items())) if is_json else document


def printed(value: object, *, is_json: bool = False) -> object:
    """A value of the model as texts, numbers, lists and mappings."""
    if isinstance(value, Bytes | Mode | Nanoseconds | Ulimit):
        return value.printed()
    if isinstance(value, Pairs):
        return {name: printed(each, is_json=is_json) for name, each in value}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return _object(value, is_json)
    if isinstance(value, tuple):
        return [printed(each, is_json=is_json) for each in value]
    return value


def _object(value: tuple[object, ...], is_json: bool) -> dict[str, object]:
    kind = type(value)
    always = (*_ALWAYS.get(kind, ()), *(_ALWAYS_IN_JSON.get(kind, ()) if is_json else ()))
    defaults: dict[str, object] = kind._field_defaults  # type: ignore[attr-defined]  # it is a NamedTuple
    document: dict[str, object] = {}
    extensions: dict[str, object] = {}
    for field, each in zip(kind._fields, value, strict=True):  # type: ignore[attr-defined]  # it is a NamedTuple
        if field == "extensions":
            assert isinstance(each, tuple)
            extensions = {name: printed(content, is_json=is_json) for name, content in each}
        elif field in always or each != defaults[field] or isinstance(each, bool) != isinstance(defaults[field], bool):
            document[field] = printed(each, is_json=is_json)
    return document | extensions


def in_order_of_keys(value: object) -> object:
    """`value` with the keys of every mapping sorted, as Docker has a file that is not read to its end."""
    if isinstance(value, dict):
        return {key: in_order_of_keys(value[key]) for key in sorted(value, key=natural_key)}
    if isinstance(value, list):
        return [in_order_of_keys(each) for each in value]
    return value


def with_dollars(value: object) -> object:
    """`value` with each `$` of its texts twice, so that reading it again fills nothing in."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, dict):
        return {key: with_dollars(each) for key, each in value.items()}
    if isinstance(value, list):
        return [with_dollars(each) for each in value]
    return value


def json_text(document: object, *, is_compact: bool = False) -> str:
    """JSON as Go writes it, without a final newline."""
    if is_compact:
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    else:
        text = json.dumps(document, ensure_ascii=False, indent=2)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def config_hash(service: Service) -> str:
    """What tells whether a container is still as its service says: sha256, in hexadecimal.

    It is over the same document as that of Docker's Compose.
    """
    kept = service._replace(**{key: Service._field_defaults[key] for key in _NOT_IN_HASH})
    if service.deploy is not None:
        kept = kept._replace(deploy=service.deploy._replace(replicas=None))
    return hashlib.sha256(json_text(printed(kept, is_json=True), is_compact=True).encode()).hexdigest()


def image_of(project: Project, name: str, service: Service) -> str:
    """The image that a service runs: the one it names, or that of its build."""
    return service.image or f"{project.name}{project.separator}{name}"
