"""`--ssh`: the agents a build may ask, by id: the caller's socket, or one of the build's own that holds given keys.

An agent made here lives below the runtime directory and ends with us: it is started around a program that reads from
our pipe, and leaves when that program does, also after SIGKILL.
"""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from net.programs import install_command
from sandbox.errors import HostError, NotFoundError, SandboxError, UsageError
from sandbox.home import expand_home, find_home
from storage.locks import lock_directory, lock_nowait, unlock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sandbox.caller_directory import CallerDirectory
    from sandbox.paths import Paths

_PREFIX = "ssh-"


class SshSource(NamedTuple):
    """One `--ssh`: a socket, private keys, or with no path the agent of SSH_AUTH_SOCK."""

    id: str
    paths: tuple[str, ...]


def read_ssh(text: str, cwd: CallerDirectory, env: Mapping[str, str]) -> SshSource:
    """`default` or `ID[=SOCKET|KEY[,KEY]]`. Raises UsageError."""
    name, equals, rest = text.partition("=")
    if not name or (equals and not rest):
        raise UsageError(f"invalid --ssh {text!r}", mend="--ssh default, or --ssh ID=SOCKET|KEY[,KEY]")
    return SshSource(name, tuple(cwd.absolute(expand_home(path, env)) for path in rest.split(",") if path))


@contextmanager
def agent_sockets(paths: Paths, env: Mapping[str, str], sources: tuple[SshSource, ...]) -> Iterator[dict[str, str]]:
    """The agents' sockets by id, for as long as the block. Raises SandboxError."""
    with ExitStack() as stack:
        found: dict[str, str] = {}
        for source in sources:
            if source.id in found:
                raise UsageError(f"--ssh {source.id} is given twice")
            found[source.id] = _open(paths, env, source, stack)
        yield found


def _open(paths: Paths, env: Mapping[str, str], source: SshSource, stack: ExitStack) -> str:
    if not source.paths:
        socket = env.get("SSH_AUTH_SOCK", "")
        if not socket:
            raise NotFoundError(
                "invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set",
                cause=f"SSH_AUTH_SOCK is not set, for --ssh {source.id}", mend="eval $(ssh-agent) && ssh-add",
            )  # fmt: skip
        return _check_socket(socket)
    try:
        kinds = {stat.S_IFMT(os.stat(path).st_mode) for path in source.paths}
    except OSError as error:
        raise NotFoundError(f"cannot read {error.filename} of --ssh {source.id}", cause=error.strerror or "") from error
    if kinds == {stat.S_IFSOCK} and len(source.paths) == 1:
        return source.paths[0]
    if kinds != {stat.S_IFREG}:
        raise UsageError(f"--ssh {source.id} takes one socket, or keys")
    return _start_agent(paths, env, source, stack)


def _check_socket(path: str) -> str:
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise NotFoundError(f"SSH_AUTH_SOCK names {path}, which is no socket")
    except OSError as error:
        raise NotFoundError(
            f"cannot reach the SSH agent at {path}", cause=error.strerror or "", mend="eval $(ssh-agent) && ssh-add"
        ) from error
    return path


def _start_agent(paths: Paths, env: Mapping[str, str], source: SshSource, stack: ExitStack) -> str:
    _sweep(paths.runtime_root)
    place = tempfile.mkdtemp(dir=paths.runtime_root, prefix=_PREFIX)
    stack.callback(unlock, lock_directory(place))
    stack.callback(shutil.rmtree, place, ignore_errors=True)
    socket = f"{place}/agent"
    words = ["ssh-agent", "-a", socket, "/bin/sh", "-c", 'echo "$SSH_AGENT_PID"; exec cat']
    clean = {"PATH": env.get("PATH", os.defpath), "HOME": find_home(env) or "/"}
    try:
        agent = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=clean)
    except FileNotFoundError as error:
        raise HostError(
            "cannot hold the keys of --ssh", cause="there is no ssh-agent", mend=install_command("openssh-client")
        ) from error
    stack.callback(_end_agent, agent)
    assert agent.stdout is not None
    # its socket is there before the program it runs
    pid = agent.stdout.readline()
    if not pid.strip().isdigit():
        raise SandboxError("ssh-agent did not start", mend="try it by itself: ssh-agent true")
    stack.callback(_terminate, int(pid))
    for key in source.paths:
        done = subprocess.run(
            ["ssh-add", "-q", "--", key], env={**clean, "SSH_AUTH_SOCK": socket, "SSH_ASKPASS_REQUIRE": "never"},
            stdin=subprocess.DEVNULL, capture_output=True, start_new_session=True, check=False,
        )  # fmt: skip
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise SandboxError(
                f"cannot use the key {key} of --ssh {source.id}", cause=said[-1] if said else "it has a passphrase",
                mend=f"ssh-add {key}, and --ssh {source.id}: keys with a passphrase need an agent of yours",
            )  # fmt: skip
    return socket


def _sweep(runtime_root: str) -> None:
    """Remove what killed builds left: the kernel let go of their locks."""
    for name in os.listdir(runtime_root):
        fd = lock_nowait(f"{runtime_root}/{name}") if name.startswith(_PREFIX) else None
        if fd is not None:
            shutil.rmtree(f"{runtime_root}/{name}", ignore_errors=True)
            unlock(fd)


def _end_agent(agent: subprocess.Popen[bytes]) -> None:
    for pipe in (agent.stdin, agent.stdout):
        if pipe is not None:
            pipe.close()
    agent.wait()


def _terminate(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
