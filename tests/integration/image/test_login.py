"""`login` and `logout`: credentials tried first, then kept as Docker keeps them."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command import Sandbox
    from tests.registry import Registry

_HELPER = """#!/bin/sh
printf '%s ' "$1" >> "$0.log"
case "$1" in
  store) cat > "$0.kept" ;;
  get) [ -e "$0.kept" ] || { echo "credentials not found in native keychain"; exit 1; }; cat "$0.kept" ;;
  erase) cat > /dev/null; rm -f "$0.kept" ;;
esac
"""


def _config(sandbox: Sandbox) -> Path:
    directory = sandbox.home.root / "docker"
    directory.mkdir(exist_ok=True)
    return directory / "config.json"


def _login(sandbox: Sandbox, registry: Registry) -> str:
    done = sandbox.run("login", "-u", registry.user, "--password-stdin", registry.host, input=registry.password)
    assert registry.password not in done.stdout + done.stderr
    return done.stdout


def test_kept_in_the_file(sandbox: Sandbox, auth_registry: Registry) -> None:
    path = _config(sandbox)
    path.write_text('{"psFormat": "x", "auths": {"https://other/v1/": {"auth": "eA=="}}, "proxies": {}}')
    assert _login(sandbox, auth_registry) == "Login Succeeded\n"
    document = json.loads(path.read_text())
    assert document["psFormat"] == "x"
    assert set(document["auths"]) == {"https://other/v1/", auth_registry.host}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["config.json"]
    sandbox.run("logout", auth_registry.host)
    assert set(json.loads(path.read_text())["auths"]) == {"https://other/v1/"}
    assert "Not logged in" in sandbox.run("logout", auth_registry.host).stdout


def test_helper(sandbox: Sandbox, auth_registry: Registry, busybox_layout: Path) -> None:
    reference = auth_registry.push(busybox_layout, "busybox:latest")
    programs = sandbox.home.root / "programs"
    programs.mkdir()
    helper = programs / "docker-credential-tests"
    helper.write_text(_HELPER)
    helper.chmod(0o755)
    sandbox.env["PATH"] = f"{programs}:{sandbox.env['PATH']}"
    _config(sandbox).write_text('{"credsStore": "tests"}')
    sandbox.run("pull", "-q", reference, status=1)
    _login(sandbox, auth_registry)
    kept = json.loads((programs / "docker-credential-tests.kept").read_text())
    assert kept == {"ServerURL": auth_registry.host, "Username": auth_registry.user, "Secret": auth_registry.password}
    assert auth_registry.password not in _config(sandbox).read_text()
    if sandbox.run("pull", "-q", reference, status=None).status:
        # without subordinate ids nothing is unpacked; the helper was asked all the same
        assert "get" in (programs / "docker-credential-tests.log").read_text()
    sandbox.run("logout", auth_registry.host)
    assert not (programs / "docker-credential-tests.kept").exists()


@pytest.mark.parametrize("name", ["nonesuch", "../../../bin/sh"])
def test_bad_helper(sandbox: Sandbox, auth_registry: Registry, name: str) -> None:
    _config(sandbox).write_text(json.dumps({"credHelpers": {auth_registry.host: name}}))
    done = sandbox.run("login", "-u", "x", "-p", "y", auth_registry.host, status=None)
    assert done.status != 0
    done = sandbox.run("logout", auth_registry.host, status=125)
    assert "credential helper" in done.stderr


def test_refused(sandbox: Sandbox, auth_registry: Registry) -> None:
    done = sandbox.run("login", "-u", "x", "-p", "wrong", auth_registry.host, status=1)
    assert "incorrect username or password" in done.stderr
    assert "wrong" not in done.stdout + done.stderr.replace("Error", "")
    assert not _config(sandbox).exists()


@pytest.mark.parametrize(
    "words",
    [
        ("-p", "x", "--password-stdin", "127.0.0.1:1"),
        ("--password-stdin", "127.0.0.1:1"),
        ("-u", "x", "127.0.0.1:1"),
        ("-u", "x", "-p", "y", "not a host"),
        ("-u", "", "-p", "y", "127.0.0.1:1"),
    ],
)
def test_misused(sandbox: Sandbox, words: tuple[str, ...]) -> None:
    assert sandbox.run("login", *words, status=125).stderr


@pytest.mark.parametrize("text", ["nonsense", "[]", '{"auths": 5, "credsStore": 7}', '{"auths": {"127.0.0.1:1": "x"}}'])
def test_damaged_file(sandbox: Sandbox, text: str) -> None:
    _config(sandbox).write_text(text)
    done = sandbox.run("logout", "127.0.0.1:1", status=None)
    assert done.status in (0, 125)
    assert "Traceback" not in done.stderr
