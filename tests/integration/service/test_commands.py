"""`sandbox service` and `sandbox stack` with real containers: what is made, shown and taken away."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from sandbox.deploy.local_engine import LocalEngine
from sandbox.deploy.stack_spec import StackSpec
from sandbox.service import operations
from sandbox.stack.replica_request import NAMESPACE
from tests.integration.container.conftest import busybox, busybox_home, busybox_tar, eventually
from tests.integration.service.services import Services
from tests.needs import CONTAINER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.command import Sandbox

__all__ = ["busybox", "busybox_home", "busybox_tar", "eventually"]

pytestmark = [pytest.mark.requires(*CONTAINER, "busybox"), pytest.mark.slow]

_TWO = ("a.yaml", "b.yaml")
_UP = "trap 'exit 0' TERM; cat /run/secrets/key; cat /c; while :; do sleep 1000 & wait; done"
_FILE = """
services:
  web:
    image: IMAGE
    command: ["busybox", "sh", "-c", "UP"]
    networks: [n]
    secrets: [key]
    configs: [{source: c, target: /c}]
    volumes: ["data:/data"]
    depends_on: [db]
    deploy: {replicas: 2, update_config: {monitor: 1s}}
  db: {image: IMAGE, command: ["busybox", "sh", "-c", "UP"], secrets: [key], configs: [{source: c, target: /c}]}
