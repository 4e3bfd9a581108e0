"""From the options of `run` and `create` and the image's own configuration to a ContainerConfig.

Each step takes the configuration so far and gives it back with what its options say. The module that reads a kind of
value is imported only where an option of that kind was given: `run` pays for what it uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.cli.container_options.reading import (
    form_as_mend,
    invalid_argument,
    parse_each,
    parse_one,
    refuse_unsupported,
)
from sandbox.cli.container_options.table import CREATE_OPTIONS, RUN_OPTIONS
from sandbox.container.model.record import ContainerConfig
from sandbox.docker_proxies import find_proxies
from sandbox.errors import UsageError
from sandbox.named_tuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from sandbox.cli.command import Invocation
    from sandbox.container.request.image_defaults import ImageDefaults
    from sandbox.values import MountPoint

__all__ = ["CREATE_OPTIONS", "RUN_OPTIONS", "AttachedStreams", "attached_streams", "build_config", "check_options"]


def build_config(
    invocation: Invocation,
    image_config: dict[str, Any],  # Any: the image's JSON
    image: str,
    image_id: str,
    layers: Sequence[str] = (),
    platform: str = "",
    *,
    require_command: bool | None = None,
    mounts_of: Callable[[str], tuple[MountPoint, ...]] | None = None,
) -> ContainerConfig:
    """The container that the command line asks for, over the image's defaults. Raises UsageError and ImageError.

    The first argument is the image, the rest the command. `image_config` is the config blob or its `config` part.
    `mounts_of` gives the mounts of another container, for `--volumes-from`. A container without a command may be
    created (to export it, say) but not run, unless `require_command` says otherwise.
    """
    from sandbox.container.request.image_defaults import read_image_defaults

    refuse_unsupported(invocation)
    defaults = read_image_defaults(image_config, image)
    entrypoint, command = _command(invocation, defaults)
    if require_command is None:
        require_command = invocation.command.path != "container create"
    if require_command and not entrypoint and not command:
        raise UsageError("no command specified", mend=f"sandbox run {image} COMMAND")
    config = ContainerConfig(
        image,
        image_id,
        entrypoint,
        command,
        layers=tuple(layers),
        platform=platform,
        storage_driver=invocation.text("storage-driver") or "",
    )
    if invocation.given("storage-opt"):
        config = config._replace(storage_size_bytes=_storage_size(invocation))
    if trace := invocation.text("trace-files"):
        config = config._replace(trace_path=invocation.context.cwd.absolute(trace))
    config = _process(invocation, defaults, config)
    config = _identity(invocation, defaults, config)
    config = _lifecycle(invocation, defaults, config)

    # the larger steps live in a module each, and see only what the smaller ones made
    from sandbox.cli.container_options.larger_options import (
        add_isolation,
        add_limits,
        add_mounts,
        add_network,
        health_check,
    )

    config = config._replace(health=health_check(invocation, defaults))
    config = add_network(invocation, defaults, config)
    config = add_mounts(invocation, defaults, config, mounts_of)
    return add_limits(invocation, add_isolation(invocation, config))


def check_options(invocation: Invocation, mounts_of: Callable[[str], tuple[MountPoint, ...]] | None = None) -> None:
    """Raise UsageError for an option that `build_config` would refuse: to be asked before an image is pulled."""
    from io import StringIO

    # its warnings are for the real call
    quiet = invocation._replace(context=invocation.context._replace(stderr=StringIO()))
    build_config(quiet, {}, "", "", require_command=False, mounts_of=mounts_of)
    attached_streams(invocation)


class AttachedStreams(NamedTuple):
    stdin: bool
    stdout: bool
    stderr: bool


def attached_streams(invocation: Invocation) -> AttachedStreams:
    """Which streams `run` connects to the container: `-a`, or by default stdout, stderr and, with `-i`, stdin."""
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


def _command(invocation: Invocation, defaults: ImageDefaults) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Entrypoint and command as Docker merges them: a given entrypoint drops the image's command too."""
    command = invocation.arguments[1:]
    if invocation.given("entrypoint"):
        text = invocation.text("entrypoint")
        return ((text,) if text else ()), command
    return defaults.entrypoint, command or defaults.command


