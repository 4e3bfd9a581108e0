"""What brings a project up: which containers stay, which are made again and why, and in what order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sandbox.compose.choosing import with_scales, without_dependencies
from sandbox.compose.names import CONFIG_HASH, PROJECT, REPLACE, temporary_name
from sandbox.compose.plan import plan_up
from sandbox.compose.steps import UpOptions
from sandbox.errors import NotFoundError, UsageError
from sandbox.network.record import Network
from sandbox.stack.errors import ComposeFileError
from sandbox.volume.store import Volume
from tests.sandbox.compose.observed import changed, container_of, observed
from tests.sandbox.stack.projects import one

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.compose.observe import Observed
    from sandbox.compose.steps import Plan, Step
    from sandbox.stack.project import Project


def _project(directory: Path, services: str, more: str = "", **asked: Any) -> Project:
    return one(directory, f"name: demo\nservices:\n{services}\n{more}", **asked)


def _two(directory: Path, dependence: str = "[db]") -> Project:
    return _project(directory, f"  db: {{image: d}}\n  web: {{image: w, depends_on: {dependence}}}")


def _keys(steps: tuple[Step, ...]) -> list[str]:
    return [step.key for step in steps]


def _step(plan: Plan, key: str) -> Step:
    return next(step for step in (*plan.makes, *plan.starts) if step.key == key)


def _reasons(plan: Plan) -> dict[str, str]:
    return {step.key: step.reason for step in plan.makes}


def _up(project: Project, seen: Observed | None = None, **options: Any) -> Plan:
    nothing = observed(project, networks={}, volumes={})
    return plan_up(project, seen if seen is not None else nothing, UpOptions(**options))


def test_all_is_made_first_and_then_started_in_order(tmp_path: Path) -> None:
    project = _project(
        tmp_path,
        "  web: {image: w, depends_on: {db: {condition: service_healthy}}, volumes: ['data:/x']}\n  db: {image: d}",
        "volumes: {data: {}, unused: {}}",
    )
    plan = _up(project)
    assert _keys(plan.makes) == [
        "network demo_default", "volume demo_data", "create demo-db-1", "create demo-web-1",
    ]  # fmt: skip
    assert set(_step(plan, "create demo-web-1").needs) == {"network demo_default", "volume demo_data"}
    assert _keys(plan.starts) == ["start demo-db-1", "wait db healthy for web", "start demo-web-1"]
    wait = _step(plan, "wait db healthy for web")
    assert (wait.needs, wait.containers, wait.flag) == (("start demo-db-1",), ("demo-db-1",), False)
    assert _step(plan, "start demo-web-1").needs == ("start demo-db-1", "wait db healthy for web")


def test_what_is_as_it_should_be_is_left_alone(tmp_path: Path) -> None:
    project = _two(tmp_path)
    plan = _up(project, observed(project, container_of(project, "db"), container_of(project, "web")))
    assert plan.is_empty
    assert plan.standing == (("Container demo-db-1", "Running"), ("Container demo-web-1", "Running"))


def test_what_has_ended_is_started_again(tmp_path: Path) -> None:
    project = _two(tmp_path)
    seen = observed(project, container_of(project, "db", status="exited"), container_of(project, "web"))
    plan = _up(project, seen)
    assert (plan.makes, _keys(plan.starts)) == ((), ["start demo-db-1"])
    assert _step(plan, "start demo-db-1").reason == "it does not run"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"labels": {CONFIG_HASH: "other"}}, "config hash diverged"),
        ({"image_id": "sha256:2"}, "image changed"),
        ({"endpoints": ()}, "not on network demo_default"),
        ({"mounts": ()}, "volume demo_data is not mounted"),
    ],
)
def test_a_container_that_is_not_as_its_service_says_is_recreated(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    project = _project(tmp_path, "  web: {image: w, volumes: ['data:/x']}", "volumes: {data: {}}")
    labels = change.pop("labels", None)
    container = container_of(project, "web", labels=labels)
    seen = observed(project, changed(container, **change))
    plan = _up(project, seen)
    assert _reasons(plan) == {"recreate demo-web-1": reason}
    assert _step(plan, "recreate demo-web-1").container_id == container.id
    assert _keys(plan.starts) == ["start demo-web-1"]
    assert _up(project, seen, recreate="never").is_empty


def test_networks_are_looked_at_where_a_container_runs(tmp_path: Path) -> None:
    project = _project(tmp_path, "  web: {image: w}")
    ended = changed(container_of(project, "web", status="exited"), endpoints=())
    assert _up(project, observed(project, ended)).makes == ()


def test_force_takes_those_that_are_named_and_dependencies_as_asked(tmp_path: Path) -> None:
    project = _two(tmp_path)
    seen = observed(project, container_of(project, "db"), container_of(project, "web"))
    assert _keys(_up(project, seen, recreate="force").makes) == ["recreate demo-db-1", "recreate demo-web-1"]
    assert _keys(_up(project, seen, services=("web",), recreate="force").makes) == ["recreate demo-web-1"]
    both = _up(project, seen, services=("web",), recreate="force", recreate_dependencies="force")
    assert _keys(both.makes) == ["recreate demo-db-1", "recreate demo-web-1"]
    assert _step(both, "recreate demo-web-1").needs == ("recreate demo-db-1",)


def test_numbers_go_on_from_the_highest_and_the_highest_go_first(tmp_path: Path) -> None:
    project = _project(tmp_path, "  web: {image: w}")
    seen = observed(project, container_of(project, "web", 1), container_of(project, "web", 3))
    assert _keys(_up(with_scales(project, ["web=4"]), seen).makes) == ["create demo-web-4", "create demo-web-5"]
    down = _up(with_scales(project, ["web=1"]), seen)
    assert _reasons(down) == {"remove demo-web-3": "scaled down"}
    stale = container_of(project, "web", 1, labels={CONFIG_HASH: "other"})
    kept = _up(with_scales(project, ["web=1"]), observed(project, stale, container_of(project, "web", 3)))
    assert _keys(kept.makes) == ["remove demo-web-1"]
    assert _keys(_up(with_scales(project, ["web=0"]), seen).makes) == ["remove demo-web-1", "remove demo-web-3"]


def test_a_name_is_for_one_container(tmp_path: Path) -> None:
    project = _project(tmp_path, "  web: {image: w, container_name: mine}")
    assert _keys(_up(project).makes) == ["network demo_default", "create mine"]
    with pytest.raises(UsageError, match='The "web" service is using the custom container name "mine"'):
        _up(with_scales(project, ["web=2"]))


def test_a_run_that_was_killed_is_gone_on_with(tmp_path: Path) -> None:
    project = _project(tmp_path, "  web: {image: w}")
    old = container_of(project, "web", labels={CONFIG_HASH: "other"}, status="exited")
    named = {"name": temporary_name(old.id, "demo-web-1"), "status": "created"}
    new = container_of(project, "web", labels={REPLACE: "web-1"}, **named)  # type: ignore[arg-type]  # texts of fields
    before_removal = _step(_up(project, observed(project, old, new)), "recreate demo-web-1")
    assert (before_removal.container_id, before_removal.successor_id) == (old.id, new.id)
    after_removal = _up(project, observed(project, new))
    assert [(step.kind, step.name, step.container_id) for step in after_removal.makes] == [
        ("rename", "demo-web-1", new.id)
    ]
    assert _keys(after_removal.starts) == ["start demo-web-1"]


def test_what_a_killed_run_has_left_goes_where_it_is_out_of_date(tmp_path: Path) -> None:
    project = _project(tmp_path, "  web: {image: w}")
    old = container_of(project, "web")
    name = temporary_name(old.id, "demo-web-1")
    new = container_of(project, "web", labels={REPLACE: "web-1", CONFIG_HASH: "x"}, name=name, status="created")
    plan = _up(project, observed(project, old, new))
    assert _reasons(plan) == {f"remove {name}": "a run that was ended has left it"}
    assert plan.standing == (("Container demo-web-1", "Running"),)


def test_a_network_that_changed_is_made_again_without_anybody_on_it(tmp_path: Path) -> None:
    project = _project(tmp_path, "  web: {image: w}\n  other: {image: o}")
    seen = observed(project, container_of(project, "web"), container_of(project, "other"))
    changed_network = Network("n", "demo_default", "bridge", labels={PROJECT: "demo", CONFIG_HASH: "other"})
    plan = _up(
        without_dependencies(project, ["web"]), seen._replace(networks={"demo_default": changed_network}),
        services=("web",),
    )  # fmt: skip
    assert _reasons(plan) == {
        "stop demo-other-1": "network demo_default is made again",
        "stop demo-web-1": "network demo_default is made again",
        "remove network demo_default": "its configuration diverged",
        "network demo_default": "its configuration diverged",
    }
    assert set(_step(plan, "remove network demo_default").needs) == {"stop demo-other-1", "stop demo-web-1"}
    assert set(_keys(plan.starts)) == {"start demo-web-1", "start demo-other-1"}


def test_a_volume_that_changed_stays_until_somebody_says_otherwise(tmp_path: Path) -> None:
    project = _project(tmp_path, "  web: {image: w, volumes: ['data:/x']}", "volumes: {data: {}}")
    old = Volume("demo_data", 0, {PROJECT: "demo", CONFIG_HASH: "other"}, False, {})
    seen = observed(project, container_of(project, "web", 2), volumes={"demo_data": old})
    plan = _up(project, seen)
    assert (plan.makes, plan.diverged_volumes) == ((), ("demo_data",))
    again = _up(project, seen, volumes_to_renew=("demo_data",))
    assert _keys(again.makes) == [
        "remove demo-web-2", "remove volume demo_data", "volume demo_data", "create demo-web-2",
    ]  # fmt: skip
    assert _step(again, "remove volume demo_data").needs == ("remove demo-web-2",)
    assert set(_step(again, "create demo-web-2").needs) == {"volume demo_data", "remove demo-web-2"}


def test_networks_and_volumes_of_others_are_used_and_told_of(tmp_path: Path) -> None:
    project = _project(tmp_path, "  web: {image: w, volumes: ['data:/x']}", "volumes: {data: {}}")
    seen = observed(
        project,
        networks={"demo_default": Network("n", "demo_default", "bridge")},
        volumes={"demo_data": Volume("demo_data", 0, {PROJECT: "shop"}, False, {})},
    )
    plan = _up(project, seen)
    assert _keys(plan.makes) == ["create demo-web-1"]
    assert plan.notes == (
        "a network with name demo_default exists but was not created by compose. Set `external: true` to use an "
        "existing network",
        'volume "demo_data" already exists but was created for project "shop" (expected "demo"). Use `external: true` '
        "to use an existing volume",
    )


def test_what_is_external_has_to_be_there(tmp_path: Path) -> None:
    network = _project(tmp_path / "n", "  web: {image: w, networks: [far]}", "networks: {far: {external: true}}")
    with pytest.raises(NotFoundError, match="network far declared as external, but could not be found"):
        _up(network)
    volume = _project(tmp_path / "v", "  web: {image: w, volumes: ['far:/x']}", "volumes: {far: {external: true}}")
    with pytest.raises(NotFoundError, match='external volume "far" not found'):
        _up(volume)


def test_orphans_go_when_asked(tmp_path: Path) -> None:
    before = _two(tmp_path / "before")
    project = _project(tmp_path / "after", "  web: {image: w}")
    seen = observed(project, container_of(before, "db"))
    assert _keys(_up(project, seen).makes) == ["create demo-web-1"]
    assert "remove demo-db-1" in _keys(_up(project, seen, removes_orphans=True).makes)


def test_who_shares_with_a_container_is_made_again_with_it(tmp_path: Path) -> None:
    project = _project(
        tmp_path, "  web: {image: w}\n  side: {image: s, network_mode: 'service:web'}\n  free: {image: f}"
    )
    seen = observed(
        project,
        container_of(project, "web", labels={CONFIG_HASH: "other"}),
        container_of(project, "side"),
        container_of(project, "free"),
    )
    plan = _up(project, seen)
    assert _reasons(plan) == {
        "recreate demo-web-1": "config hash diverged",
        "recreate demo-side-1": "service web, which it shares with, has another container",
    }
    assert "recreate demo-web-1" in _step(plan, "recreate demo-side-1").needs


def test_who_asks_to_be_restarted_with_a_service_is_stopped_before_it_is_recreated(tmp_path: Path) -> None:
    project = _two(tmp_path, "{db: {condition: service_started, restart: true}}")
    seen = observed(project, container_of(project, "db", labels={CONFIG_HASH: "other"}), container_of(project, "web"))
    plan = _up(project, seen)
    assert _keys(plan.makes) == ["stop demo-web-1", "recreate demo-db-1"]
    assert _step(plan, "recreate demo-db-1").needs == ("stop demo-web-1",)
    assert _keys(plan.starts) == ["start demo-db-1", "start demo-web-1"]


def test_conditions_are_waited_for_unless_they_are_met(tmp_path: Path) -> None:
    project = _two(tmp_path, "{db: {condition: service_healthy, required: false}}")
    web = container_of(project, "web")
    assert _up(project, observed(project, container_of(project, "db", health="healthy"), web)).is_empty
    for health in ("starting", "unhealthy"):
        (wait,) = _up(project, observed(project, container_of(project, "db", health=health), web)).starts
        assert (wait.kind, wait.condition, wait.flag) == ("wait", "service_healthy", True)


def test_a_job_that_is_waited_for_runs_again(tmp_path: Path) -> None:
    project = _two(tmp_path, "{db: {condition: service_completed_successfully}}")
    seen = observed(project, container_of(project, "db", status="exited"), container_of(project, "web"))
    assert _keys(_up(project, seen).starts) == ["start demo-db-1", "wait db completed for web"]


def test_wait_is_for_every_service_in_its_time(tmp_path: Path) -> None:
    project = _two(tmp_path)
    waits = [step for step in _up(project, waits=True, wait_timeout_seconds=5).starts if step.kind == "wait"]
    assert [(step.service, step.condition, step.timeout_seconds) for step in waits] == [
        ("db", "running_or_healthy", 5),
        ("web", "running_or_healthy", 5),
    ]
    # but for one whose end another one waits for
    project = _two(tmp_path, "{db: {condition: service_completed_successfully}}")
    waits = [step for step in _up(project, waits=True).starts if step.reason == "--wait"]
    assert [(step.service, step.condition) for step in waits] == [
        ("db", "service_completed_successfully"),
        ("web", "running_or_healthy"),
    ]


@pytest.mark.parametrize(
    ("one_port", "other", "clashes"),
    [
        ("8080:80", "8080:81", True),
        ("8080:80", "127.0.0.1:8080:80", True),
        ("127.0.0.1:8080:80", "127.0.0.2:8080:80", False),
        ("0.0.0.0:8080:80", "127.0.0.1:8080:80", True),
        ("8080:80", "8080:80/udp", False),
        ("8080-8090:80", "8080-8090:80", False),
        ("80", "80", False),
    ],
)
def test_ports_that_clash_are_refused_with_both_services(
    tmp_path: Path, one_port: str, other: str, clashes: bool
) -> None:
    project = _project(tmp_path, f"  a: {{image: i, ports: ['{one_port}']}}\n  b: {{image: i, ports: ['{other}']}}")
    if not clashes:
        _up(project)
        return
    with pytest.raises(ComposeFileError, match=r"services\.b\.ports\[0\]: port 8080/tcp .* published by service a"):
        _up(project)


def test_several_containers_cannot_have_one_port(tmp_path: Path) -> None:
    project = _project(tmp_path, "  a: {image: i, ports: ['8080:80']}")
    with pytest.raises(ComposeFileError, match="cannot be published by 2 containers of service a"):
        _up(with_scales(project, ["a=2"]))


@pytest.mark.parametrize("text", ["web", "web=", "web=x", "web=-1"])
def test_scales_that_are_none(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError):
        with_scales(_two(tmp_path), [text])


def test_a_scale_of_an_unknown_service_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such service: wbe") as caught:
        with_scales(_two(tmp_path), ["wbe=1"])
    assert caught.value.near == "web"


def test_hooks_before_a_start_are_steps_of_their_own(tmp_path: Path) -> None:
    hooks = "pre_start: [{command: a}, {command: b, per_replica: true}]"
    project = _project(tmp_path, f"  db: {{image: d}}\n  web: {{image: w, scale: 2, depends_on: [db], {hooks}}}")
    plan = _up(project)
    assert _keys(plan.starts) == [
        "start demo-db-1", "pre_start web", "pre_start demo-web-1", "start demo-web-1", "pre_start demo-web-2",
        "start demo-web-2",
    ]  # fmt: skip
    assert _step(plan, "pre_start web").needs == ("start demo-db-1",)
    assert _step(plan, "start demo-web-2").needs == ("start demo-db-1", "pre_start web", "pre_start demo-web-2")
    # where one goes on running, only what is for each
    seen = observed(project, container_of(project, "db", 1), container_of(project, "web", 1), networks={}, volumes={})
    assert _keys(_up(project, seen).starts) == ["pre_start demo-web-2", "start demo-web-2"]
