"""Services of real containers: brought up, scaled, updated, rolled back, whatever is killed in between."""

from __future__ import annotations

import fcntl
import os
import random
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandbox.container.view.logs import LogSelection
from sandbox.errors import ConflictError, UsageError
from sandbox.event_stream import watch_changes
from sandbox.reconciler_calls import call_path, ensure_reconciler, turn_path
from sandbox.service import looking, operations
from sandbox.service.spec import SECOND_NS, RestartRule, ServiceMode, UpdateConfig, template_of
from sandbox.values import HealthCheck
from tests import leaks
from tests.integration.container.conftest import busybox, busybox_home, busybox_tar, eventually, kill_monitor
from tests.integration.service.services import Services
from tests.needs import CONTAINER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox.service.task import Task
    from tests.command import Sandbox

__all__ = ["busybox", "busybox_home", "busybox_tar", "eventually"]

pytestmark = [pytest.mark.requires(*CONTAINER, "busybox"), pytest.mark.slow]

FAILS = ("busybox", "sh", "-c", "exit 3")


@pytest.fixture
def services(sandbox: Sandbox, busybox: str) -> Iterator[Services]:
    made = Services(sandbox)
    yield made
    made.remove_all()


def _names(sandbox: Sandbox) -> list[str]:
    return sorted(sandbox.run("ps", "--format", "{{.Names}}").lines)


def _containers(tasks: list[Task]) -> list[str]:
    return sorted(f"web.{task.slot}.{task.id}" for task in tasks)


def test_a_service_is_brought_up_scaled_and_removed(services: Services, sandbox: Sandbox, busybox: str) -> None:
    service = operations.create(services.context, services.spec(busybox))
    tasks = services.wait_running(service, 1)
    assert _names(sandbox) == _containers(tasks)
    labels = sandbox.run("inspect", "-f", "{{json .Config.Labels}}", tasks[0].container_id).stdout
    assert f'"com.docker.swarm.service.id":"{service.id}"' in labels
    assert f'"com.docker.swarm.task.name":"web.1.{tasks[0].id}"' in labels
    service = operations.scale(services.context, "web", 5)
    up = services.wait_running(service, 5)
    assert tasks[0] in up
    assert _names(sandbox) == _containers(up)
    service = operations.scale(services.context, "web", 2)
    up = services.wait_running(service, 2)
    assert [task.slot for task in up] == [1, 2]
    assert _names(sandbox) == _containers(up)
    counted = looking.list_all(services.context, ["name=web"])
    assert [(each.running, each.desired) for each in counted] == [(2, 2)]
    with pytest.raises(ConflictError, match="service web already exists"):
        operations.create(services.context, services.spec(busybox))
    limited = services.spec(busybox, replicas=2, max_replicas_per_node=3)
    services.update(limited)
    with pytest.raises(UsageError, match="4 replicas cannot run with at most 3 on a node"):
        operations.scale(services.context, "web", 4)
    assert services.wait_running(service, 2) == up
    operations.remove(services.context, "web")
    assert looking.list_all(services.context) == []
    services.wait_gone([service.id])
    assert sandbox.run("ps", "-aq").lines == []


