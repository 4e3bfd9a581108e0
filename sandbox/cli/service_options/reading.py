"""A service as a command line asks for it: a new one, or what is there, changed."""

from __future__ import annotations

import shlex

from sandbox.cli.service_options.changes import refuse_unsupported
from sandbox.cli.service_options.lists import with_lists
from sandbox.container.model.names import random_name
from sandbox.container.request.request import ContainerRequest
from sandbox.errors import UsageError
from sandbox.service.spec import RestartRule, ServiceMode, ServiceSpec, UpdateConfig
from sandbox.values import HealthCheck

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.service_options.changes import Changes
    from sandbox.service.spec import ModeKind

_MODES: dict[str, ModeKind] = {
    "replicated": "replicated", "global": "global", "replicated-job": "replicated-job", "global-job": "global-job",
}  # fmt: skip
_ACTIONS = ("pause", "continue", "rollback")
_ORDERS = ("stop-first", "start-first")
_CONDITIONS = ("any", "on-failure", "none")
_S = 10**9


def new_service(changes: Changes) -> ServiceSpec:
    """The service that `create` asks for: the first argument is the image, the rest the command. Raises UsageError,
    NotFoundError.
    """
    invocation = changes.invocation
    image, *command = invocation.arguments
    request = ContainerRequest(image, command=tuple(command) or None)
    spec = ServiceSpec(invocation.text("name") or random_name(), request, mode=_new_mode(changes))
    spec = changed_service(spec, changes)
    if spec.mode.is_job and (spec.update is not None or spec.rollback is not None):
        raise UsageError("update and rollback configuration is not supported for jobs", mend="leave it out")
    return spec


def changed_service(spec: ServiceSpec, changes: Changes) -> ServiceSpec:
    """`spec` as the options change it. Raises UsageError, NotFoundError."""
    refuse_unsupported(changes.invocation)
    spec = with_lists(spec, changes)
    spec = spec._replace(
        request=_limits(_health(_process(spec.request, changes), changes), changes),
        update=_rules(spec.update, changes, "update", _ACTIONS),
        rollback=_rules(spec.rollback, changes, "rollback", _ACTIONS[:2]),
        restart=_restart(spec.restart, changes),
    )
    if changes.any_given("endpoint-mode"):
        mode = (changes.invocation.text("endpoint-mode") or "vip").lower()
        if mode not in ("vip", "dnsrr"):
            raise UsageError(f"invalid endpoint mode: {mode}", mend="--endpoint-mode vip or dnsrr")
        spec = spec._replace(endpoint_mode=mode)
    return spec._replace(
        max_replicas_per_node=changes.whole_number("replicas-max-per-node", spec.max_replicas_per_node)
    )


def _new_mode(changes: Changes) -> ServiceMode:
    kind = changes.invocation.text("mode") or "replicated"
    if kind not in _MODES:
        raise UsageError(f"Unknown mode: {kind}, only replicated and global supported", mend="--mode replicated")
    if kind.startswith("global"):
        for key, modes in (("replicas", "replicated or replicated-job"),
                           ("replicas-max-per-node", "replicated or replicated-job"),
                           ("max-concurrent", "replicated-job")):  # fmt: skip
            if changes.any_given(key):
                raise UsageError(f"{key} can only be used with {modes} mode", mend=f"leave out --{key}")
    if kind == "replicated" and changes.any_given("max-concurrent"):
        raise UsageError("max-concurrent can only be used with replicated-job mode", mend="--mode replicated-job")
    return ServiceMode(_MODES[kind], changes.whole_number("replicas", 1), changes.whole_number("max-concurrent", 0))


def with_replicas(spec: ServiceSpec, changes: Changes) -> ServiceSpec:
    """`spec` of a service that is there, with `--replicas` and what goes with it. Raises UsageError for one that has
    none.
    """
    mode = spec.mode
    if changes.any_given("replicas") and mode.kind != "replicated":
        raise UsageError("replicas can only be used with replicated mode", mend="leave out --replicas")
    if changes.any_given("max-concurrent") and mode.kind != "replicated-job":
        raise UsageError("max-concurrent can only be used with replicated-job mode", mend="leave out --max-concurrent")
    if changes.any_given("replicas-max-per-node") and mode.is_global:
        raise UsageError(
            "replicas-max-per-node can only be used with replicated or replicated-job mode",
            mend="leave out --replicas-max-per-node",
        )
    return spec._replace(
        mode=mode._replace(
            replicas=changes.whole_number("replicas", mode.replicas),
            max_concurrent=changes.whole_number("max-concurrent", mode.max_concurrent),
        )
    )


