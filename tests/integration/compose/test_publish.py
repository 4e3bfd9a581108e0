"""A project is published to a registry, and brought up, included and extended from there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command import Sandbox
    from tests.registry import Registry

pytestmark = pytest.mark.requires("userns", "subids", "skopeo")
_FILE = """
services:
  app:
    image: busybox
    env_file: own.env
    environment: {GREETING: "${GREETING:-hello}"}
    extends: {file: base.yaml, service: base}
"""


def test_a_project_goes_to_a_registry_and_comes_back(sandbox: Sandbox, registry: Registry, tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    for directory in (own, other):
        directory.mkdir()
    (own / "compose.yaml").write_text(_FILE)
    (own / "base.yaml").write_text("services: {base: {command: [echo, hi]}}\n")
    (own / "own.env").write_text("WORD=of the file\n")
    name = f"{registry.host}/shop:1"

    declined = sandbox.run("compose", "publish", name, status=130, cwd=own, input="n\n")
    assert "Are you ok to publish these env declarations?" in declined.stderr
    dry = sandbox.run("compose", "publish", "-y", "--dry-run", name, cwd=own)
    assert dry.stderr == f" {name} publishing \n {name} published \n"
    assert "manifest" in sandbox.run("compose", "-f", f"oci://{name}", "config", status=None).stderr
    sandbox.run("compose", "publish", "--with-env", name, cwd=own)
    manifest = json.loads(registry.skopeo("inspect", "--raw", f"docker://{name}"))
    assert manifest["artifactType"] == "application/vnd.docker.compose.project"
    assert [each["mediaType"].rpartition(".")[2] for each in manifest["layers"]] == ["file+yaml"] * 2 + ["envfile"]

    def config(*words: str) -> dict[str, object]:
        found: dict[str, object] = json.loads(
            sandbox.run("compose", *words, "config", "--format", "json", cwd=other).stdout
        )["services"]
        return found

    app = {
        "command": ["echo", "hi"], "entrypoint": None, "environment": {"GREETING": "hello", "WORD": "of the file"},
        "image": "busybox", "networks": {"default": None},
    }  # fmt: skip
    assert config("-p", "there", "-f", f"oci://{name}") == {"app": app}
    (other / "compose.yaml").write_text(
        f"include: ['oci://{name}']\n"
        f"services: {{mine: {{extends: {{file: 'oci://{name}', service: app}}, environment: {{WORD: mine}}}}}}\n"
    )
    mine = {**app, "environment": {"GREETING": "hello", "WORD": "mine"}}
    assert config() == {"app": app, "mine": mine}

    # nobody runs what lies elsewhere without knowing
    asked = sandbox.run("compose", "-f", f"oci://{name}", "up", status=1, cwd=other, input="n\n")
    assert f"  - oci://{name}\n" in asked.stdout
    assert asked.stderr == "Error: operation cancelled by user\n"
    said = sandbox.run("compose", "-f", f"oci://{name}", "up", status=1, cwd=other, input="y\nn\n").stdout
    assert "GREETING   hello     compose file   no         hello" in said
