"""The options of `run` and `create` as a ContainerRequest.

Here the caller's directory, environment and files are looked at: what is asked for means the same wherever it is read
from then on. The module that reads a kind of value is imported only where an option of that kind was given: `run` pays
for what it uses.
"""

from __future__ import annotations

from sandbox.cli.container_options.reading import (
    flag_given,
    form_as_mend,
    invalid_argument,
    number_given,
    parse_one,
    refuse_unsupported,
    text_given,
)
from sandbox.cli.container_options.table import CREATE_OPTIONS, RUN_OPTIONS
from sandbox.container.request.request import ContainerRequest
from sandbox.docker_proxies import find_proxies
from sandbox.errors import UsageError
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Invocation

__all__ = ["CREATE_OPTIONS", "RUN_OPTIONS", "AttachedStreams", "attached_streams", "read_request"]


def read_request(invocation: Invocation) -> ContainerRequest:
    """The container that the command line asks for: the first argument is the image, the rest the command.

    Raises UsageError, in the words of the options. What is wrong with a configuration file of Docker's is noted.
    """
    refuse_unsupported(invocation)
    request = _identity(invocation, _simple_options(invocation))
    if invocation.values.keys() - _READ_HERE:
        # the larger steps are a module of their own
        from sandbox.cli.container_options.larger_options import add_larger_options

        request = add_larger_options(invocation, request)
    return request


def _simple_options(invocation: Invocation) -> ContainerRequest:
    image, *command = invocation.arguments
    attached = attached_streams(invocation)
    return ContainerRequest(
        image,
        text_given(invocation, "name"),
        text_given(invocation, "platform"),
        text_given(invocation, "pull"),
        _id_file(invocation),
        command=tuple(command) or None,
        # an empty entrypoint is one of no words, not one that was not said
        entrypoint=(invocation.text("entrypoint") or "",) if invocation.given("entrypoint") else None,
        environment=_environment(invocation),
        working_directory=text_given(invocation, "workdir"),
        user=text_given(invocation, "user"),
        group_add=invocation.texts("group-add"),
        terminal=flag_given(invocation, "tty"),
        open_stdin=flag_given(invocation, "interactive"),
        # the first client that leaves takes standard input with it
        stdin_once=True if attached.stdin and invocation.flag("interactive") else None,
        attached=tuple(name for name, wanted in zip(attached._fields, attached, strict=True) if wanted),
        init=flag_given(invocation, "init"),
        auto_remove=flag_given(invocation, "rm"),
        privileged=flag_given(invocation, "privileged"),
        read_only=flag_given(invocation, "read-only"),
        publish_all=flag_given(invocation, "publish-all"),
        storage_driver=text_given(invocation, "storage-driver"),
        pid_mode=text_given(invocation, "pid"),
        ipc_mode=text_given(invocation, "ipc"),
        uts_mode=text_given(invocation, "uts"),
        stop_timeout_seconds=number_given(invocation, "stop-timeout"),
        oom_score_adjust=number_given(invocation, "oom-score-adj"),
        volumes_from=invocation.texts("volumes-from"),
    )


#: the options that are read in this module, or are not about the container
_READ_HERE = frozenset({
    "name", "platform", "pull", "entrypoint", "env", "env-file", "workdir", "user", "group-add", "tty", "interactive",
    "attach", "init", "rm", "privileged", "read-only", "publish-all", "storage-driver", "pid", "ipc", "uts",
    "stop-timeout", "oom-score-adj", "volumes-from", "label", "label-file", "hostname", "domainname", "detach",
    "detach-keys", "sig-proxy", "cidfile", "quiet", "disable-content-trust",
})  # fmt: skip


class AttachedStreams(NamedTuple):
    stdin: bool
    stdout: bool
    stderr: bool


def attached_streams(invocation: Invocation) -> AttachedStreams:
    """Which streams `run` connects to the container: `-a`, or by default stdout, stderr and, with `-i`, stdin.

    Raises UsageError.
    """
    # `create` knows no --detach
    detached = invocation.given("detach") and invocation.flag("detach")
    asked = [text.lower() for text in invocation.texts("attach")]
    for name in asked:
        if name not in ("stdin", "stdout", "stderr"):
            wrong = UsageError("valid streams are STDIN, STDOUT and STDERR", mend="--attach stdout")
            raise invalid_argument(invocation, "attach", name, wrong)
    if detached:
        if asked:
            raise UsageError("Conflicting options: -a and -d")
        return AttachedStreams(False, False, False)
    if asked:
        return AttachedStreams("stdin" in asked, "stdout" in asked, "stderr" in asked)
    return AttachedStreams(invocation.flag("interactive"), True, True)


def _id_file(invocation: Invocation) -> str | None:
    text = text_given(invocation, "cidfile")
    return invocation.context.cwd.absolute(text) if text else None


def _environment(invocation: Invocation) -> tuple[str, ...]:
    proxies = find_proxies(invocation.context.env, invocation.context.note)
    if not (invocation.given("env") or invocation.given("env-file") or proxies):
        return ()
    from sandbox.grammar.environment import read_variables

    with form_as_mend("env"):
        given = read_variables(_from_cwd(invocation, "env-file"), invocation.texts("env"), invocation.context.env)
    names = {text.partition("=")[0] for text in given}
    return (*given, *(f"{name}={value}" for name, value in proxies.items() if name not in names))


def _from_cwd(invocation: Invocation, key: str) -> list[str]:
    cwd = invocation.context.cwd
    return [cwd.absolute(text) for text in invocation.texts(key)]


def _identity(invocation: Invocation, request: ContainerRequest) -> ContainerRequest:
    if invocation.given("label") or invocation.given("label-file"):
        from sandbox.grammar.labels import read_labels

        with form_as_mend("label"):
            labels = read_labels(_from_cwd(invocation, "label-file"), invocation.texts("label"))
        request = request._replace(labels=tuple(sorted(labels.items())))
    if invocation.given("hostname") or invocation.given("domainname"):
        from sandbox.grammar.hosts import parse_hostname

        request = request._replace(
            hostname=parse_one(invocation, "hostname", parse_hostname) or None,
            domain_name=parse_one(invocation, "domainname", parse_hostname) or None,
        )
    return request