def _process(request: ContainerRequest, changes: Changes) -> ContainerRequest:
    from sandbox.grammar.hosts import parse_hostname

    if changes.any_given("stop-signal"):
        from sandbox.grammar.signals import parse_signal

        changes.one("stop-signal", 0, parse_signal)
    grace_ns = (request.stop_timeout_seconds or 0) * _S
    if changes.any_given("stop-grace-period"):
        seconds = -(-changes.duration_ns("stop-grace-period", grace_ns) // _S)
        request = request._replace(stop_timeout_seconds=seconds)
    if changes.any_given("log-driver", "log-opt"):
        from sandbox.grammar.logs import parse_log

        present = request.log.driver if request.log is not None else "json-file"
        log = parse_log(changes.text("log-driver", present) or "json-file", changes.invocation.texts("log-opt"))
        request = request._replace(log=log)
    image = changes.text("image", request.image) if changes.is_update else request.image
    return request._replace(
        image=image or request.image,
        command=_words(changes, "args", request.command) if changes.is_update else request.command,
        entrypoint=_words(changes, "entrypoint", request.entrypoint),
        working_directory=changes.text("workdir", request.working_directory),
        user=changes.text("user", request.user),
        hostname=changes.one("hostname", request.hostname or "", parse_hostname) or None,
        init=changes.flag("init", request.init),
        terminal=changes.flag("tty", request.terminal),
        read_only=changes.flag("read-only", request.read_only),
        stop_signal=changes.text("stop-signal", request.stop_signal),
        oom_score_adjust=_number(changes, "oom-score-adj", request.oom_score_adjust),
    )


def _words(changes: Changes, key: str, present: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """A command line as a shell parts it; an empty one is the image's own."""
    if not changes.any_given(key):
        return present
    text = changes.invocation.text(key) or ""
    try:
        return tuple(shlex.split(text)) or None
    except ValueError as error:
        raise UsageError(
            f'invalid argument "{text}" for "--{key}" flag: {error}', mend=f"--{key} 'WORD WORD'"
        ) from error


def _number(changes: Changes, key: str, present: int | None) -> int | None:
    return changes.invocation.number(key) if changes.any_given(key) else present


def _health(request: ContainerRequest, changes: Changes) -> ContainerRequest:
    keys = ("cmd", "interval", "retries", "timeout", "start-period", "start-interval")
    asked = changes.any_given(*(f"health-{key}" for key in keys))
    if changes.flag("no-healthcheck", None):
        if asked:
            raise UsageError("--no-healthcheck conflicts with --health-* options", mend="leave out --no-healthcheck")
        return request._replace(health=HealthCheck(("NONE",)))
    if not asked:
        return request
    from sandbox.grammar.health import parse_health_time

    present = request.health or HealthCheck()
    test = () if present.test[:1] == ("NONE",) else present.test
    if changes.any_given("health-cmd"):
        command = changes.invocation.text("health-cmd")
        test = ("CMD-SHELL", command) if command else ()

    def time_ns(name: str, before_ns: int) -> int:
        return changes.one(f"health-{name}", before_ns, lambda text: parse_health_time(text, name))

    return request._replace(
        health=HealthCheck(
            test,
            time_ns("interval", present.interval_ns),
            time_ns("timeout", present.timeout_ns),
            time_ns("start-period", present.start_period_ns),
            time_ns("start-interval", present.start_interval_ns),
            changes.whole_number("health-retries", present.retries),
        )
    )


def _limits(request: ContainerRequest, changes: Changes) -> ContainerRequest:
    from sandbox.grammar.sizes import parse_cpus, parse_size

    if changes.any_given("reserve-cpu"):
        changes.one("reserve-cpu", 0, parse_cpus)
        changes.invocation.context.note(
            "WARNING: --reserve-cpu says where tasks are put, and there is this machine alone: nothing is reserved"
        )
    return request._replace(
        nano_cpus=changes.one("limit-cpu", request.nano_cpus or 0, parse_cpus) or None,
        memory_bytes=changes.one("limit-memory", request.memory_bytes or 0, parse_size) or None,
        memory_reservation_bytes=changes.one("reserve-memory", request.memory_reservation_bytes or 0, parse_size)
        or None,
        pids_limit=_number(changes, "limit-pids", request.pids_limit) or None,
    )


def _rules(present: UpdateConfig | None, changes: Changes, verb: str, actions: tuple[str, ...]) -> UpdateConfig | None:
    keys = ("parallelism", "delay", "monitor", "failure-action", "max-failure-ratio", "order")
    if not changes.any_given(*(f"{verb}-{key}" for key in keys)):
        return present
    rules = present or UpdateConfig()
    return UpdateConfig(
        changes.whole_number(f"{verb}-parallelism", rules.parallelism),
        changes.duration_ns(f"{verb}-delay", rules.delay_ns),
        changes.one_of(f"{verb}-failure-action", rules.failure_action, actions),
        changes.duration_ns(f"{verb}-monitor", rules.monitor_ns),
        changes.one(f"{verb}-max-failure-ratio", rules.max_failure_ratio, _ratio),
        changes.one_of(f"{verb}-order", rules.order, _ORDERS),
    )


def _ratio(text: str) -> float:
    try:
        ratio = float(text)
    except ValueError:
        ratio = -1
    if not 0 <= ratio <= 1:
        raise UsageError("a failure ratio is from 0 to 1", mend="0.2")
    return ratio


def _restart(present: RestartRule | None, changes: Changes) -> RestartRule | None:
    keys = ("condition", "delay", "max-attempts", "window")
    if not changes.any_given(*(f"restart-{key}" for key in keys)):
        return present
    rule = present or RestartRule()
    return RestartRule(
        changes.one_of("restart-condition", rule.condition, _CONDITIONS),
        changes.duration_ns("restart-delay", rule.delay_ns),
        changes.whole_number("restart-max-attempts", rule.max_attempts),
        changes.duration_ns("restart-window", rule.window_ns or 0)
        if changes.any_given("restart-window")
        else rule.window_ns,
    )
