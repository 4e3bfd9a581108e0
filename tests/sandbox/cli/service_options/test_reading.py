"""`service create` and `service update`: options to a service, in both ways of saying each, as Docker has it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from sandbox.caller_directory import CallerDirectory
from sandbox.cli.command import Command, Context, Invocation
from sandbox.cli.flags import parse_flags
from sandbox.cli.service_options.changes import Changes, Lookups
from sandbox.cli.service_options.reading import changed_service, new_service, with_replicas
from sandbox.cli.service_options.table import CREATE_OPTIONS, UPDATE_OPTIONS
from sandbox.errors import NotFoundError, UsageError
from sandbox.service.spec import RestartRule, ServiceMode, ServicePort, UpdateConfig
from sandbox.values import EndpointRequest, FileGrant, HealthCheck, LogConfig, MountRequest, Rlimit

if TYPE_CHECKING:
    from sandbox.secret.record import Kind
    from sandbox.service.spec import ServiceSpec

_S = 10**9


def _object_id(kind: Kind, name: str) -> str:
    if name == "none":
        raise NotFoundError(f"{kind} not found: none")
    return f"id-of-{name}"


def _changes(words: str, *, is_update: bool) -> Changes:
    options = UPDATE_OPTIONS if is_update else CREATE_OPTIONS
    command = Command("service create", "", "", options, lambda _: 0)
    parsed = parse_flags(options, words.split(), interspersed=is_update)
    context = Context(
        {"OWN": "1"}, CallerDirectory("/here"), io.StringIO(), io.StringIO(), lambda: pytest.fail("nothing is opened")
    )
    lookups = Lookups(_object_id, lambda word: {"n1": "front"}.get(word, word))
    return Changes(Invocation(command, context, parsed.values, parsed.arguments), lookups, is_update)


def _new(words: str) -> ServiceSpec:
    return new_service(_changes(words, is_update=False))


def _changed(spec: ServiceSpec, words: str) -> ServiceSpec:
    changes = _changes(f"{words} web", is_update=True)
    return with_replicas(changed_service(spec, changes), changes)


def test_a_service_of_an_image_alone() -> None:
    spec = _new("nginx")
    assert (spec.request.image, spec.mode, spec.endpoint_mode) == ("nginx", ServiceMode(), "vip")
    assert "_" in spec.name
    assert _new("--name web nginx").name == "web"
    assert (spec.update, spec.rollback, spec.restart, spec.ports, spec.labels) == (None, None, None, (), ())
    assert spec.request == spec.request._replace(image="nginx")
    assert {value for value in spec.request if value != "nginx"} == {None, ()}


def test_what_it_runs() -> None:
    request = _new(
        "--name web -e A=1 -e OWN -e NOT -w /w -u 1:2 --hostname h --init --group g --tty --read-only "
        "--stop-signal INT --stop-grace-period 1500ms --entrypoint e --container-label c=1 --dns 9.9.9.9 "
        "--dns-search example.org "
        "--dns-option ndots:1 --host db:10.0.0.1 --cap-add net_admin --cap-drop ALL --sysctl net.core.somaxconn=9 "
        "--ulimit nofile=5:6 --limit-cpu 0.5 --limit-memory 64m --limit-pids 9 --reserve-memory 32m "
        "--oom-score-adj 7 --log-driver local --log-opt max-size=1m nginx -g x"
    ).request
    assert request.command == ("-g", "x")
    assert request.environment == ("A=1", "OWN=1", "NOT")
    assert (request.working_directory, request.user, request.hostname) == ("/w", "1:2", "h")
    assert (request.init, request.terminal, request.read_only) == (True, True, True)
    assert (request.stop_signal, request.stop_timeout_seconds, request.entrypoint) == ("INT", 2, ("e",))
    assert (request.labels, request.group_add) == ((("c", "1"),), ("g",))
    assert (request.dns, request.dns_search, request.dns_options) == (("9.9.9.9",), ("example.org",), ("ndots:1",))
    assert request.extra_hosts == ("db:10.0.0.1",)
    assert (request.cap_add, request.cap_drop) == (("CAP_NET_ADMIN",), ("ALL",))
    assert (request.sysctls, request.rlimits) == ((("net.core.somaxconn", "9"),), (Rlimit("nofile", 5, 6),))
    assert (request.nano_cpus, request.memory_bytes, request.pids_limit) == (500_000_000, 64 << 20, 9)
    assert (request.memory_reservation_bytes, request.oom_score_adjust) == (32 << 20, 7)
    assert request.log == LogConfig("local", (("max-size", "1m"),))


def test_rules() -> None:
    spec = _new(
        "--replicas 3 --update-parallelism 0 --update-delay 1s --update-failure-action rollback "
        "--update-max-failure-ratio .5 --update-order start-first --rollback-monitor 2s --restart-condition on-failure "
        "--restart-max-attempts 4 --label b=2 --label a --endpoint-mode DNSRR --constraint node.role==manager i"
    )
    assert spec.mode == ServiceMode("replicated", 3)
    assert spec.update == UpdateConfig(0, _S, "rollback", 5 * _S, 0.5, "start-first")
    assert spec.rollback == UpdateConfig(monitor_ns=2 * _S)
    assert spec.restart == RestartRule("on-failure", max_attempts=4)
    assert (spec.labels, spec.endpoint_mode) == ((("a", ""), ("b", "2")), "dnsrr")
    assert spec.constraints == ("node.role==manager",)
    assert _new("--mode replicated-job --replicas 9 --max-concurrent 2 i").mode == ServiceMode("replicated-job", 9, 2)
    assert _new("--mode global i").mode.kind == "global"


def test_ports_networks_mounts_and_grants() -> None:
    spec = _new(
        "-p 8080:80 -p 9000-9001:90/udp --publish published=443,target=4430,mode=host --network n1 "
        "--network name=back,alias=x --mount type=bind,src=./d,dst=/d --secret pw "
        "--secret source=s,target=t,uid=1,gid=2,mode=0400 --config c i"
    )
    assert spec.ports == (
        ServicePort(80, 8080),
        ServicePort(90, 9000, "udp"),
        ServicePort(90, 9001, "udp"),
        ServicePort(4430, 443, mode="host"),
    )
    request = spec.request
    assert request.endpoints == (EndpointRequest("front"), EndpointRequest("back", ("x",)))
    assert request.mounts == (MountRequest("bind", "/here/d", "/d"),)
    assert request.secrets == (FileGrant("id-of-pw", "pw"), FileGrant("id-of-s", "t", 1, 2, 0o400))
    assert request.configs == (FileGrant("id-of-c", "c"),)
    assert _new("--network host i").request.network_mode == "host"


def test_lists_are_added_to_and_taken_from() -> None:
    spec = _new(
        "-l a=1 -e A=1 -e B=2 -p 80:80 -p 81:81 --network n1 --mount type=volume,src=v,dst=/v --secret pw "
        "--host a:1.1.1.1 --host a:1.1.1.2 --cap-add NET_ADMIN --dns 9.9.9.9 --ulimit nofile=1 "
        "--constraint node.role==manager i"
    )
    spec = _changed(
        spec,
        "--label-add b=2 --label-rm a --env-add B=3 --env-rm A --publish-rm 80 --publish-add 82:82 --network-rm front "
        "--network-add back --mount-rm /v --mount-add type=tmpfs,dst=/t --secret-rm pw --secret-add other "
        "--host-rm a:1.1.1.1 --cap-drop NET_ADMIN --cap-add CHOWN --dns-add 1.1.1.1 --ulimit-add core=2 "
        "--constraint-rm node.role==manager",
    )
    request = spec.request
    assert (spec.labels, request.environment) == ((("b", "2"),), ("B=3",))
    assert spec.ports == (ServicePort(81, 81), ServicePort(82, 82))
    assert request.endpoints == (EndpointRequest("back"),)
    assert request.mounts == (MountRequest("tmpfs", target="/t"),)
    assert request.secrets == (FileGrant("id-of-other", "other"),)
    assert request.extra_hosts == ("a:1.1.1.2",)
    assert (request.cap_add, request.cap_drop) == (("CAP_CHOWN",), ())
    assert (request.dns, spec.constraints) == (("1.1.1.1", "9.9.9.9"), ())
    assert request.rlimits == (Rlimit("core", 2, 2), Rlimit("nofile", 1, 1))
    # what is not named stays, and what nobody has is no error to take away
    assert _changed(spec, "--secret-rm none --env-rm Z --label-rm z") == spec


def test_an_update_of_values() -> None:
    spec = _new("--health-cmd x --health-retries 3 --restart-delay 1s --update-delay 2s -w /w i a")
    spec = _changed(
        spec,
        "--image j --args b --replicas 5 --health-interval 9s --restart-window 3s --update-order start-first "
        "--workdir=",
    )
    request = spec.request
    assert (request.image, request.command, request.working_directory) == ("j", ("b",), None)
    assert spec.mode.replicas == 5
    assert request.health == HealthCheck(("CMD-SHELL", "x"), interval_ns=9 * _S, retries=3)
    assert spec.restart == RestartRule(delay_ns=_S, window_ns=3 * _S)
    assert spec.update == UpdateConfig(delay_ns=2 * _S, order="start-first")
    assert _changed(spec, "--no-healthcheck").request.health == HealthCheck(("NONE",))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--replicas -1 i", 'invalid argument "-1" for "--replicas" flag: strconv.ParseUint: parsing "-1": invalid'),
        ("--mode swarm i", "Unknown mode: swarm, only replicated and global supported"),
        ("--mode global --replicas 2 i", "replicas can only be used with replicated or replicated-job mode"),
        ("--max-concurrent 2 i", "max-concurrent can only be used with replicated-job mode"),
        ("--mode global-job --update-delay 1s i", "update and rollback configuration is not supported for jobs"),
        ("--no-healthcheck --health-cmd x i", "--no-healthcheck conflicts with --health-* options"),
        ("--secret a --config b --secret source=c,target=a i", "duplicate secret target for c not allowed"),
        ("--secret source=a,who=b i", "invalid field in secret request: who"),
        ("--config target=b i", "source is required"),
        ("--secret none i", "secret not found: none"),
        ("-p published=1 i", "missing mandatory field 'target'"),
        ("-p target=1,mode=x i", "invalid publish mode value (x): must be either 'ingress' or 'host'"),
        ("--publish target=99999 i", "invalid target port (99999): value must be an integer"),
        ("--network front --network n1 i", "service is already attached to network n1"),
        ("--network host --network front i", "conflicting options: host and another network"),
        ("--mount type=tmpfs,dst=/a --mount type=tmpfs,dst=/a i", "duplicate mount target"),
        ("--constraint node.role i", "constraint expected one operator from ==, !="),
        ("--constraint node.rule==x i", "there is no key 'node.rule' of constraints"),
        ("--update-order last-first i", "'last-first' is none of stop-first, start-first"),
        ("--rollback-failure-action rollback i", "'rollback' is none of pause, continue"),
        ("--update-max-failure-ratio 2 i", "a failure ratio is from 0 to 1"),
        ("--update-delay -1s i", "--update-delay cannot be negative"),
        ("--endpoint-mode x i", "invalid endpoint mode: x"),
        ("--isolation hyperv i", "--isolation is not supported"),
        ("--credential-spec file://x i", "--credential-spec is not supported"),
        ("--generic-resource gpu=1 i", "--generic-resource is not supported"),
        ("--placement-pref zone i", 'placement preference must be of the format "<strategy>=<arg>"'),
        ("--placement-pref pack=x i", "unsupported placement preference pack (only spread is supported)"),
    ],
)
def test_what_is_refused(words: str, expected: str) -> None:
    with pytest.raises((UsageError, NotFoundError)) as caught:
        _new(words)
    assert expected in caught.value.message


@pytest.mark.parametrize(
    ("made", "words", "expected"),
    [
        ("--mode global i", "--replicas 2", "replicas can only be used with replicated mode"),
        ("i", "--max-concurrent 2", "max-concurrent can only be used with replicated-job mode"),
        ("--mode global i", "--replicas-max-per-node 2", "can only be used with replicated or replicated-job mode"),
    ],
)
def test_what_a_service_of_this_mode_has_none_of(made: str, words: str, expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        _changed(_new(made), words)


def test_where_replicas_are_put_and_how_many_at_once() -> None:
    spec = _new("--placement-pref spread=node.labels.a --placement-pref spread=node.labels.b "
                "--replicas-max-per-node 4 --mode replicated-job --max-concurrent 2 i")  # fmt: skip
    assert (spec.preferences, spec.max_replicas_per_node) == (("node.labels.a", "node.labels.b"), 4)
    changed = _changed(
        spec,
        "--placement-pref-rm spread=node.labels.a --placement-pref-add spread=node.labels.c "
        "--replicas-max-per-node 0 --max-concurrent 3",
    )
    assert (changed.preferences, changed.max_replicas_per_node) == (("node.labels.b", "node.labels.c"), 0)
    assert changed.mode.max_concurrent == 3


def test_options_of_a_log_are_of_the_driver_that_there_is() -> None:
    request = _new("--log-opt max-size=1m i").request
    assert request.log == LogConfig("json-file", (("max-size", "1m"),))