def test_an_update_replaces_one_after_the_other(services: Services, sandbox: Sandbox, busybox: str) -> None:
    spec = services.spec(busybox, replicas=2)
    service = operations.create(services.context, spec)
    before = services.wait_running(service, 2)
    # what changes no container leaves them as they are
    service = services.update(spec._replace(labels=(("tier", "front"),)))
    assert services.wait_running(service, 2) == before
    rules = UpdateConfig(monitor_ns=SECOND_NS // 10)
    changed = spec._replace(request=spec.request._replace(environment=("VERSION=2",)), update=rules)
    service = services.update(changed)
    tasks = services.wait_update(service, "completed")
    new = [task for task in tasks if task.state == "running"]
    assert [(task.slot, task.spec_version) for task in new] == [(1, 3), (2, 3)]
    assert [task.state for task in tasks if task.id in {each.id for each in before}] == ["shutdown", "shutdown"]
    # the second one made way when the first was up
    stopped = {task.slot: task.ended_ns for task in tasks if task.state == "shutdown"}
    assert stopped[2] > new[0].running_ns > stopped[1]
    assert sandbox.run("exec", f"web.1.{new[0].id}", "busybox", "env").stdout.count("VERSION=2") == 1
    # the new one before the old one, and back again by hand
    first = changed._replace(
        request=spec.request._replace(environment=("VERSION=3",)), update=rules._replace(order="start-first"),
        rollback=rules,
    )  # fmt: skip
    service = services.update(first)
    services.wait_update(service, "completed")
    services.wait_running(service, 2)
    tasks = services.tasks(service)
    starts = {task.slot: task.running_ns for task in tasks if task.state == "running"}
    ends = {task.slot: task.ended_ns for task in tasks if task.spec_version == 3}
    assert all(starts[slot] < ends[slot] for slot in (1, 2))
    with pytest.raises(ConflictError, match="update out of sequence"):
        operations.update(services.context, "web", service.version - 1, spec)
    service = operations.rollback(services.context, "web")
    assert service.status is not None
    assert service.status[:2] == ("rollback_started", "manually requested rollback")
    tasks = services.wait_update(service, "rollback_completed")
    running = [task for task in tasks if task.state == "running"]
    assert sandbox.run("exec", f"web.2.{running[1].id}", "busybox", "env").stdout.count("VERSION=2") == 1
    events = sandbox.run("events", "--since", "10m", "--until", "0s", "--filter", "type=service", "--format",
                         "{{.Action}} {{json .Actor.Attributes}}").lines  # fmt: skip
    assert events[0] == 'create {"name":"web"}'
    assert 'update {"name":"web","updatestate.new":"completed","updatestate.old":"updating"}' in events
    assert any('"updatestate.new":"rollback_completed"' in line for line in events)


def test_a_bad_version_is_rolled_back_by_itself(services: Services, sandbox: Sandbox, busybox: str) -> None:
    rules = UpdateConfig(failure_action="rollback", monitor_ns=SECOND_NS // 10)
    spec = services.spec(busybox, replicas=2, update=rules, rollback=rules)
    service = operations.create(services.context, spec)
    services.wait_running(service, 2)
    # one that ends at once, then an image that nobody has
    service = services.update(spec._replace(request=spec.request._replace(command=FAILS)))
    tasks = services.wait_update(service, "rollback_completed")
    failed = next(task for task in tasks if task.state == "failed")
    assert (failed.exit_code, failed.error, failed.slot) == (3, "task: non-zero exit (3)", 1)
    present = services.load(service)
    assert present is not None
    assert present.spec == spec
    before = services.wait_running(service, 2)
    assert {task.template for task in before} == {template_of(spec)}
    gone = spec._replace(
        request=spec.request._replace(image="nope:1", pull_policy="never"),
        update=rules._replace(failure_action="pause"),
    )
    service = services.update(gone)
    tasks = services.wait_update(service, "paused")
    rejected = next(task for task in tasks if task.state == "rejected")
    assert rejected.error == "No such image: nope:1"
    present = services.load(service)
    assert present is not None
    assert present.status is not None
    assert present.status.message == f"update paused due to failure or early termination of task {rejected.id}"
    rows = looking.tasks(services.context, ["web"], ["desired-state=running"])
    assert [row.task.id for row in rows if row.task.state == "running"] == [before[1].id]


def test_what_ends_comes_back_as_the_rule_says(
    services: Services, sandbox: Sandbox, busybox: str, eventually: Callable[[Callable[[], object]], None]
) -> None:
    service = operations.create(services.context, services.spec(busybox))
    (task,) = services.wait_running(service, 1)
    # nobody decides any more: the shell waits
    eventually(lambda: not services.reconcilers())
    sandbox.run("kill", task.container_id)
    (second,) = [each for each in services.wait(service, _another_than(task)) if each.state == "running"]
    tasks = services.tasks(service)
    assert [(each.state, each.error) for each in tasks] == [("failed", "task: non-zero exit (137)"), ("running", "")]
    # removed by hand
    sandbox.run("rm", "-f", second.container_id)
    services.wait(service, _another_than(second))
    (third,) = [each for each in services.tasks(service) if each.state == "running"]
    assert {each.state for each in services.tasks(service) if each.id == second.id} == {"failed"}
    # its monitor killed, which nobody is told of: the next command sees it
    eventually(lambda: not services.reconcilers())
    kill_monitor(sandbox, third.container_id)
    sandbox.run("ps")
    services.wait(service, _another_than(third))
    # so many times, and no more
    rule = RestartRule("on-failure", SECOND_NS // 20, 2, 1000 * SECOND_NS)
    limited = operations.create(services.context, services.spec(busybox, "limited", command=FAILS, restart=rule))
    tasks = services.wait(limited, lambda _service, tasks: sum(task.state == "failed" for task in tasks) == 3)
    assert tasks[-1].at_rest
    done = operations.create(
        services.context, services.spec(busybox, "done", command=("busybox", "true"), restart=rule)
    )
    (only,) = services.wait(done, lambda _service, tasks: tasks and tasks[-1].state == "complete")
    assert only.exit_code == 0


def _another_than(task: Task) -> Callable[[object, list[Task]], bool]:
    return lambda _service, tasks: any(each.state == "running" and each.id != task.id for each in tasks)


def test_jobs_complete_and_a_global_service_has_one_task(services: Services, sandbox: Sandbox, busybox: str) -> None:
    mode = ServiceMode("replicated-job", 3, 2)
    spec = services.spec(busybox, "job", mode=mode, restart=None, command=("busybox", "echo", "done"))
    job = operations.create(services.context, spec)
    tasks = services.wait(job, lambda _service, tasks: [task.state for task in tasks] == ["complete"] * 3)
    assert [task.slot for task in tasks] == [1, 2, 3]
    logged = list(looking.logs(services.context, "job", LogSelection()))
    assert [(row.task.slot, entry.text) for row, entry in logged] == [(1, "done\n"), (2, "done\n"), (3, "done\n")]
    everywhere = operations.create(services.context, services.spec(busybox, "agent", mode=ServiceMode("global")))
    (task,) = services.wait_running(everywhere, 1)
    node = looking.node_of(services.context)
    assert f"agent.{node.id}.{task.id}" in _names(sandbox)
    with pytest.raises(UsageError, match="scale can only be used with replicated"):
        operations.scale(services.context, "agent", 2)


def test_a_task_is_up_when_it_is_healthy_and_goes_when_it_is_not(services: Services, busybox: str) -> None:
    health = HealthCheck(test=("CMD", "busybox", "test", "!", "-e", "/sick"), interval_ns=SECOND_NS // 5, retries=1)
    spec = services.spec(busybox, request={"health": health})
    service = operations.create(services.context, spec)
    (task,) = services.wait_running(service, 1)
    services.sandbox.run("exec", task.container_id, "busybox", "touch", "/sick")
    services.wait(service, _another_than(task))
    first = next(each for each in services.tasks(service) if each.id == task.id)
    assert (first.state, first.error) == ("failed", "task: unhealthy container")


def test_two_updates_at_once_and_a_removal_in_the_middle(services: Services, busybox: str) -> None:
    spec = services.spec(busybox, replicas=3)
    service = operations.create(services.context, spec)
    services.wait_running(service, 3)
    rules = UpdateConfig(monitor_ns=SECOND_NS // 10)
    for number in ("2", "3"):
        request = spec.request._replace(environment=(f"VERSION={number}",))
        service = services.update(spec._replace(request=request, update=rules))
    tasks = services.wait_update(service, "completed")
    assert [task.spec_version for task in tasks if task.state == "running"] == [3, 3, 3]
    service = services.update(spec._replace(update=rules))
    services.wait(service, lambda present, _tasks: present.status is not None and present.status.state == "updating")
    operations.remove(services.context, "web")
    # the name is free at once
    again = operations.create(services.context, spec._replace(mode=ServiceMode(replicas=1)))
    services.wait_gone([service.id])
    services.wait_running(again, 1)


@pytest.mark.parametrize("rounds", [5, pytest.param(100, marks=pytest.mark.long)], ids=["few", "many"])
def test_a_killed_reconciler_is_followed_by_one_that_goes_on(services: Services, busybox: str, rounds: int) -> None:
    chance = random.Random(rounds)
    rules = UpdateConfig(parallelism=0, monitor_ns=0)
    spec = services.spec(busybox, replicas=2, update=rules)
    service = operations.create(services.context, spec)
    for number in range(rounds):
        request = spec.request._replace(environment=(f"VERSION={number}",))
        replicas = chance.randint(1, 3)
        service = services.update(spec._replace(request=request, mode=ServiceMode(replicas=replicas)))
        # after so many writes of others it is at something else each time
        writes = chance.randrange(25)
        with closing(watch_changes(services.paths, 1.0)) as changes:
            next(each for each, _connection in enumerate(changes) if each >= writes)
        services.kill_reconciler()
        # whoever comes next has it go on
        services.sandbox.run("ps", "-q")
    tasks = services.wait_running(service, service.spec.mode.replicas)
    assert {task.spec_version for task in tasks} == {service.spec_version}
    assert _names(services.sandbox) == _containers(tasks)


def _count_waiting(path: str) -> int:
    """How many processes wait for a lock of the file."""
    inode = str(os.stat(path).st_ino)
    lines = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return sum("->" in words and any(word.split(":")[-1] == inode for word in words) for words in lines)


def test_of_several_that_begin_at_once_one_goes_on(
    services: Services, busybox: str, eventually: Callable[[Callable[[], object]], None]
) -> None:
    path = turn_path(services.paths)
    Path(path).touch()
    with open(path) as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        service = operations.create(services.context, services.spec(busybox))
        for _ in range(2):
            ensure_reconciler(services.paths, services.context.env)
        eventually(lambda: _count_waiting(path) == 3)
        assert services.tasks(service) == []
    services.wait_running(service, 1)
    # the others have called the one, and ended
    eventually(lambda: len(services.reconcilers()) <= 1)
    operations.remove(services.context, "web")
    services.wait_gone([service.id])
    # with nothing left to wait for it ends, and one that comes then begins anew
    eventually(lambda: not os.path.exists(call_path(services.paths)))
    again = operations.create(services.context, services.spec(busybox))
    services.wait_running(again, 1)


def test_a_reset_leaves_nobody_who_starts_others(services: Services, sandbox: Sandbox, busybox: str) -> None:
    service = operations.create(services.context, services.spec(busybox, replicas=2))
    services.wait_running(service, 2)
    sandbox.run("system", "reset", "-f")
    assert leaks.processes_of(str(sandbox.home.root)) == []
    assert sandbox.run("ps", "-aq").lines == []