networks: {n: {}}
volumes: {data: {}}
secrets: {key: {environment: KEY}}
configs: {c: {content: "of the file\\n"}}
"""


@pytest.fixture
def services(sandbox: Sandbox, busybox: str) -> Iterator[Services]:
    made = Services(sandbox)
    yield made
    made.remove_all()


def test_a_service(
    services: Services, sandbox: Sandbox, busybox: str, eventually: Callable[[Callable[[], object]], None]
) -> None:
    words = (busybox, "busybox", "sh", "-c", "trap 'exit 0' TERM; echo up; while :; do sleep 1000 & wait; done")
    options = ("--name", "web", "--network", "none", "--update-monitor", "1s", "--restart-delay", "50ms")
    made = sandbox.run("service", "create", *options, "--replicas", "2", *words)
    service_id, *progress = made.lines
    assert progress[:3] == ["overall progress: 0 out of 2 tasks", "1/2:  ", "2/2:  "]
    assert "verify: Waiting 1 seconds to verify that tasks are stable..." in progress
    assert progress[-1] == f"verify: Service {service_id} converged"
    assert sandbox.run("service", "ls", "--format", "{{.ID}} {{.Name}} {{.Mode}} {{.Replicas}}").lines == [
        f"{service_id[:12]} web replicated 2/2"
    ]
    shown = sandbox.run("service", "ps", "--format", "{{.Name}} {{.DesiredState}} {{.Error}}", "web").lines
    assert shown == ["web.1 Running ", "web.2 Running "]
    running = ("service", "ps", "-q", "-f", "desired-state=Running", "web")
    assert len(sandbox.run(*running).lines) == 2
    refused = sandbox.run("service", "ps", "-f", "desired-state=runing", "web", status=1)
    assert "Invalid desired-state filter: 'runing'" in refused.stderr

    def logged() -> list[str]:
        return sandbox.run("service", "logs", "--no-task-ids", "web").lines

    # that it runs is known before it has written anything
    eventually(lambda: len(logged()) == 2)
    assert [line.partition("@")[0] for line in logged()] == ["web.1", "web.2"]
    assert {line.partition("| ")[2] for line in logged()} == {"up"}
    assert sandbox.run("service", "scale", "-d", "web=1").lines == ["web scaled to 1"]
    assert sandbox.run("service", "update", "--env-add", "A=1", "-q", "web").lines == ["web"]
    (document,) = json.loads(sandbox.run("service", "inspect", "web").stdout)
    assert sandbox.run("inspect", "-f", "{{.ID}} {{.Spec.Name}}", "web").lines == [f"{document['ID']} web"]
    task = sandbox.run("service", "ps", "-q", "--no-trunc", "web").lines[0]
    assert sandbox.run("inspect", "-f", "{{.ServiceID}}", task).lines == [document["ID"]]
    assert sandbox.run("inspect", "--type", "task", "web", status=1).lines == ["[]"]
    assert document["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"] == ["A=1"]
    state = ("service", "inspect", "-f", "{{.UpdateStatus.State}}", "web")
    # both watch it for a second, each by a clock of its own
    eventually(lambda: sandbox.run(*state).lines == ["completed"])
    failed = sandbox.run("service", "update", "--args", "busybox false", "web", status=1)
    assert "service update paused: update paused due to failure or early termination of task" in failed.stderr
    back = sandbox.run("service", "rollback", "web")
    assert back.lines[0] == "web"
    assert "verify: Service web converged" in back.lines
    assert sandbox.run("service", "rm", "web", "none", status=1).lines == ["web"]


def test_logs_are_followed_until_the_service_goes(services: Services, sandbox: Sandbox, busybox: str) -> None:
    words = ("--name", "web", "--network", "none", "--restart-condition", "none", busybox, "busybox", "echo", "one")
    sandbox.run("service", "create", "-d", *words)
    with (
        sandbox.spawn("service", "logs", "-f", "--no-task-ids", "web") as follower,
        sandbox.spawn("service", "ps", "--watch", "--format", "{{.Name}}", "web") as watcher,
    ):
        assert follower.stdout is not None
        assert watcher.stdout is not None
        assert watcher.stderr is not None
        # a page without any task may come before
        assert {b"\n"} >= set(iter(watcher.stdout.readline, b"web.1\n"))

        def next_line() -> tuple[bytes, bytes]:
            assert follower.stdout is not None
            name, _, text = follower.stdout.readline().partition(b"| ")
            return name.partition(b"@")[0], text

        assert next_line() == (b"web.1", b"one\n")
        # nothing of it runs by now
        sandbox.run("service", "scale", "-d", "web=2")
        assert next_line() == (b"web.2", b"one\n")
        assert {b"\n", b"web.1\n"} >= set(iter(watcher.stdout.readline, b"web.2\n"))
        sandbox.run("service", "rm", "web")
        assert watcher.wait(60) == 1
        assert watcher.stderr.readline() == b"Error: no such service: web\n"
        assert follower.stdout.read() == b""
        assert follower.wait(60) == 0


def test_a_stack(
    services: Services, sandbox: Sandbox, busybox: str, eventually: Callable[[Callable[[], object]], None]
) -> None:
    path = sandbox.home.root / "stack.yaml"
    path.write_text(_FILE.replace("IMAGE", busybox).replace("UP", _UP))
    env = {"KEY": "of the variable\n"}

    def stack(*words: str, status: int = 0) -> list[str]:
        return sandbox.run("stack", *words, env=env, status=status).lines

    assert stack("diff", "-c", "stack.yaml", "st") == [
        "+ network st_default", "+ network st_n", "+ secret st_key", "+ config st_c", "+ service st_db",
        "+ service st_web",
    ]  # fmt: skip
    made = stack("deploy", "-c", "stack.yaml", "--detach=false", "-q", "st")
    assert made == [
        "Creating network st_default", "Creating network st_n", "Creating secret st_key", "Creating config st_c",
        "Creating service st_db", "Creating service st_web",
    ]  # fmt: skip
    assert stack("ls", "--format", "{{.Name}} {{.Services}}") == ["st 2"]
    assert stack("services", "--format", "{{.Name}} {{.Replicas}}", "st") == ["st_db 1/1", "st_web 2/2"]
    assert stack("ps", "--format", "{{.Name}} {{.DesiredState}}", "st") == [
        "st_db.1 Running", "st_web.1 Running", "st_web.2 Running",
    ]  # fmt: skip
    eventually(lambda: sandbox.run("service", "logs", "--raw", "st_db").lines == ["of the variable", "of the file"])
    assert stack("diff", "-c", "stack.yaml", "st") == []
    (again,) = [line for line in stack("deploy", "-c", "stack.yaml", "st") if "st_web" in line]
    assert again.startswith("Updating service st_web (id: ")
    env["KEY"] = "another\n"
    refused = sandbox.run("stack", "deploy", "-c", "stack.yaml", "st", env=env, status=1)
    assert "failed to update secret st_key: only updates to Labels are allowed" in refused.stderr
    removed = stack("rm", "st")
    assert removed[:2] == ["Removing service st_db", "Removing service st_web"]
    assert sandbox.run("ps", "-aq").lines == []
    assert sandbox.run("network", "ls", "-q", "-f", "label=com.docker.stack.namespace=st").lines == []
    assert sandbox.run("stack", "rm", "st").stderr == "Nothing found in stack: st\n"
    assert sandbox.run("volume", "ls", "-q", "-f", "label=com.docker.stack.namespace=st").lines == ["st_data"]


def test_two_deploys_at_once_and_a_file_that_changes(services: Services, sandbox: Sandbox, busybox: str) -> None:
    def write(name: str, word: str) -> None:
        one = f"{{image: {busybox}, deploy: {{replicas: 0}}, environment: {{WORD: {word}}}}}"
        (sandbox.home.root / name).write_text(f"services: {{one: {one}, two: {one}, three: {one}}}\n")

    def words() -> set[tuple[str, ...]]:
        return {services.load_named(f"st_{name}").spec.request.environment for name in ("one", "two", "three")}

    write("a.yaml", "a")
    write("b.yaml", "b")
    with ExitStack() as open_ones:
        both = [open_ones.enter_context(sandbox.spawn("stack", "deploy", "-c", name, "st")) for name in _TWO]
        # what is read by then is deployed, all of it
        assert all(each.stdout is not None and each.stdout.readline() for each in both)
        write("a.yaml", "later")
        write("b.yaml", "later")
        assert [each.wait(120) for each in both] == [0, 0]
    assert words() in ({("WORD=a",)}, {("WORD=b",)})
    assert sandbox.run("service", "ls", "-q").stdout.count("\n") == 3


def test_changes_at_once_leave_one_of_the_two(services: Services, sandbox: Sandbox, busybox: str) -> None:
    one = f"{{image: {busybox}, deploy: {{replicas: 0}}}}"
    (sandbox.home.root / "a.yaml").write_text(f"services: {{one: {one}, two: {one}}}\n")

    def both(first: tuple[str, ...], second: tuple[str, ...]) -> list[tuple[int, bytes]]:
        """What each ended with, and its errors."""
        with sandbox.spawn(*first) as one, sandbox.spawn(*second) as other:
            return [(each.returncode, err) for each in (one, other) for _out, err in [each.communicate(timeout=120)]]

    deploy, remove = ("stack", "deploy", "-c", "a.yaml", "st"), ("stack", "rm", "st")
    for words in ((deploy, remove), (remove, deploy)):
        assert [status for status, _ in both(*words)] == [0, 0]
        names = sandbox.run("service", "ls", "--format", "{{.Name}}").lines
        assert names in ([], ["st_one", "st_two"])
        assert len(sandbox.run("network", "ls", "-q", "-f", "name=st_default").lines) == len(names) // 2
    sandbox.run(*deploy)
    update = ("service", "update", "-d", "--env-add")
    ends = both((*update, "A=1", "st_one"), (*update, "B=1", "st_one"))
    assert all(b"out of sequence" in error for status, error in ends if status)
    assert all(b"\n  mend: sandbox service update -d --env-add " in error for status, error in ends if status)
    done = {name for (status, _), name in zip(ends, ("A=1", "B=1"), strict=True) if status == 0}
    assert done
    assert set(services.load_named("st_one").spec.request.environment) == done
    (status, error), (removed, _) = both((*update, "C=1", "st_one"), ("service", "rm", "st_one"))
    assert removed == 0
    assert status == 0 or b"service st_one not found" in error
    assert sandbox.run("service", "ls", "--format", "{{.Name}}").lines == ["st_two"]


def test_what_is_removed_by_hand_during_a_deploy_is_made_again(services: Services, busybox: str) -> None:
    spec = services.spec(busybox, "st_one", replicas=0, labels=((NAMESPACE, "st"),))
    engine = LocalEngine(services.context)
    engine.apply(engine.plan(StackSpec("st", (spec,))), lambda _line: None)
    changed = spec._replace(labels=(*spec.labels, ("tier", "front")))
    plan = engine.plan(StackSpec("st", (changed,)))
    operations.remove(services.context, "st_one")
    engine.apply(plan, lambda _line: None)
    assert services.load_named("st_one").spec == changed


def test_a_stack_with_a_service_that_cannot_be_makes_nothing(sandbox: Sandbox) -> None:
    little = "{image: i, deploy: {resources: {limits: {memory: 1k}}}}"
    (sandbox.home.root / "stack.yaml").write_text(f"services: {{one: {{image: i}}, two: {little}}}\n")
    refused = sandbox.run("stack", "deploy", "-c", "stack.yaml", "st", status=1)
    assert "failed to create service st_two: invalid memory value 1024: Must be at least 4MiB" in refused.stderr
    assert refused.stdout == ""
    assert sandbox.run("network", "ls", "-q", "-f", "name=st_").stdout == ""
