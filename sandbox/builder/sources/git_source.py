"""Git repositories fetched by the `git` program: for `ADD`, and as build contexts.

The repository is hostile, and so may the URL be: arguments stand after `--`; no configuration of the user or the
system, no hook and no template is read; only http, https, git and ssh are spoken, by submodules too, so that no local
file comes in (`ext::` and file URLs are refused by git itself); a subdirectory is found without following links. Every
server is looked at before git speaks to it (`git_servers.py`): so submodules are brought one by one.
"""

from __future__ import annotations

import base64
import os
import re
import shlex
import stat
import subprocess
from typing import TYPE_CHECKING, NamedTuple

from net.programs import install_command
from sandbox.builder.sources.copy_sources import StepError
from sandbox.builder.sources.git_servers import locate, look_at
from sandbox.builder.sources.git_urls import is_commit
from sandbox.home import find_home
from sandbox.redaction import redact
from storage.syscalls import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2
from storage.trees.tree import remove_entry, remove_tree
from storage.trees.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandbox.builder.sources.git_urls import GitUrl
    from sandbox.paths import Paths

_PROTOCOLS = "http:https:git:ssh"
_SETTINGS = (
    "core.hooksPath=/dev/null", "core.fsmonitor=false", "core.logAllRefUpdates=false", "protocol.file.allow=never",
    "protocol.ext.allow=never", "init.defaultBranch=master", "advice.detachedHead=false", "gc.auto=0",
)  # fmt: skip
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_REDIRECTED = re.compile(r"The requested URL returned error: 30[12378]\b")
_GITLINK = "160000"
#: of submodules in one another; a repository may be its own
_DEPTH_MOST = 16


class GitAccess(NamedTuple):
    """With what a server is asked: the person's settings, the caller's environment, the build's secrets, and the socket
    of an SSH agent.
    """

    paths: Paths
    env: Mapping[str, str]
    secrets: Mapping[str, bytes]
    agent_socket: str = ""


class GitCommit(NamedTuple):
    """What a ref means now. `ref` is its full name, or the commit where that was given."""

    commit: str
    ref: str


def resolve_git(url: GitUrl, checksum: str, access: GitAccess) -> GitCommit:
    """Ask the server what the URL's ref means. Raises StepError, also where it is not `checksum`, part of a hash."""
    checksum = checksum.lower()
    if checksum and not set(checksum) <= set("0123456789abcdef"):
        raise StepError(f"invalid checksum {checksum!r} of {url.shown}", cause="it is not a commit's hash")
    if is_commit(url.ref):
        _check(url, checksum, url.ref)
        return GitCommit(url.ref, url.ref)
    ref = url.ref or "HEAD"
    text = _ask(url, access, ["ls-remote"], [ref, f"{ref}^{{}}"])
    found = {name: commit for commit, _, name in (line.partition("\t") for line in text.splitlines())}
    names = [ref] if ref == "HEAD" else [
        f"refs/{ref.removeprefix('refs/')}",
        f"refs/heads/{ref.removeprefix('refs/heads/')}",
        f"refs/tags/{ref.removeprefix('refs/tags/')}",
    ]  # fmt: skip
    name = next((name for name in names if name in found), None)
    if name is None or not is_commit(found[name]):
        raise StepError(f"{url.shown} has no ref {ref!r}", mend=f"git ls-remote {shlex.quote(url.shown)}")
    # what an annotated tag is put on
    commit = found.get(f"{name}^{{}}", found[name])
    _check(url, checksum, commit, found[name])
    return GitCommit(commit, name)


def checkout_git(url: GitUrl, commit: GitCommit, place: str, access: GitAccess, *, keep_git_dir: bool) -> str:
    """Fetch a commit into the empty directory `place`; the directory of the files asked for. Raises StepError."""
    tree = f"{place}/tree"
    os.mkdir(tree, 0o755)
    kind = ["--object-format=sha256"] if len(commit.commit) == 64 else []
    _run(url, access, "init", "-q", "--template=", *kind, ".", cwd=tree)
    _run(url, access, "remote", "add", "--", "origin", url.remote, cwd=tree)
    _fetch(url, commit, tree, access)
    _run(url, access, "checkout", "-q", "--detach", commit.commit, "--", cwd=tree)
    if url.submodules:
        _bring_submodules(url, access, tree)
    seconds = int(_run(url, access, "show", "-s", "--format=%ct", commit.commit, cwd=tree))
    keep = keep_git_dir and not url.subdirectory
    if keep:
        _run(url, access, "remote", "set-url", "--", "origin", redact(url.remote), cwd=tree)
        for name in ("FETCH_HEAD", "ORIG_HEAD"):
            if os.path.lexists(f"{tree}/.git/{name}"):
                os.unlink(f"{tree}/.git/{name}")
    else:
        remove_tree(f"{tree}/.git")
    tree_fd = os.open(tree, _DIRECTORY)
    try:
        _tidy(tree_fd, seconds * 10**9 if url.commit_times else None, keep=keep)
        return _enter(url, tree, tree_fd)
    finally:
        os.close(tree_fd)


