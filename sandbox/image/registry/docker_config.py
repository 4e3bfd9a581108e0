"""Credentials as Docker keeps them: config.json below `$DOCKER_CONFIG` or ~/.docker, and the helper programs it names.

    "auths":       registry -> {"auth": base64 of user:password} or {"identitytoken": …}
    "credHelpers": registry -> NAME, served by the program docker-credential-NAME
    "credsStore":  NAME for every other registry

Credentials in `$DOCKER_AUTH_CONFIG`, JSON with "auths", come before all of them, as with Docker's client.

Written by `login` and `logout`: whole, aside and renamed, mode 0600, every key we do not know kept as it was.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import subprocess
import tempfile
from shutil import which
from typing import TYPE_CHECKING, Any, NamedTuple

from sandbox.docker_proxies import docker_config_path
from sandbox.errors import AuthenticationError, HostError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: under which Docker Hub's credentials are kept, for historical reasons
DOCKER_HUB_KEY = "https://index.docker.io/v1/"
_HELPER_TIMEOUT_SECONDS = 60
#: what a helper answers when it has nothing (docker-credential-helpers' credentials.errCredentialsNotFound)
_NOT_FOUND = "credentials not found"
#: the user name by which a helper says that the secret is an identity token
_TOKEN_USER = "<token>"


class Credentials(NamedTuple):
    """A user's name and password for a registry, or an identity token."""

    username: str = ""
    password: str = ""
    identity_token: str = ""


class DockerConfig:
    """One config.json; a missing file is an empty one. Raises HostError where it cannot be read or written."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self.path = docker_config_path(env)
        self._document = self._load()

    def find(self, domain: str) -> Credentials | None:
        """The credentials for a registry, None where there are none. May run a helper program."""
        given = _of_auths(_given_auths(self._env), domain)
        if given is not None:
            return given
        helper = self._helper(domain)
        if helper:
            return self._ask_helper(helper, domain)
        return _of_auths(self._auths(), domain)

    def store(self, domain: str, credentials: Credentials) -> str:
        """Keep credentials; where they were kept, for the person to read."""
        helper = self._helper(domain)
        if helper:
            user = _TOKEN_USER if credentials.identity_token else credentials.username
            secret = credentials.identity_token or credentials.password
            request = {"ServerURL": _key(domain), "Username": user, "Secret": secret}
            self._run_helper(helper, "store", json.dumps(request))
            self._set_auth(domain, {})
            return f"docker-credential-{helper}"
        entry = {"auth": base64.b64encode(f"{credentials.username}:{credentials.password}".encode()).decode()}
        if credentials.identity_token:
            entry = {
                "auth": base64.b64encode(f"{credentials.username}:".encode()).decode(),
                "identitytoken": credentials.identity_token,
            }
        self._set_auth(domain, entry)
        return self.path

    def erase(self, domain: str) -> bool:
        """Forget the credentials for a registry; whether there were any."""
        helper = self._helper(domain)
        found = helper is not None and self._ask_helper(helper, domain) is not None
        if found and helper is not None:
            self._run_helper(helper, "erase", _key(domain))
        auths = self._auths()
        keys = [key for key in auths if _hostname(key) == _hostname(_key(domain))]
        for key in keys:
            del auths[key]
        if keys:
            self._write()
        return found or bool(keys)

    def _load(self) -> dict[str, Any]:
        try:
            with open(self.path, "rb") as file:
                document = json.loads(file.read() or b"{}")
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise HostError(
                f"cannot read {self.path}", cause=error.strerror or "", mend=f"ls -l {self.path}"
            ) from error
        except (ValueError, RecursionError) as error:
            raise HostError(
                f"{self.path} is not JSON", cause=str(error), mend=f"correct or remove {self.path}"
            ) from error
        if not isinstance(document, dict):
            raise HostError(f"{self.path} is not a JSON object", mend=f"correct or remove {self.path}")
        return document

    def _auths(self) -> dict[str, Any]:
        auths = self._document.get("auths")
        return auths if isinstance(auths, dict) else {}

    def _set_auth(self, domain: str, entry: dict[str, str]) -> None:
        auths = self._auths()
        auths[_key(domain)] = entry
        self._document["auths"] = auths
        self._write()

    def _write(self) -> None:
        # a symlinked config.json (dotfiles in a repository) stays a symlink
        target = os.path.realpath(self.path)
        try:
            os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
            # mode 0600 from the first moment on, in the same directory so that the rename is atomic
            fd, aside = tempfile.mkstemp(prefix=".config.json.", dir=os.path.dirname(target))
            try:
                with os.fdopen(fd, "w") as file:
                    file.write(json.dumps(self._document, indent="\t"))
                    file.flush()
                    os.fsync(fd)
                os.rename(aside, target)
            except BaseException:
                os.unlink(aside)
                raise
        except OSError as error:
            raise HostError(f"cannot write {self.path}", cause=error.strerror or "", mend=f"ls -ld {target}") from error

    def _helper(self, domain: str) -> str | None:
        helpers = self._document.get("credHelpers")
        for key in (domain, _key(domain)):
            name = helpers.get(key) if isinstance(helpers, dict) else None
            if isinstance(name, str) and name:
                return name
        store = self._document.get("credsStore")
        return store if isinstance(store, str) and store else None

    def _ask_helper(self, helper: str, domain: str) -> Credentials | None:
        answer = self._run_helper(helper, "get", _key(domain))
        if answer is None:
            return None
        try:
            document = json.loads(answer)
            user, secret = str(document["Username"]), str(document["Secret"])
        except (ValueError, KeyError, TypeError) as error:
            raise AuthenticationError(
                f"docker-credential-{helper} gave no credentials for {domain}", cause="its answer is not the protocol's"
            ) from error
        return Credentials(identity_token=secret) if user == _TOKEN_USER else Credentials(user, secret)

    def _run_helper(self, helper: str, verb: str, request: str) -> str | None:
        """The helper's answer; None when it says that it has no such credentials."""
        name = f"docker-credential-{helper}"
        # a path here would run any program the file names
        program = None if "/" in helper else which(name, path=self._env.get("PATH", os.defpath))
        if program is None:
            raise HostError(
                f"the credential helper {name} is not on the PATH",
                cause=f"{self.path} names it",
                mend=f"install {name}, or take it out of {self.path}",
            )
        try:
            ended = subprocess.run(
                [program, verb],
                input=request,
                capture_output=True,
                text=True,
                env=dict(self._env),
                timeout=_HELPER_TIMEOUT_SECONDS,
                check=False,
            )
        except (OSError, UnicodeDecodeError, subprocess.TimeoutExpired) as error:
            raise HostError(f"the credential helper {name} failed", cause=str(error)) from error
        if ended.returncode == 0:
            return ended.stdout
        if _NOT_FOUND in ended.stdout + ended.stderr:
            return None
        # what it printed may hold a secret only on success
        detail = (ended.stdout or ended.stderr).strip()[:200]
        raise HostError(f"the credential helper {name} failed at {verb}", cause=detail or f"status {ended.returncode}")


