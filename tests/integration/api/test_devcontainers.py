"""`@devcontainers/cli`, which editors and CI start Dev Containers with, through the socket of `api run`."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.ports import find_free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command import Sandbox

pytestmark = [
    pytest.mark.requires(
        "userns", "subids", "overlay", "fuse", "pyfuse3", "tap", "slirp4netns", "docker", "npm", "mmdebstrap", "umoci",
        "curl",
    ),
    pytest.mark.long, pytest.mark.timeout(1800),
]  # fmt: skip
_CLI = "0.89.0"
#: what it asks for, and what is taken where the machine's is older
_LEAST_NODE, _NODE = 20, "22"
_PLUGINS = ("/usr/local/lib/docker/cli-plugins", "/usr/libexec/docker/cli-plugins", "/usr/lib/docker/cli-plugins")
_HAS_BUILDX = any(os.path.exists(f"{place}/docker-buildx") for place in _PLUGINS)
_DOCKERFILE = """\
FROM debian
ARG WORD
RUN useradd -m -s /bin/bash dev && echo $WORD >/etc/said
COPY file /file
"""
_FEATURE = {
    "id": "feature", "version": "1.0.0", "name": "Ours", "containerEnv": {"FEATURE": "on"},
    "options": {"greeting": {"type": "string", "default": "none"}},
}  # fmt: skip
_INSTALL = """\
#!/bin/sh
set -e
printf '#!/bin/sh\\necho "%s of %s"\\n' "$GREETING" "$_REMOTE_USER" >/usr/local/bin/greet
chmod 755 /usr/local/bin/greet
"""
_SERVE = "nohup python3 -m http.server 8000 >/dev/null 2>&1 &"
_LOOKS = "id -un; pwd; cat made-by /etc/said /file; greet; echo $FEATURE $CONTAINER $REMOTE; exit 5"
_SEEN = ["dev", "/src", "dev", "said", "content", "hello of dev", "on c c-r"]
_ASKS = """\
import time, urllib.error, urllib.request
deadline = time.monotonic() + 120
while True:
    try:
        print(urllib.request.urlopen("http://db:8000/hostname").status)
        break
    except urllib.error.URLError:
        if time.monotonic() > deadline:
            raise
