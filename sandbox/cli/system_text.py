"""`info` and `version` as people read them, under Docker's titles."""

from __future__ import annotations

import os

from sandbox.humane import binary_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    Document = Mapping[str, Any]  # Any: JSON


def version_lines(document: Document) -> Iterator[str]:
    """Docker's two blocks, which are one program here."""
    client, server = document["Client"], document["Server"]
    yield "Client: sandbox"
    for title, value in (
        ("Version", client["Version"]),
        ("API version", client["ApiVersion"]),
        ("Python version", client["PythonVersion"]),
        ("OS/Arch", f"{client['Os']}/{client['Arch']}"),
        ("Context", client["Context"]),
    ):
        yield f" {title + ':':<18} {value}"
    yield ""
    yield "Server: sandbox"
    yield " Engine:"
    for title, value in (
        ("Version", server["Version"]),
        ("API version", f"{server['ApiVersion']} (minimum version {server['MinAPIVersion']})"),
        ("Python version", server["PythonVersion"]),
        ("OS/Arch", f"{server['Os']}/{server['Arch']}"),
        ("Kernel version", server["KernelVersion"]),
        ("Experimental", "false"),
    ):
        yield f"  {title + ':':<17} {value}"


def info_lines(document: Document) -> Iterator[str]:
    """Docker's titles and order; what only we have stands at its end."""
    client = document["ClientInfo"]
    yield "Client: sandbox"
    yield f" Version:    {document['ServerVersion']}"
    yield f" Context:    {client['Context']}"
    yield f" Debug Mode: {_truth(client['Debug'])}"
    yield ""
    yield "Server:"
    yield f" Containers: {document['Containers']}"
    for state in ("Running", "Paused", "Stopped"):
        yield f"  {state}: {document[f'Containers{state}']}"
    yield f" Images: {document['Images']}"
    yield f" Server Version: {document['ServerVersion']}"
    yield f" Storage Driver: {document['Driver']}"
    yield from (f"  {name}: {value}" for name, value in document["DriverStatus"])
    yield f" Logging Driver: {document['LoggingDriver']}"
    yield f" Cgroup Driver: {document['CgroupDriver']}"
    yield f" Cgroup Version: {document['CgroupVersion']}"
    yield f"  Status: {document['CgroupStatus']}"
    yield " Plugins:"
    for kind in ("Volume", "Network", "Log"):
        yield f"  {kind}: {' '.join(document['Plugins'][kind])}"
    swarm = document["Swarm"]
    yield f" Swarm: {swarm['LocalNodeState']}"
    yield f"  NodeID: {swarm['NodeID']}"
    yield f"  Is Manager: {_truth(swarm['ControlAvailable'])}"
    yield f"  Managers: {swarm['Managers']}"
    yield f"  Nodes: {swarm['Nodes']}"
    yield f" Runtimes: {' '.join(document['Runtimes'])}"
    yield f" Default Runtime: {document['DefaultRuntime']}"
    yield f" Init Binary: {document['InitBinary']}"
    yield " Security Options:"
    for option in document["SecurityOptions"]:
        name, *rest = option.split(",")
        yield f"  {name.removeprefix('name=')}"
        yield from (f"   {key.capitalize()}: {value}" for key, _, value in (text.partition("=") for text in rest))
    yield from _machine_lines(document)


def _machine_lines(document: Document) -> Iterator[str]:
    config_file = document["ConfigFile"]
    yield f" Kernel Version: {document['KernelVersion']}"
    yield f" Operating System: {document['OperatingSystem']}"
    yield f" OSType: {document['OSType']}"
    yield f" Architecture: {document['Architecture']}"
    yield f" CPUs: {document['NCPU']}"
    yield f" Total Memory: {binary_size(document['MemTotal'])}"
    yield f" Name: {document['Name']}"
    yield f" ID: {document['ID']}"
    yield f" Docker Root Dir: {document['DockerRootDir']}"
    yield " Debug Mode: false"
    for title, key in (("HTTP Proxy", "HttpProxy"), ("HTTPS Proxy", "HttpsProxy"), ("No Proxy", "NoProxy")):
        if document[key]:
            yield f" {title}: {_without_password(document[key])}"
    yield " Experimental: false"
    yield " Insecure Registries:"
    registries = document["RegistryConfig"]
    insecure = [name for name, index in registries["IndexConfigs"].items() if not index["Secure"]]
    yield from (f"  {name}" for name in (*insecure, *registries["InsecureRegistryCIDRs"]))
    if registries["Mirrors"]:
        yield " Registry Mirrors:"
        yield from (f"  {mirror}" for mirror in registries["Mirrors"])
    yield f" Live Restore Enabled: {_truth(document['LiveRestoreEnabled'])}"
    if document.get("DefaultAddressPools"):
        yield " Default Address Pools:"
        yield from (f"   Base: {pool['Base']}, Size: {pool['Size']}" for pool in document["DefaultAddressPools"])
    yield f" Python Version: {document['PythonVersion']}"
    yield f" Networking: {document['Network']}"
    yield f" User Ids: {_ranges(document['IdMap']['Uid'])}"
    yield f" Group Ids: {_ranges(document['IdMap']['Gid'])}"
    yield f" Runtime Files: {document['RuntimeDir']}"
    yield f" Configuration: {config_file}{'' if os.path.exists(config_file) else ' (none there)'}"


def _truth(value: bool) -> str:
    return "true" if value else "false"


def _without_password(url: str) -> str:
    from sandbox.redaction import redact  # few have a proxy

    return redact(url)


def _ranges(rows: list[list[int]]) -> str:
    return ", ".join(f"{inner}→{outer} ({size})" for inner, outer, size in rows) or "none"