def _fetch(url: GitUrl, commit: GitCommit, tree: str, access: GitAccess) -> None:
    """The commit alone where the server gives it; else what it is found in."""
    wanted = commit.ref if commit.ref == commit.commit else f"{commit.ref}:{_local_name(commit.ref)}"
    ways = [("--depth=1", "--no-tags", wanted), ("--no-tags", wanted)]
    if commit.ref == commit.commit:
        ways.append(("--tags", "+refs/heads/*:refs/remotes/origin/*"))
    failure: StepError | None = None
    for *options, refspec in ways:
        try:
            _ask(url, access, ["fetch", "-q", "-u", "--no-recurse-submodules", *options], [refspec], cwd=tree)
        except StepError as error:
            failure = error
            continue
        try:
            _run(url, access, "cat-file", "-e", f"{commit.commit}^{{commit}}", cwd=tree)
        except StepError:
            failure = StepError(f"{commit.ref} of {url.shown} changed meanwhile, or has no commit {commit.commit}")
            continue
        return
    assert failure is not None
    raise failure


def _bring_submodules(url: GitUrl, access: GitAccess, tree: str, depth: int = 1) -> None:
    if not os.path.lexists(f"{tree}/.gitmodules"):
        return
    if depth > _DEPTH_MOST:
        raise StepError(f"{url.shown}: more than {_DEPTH_MOST} submodules in one another")
    _run(url, access, "submodule", "-q", "init", cwd=tree)
    paths = _submodule_values(url, access, tree, "path", "--blob", "HEAD:.gitmodules")
    staged = _run(url, access, "ls-files", "-s", "-z", cwd=tree).split("\0")
    links = {entry.partition("\t")[2] for entry in staged if entry.startswith(_GITLINK)}
    for name, remote in _submodule_values(url, access, tree, "url", "--local").items():
        path = paths.get(name)
        if path not in links:
            continue
        words = ("submodule", "-q", "update", "--depth=1", "--", path)
        try:
            _run(url, access, *words, cwd=tree, remote=remote)
        except _RedirectedError:
            found = locate(remote, "", access.paths, access.env)
            _run(url, access, "config", "--local", f"submodule.{name}.url", found, cwd=tree)
            _run(url, access, *words, cwd=tree, remote=found)
        _bring_submodules(url, access, f"{tree}/{path}", depth + 1)


def _submodule_values(url: GitUrl, access: GitAccess, tree: str, key: str, *where: str) -> dict[str, str]:
    """The values of a key of every submodule, by its name."""
    text = _run(url, access, "config", "-z", *where, "--get-regexp", rf"^submodule\..*\.{key}$", cwd=tree)
    pairs = (entry.partition("\n") for entry in text.split("\0") if entry)
    return {name.removeprefix("submodule.").removesuffix(f".{key}"): value for name, _, value in pairs}


def _local_name(ref: str) -> str:
    return "refs/remotes/origin/HEAD" if ref == "HEAD" else ref


def _tidy(tree_fd: int, time_ns: int | None, *, keep: bool) -> None:
    """Modes as Git knows them, 0755 and 0644, times of the commit, and no `.git` of submodules."""
    walk = Walk(tree_fd)
    for step in walk:
        if step.name == b".git":
            if not keep:
                remove_entry(step.dir_fd, step.name)
            if stat.S_ISDIR(step.status.st_mode):
                walk.skip()
            continue
        if time_ns is not None and (step.leaving or not stat.S_ISDIR(step.status.st_mode)):
            os.utime(step.name, ns=(time_ns, time_ns), dir_fd=step.dir_fd, follow_symlinks=False)
    if time_ns is not None:
        os.utime(tree_fd, ns=(time_ns, time_ns))


def _enter(url: GitUrl, tree: str, tree_fd: int) -> str:
    if not url.subdirectory:
        return tree
    try:
        os.close(openat2(tree_fd, url.subdirectory.encode(), _DIRECTORY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS))
    except OSError as error:
        raise StepError(
            f"{url.shown} has no directory {url.subdirectory!r}", cause=error.strerror or str(error)
        ) from error
    return f"{tree}/{url.subdirectory}"


def _check(url: GitUrl, checksum: str, *hashes: str) -> None:
    if checksum and not any(one.startswith(checksum) for one in hashes):
        raise StepError(f"{url.shown}: expected checksum to match {checksum}, got {' or '.join(dict.fromkeys(hashes))}")