"""
_FETCH = "curl -fsS --retry 60 --retry-delay 1 --retry-all-errors"


@pytest.fixture(scope="module", name="program")
def _program(image_cache: Path) -> Path:
    """The directory of programs with the CLI in it, and with a Node that it takes."""
    version = subprocess.run(["node", "-p", "process.versions.node"], capture_output=True, text=True, check=False)
    is_old = version.returncode != 0 or int(version.stdout.split(".")[0]) < _LEAST_NODE
    packages = [f"@devcontainers/cli@{_CLI}", *([f"node@{_NODE}"] if is_old else [])]
    place = image_cache / re.sub(r"\W+", "-", " ".join(["npm", *packages]))
    if not place.exists():
        making = image_cache / f"making-{place.name}-{os.getpid()}"
        env = {**os.environ, "npm_config_cache": str(image_cache / "npm")}
        if "SSL_CERT_FILE" in env:
            # Node has authorities of its own
            env.setdefault("NODE_EXTRA_CA_CERTS", env["SSL_CERT_FILE"])
        words = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(making), *packages]
        subprocess.run(words, env=env, check=True, timeout=600)
        making.rename(place)
    return place / "node_modules/.bin"


class Workspace:
    """A directory to work in, and the CLI for it: what a script of `steps` prints is kept, by name."""

    def __init__(self, sandbox: Sandbox, program: Path, name: str) -> None:
        self._sandbox = sandbox
        self.root = sandbox.home.root / name
        self._out = sandbox.home.root / f"{name}-out"
        self._out.mkdir()
        tools = self.root / ".devcontainer/feature"
        tools.mkdir(parents=True)
        (tools / "devcontainer-feature.json").write_text(json.dumps(_FEATURE))
        (tools / "install.sh").write_text(_INSTALL)
        (self.root / ".devcontainer/Dockerfile").write_text(_DOCKERFILE)
        (self.root / "file").write_text("content\n")
        # its own files go to the directory for temporary ones
        self._env = {"PATH": f"{program}:{sandbox.env['PATH']}", "TMPDIR": str(sandbox.home.root)}

    def configure(self, **given: object) -> None:
        path = self.root / ".devcontainer/devcontainer.json"
        path.write_text("// with a comment\n" + json.dumps(given))

    def run(self, *steps: str, **env: str) -> None:
        """Each a command of the CLI, or, with `!`, of the shell: `NAME: WORD…`; a failed one ends it."""
        script = [f"cd {self._out}"]
        for step in steps:
            name, words = step.split(": ", 1)
            verb, _, rest = words.partition(" ")
            command = rest if verb == "!" else f"devcontainer {verb} --workspace-folder {self.root} {rest}"
            script.append(f"{command} >{name} 2>{name}.err || {{ echo $? >{name}.status; cat {name} {name}.err; }}")
        told = self._sandbox.run(
            "api", "run", "--", "sh", "-c", "\n".join(script), timeout_seconds=900, env=self._env | env
        )
        assert [path.name for path in self._out.glob("*.status")] == ["looks.status"], told.stdout[-5000:]
        assert (self._out / "looks.status").read_text() == "5\n"

    def lines(self, name: str) -> list[str]:
        return (self._out / name).read_text().splitlines()

    def document(self, name: str) -> Any:
        """The JSON that it closes with."""
        return json.loads(self.lines(name)[-1])


@pytest.fixture(name="image")
def _image(sandbox: Sandbox, debian_layout: Path) -> str:
    sandbox.load_layout(debian_layout)
    sandbox.run("tag", sandbox.run("images", "-q").lines[0], "debian")
    return "debian"


@pytest.mark.parametrize("buildkit", ["never", *(["auto"] if _HAS_BUILDX else [])])
def test_a_workspace_with_a_dockerfile_and_a_feature(
    sandbox: Sandbox, image: str, program: Path, buildkit: str
) -> None:
    workspace, port = Workspace(sandbox, program, "ws"), find_free_port()
    workspace.configure(
        name="mine", build={"dockerfile": "Dockerfile", "context": "..", "args": {"WORD": "said"}},
        features={"./feature": {"greeting": "hello"}}, forwardPorts=[8000], appPort=[f"{port}:8000"],
        # whose files they are inside: docs/api.md
        containerUser="dev", remoteUser="dev", workspaceMount="", workspaceFolder="/src",
        runArgs=["-v", "${localWorkspaceFolder}:/src:idmap", "--cap-add=SYS_PTRACE", "--init"],
        mounts=["source=kept,target=/kept,type=volume"],
        containerEnv={"CONTAINER": "c"}, remoteEnv={"REMOTE": "${containerEnv:CONTAINER}-r"},
        onCreateCommand="touch /tmp/created", postCreateCommand="test -e /tmp/created && id -un >made-by",
        postStartCommand={"serve": _SERVE, "other": ["true"]},
    )  # fmt: skip
    workspace.run(
        "read: read-configuration --include-merged-configuration",
        f"up: up --buildkit {buildkit}",
        f"looks: exec sh -c '{_LOOKS}'",
        f"page: ! {_FETCH} http://127.0.0.1:{port}/file",
        f"again: up --buildkit {buildkit}",
        f"anew: up --buildkit {buildkit} --remove-existing-container",
        "commands: run-user-commands",
        f"build: build --buildkit {buildkit} --image-name dev:built",
        "greets: ! docker run --rm dev:built greet",
        "volumes: ! docker volume ls -q",
        DOCKER_BUILDKIT="0" if buildkit == "never" else "1",
    )
    assert workspace.document("read")["mergedConfiguration"]["forwardPorts"] == [8000]
    up, again, anew = (workspace.document(name) for name in ("up", "again", "anew"))
    assert [each["outcome"] for each in (up, again, anew, workspace.document("build"))] == ["success"] * 4
    assert again["containerId"] == up["containerId"] != anew["containerId"]
    assert (up["remoteUser"], up["remoteWorkspaceFolder"]) == ("dev", "/src")
    assert workspace.lines("looks") == _SEEN
    assert workspace.lines("page") == ["content"]
    assert workspace.lines("greets") == ["hello of dev"]
    assert workspace.lines("volumes") == ["kept"]
    # what was written there is the caller's
    assert (workspace.root / "made-by").stat().st_uid == os.getuid()
    # all of it goes with the socket
    assert sandbox.run("ps", "-aq").lines == sandbox.run("volume", "ls", "-q").lines == []
    assert sandbox.run("images", "--format", "{{.Repository}}").lines == [image]


def test_a_project_of_compose(sandbox: Sandbox, image: str, program: Path) -> None:
    workspace = Workspace(sandbox, program, "project")
    workspace.configure(
        name="project", dockerComposeFile=["../compose.yaml", "compose.extra.yaml"], service="app", runServices=["db"],
        features={"./feature": {"greeting": "hello"}}, remoteUser="dev", workspaceFolder="/src", overrideCommand=True,
        postCreateCommand="id -un >/tmp/made-by", remoteEnv={"REMOTE": "${containerEnv:CONTAINER}-r"},
    )  # fmt: skip
    app = {
        "build": {"context": ".", "dockerfile": ".devcontainer/Dockerfile", "args": {"WORD": "said"}},
        "volumes": [".:/src"], "depends_on": ["db"],
    }  # fmt: skip
    services = {
        "app": app, "db": {"image": image, "command": "python3 -m http.server 8000", "working_dir": "/etc"},
        "other": {"image": image},
    }  # fmt: skip
    (workspace.root / "compose.yaml").write_text(json.dumps({"services": services}))
    extra = {"services": {"app": {"environment": {"CONTAINER": "c"}}}}
    (workspace.root / ".devcontainer/compose.extra.yaml").write_text(json.dumps(extra))
    (workspace.root / "asks.py").write_text(_ASKS)
    workspace.run(
        "up: up",
        f"looks: exec sh -c '{_LOOKS.replace('made-by', '/tmp/made-by')}'",
        "page: exec python3 asks.py",
        "again: up",
        "build: build --image-name dev:built",
        "running: ! docker ps --format '{{.Label \"com.docker.compose.service\"}}'",
    )
    up = workspace.document("up")
    assert (up["outcome"], up["composeProjectName"]) == ("success", "project")
    assert workspace.document("again")["containerId"] == up["containerId"]
    assert workspace.document("build")["imageName"] == ["dev:built"]
    assert workspace.lines("looks") == _SEEN
    assert workspace.lines("page") == ["200"]
    assert sorted(workspace.lines("running")) == ["app", "db"]
    assert sandbox.run("ps", "-aq").lines == []
    assert "project_default" not in sandbox.run("network", "ls", "--format", "{{.Name}}").lines