def _given_auths(env: Mapping[str, str]) -> dict[str, Any]:
    """Those of `$DOCKER_AUTH_CONFIG`, which come before those that are kept. Raises HostError."""
    text = env.get("DOCKER_AUTH_CONFIG", "")
    if not text:
        return {}
    try:
        auths = json.loads(text).get("auths")
    except (ValueError, RecursionError, AttributeError) as error:
        raise HostError(
            "DOCKER_AUTH_CONFIG is not a JSON object", cause=str(error), mend="unset DOCKER_AUTH_CONFIG"
        ) from error
    return auths if isinstance(auths, dict) else {}


def _of_auths(auths: Mapping[str, Any], domain: str) -> Credentials | None:
    for key, entry in auths.items():
        if _hostname(key) == _hostname(_key(domain)) and isinstance(entry, dict):
            found = _decoded(entry)
            if found is not None:
                return found
    return None


def _decoded(entry: dict[str, Any]) -> Credentials | None:
    token = entry.get("identitytoken")
    if isinstance(token, str) and token:
        return Credentials(identity_token=token)
    user, password = entry.get("username"), entry.get("password")
    if isinstance(user, str) and isinstance(password, str) and user:
        return Credentials(user, password)
    try:
        text = base64.b64decode(str(entry.get("auth") or ""), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    user, colon, password = text.partition(":")
    return Credentials(user, password.rstrip("\0")) if colon and user else None


def _key(domain: str) -> str:
    return DOCKER_HUB_KEY if domain in ("docker.io", "index.docker.io", "registry-1.docker.io") else domain


def _hostname(key: str) -> str:
    """The registry a key means: people and old tools write `https://host/v1/` for `host`."""
    return key.partition("://")[2].partition("/")[0] if "://" in key else key.partition("/")[0]
