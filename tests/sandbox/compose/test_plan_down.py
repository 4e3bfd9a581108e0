"""What takes a project down, stops and starts it: by its file, or by labels alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.compose.names import DEPENDS_ON, PROJECT
from sandbox.compose.plan_down import Chosen, plan_down, plan_restart, plan_start, plan_stop
from sandbox.compose.steps import DownOptions
from sandbox.errors import NotFoundError
from sandbox.network.record import Network
from tests.sandbox.compose.observed import container_of, observed
from tests.sandbox.stack.projects import one

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.compose.observe import Observed
    from sandbox.compose.steps import Plan, Step
    from sandbox.stack.project import Project

_TEXT = """
    name: demo
    services:
      db: {image: d, volumes: ["data:/x"]}
      web: {depends_on: [db], build: .}
      front: {image: f, depends_on: {web: {condition: service_started, restart: true}}}
    volumes: {data: {}, far: {external: true}}
    """
_DEPENDS = {"web": "db:service_healthy:false", "front": "web:service_started:true"}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return one(tmp_path, _TEXT)


@pytest.fixture
def seen(project: Project) -> Observed:
    containers = [
        container_of(project, name, labels={DEPENDS_ON: _DEPENDS.get(name, "")}) for name in ("db", "front", "web")
    ]
    return observed(project, *containers, container_of(project, "web", name="once", one_off=True))


def _needs(plan: Plan) -> dict[str, set[str]]:
    steps: tuple[Step, ...] = (*plan.makes, *plan.starts)
    return {step.key: set(step.needs) for step in steps}


_CONTAINERS = {
    "remove demo-front-1": set[str](),
    "remove demo-web-1": {"remove demo-front-1"},
    "remove demo-db-1": {"remove demo-front-1", "remove demo-web-1"},
}


@pytest.mark.parametrize("by_file", [True, False])
def test_dependents_go_first_and_then_what_they_were_on(project: Project, seen: Observed, by_file: bool) -> None:
    plan = plan_down(project if by_file else None, seen, DownOptions())
    assert _needs(plan) == {**_CONTAINERS, "remove network demo_default": set(_CONTAINERS)}


@pytest.mark.parametrize("by_file", [True, False])
def test_volumes_images_and_one_offs_as_asked(project: Project, seen: Observed, by_file: bool) -> None:
    options = DownOptions(volumes=True, images="all", removes_orphans=True)
    plan = plan_down(project if by_file else None, seen, options)
    assert set(_needs(plan)) - {"remove network demo_default", *_CONTAINERS} == {
        "remove once", "remove volume demo_data", "remove image d", "remove image f", "remove image demo-web",
    }  # fmt: skip
    assert all(step.flag for step in plan.makes if step.name in ("demo-db-1", "demo-web-1"))
    local = plan_down(project, seen, DownOptions(images="local"))
    assert [step.name for step in local.makes if step.kind == "remove_image"] == ["demo-web"]


def test_named_services_go_with_those_that_depend_on_them(project: Project, seen: Observed) -> None:
    plan = plan_down(project, seen, DownOptions(("web",)))
    assert [step.name for step in plan.makes if step.kind == "remove"] == ["demo-front-1", "demo-web-1"]
    with pytest.raises(NotFoundError, match="no such service: wbe"):
        plan_down(project, seen, DownOptions(("wbe",)))


def test_orphans_and_what_is_of_others_stays(project: Project, tmp_path: Path) -> None:
    other = one(tmp_path / "other", "name: demo\nservices:\n  gone: {image: g}")
    seen = observed(project, container_of(other, "gone"), networks={"mine": Network("n", "mine", "bridge")})
    plan = plan_down(project, seen, DownOptions())
    assert plan.makes == ()
    assert plan.notes == ('Warning: No resource found to remove for project "demo".',)
    removed = plan_down(project, seen, DownOptions(removes_orphans=True))
    assert [step.name for step in removed.makes] == ["demo-gone-1"]


def test_stop_goes_backwards_and_restart_takes_those_that_are_tied(project: Project, seen: Observed) -> None:
    assert _needs(plan_stop(None, seen, Chosen())) == {
        "stop demo-front-1": set(),
        "stop demo-web-1": {"stop demo-front-1"},
        "stop demo-db-1": {"stop demo-front-1", "stop demo-web-1"},
    }
    assert set(_needs(plan_stop(project, seen, Chosen(("web",))))) == {"stop demo-web-1"}
    assert _needs(plan_restart(project, seen, Chosen(("web",)))) == {
        "restart demo-web-1": set(),
        "restart demo-front-1": {"restart demo-web-1"},
    }
    assert set(_needs(plan_restart(project, seen, Chosen(("web",)), alone=True))) == {"restart demo-web-1"}
    assert set(_needs(plan_restart(None, seen, Chosen(("db",))))) == {"restart demo-db-1"}


def test_restart_waits_for_what_a_tied_service_wants(tmp_path: Path) -> None:
    tie = "depends_on: {db: {condition: service_healthy, restart: true}}"
    project = one(tmp_path, f"name: demo\nservices:\n  db: {{image: d}}\n  web: {{image: w, {tie}}}\n")
    seen = observed(project, container_of(project, "db"), container_of(project, "web"))
    wait = "wait db service_healthy for web"
    assert _needs(plan_restart(project, seen, Chosen(("db",)))) == {
        "restart demo-db-1": set(),
        wait: {"restart demo-db-1"},
        "restart demo-web-1": {"restart demo-db-1", wait},
    }
    # what was not restarted is not waited for
    assert set(_needs(plan_restart(project, seen, Chosen(("web",))))) == {"restart demo-web-1"}


def test_start_brings_what_is_needed_and_waits_for_it(project: Project) -> None:
    containers = [
        container_of(project, name, labels={DEPENDS_ON: _DEPENDS.get(name, "")}, status="exited")
        for name in ("db", "web")
    ]
    seen = observed(project, *containers)
    assert _needs(plan_start(None, seen, Chosen(("web",)))) == {
        "start demo-db-1": set(),
        "wait db service_healthy for web": {"start demo-db-1"},
        "start demo-web-1": {"start demo-db-1", "wait db service_healthy for web"},
    }
    assert set(_needs(plan_start(project, seen, Chosen(("db",)), waits=True))) == {"start demo-db-1", "wait db up"}
    with pytest.raises(NotFoundError, match='service "front" has no container to start'):
        plan_start(project, seen, Chosen(("front",)))


def test_labels_that_lead_in_a_circle_end(project: Project) -> None:
    labels = {PROJECT: "demo", DEPENDS_ON: "db:service_started:true"}
    seen = observed(project, container_of(project, "db", labels=labels))
    assert set(_needs(plan_restart(None, seen, Chosen()))) == {"restart demo-db-1"}
