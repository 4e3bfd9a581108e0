"""Secrets and configs in containers: on a tmpfs with owner and mode, and nowhere else."""

from __future__ import annotations

import json
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

import sandbox.container.operations as operations
from sandbox.container.request.request import ContainerRequest
from sandbox.operation_context import OperationContext
from sandbox.paths import find_paths
from sandbox.values import FileGrant
from tests.integration.container.conftest import state_files

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command import Sandbox

pytestmark = [pytest.mark.requires("subids", "overlay", "busybox"), pytest.mark.slow]

_CONTENT = "swordfish-7f3a"
#: the second has a name of its own and an owner, the third is a variable
_GRANTS = (
    "--secret", "key", "--secret", "key,target=/etc/app/key,uid=1000,gid=1000,mode=0400",
    "--secret", "key,type=env,target=APP_KEY",
)  # fmt: skip
_SHOW = (
    "cat /run/secrets/key /etc/app/key; echo $APP_KEY; stat -c '%u:%g %a %n' /run/secrets/key /etc/app/key;"
    " grep -c ' tmpfs ro,nosuid,nodev,noexec' /proc/mounts; echo x > /run/secrets/key"
)


@pytest.fixture
def with_key(sandbox: Sandbox, busybox: str) -> Sandbox:
    sandbox.run("secret", "create", "key", "-", input=_CONTENT)
    return sandbox


@pytest.mark.parametrize(
    "driver",
    ["overlay", pytest.param("fuse", marks=pytest.mark.requires("fuse", "pyfuse3")), "copy"],
)
def test_files_have_owner_and_mode_and_cannot_be_written(with_key: Sandbox, busybox: str, driver: str) -> None:
    words = ("--rm", "--network", "none", "--storage-driver", driver, *_GRANTS)
    done = with_key.run("run", *words, busybox, "sh", "-c", _SHOW, status=1)
    assert done.stdout == (f"{_CONTENT}{_CONTENT}{_CONTENT}\n0:0 444 /run/secrets/key\n1000:1000 400 /etc/app/key\n2\n")
    assert "Read-only file system" in done.stderr
    assert state_files(with_key) == []


def _holders(root: Path, text: str) -> list[str]:
    """The files below `root` that have the text in them."""
    found = []
    for directory, _names, files in os.walk(root):
        for name in files:
            path = f"{directory}/{name}"
            if os.path.isfile(path) and os.access(path, os.R_OK):
                with open(path, "rb") as file:
                    if text.encode() in file.read():
                        found.append(path.removeprefix(f"{root}/"))
    return sorted(found)


def test_a_content_is_in_no_image_archive_record_or_talk(with_key: Sandbox, busybox: str, tmp_path: Path) -> None:
    run = with_key.run
    # a mark of its own in the place of a config's content, which is text in the request
    script = "cat /web.conf; id > /made; sleep 1000"
    context = OperationContext(find_paths(with_key.env), with_key.env)
    request = ContainerRequest(
        busybox, "holder", network_mode="none", command=("sh", "-c", script), stop_signal="KILL",
        secrets=(FileGrant("key", mode=0o600), FileGrant("key", variable="APP_KEY")),
        configs=(FileGrant("web.conf", content=f"{_CONTENT}-text", uid=1000),),
    )  # fmt: skip
    assert _CONTENT not in repr(request)
    made = operations.create(context, request).container
    run("start", "holder")
    assert run("exec", "holder", "sh", "-c", "cat /run/secrets/key; echo $APP_KEY").stdout == f"{_CONTENT}{_CONTENT}\n"
    assert run("exec", "holder", "stat", "-c", "%u %a", "/web.conf").stdout == "1000 444\n"
    assert run("exec", "-u", "1000", "holder", "cat", "/run/secrets/key", status=1).stdout == ""

    # an image, its archive, the files, and what the container changed
    run("commit", "holder", "committed")
    run("save", "-o", tmp_path / "image.tar", "committed")
    run("export", "-o", tmp_path / "files.tar", "holder")
    assert _holders(tmp_path, _CONTENT) == []
    with tarfile.open(tmp_path / "files.tar") as archive:
        assert archive.getmember("run/secrets/key").size == 0
    assert "A /made" in run("diff", "holder").lines
    assert (
        run("run", "--rm", "--network", "none", "committed", "sh", "-c", "cat /run/secrets/key; env").stdout.count(
            _CONTENT
        )
        == 0
    )
    # what the store has of it: the object, and the container's copies
    data = with_key.home.data / "sandbox"
    held = f"containers/{made.id}/grants/"
    assert [path for path in _holders(data, _CONTENT) if not path.startswith(held)] == [
        f"secrets/{json.loads(run('secret', 'inspect', 'key').stdout)[0]['ID']}/content",
        *[path for path in _holders(data, _CONTENT) if path.endswith("/log.json")],
    ]
    for words in (("inspect", "holder"), ("events", "--since", "1h", "--until", "0s"), ("secret", "ls")):
        done = run(*words)
        assert _CONTENT not in done.stdout + done.stderr
    shown = json.loads(run("inspect", "holder").stdout)[0]["Config"]
    assert [(grant["Name"], grant.get("Target")) for grant in shown["Secrets"]] == [
        ("key", "/run/secrets/key"),
        ("key", None),
    ]

    # the copies stay the container's own, at each start, whatever becomes of the object
    run("secret", "rm", "key")
    run("restart", "-t", "0", "holder")
    assert run("exec", "holder", "sh", "-c", "cat /run/secrets/key; echo $APP_KEY").stdout == f"{_CONTENT}{_CONTENT}\n"
    run("rm", "-f", "holder")
    run("rmi", "committed")
    assert _holders(data, _CONTENT) == []
    assert run("system", "check").status == 0


def test_what_cannot_be_granted_is_refused_and_nothing_is_left(with_key: Sandbox, busybox: str) -> None:
    run = with_key.run
    for words, text in (
        (("--secret", "nope"), "secret nope not found"),
        (("--secret", "key,mode=9"), "invalid mode specified"),
        (("--secret", "key,type=file"), "type file is invalid"),
        (("--secret", "key", "--secret", "key"), "Duplicate mount point: /run/secrets/key"),
        (("--secret", "key", "-v", "/tmp:/run/secrets/key"), "Duplicate mount point: /run/secrets/key"),
        (("--secret", "key,target=/"), "destination can't be '/'"),
    ):
        assert text in run("create", *words, busybox, status=125 if text[-5:] != "found" else None).stderr
    done = run("run", "--network", "none", "--secret", "key,uid=4294967290", busybox, "true", status=125)
    assert "user id 4294967290 is not mapped in the container" in done.stderr
    assert _CONTENT not in done.stderr
    run("rm", "-f", *run("ps", "-aq").lines)
    assert _holders(with_key.home.data / "sandbox" / "containers", _CONTENT) == []