class _RedirectedError(StepError):
    """The server named another place, and git went nowhere."""


def _ask(url: GitUrl, access: GitAccess, words: Sequence[str], wanted: Sequence[str], cwd: str = "/") -> str:
    """What git says that has asked the server of a repository for what is wanted."""
    try:
        return _run(url, access, *words, "--", url.remote, *wanted, cwd=cwd, remote=url.remote)
    except _RedirectedError:
        found = locate(url.remote, _authorization(url, access), access.paths, access.env)
        return _run(url, access, *words, "--", found, *wanted, cwd=cwd, remote=found)


def _run(url: GitUrl, access: GitAccess, *arguments: str, cwd: str = "/", remote: str = "") -> str:
    """What git says; `remote` is the server that it will ask, none where it has no need to."""
    words = ["git", *(word for setting in _SETTINGS for word in ("-c", setting)), *arguments]
    env = _environment(url, access, look_at(remote, access.env) if remote else ())
    try:
        done = subprocess.run(
            words, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, umask=0o022, check=False
        )
    except FileNotFoundError as error:
        raise StepError(
            f"cannot fetch {url.shown}", cause="there is no git program on this machine",
            mend=install_command("git"),
        ) from error  # fmt: skip
    if done.returncode:
        text = redact(done.stderr.decode(errors="replace")).strip()
        said = text.splitlines()
        kind = _RedirectedError if _REDIRECTED.search(text) else StepError
        raise kind(
            f"git {arguments[0]} of {url.shown} failed", cause=" ".join(said[-4:])[:1000], mend=_mend(url, access, said)
        )
    return done.stdout.decode(errors="replace")


def _mend(url: GitUrl, access: GitAccess, said: list[str]) -> str:
    text = "\n".join(said)
    if url.scheme == "ssh" and "Host key verification failed" in text:
        return f"ssh-keyscan {url.host} >> ~/.ssh/known_hosts, having looked at the key"
    if url.scheme == "ssh" and not access.agent_socket:
        return "sandbox build --ssh default …, with the key in an agent (ssh-add)"
    if "could not read Username" in text or "Authentication failed" in text:
        return "sandbox build --secret id=GIT_AUTH_TOKEN,src=FILE …"
    return ""


def _environment(url: GitUrl, access: GitAccess, settings: Sequence[tuple[str, str]]) -> dict[str, str]:
    env = {
        "PATH": access.env.get("PATH", os.defpath), "HOME": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "", "GIT_LITERAL_PATHSPECS": "1",
        "GIT_ALLOW_PROTOCOL": _PROTOCOLS, "GIT_SSH_COMMAND": _ssh_command(access), "LC_ALL": "C",
    }  # fmt: skip
    if access.env.get("SSL_CERT_FILE"):
        env["GIT_SSL_CAINFO"] = access.env["SSL_CERT_FILE"]
    if access.agent_socket:
        env["SSH_AUTH_SOCK"] = access.agent_socket
    header = _authorization(url, access)
    if header:
        base = f"{url.scheme}://{url.remote.partition('://')[2].partition('/')[0]}/"
        settings = [*settings, (f"http.{base}.extraHeader", f"Authorization: {header}")]
    # by the environment: arguments are seen by everybody
    env["GIT_CONFIG_COUNT"] = str(len(settings))
    for number, (key, value) in enumerate(settings):
        env |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return env


def _authorization(url: GitUrl, access: GitAccess) -> str:
    """The Authorization header of BuildKit's secrets for Git, those of the host before those for all."""
    if url.scheme not in ("http", "https"):
        return ""
    for suffix in (f".{url.host}", ""):
        header = access.secrets.get(f"GIT_AUTH_HEADER{suffix}")
        if header is not None:
            return _one_line(header)
        token = access.secrets.get(f"GIT_AUTH_TOKEN{suffix}")
        if token is not None:
            pair = f"x-access-token:{_one_line(token)}"
            return f"basic {base64.b64encode(pair.encode()).decode()}"
    return ""


def _one_line(value: bytes) -> str:
    return "".join(value.decode(errors="replace").split("\n")).strip()


def _ssh_command(access: GitAccess) -> str:
    """ssh with the agent's keys alone, for servers that the user knows already."""
    options = {
        "BatchMode": "yes", "StrictHostKeyChecking": "yes", "IdentityFile": "none",
        "UserKnownHostsFile": f'"{find_home(access.env)}/.ssh/known_hosts"',
        "IdentityAgent": "SSH_AUTH_SOCK" if access.agent_socket else "none",
    }  # fmt: skip
    words = [word for key, value in options.items() for word in ("-o", shlex.quote(f"{key}={value}"))]
    return " ".join(["ssh", "-F", "none", *words])
