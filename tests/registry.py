"""Debian's docker-registry as the tests run it: on a random port of the loopback, with its own storage."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

USER = "tester"
PASSWORD = "pw-of-tests"
#: htpasswd -nbB -C 5 of the two above; written out so that no tool for it is needed
_HTPASSWD = "tester:$2y$05$YSLmNopgYCTDJ.u.YddAIeN330iXy9ZSEkmdd/g/ZS4oZMIQ3tR/C\n"
#: beside the storage; skopeo looks for other tools' otherwise, and ends where it may not
_NO_PASSWORDS = "auth.json"
#: the log as far as the address, then into nothing: a pipe that nobody reads would stop the registry when full
_SERVE = '"$0" serve "$1" 2>&1 | { sed -u "/listening on/q"; exec cat >/dev/null; }'
_LISTENING = re.compile(r"listening on ([^\" ]+?:\d+)")


class Registry(NamedTuple):
    """A registry that answers on `host` ("127.0.0.1:port"). Empty strings where it asks for no such thing."""

    host: str
    storage: Path
    ca_file: str = ""
    user: str = ""
    password: str = ""

    def push(self, layout: Path, name: str, *options: str) -> str:
        """Copy the image `latest` of an OCI layout here with skopeo; returns the reference to pull it by."""
        reference = f"{self.host}/{name}"
        self.skopeo("copy", "-q", *options, f"oci:{layout}:latest", f"docker://{reference}")
        return reference

    def skopeo(self, verb: str, *words: str) -> str:
        """Run skopeo against this registry, as its user where it has one; returns what it printed."""
        side = "--dest-" if verb == "copy" else "--"
        access = [f"{side}tls-verify=false", f"--authfile={self.storage.parent}/{_NO_PASSWORDS}"]
        if self.user:
            access.append(f"{side}creds={self.user}:{self.password}")
        done = subprocess.run(
            ["skopeo", "--insecure-policy", verb, *access, *words], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"skopeo {verb} {' '.join(words)}: {done.stderr}")
        return done.stdout


@contextmanager
def run_registry(*, tls: bool = False, auth: bool = False) -> Iterator[Registry]:
    """A registry for the length of the block; its storage goes with it."""
    program = shutil.which("docker-registry") or shutil.which("docker-registry", path="/usr/sbin") or "docker-registry"
    place = Path(tempfile.mkdtemp(prefix="sbx-", dir="/tmp"))
    try:
        (place / "storage").mkdir()
        (place / _NO_PASSWORDS).write_text("{}")
        (place / "config.yml").write_text(_configuration(place, tls=tls, auth=auth))
        process = subprocess.Popen(
            ["sh", "-c", _SERVE, program, str(place / "config.yml")], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            text=True, start_new_session=True, env=_env_without_settings(),
        )  # fmt: skip
        try:
            host = _wait_listening(process)
            yield Registry(
                host, place / "storage", str(place / "ca.pem") if tls else "", *((USER, PASSWORD) if auth else ())
            )
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
    finally:
        shutil.rmtree(place)


def _env_without_settings() -> dict[str, str]:
    # the registry takes every variable of this prefix for a part of its configuration, skopeo's REGISTRY_AUTH_FILE too
    return {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}


def _configuration(place: Path, *, tls: bool, auth: bool) -> str:
    # port 0: the kernel chooses, and the log says which; nobody can take it in between
    text = (
        "version: 0.1\nlog: {level: info, formatter: text, accesslog: {disabled: true}}\n"
        f"storage: {{filesystem: {{rootdirectory: {place}/storage}}, delete: {{enabled: true}}}}\n"
        "http:\n  addr: 127.0.0.1:0\n"
    )
    if tls:
        _make_certificates(place)
        text += f"  tls: {{certificate: {place}/server.pem, key: {place}/server.key}}\n"
    if auth:
        (place / "htpasswd").write_text(_HTPASSWD)
        text += f"auth: {{htpasswd: {{realm: tests, path: {place}/htpasswd}}}}\n"
    return text


def _make_certificates(place: Path) -> None:
    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=place, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=tests authority",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")  # fmt: skip
    openssl("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
    (place / "server.ext").write_text(
        "subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost\nextendedKeyUsage=serverAuth\n"
        "authorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n"
    )
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "server.ext", "-out", "server.pem")  # fmt: skip


def _wait_listening(process: subprocess.Popen[str]) -> str:
    """The address that the registry says it listens on."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if found := _LISTENING.search(line):
            return found.group(1)
    raise RuntimeError(f"docker-registry ended: {''.join(seen[-3:])}")
