"""The documents of `info` and `version` beside those of Docker's engine (API 1.45)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.cli.main import main
from sandbox.cli.output.system_shape import SHAPE, typed
from sandbox.cli.system_text import info_lines
from sandbox.go_template import parse_template
from sandbox.operation_context import OperationContext
from sandbox.paths import find_paths
from sandbox.system.information import describe_system
from sandbox.system.versions import describe_version
from sandbox.version import __version__
from tests.sandbox.container.view.engine_fields import differences

if TYPE_CHECKING:
    from tests.command import Home

_COMMIT = {"ID": "text", "Expected": "text"}
INFO: dict[str, Any] = {
    "ID": "text",
    **dict.fromkeys(("Containers", "ContainersRunning", "ContainersPaused", "ContainersStopped", "Images"), "number"),
    "Driver": "text",
    "DriverStatus": "list",
    "Plugins": {"Volume": "list", "Network": "list", "Authorization": "null|list", "Log": "list"},
    **dict.fromkeys(
        ("MemoryLimit", "SwapLimit", "CpuCfsPeriod", "CpuCfsQuota", "CPUShares", "CPUSet", "PidsLimit",
         "IPv4Forwarding", "BridgeNfIptables", "BridgeNfIp6tables", "Debug", "OomKillDisable"), "truth"),
    **dict.fromkeys(("NFd", "NGoroutines", "NEventsListener", "NCPU", "MemTotal"), "number"),
    **dict.fromkeys(
        ("SystemTime", "LoggingDriver", "CgroupDriver", "CgroupVersion", "KernelVersion", "OperatingSystem",
         "OSVersion", "OSType", "Architecture", "IndexServerAddress", "DockerRootDir", "HttpProxy", "HttpsProxy",
         "NoProxy", "Name", "ServerVersion", "DefaultRuntime", "Isolation", "InitBinary"), "text"),
    "RegistryConfig": {
        "AllowNondistributableArtifactsCIDRs": "null|list",
        "AllowNondistributableArtifactsHostnames": "null|list",
        "InsecureRegistryCIDRs": "list",
        "IndexConfigs": {"docker.io": {"Name": "text", "Mirrors": "list", "Secure": "truth", "Official": "truth"}},
        "Mirrors": "null|list",
    },
    "GenericResources": "null|list",
    "Labels": "list",
    "ExperimentalBuild": "truth",
    "Runtimes": "map",
    "Swarm": {
        "NodeID": "text", "NodeAddr": "text", "LocalNodeState": "text", "ControlAvailable": "truth", "Error": "text",
        "RemoteManagers": "null|list", "Nodes": "number", "Managers": "number", "Cluster": "map",
    },
    "LiveRestoreEnabled": "truth",
    "ContainerdCommit": _COMMIT,
    "RuncCommit": _COMMIT,
    "InitCommit": _COMMIT,
    "SecurityOptions": "list",
    "CDISpecDirs": "null|list",
    "Warnings": "null|list",
}  # fmt: skip
VERSION: dict[str, Any] = {
    "Platform": {"Name": "text"},
    "Components": "list",
    **dict.fromkeys(
        ("Version", "ApiVersion", "MinAPIVersion", "GitCommit", "GoVersion", "Os", "Arch", "KernelVersion",
         "BuildTime"), "text"),
    "Experimental?": "truth",
}  # fmt: skip
#: told beside them: what a person without root asks first
OURS = ("CgroupStatus", "ConfigFile", "IdMap", "Network", "PythonVersion", "Rootless", "RuntimeDir")


@pytest.fixture
def document(home: Home) -> dict[str, Any]:
    return describe_system(OperationContext(find_paths(home.env), home.env))


def test_info_has_docker_s_fields_and_some_of_ours(document: dict[str, Any]) -> None:
    assert json.loads(json.dumps(document)) == document
    assert differences(document, INFO) == sorted(f"{name} is ours alone" for name in OURS)
    assert document["CgroupVersion"] in ("1", "2")
    assert [len(part) for part in document["ID"].split("-")] == [8, 4, 4, 4, 12]


def test_version_has_docker_s_fields(home: Home) -> None:
    assert home.root.exists()
    assert differences(describe_version(), VERSION) == ["PythonVersion is ours alone"]


def test_registries_of_the_configuration_are_told(home: Home) -> None:
    (home.config / "sandbox").mkdir()
    (home.config / "sandbox/config.toml").write_text(
        '[registries]\ninsecure = ["local:5000"]\nmirrors = { "docker.io" = ["https://mirror.example"] }\n'
        '[networks]\ndefault-address-pools = [{ base = "10.10.0.0/16", size = 24 }]\n'
    )
    env = {**home.env, "https_proxy": "http://proxy.example"}
    document = describe_system(OperationContext(find_paths(env), env))
    registries = document["RegistryConfig"]
    assert registries["Mirrors"] == registries["IndexConfigs"]["docker.io"]["Mirrors"] == ["https://mirror.example"]
    assert registries["IndexConfigs"]["local:5000"]["Secure"] is False
    assert document["HttpsProxy"] == "http://proxy.example"
    assert document["DefaultAddressPools"] == [{"Base": "10.10.0.0/16", "Size": 24}]
    assert "   Base: 10.10.0.0/16, Size: 24" in list(
        info_lines(document | {"ClientInfo": {"Context": "default", "Debug": False}})
    )


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.OSType}} {{.ClientInfo.Context}} {{.Swarm.LocalNodeState}}", "linux default active"),
        ("{{.Plugins.Authorization}} {{.Runtimes}}", "[] map[sandbox:{sandbox}]"),
        ("{{range .SecurityOptions}}{{if eq . \"name=rootless\"}}yes{{end}}{{end}}", "yes"),
        ("{{.DefaultAddressPools}}", "[]"),
        ("{{with .Warnings}}{{end}}{{.CPUCfsQuota | printf \"%T\"}}", "bool"),
    ],
)  # fmt: skip
def test_templates_of_info(document: dict[str, Any], template: str, text: str) -> None:
    whole = {**document, "ClientInfo": {"Context": "default"}}
    assert parse_template(template).render(typed(whole), shape=SHAPE) == text


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.Server.Version}} {{.Client.Version}}", f"{__version__} {__version__}"),
        ("{{.Server.APIVersion}}/{{.Server.MinAPIVersion}} {{.Client.APIVersion}}", "1.45/1.24 1.45"),
        ("{{(index .Server.Components 0).Details.Os}} {{.Client.Context}} {{.Client.Platform}}", "linux default <nil>"),
    ],
)
def test_templates_of_version(home: Home, capsys: pytest.CaptureFixture[str], template: str, text: str) -> None:
    import sys

    assert main(["version", "-f", template], home.env, "/", sys.stdout, sys.stderr) == 0
    assert capsys.readouterr().out == f"{text}\n"


def test_the_texts_have_docker_s_titles(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    import sys

    assert main(["version"], home.env, "/", sys.stdout, sys.stderr) == 0
    shown = capsys.readouterr().out
    assert f"Client: sandbox\n Version:           {__version__}\n" in shown
    assert f"\nServer: sandbox\n Engine:\n  Version:          {__version__}\n" in shown
    assert main(["info"], home.env, "/", sys.stdout, sys.stderr) == 0
    lines = {line.partition(":")[0] for line in capsys.readouterr().out.splitlines()}
    titles = "Containers,Images,Server Version,Storage Driver,Logging Driver,Cgroup Driver,Cgroup Version,Total Memory"
    assert {
        f" {title}" for title in f"{titles},Docker Root Dir,Operating System,OSType,Name,ID,CPUs".split(",")
    } <= lines
