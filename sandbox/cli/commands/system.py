"""`sandbox info` and `version`: thin, the documents are made elsewhere."""

from __future__ import annotations

import os

from sandbox.cli.command import Command, Invocation
from sandbox.cli.flags import option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


_FORMAT = option(
    "-f --format", "text", "Format the output: 'json' prints JSON, anything else is a Go template", "string"
)


def info(invocation: Invocation) -> int:
    """Print what this machine gives and what is in use."""
    # the checks import the runtime and the network: only here
    from sandbox.cli.system_information import describe_system

    document = describe_system(invocation.context)
    if not _print_formatted(invocation, document):
        for line in _info_lines(document):
            invocation.context.print(line)
        for warning in document["Warnings"]:
            invocation.context.note(f"WARNING: {warning}")
    return 0


def version(invocation: Invocation) -> int:
    """Print the version."""
    from sandbox.cli.system_information import describe_version

    document = describe_version()
    if not _print_formatted(invocation, document):
        client = document["Client"]
        invocation.context.print("Client and engine: sandbox")
        for title, key in (
            ("Version", "Version"),
            ("API version", "ApiVersion"),
            ("Python version", "PythonVersion"),
            ("Kernel", "KernelVersion"),
        ):
            invocation.context.print(f" {title + ':':<18}{client[key]}")
        invocation.context.print(f" {'OS/Arch:':<18}{client['Os']}/{client['Arch']}")
    return 0


def _print_formatted(invocation: Invocation, document: Mapping[str, Any]) -> bool:
    text = invocation.text("format")
    if not text:
        return False
    invocation.context.print(_formatted(text, document))
    return True


def _formatted(text: str, document: Mapping[str, Any]) -> str:
    if text == "json":
        import json

        return json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    from sandbox.cli.output.go_template import STRUCTURES, TemplateError, parse_template, template_mend

    try:
        return parse_template(text).render(document, shape=STRUCTURES)
    except TemplateError as error:
        error.mend = template_mend(error, text, document)
        raise


def _info_lines(document: Mapping[str, Any]) -> list[str]:
    gib = document["MemTotal"] / (1 << 30)
    return [
        f"Version: {document['ServerVersion']} (Python {document['PythonVersion']})",
        f"Containers: {document['Containers']}",
        f" Running: {document['ContainersRunning']}",
        f" Paused: {document['ContainersPaused']}",
        f" Stopped: {document['ContainersStopped']}",
        f"Images: {document['Images']}",
        f"Storage driver: {document['Driver']}",
        *(f" {name}: {value}" for name, value in document["DriverStatus"]),
        f"Cgroup driver: {document['CgroupDriver']}",
        f" Status: {document['CgroupStatus']}",
        f"Network: {document['Network']}",
        "Security options:",
        *(f" {option.removeprefix('name=')}" for option in document["SecurityOptions"]),
        f"User ids: {_ranges(document['IdMap']['Uid'])}",
        f"Group ids: {_ranges(document['IdMap']['Gid'])}",
        f"Kernel version: {document['KernelVersion']}",
        f"Operating system: {document['OperatingSystem']}",
        f"Architecture: {document['Architecture']}",
        f"CPUs: {document['NCPU']}",
        f"Total memory: {gib:.4g}GiB",
        f"Name: {document['Name']}",
        f"Data: {document['DockerRootDir']}",
        f"Runtime files: {document['RuntimeDir']}",
        f"Configuration: {document['ConfigFile']}{'' if os.path.exists(document['ConfigFile']) else ' (none there)'}",
    ]


def _ranges(rows: list[list[int]]) -> str:
    return ", ".join(f"{inner}→{outer} ({size})" for inner, outer, size in rows) or "none"


COMMANDS: tuple[Command, ...] = (
    Command(
        "system info",
        "Display what this machine gives and what is in use",
        "[OPTIONS]",
        (_FORMAT,),
        info,
        most=0,
        examples=("sandbox info", "sandbox info -f '{{.Driver}}'"),
        further=("what the configuration may say: docs/configuration.md",),
    ),
    Command(
        "system version",
        "Show the version",
        "[OPTIONS]",
        (_FORMAT,),
        version,
        most=0,
        examples=("sandbox version", "sandbox version -f '{{.Server.Version}}'"),
    ),
)
