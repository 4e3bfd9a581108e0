"""A seccomp profile as a value: Docker's JSON format, or our compact one, with its conditions resolved.

Conditions (capabilities held, architecture, kernel version) are decided here; what is left is a list of rules for
libseccomp. Names that the library or the architecture lacks stay in it and are skipped when it is compiled.
"""

from __future__ import annotations

import os

from sandbox.errors import UsageError
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    # documents are JSON of whatever shape: looked at piece by piece here and nowhere else
    Document = dict[str, Any]

#: Docker's (Go's) names of machines, as profiles use them
GO_MACHINES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "arm",
    "riscv64": "riscv64",
    "s390x": "s390x",
    "loongarch64": "loong64",
}
ACTIONS = {
    "kill": 0x00000000,
    "kill_thread": 0x00000000,
    "kill_process": 0x80000000,
    "trap": 0x00030000,
    "errno": 0x00050000,
    "trace": 0x7FF00000,
    "log": 0x7FFC0000,
    "allow": 0x7FFF0000,
}
_OPERATORS = {"ne": 1, "lt": 2, "le": 3, "eq": 4, "ge": 5, "gt": 6, "masked_eq": 7}
_TAKES_ERRNO = ("errno", "trace")


class Comparison(NamedTuple):
    """One condition on an argument: struct scmp_arg_cmp."""

    argument: int
    operator: int
    value: int
    second_value: int = 0


class Rule(NamedTuple):
    names: tuple[str, ...]
    action: int
    comparisons: tuple[Comparison, ...] = ()


class Profile(NamedTuple):
    """What libseccomp is told; `architectures` are libseccomp's names in lower case, the native one first."""

    default_action: int
    architectures: tuple[str, ...]
    rules: tuple[Rule, ...]


class Host(NamedTuple):
    """What a profile's conditions ask about."""

    machine: str
    kernel: tuple[int, int]
    capabilities: frozenset[str]


def this_host(capabilities: tuple[str, ...]) -> Host:
    """The running kernel, with the bounding set that the process is to have."""
    release = os.uname().release.split(".")
    minor = "".join(character for character in release[1] if character.isdigit()) or "0"
    return Host(os.uname().machine, (int(release[0]), int(minor)), frozenset(capabilities))


def parse_compact(document: Document, host: Host) -> Profile:
    """The profile of our own data file."""
    rules = []
    for rule in document["rules"]:
        if not _applies(
            host,
            includes=(rule.get("capabilities"), rule.get("architectures"), rule.get("kernel")),
            excludes=(rule.get("without_capabilities"), rule.get("without_architectures"), None),
        ):
            continue
        names = tuple(name for line in rule["names"] for name in line.split())
        comparisons = tuple(
            Comparison(index, _OPERATORS[operator], value, second)
            for index, operator, value, second in rule.get("when", ())
        )
        rules.append(Rule(names, _action(rule.get("action", "allow"), rule.get("errno")), comparisons))
    native = host.machine
    architectures = (native, *document["architectures"].get(native, ()))
    return Profile(_action(document["default"]["action"], document["default"]["errno"]), architectures, tuple(rules))


def parse_docker(document: Document, host: Host, name: str) -> Profile:
    """The profile of a file in Docker's format. Raises UsageError naming what is wrong in `name`."""
    try:
        return _parse_docker(document, host)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        lacks = isinstance(error, KeyError)
        cause = f"{error} is missing, or no such name is known" if lacks else "a value in it is of the wrong kind"
        raise UsageError(f"{name} is not a seccomp profile in Docker's format", cause=cause) from error


def _parse_docker(document: Document, host: Host) -> Profile:
    rules = []
    for call in document.get("syscalls") or ():
        includes, excludes = call.get("includes") or {}, call.get("excludes") or {}
        if not _applies(host, includes=_conditions(includes), excludes=_conditions(excludes)):
            continue
        names = tuple(call.get("names") or (call["name"],))
        rules.append(Rule(names, _docker_action(call["action"], call.get("errnoRet")), _comparisons(call)))
    default = _docker_action(document["defaultAction"], document.get("defaultErrnoRet"))
    return Profile(default, _docker_architectures(document, host.machine), tuple(rules))


def _comparisons(call: Document) -> tuple[Comparison, ...]:
    return tuple(
        Comparison(
            int(argument["index"]),
            _OPERATORS[argument["op"].removeprefix("SCMP_CMP_").lower()],
            int(argument["value"]),
            int(argument.get("valueTwo") or 0),
        )
        for argument in call.get("args") or ()
    )


def _docker_architectures(document: Document, machine: str) -> tuple[str, ...]:
    for entry in document.get("archMap") or ():
        if entry["architecture"] == f"SCMP_ARCH_{machine.upper()}":
            others = entry.get("subArchitectures") or ()
            return (machine, *(name.removeprefix("SCMP_ARCH_").lower() for name in others))
    listed = [name.removeprefix("SCMP_ARCH_").lower() for name in document.get("architectures") or ()]
    return (machine, *(name for name in listed if name != machine))


def _docker_action(text: str, number: int | None) -> int:
    return _action(text.removeprefix("SCMP_ACT_").lower(), number)


def _action(name: str, number: int | None) -> int:
    if name not in _TAKES_ERRNO:
        return ACTIONS[name]
    return ACTIONS[name] | ((1 if number is None else number) & 0xFFFF)  # EPERM where it says nothing


Condition = tuple[list[str] | None, list[str] | None, str | None]


def _conditions(section: Document) -> Condition:
    condition: Condition = (section.get("caps"), section.get("arches"), section.get("minKernel"))
    return condition


def _applies(host: Host, *, includes: Condition, excludes: Condition) -> bool:
    capabilities, machines, kernel = includes
    go_machine = GO_MACHINES.get(host.machine, host.machine)
    if capabilities and not host.capabilities.issuperset(capabilities):
        return False
    if machines and go_machine not in machines:
        return False
    if kernel and host.kernel < _version(kernel):
        return False
    capabilities, machines, kernel = excludes
    if capabilities and host.capabilities.intersection(capabilities):
        return False
    if machines and go_machine in machines:
        return False
    return not (kernel and host.kernel >= _version(kernel))


def _version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")[:2]
    return int(major), int(minor)
