"""URLs of Git repositories, as `ADD` and build contexts take them: `URL#ref:subdirectory`, or with a query.

    https://host/repo.git#v1.0:docs     git@host:repo.git     ssh://host/repo     git://host/repo?tag=v1.0

What an HTTP URL without `.git` at the end of its path names is a file. Nothing is asked of any server here.
"""

from __future__ import annotations

import posixpath
import re
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from sandbox.builder.sources.copy_sources import StepError
from sandbox.redaction import redact

_SCHEME = re.compile(r"([a-zA-Z0-9]+)://")
_SCP = re.compile(
    r"(?P<user>[a-zA-Z0-9_-]+)@(?P<host>[a-zA-Z0-9.-]+):(?P<path>.*?)(?:\?(?P<query>.*?))?(?:#(?P<fragment>.*))?"
)
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_TRUE, _FALSE = ("1", "t", "T", "TRUE", "true", "True"), ("0", "f", "F", "FALSE", "false", "False")
_KEYS = (
    "ref", "tag", "branch", "subdir", "checksum", "commit", "keep-git-dir", "submodules", "mtime", "fetch-by-commit"
)  # fmt: skip


class GitUrl(NamedTuple):
    """`remote` is what the `git` program gets; `ref` a branch, tag or commit, "" for the repository's own default."""

    remote: str
    scheme: str
    host: str
    ref: str = ""
    subdirectory: str = ""
    checksum: str = ""
    keep_git_dir: bool | None = None
    submodules: bool = True
    #: files have the commit's time, or that of the checkout
    commit_times: bool = True

    @property
    def shown(self) -> str:
        """The remote without its password."""
        return redact(self.remote)


def is_commit(ref: str) -> bool:
    """Whether a ref is a whole commit hash."""
    return _COMMIT.fullmatch(ref) is not None


def parse_git_url(text: str, *, as_context: bool = False) -> GitUrl | None:
    """None where the text names no repository. Raises StepError where it does, and asks for what cannot be.

    Only a context may be written `github.com/owner/repository`, as a path could be.
    """
    if as_context and text.startswith("github.com/"):
        text = f"https://{text}"
        named = True
    else:
        named = False
    scheme = _SCHEME.match(text)
    if scheme is None:
        return _read_scp(text)
    kind = scheme[1].lower()
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
    except ValueError:
        return None
    if kind not in ("http", "https", "git", "ssh"):
        return None
    if kind in ("http", "https") and not parts.path.endswith(".git") and not named:
        return None
    remote = parts._replace(query="", fragment="").geturl()
    return _finish(GitUrl(remote, kind, host), parts.query, parts.fragment)


def _read_scp(text: str) -> GitUrl | None:
    found = _SCP.fullmatch(text)
    if found is None:
        return None
    remote = f"{found['user']}@{found['host']}:{found['path']}"
    return _finish(GitUrl(remote, "ssh", found["host"]), found["query"] or "", found["fragment"] or "")


def _finish(url: GitUrl, query: str, fragment: str) -> GitUrl:
    ref, _, below = fragment.partition(":")
    values = _read_query(url, query)
    for key, prefix in (("ref", ""), ("tag", "refs/tags/"), ("branch", "refs/heads/")):
        if key in values:
            wanted = prefix + values[key].removeprefix(prefix)
            if ref and ref != wanted:
                raise StepError(f"{url.shown}: two refs that differ: {ref!r} and {wanted!r}")
            ref = wanted
    subdirectory = _subdirectory(below)
    if "subdir" in values:
        wanted = _subdirectory(values["subdir"])
        if subdirectory not in ("", wanted):
            raise StepError(f"{url.shown}: two subdirectories that differ: {subdirectory!r} and {wanted!r}")
        subdirectory = wanted
    checksum = values.get("checksum") or values.get("commit") or ""
    if _switch(url, values, "fetch-by-commit", default=False) and not ref:
        ref = checksum
    # an argument of git and of ssh: never an option (CVE-2017-1000117, CVE-2019-13139)
    if ref.startswith("-") or url.host.startswith("-") or not url.host:
        raise StepError(f"invalid Git URL {url.shown!r}", cause="its host or ref is none")
    if any(char in ref for char in " \t\n\\*?[~^:"):
        raise StepError(f"invalid ref {ref!r} of {url.shown}", cause="git-check-ref-format(1)")
    keep = _switch(url, values, "keep-git-dir", default=True) if "keep-git-dir" in values else None
    return url._replace(
        ref=ref, subdirectory=subdirectory, checksum=checksum, keep_git_dir=keep,
        submodules=_switch(url, values, "submodules", default=True), commit_times=values.get("mtime") != "checkout",
    )  # fmt: skip


def _read_query(url: GitUrl, query: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for key, found in parse_qs(query, keep_blank_values=True).items():
        if key not in _KEYS:
            raise StepError(f"{url.shown}: unexpected query {key!r}", mend=f"it may be one of {', '.join(_KEYS)}")
        if len(found) > 1:
            raise StepError(f"{url.shown}: the query {key!r} has several values")
        if not found[0] and key not in ("keep-git-dir", "submodules", "fetch-by-commit"):
            raise StepError(f"{url.shown}: the query {key!r} has no value")
        values[key] = found[0]
    if "tag" in values and "branch" in values:
        raise StepError(f"{url.shown}: a branch and a tag at once")
    if values.get("mtime", "commit") not in ("commit", "checkout"):
        raise StepError(f"{url.shown}: mtime is commit or checkout")
    return values


def _switch(url: GitUrl, values: dict[str, str], key: str, *, default: bool) -> bool:
    value = values.get(key)
    if value is None:
        return default
    if value in (*_TRUE, ""):
        return True
    if value in _FALSE:
        return False
    raise StepError(f"{url.shown}: invalid value {value!r} of {key}: true or false")


def _subdirectory(text: str) -> str:
    return posixpath.normpath(f"/{text}").lstrip("/")
