"""docs/tour.md, from its first line to its last: a morning's work, and the output is what the page shows."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.end_to_end.tour import is_alike, read_page, run_step
from tests.needs import CONTAINER, REPOSITORY
from tests.ports import find_free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command import Sandbox
    from tests.registry import Registry

#: as the page has them
_PORT, _REGISTRY = "8080", "127.0.0.1:5000"


@pytest.mark.slow
@pytest.mark.requires(*CONTAINER, "registry", "skopeo", "umoci", "busybox", "tap", "slirp4netns", "curl")
def test_the_page_is_what_a_person_gets(sandbox: Sandbox, registry: Registry, busybox_layout: Path) -> None:
    registry.push(busybox_layout, "library/busybox:latest")
    settings = sandbox.home.config / "sandbox/config.toml"
    settings.parent.mkdir(exist_ok=True)
    with settings.open("a") as file:
        file.write(f'[registries.mirrors]\n"docker.io" = ["http://{registry.host}"]\n')
    command = sandbox.home.root / "bin/sandbox"
    command.parent.mkdir()
    command.symlink_to(shutil.which(sandbox.words()[0]) or sandbox.words()[0])
    env = {**sandbox.env, "PATH": f"{command.parent}:{sandbox.env['PATH']}"}
    port = str(find_free_port())
    wrong = []
    for step in read_page((REPOSITORY / "docs/tour.md").read_text()):
        text = step.text.replace(_PORT, port).replace(_REGISTRY, registry.host)
        # a person is not as fast as a test, and the server is there by then
        text = text.replace("curl -s ", "curl -s --retry 5 --retry-all-errors ")
        printed = [
            line.replace(port, _PORT).replace(registry.host, _REGISTRY)
            for line in run_step(step._replace(text=text), sandbox.home.root, env)
        ]
        if not step.path and not is_alike(step.shown, printed):
            wrong.append("\n".join([f"$ {step.text}", *printed, "    and the page shows:", *step.shown]))
    assert not wrong, "\n" + "\n\n".join(wrong)