def _process(invocation: Invocation, defaults: ImageDefaults, config: ContainerConfig) -> ContainerConfig:
    environment = defaults.environment
    proxies = find_proxies(invocation.context.env, invocation.context.note)
    if invocation.given("env") or invocation.given("env-file") or proxies:
        from sandbox.grammar.environment import merge_environment, read_variables

        files = _from_cwd(invocation, "env-file")
        with form_as_mend("env"):
            given = read_variables(files, invocation.texts("env"), invocation.context.env)
        names = {text.partition("=")[0] for text in given}
        given += tuple(f"{name}={value}" for name, value in proxies.items() if name not in names)
        environment = merge_environment(environment, given)
    directory = invocation.text("workdir") or defaults.working_directory or "/"
    if not directory.startswith("/"):
        raise UsageError(
            f"the working directory '{directory}' is invalid, it needs to be an absolute path", mend=f"-w /{directory}"
        )
    return config._replace(
        environment=environment,
        working_directory=directory,
        user=invocation.text("user") or defaults.user,
        group_add=invocation.texts("group-add"),
        terminal=invocation.flag("tty"),
        open_stdin=invocation.flag("interactive"),
        # Docker's StdinOnce: the first client that leaves takes standard input with it
        stdin_once=invocation.flag("interactive") and attached_streams(invocation).stdin,
        init=invocation.flag("init"),
    )


def _storage_size(invocation: Invocation) -> int:
    from sandbox.grammar.sizes import parse_size

    def parse(text: str) -> int:
        key, _, value = text.partition("=")
        if key.strip().lower() != "size":
            raise UsageError(f"unknown storage option {key!r}", mend="--storage-opt size=2G")
        size = parse_size(value)
        if size <= 0:
            raise UsageError("the size must be more than 0")
        return size

    return parse_each(invocation, "storage-opt", parse)[-1]


def _from_cwd(invocation: Invocation, key: str) -> list[str]:
    cwd = invocation.context.cwd
    return [cwd.absolute(text) for text in invocation.texts(key)]


def _identity(invocation: Invocation, defaults: ImageDefaults, config: ContainerConfig) -> ContainerConfig:
    labels = tuple(sorted(defaults.labels.items()))
    if invocation.given("label") or invocation.given("label-file"):
        from sandbox.grammar.labels import merge_labels, read_labels

        with form_as_mend("label"):
            given = read_labels(_from_cwd(invocation, "label-file"), invocation.texts("label"))
        labels = merge_labels(defaults.labels, given)
    if invocation.given("hostname") or invocation.given("domainname"):
        from sandbox.grammar.hosts import parse_hostname

        config = config._replace(
            hostname=parse_one(invocation, "hostname", parse_hostname) or "",
            domain_name=parse_one(invocation, "domainname", parse_hostname) or "",
        )
    return config._replace(labels=labels)


def _lifecycle(invocation: Invocation, defaults: ImageDefaults, config: ContainerConfig) -> ContainerConfig:
    if invocation.given("restart"):
        from sandbox.grammar.restart import parse_restart

        policy = parse_one(invocation, "restart", parse_restart)
        assert policy is not None
        if policy.name != "no" and invocation.flag("rm"):
            raise UsageError("conflicting options: cannot specify both --restart and --rm")
        config = config._replace(restart=policy)
    if invocation.given("log-driver") or invocation.given("log-opt"):
        from sandbox.grammar.logs import parse_log

        driver = invocation.text("log-driver") or "json-file"
        with form_as_mend("log-opt"):
            config = config._replace(log=parse_log(driver, invocation.texts("log-opt")))
    if invocation.given("stop-signal"):
        from sandbox.grammar.signals import parse_signal

        parse_one(invocation, "stop-signal", parse_signal)
    return config._replace(
        auto_remove=invocation.flag("rm"),
        stop_signal=invocation.text("stop-signal") or defaults.stop_signal,
        stop_timeout_seconds=invocation.number("stop-timeout"),
    )
