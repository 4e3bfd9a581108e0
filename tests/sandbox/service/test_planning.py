"""Decisions of services: what Swarm does, as tables; and runs that are cut anywhere, all of which come to an end."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.service.spec import SECOND_NS, RestartRule, ServiceMode, UpdateConfig
from sandbox.service.task import task_name
from tests.sandbox.service.simulation import Fate, Machine
from tests.sandbox.service.values import spec_named

if TYPE_CHECKING:
    from typing import Any

    from sandbox.service.spec import ServiceSpec

S = SECOND_NS
#: an image that ends a second after its start, one that nobody has
BAD, GONE = Fate(1 * S, 1), Fate(is_missing=True)


def _wanted(image: str = "one", replicas: int = 3, **fields: Any) -> ServiceSpec:
    return spec_named(image=image, mode=ServiceMode(replicas=replicas), **fields)


def test_a_service_is_brought_up_and_scaled() -> None:
    machine = Machine(_wanted(replicas=1))
    machine.run()
    assert machine.images() == {1: "one"}
    assert machine.service.status is None
    first = machine.running()[0]
    machine.want(_wanted(replicas=10))
    machine.run()
    assert list(machine.images()) == list(range(1, 11))
    machine.want(_wanted(replicas=2))
    machine.run()
    # the highest go, with all there was of them, and scaling starts nothing anew
    assert list(machine.images()) == [1, 2]
    assert len(machine.tasks) == len(machine.containers) == 2
    assert first in machine.running()
    assert machine.decision is not None
    assert machine.decision.is_settled
    machine.want(_wanted(replicas=0))
    machine.run()
    assert machine.tasks == {}


def test_what_changes_no_container_restarts_nothing() -> None:
    machine = Machine(_wanted())
    machine.run()
    before = machine.running()
    machine.want(_wanted(labels=(("a", "b"),), update=UpdateConfig(0), endpoint_mode="dnsrr"))
    machine.run()
    assert machine.running() == before
    assert machine.service.status is None


def test_an_update_takes_slot_by_slot_the_old_one_first() -> None:
    machine = Machine(_wanted())
    machine.run()
    machine.story.clear()
    machine.want(_wanted("two"))
    machine.run(stop=lambda: machine.update_state == "completed")
    assert machine.images() == {1: "two", 2: "two", 3: "two"}
    # it is made ready while the old one stops, and starts when that has ended
    assert machine.story == [
        "new t4 in 1", "stop t1", "prepare t4", "start t4",
        "new t5 in 2", "stop t2", "prepare t5", "start t5",
        "new t6 in 3", "stop t3", "prepare t6", "start t6",
    ]  # fmt: skip
    assert machine.service.status is not None
    assert machine.service.status.message == "update completed"
    # the last one is watched as long as the others
    assert machine.now_ns == S + 5 * S


def test_an_update_may_start_the_new_one_first() -> None:
    machine = Machine(_wanted(replicas=2))
    machine.run()
    machine.story.clear()
    least: list[int] = []
    machine.watch = lambda: least.append(sum(each.status == "running" for each in machine.containers.values()))
    machine.want(_wanted("two", 2, update=UpdateConfig(order="start-first")))
    machine.run(stop=lambda: machine.update_state == "completed")
    assert machine.story[:4] == ["new t3 in 1", "prepare t3", "start t3", "new t4 in 2"]
    assert machine.story.index("stop t1") > machine.story.index("start t3")
    assert min(least) == 2
    assert machine.images() == {1: "two", 2: "two"}


@pytest.mark.parametrize(("parallelism", "at_once"), [(1, 1), (2, 2), (4, 4), (0, 5)])
def test_so_many_slots_are_replaced_at_once(parallelism: int, at_once: int) -> None:
    machine = Machine(_wanted(replicas=5))
    machine.run()
    most = [0]

    def watch() -> None:
        coming = sum(task.update_run != 0 and not task.running_ns for task in machine.tasks.values())
        most[0] = max(most[0], coming)

    machine.watch = watch
    machine.want(_wanted("two", 5, update=UpdateConfig(parallelism)))
    machine.run()
    assert most == [at_once]
    assert set(machine.images().values()) == {"two"}


def test_the_delay_is_after_each_slot_the_last_too() -> None:
    machine = Machine(_wanted(replicas=3))
    machine.run()
    machine.want(_wanted("two", update=UpdateConfig(delay_ns=10 * S, monitor_ns=5 * S)))
    machine.run()
    starts = sorted(task.running_ns - S for task in machine.running())
    assert starts == [0, 10 * S, 20 * S]
    # a delay that is longer than the watch makes that a second longer than itself
    assert machine.service.status is not None
    assert machine.service.status.completed_ns - S == 30 * S + 11 * S


@pytest.mark.parametrize(
    ("ratio", "state"),
    [(0.0, "paused"), (0.2, "paused"), (0.25, "completed"), (0.5, "completed")],
)  # fmt: skip
def test_more_failures_than_the_ratio_allows_are_too_many(ratio: float, state: str) -> None:
    # one of four slots fails once
    machine = Machine(_wanted(replicas=4, restart=RestartRule(delay_ns=S)))
    machine.run()
    rules = UpdateConfig(max_failure_ratio=ratio, delay_ns=2 * S)
    machine.want(_wanted("two", 4, update=rules, restart=RestartRule(delay_ns=S)))
    machine.fates["two"] = Fate(S, 1)
    machine.run(stop=lambda: any(task.state == "failed" for task in machine.tasks.values()))
    machine.fates.clear()
    machine.run()
    assert machine.update_state == state


def test_a_paused_update_says_of_which_task_and_leaves_the_others() -> None:
    machine = Machine(_wanted(), {"two": BAD})
    machine.run()
    machine.want(_wanted("two", update=UpdateConfig(delay_ns=2 * S)))
    machine.run(until_seconds=30)
    assert machine.service.status is not None
    assert machine.service.status[:2] == ("paused", "update paused due to failure or early termination of task t4")
    assert machine.service.run is None
    assert {slot: image for slot, image in machine.images().items() if slot > 1} == {2: "one", 3: "one"}
    # and goes on when something else is wanted
    machine.want(_wanted("three"))
    machine.run(until_seconds=100)
    assert machine.update_state == "completed"
    assert set(machine.images().values()) == {"three"}


@pytest.mark.parametrize("order", ["stop-first", "start-first"])
def test_a_failed_update_rolls_back(order: str) -> None:
    machine = Machine(_wanted(), {"two": BAD})
    machine.run()
    machine.want(_wanted("two", update=UpdateConfig(failure_action="rollback", order=order)))
    messages: set[str] = set()
    machine.watch = lambda: messages.add(machine.service.status.message if machine.service.status else "")
    machine.run(until_seconds=200)
    assert messages >= {
        "update in progress", "update rolled back due to failure or early termination of task t4", "rollback completed",
    }  # fmt: skip
    assert machine.update_state == "rollback_completed"
    assert set(machine.images().values()) == {"one"}
    assert machine.service.previous_spec is None
    assert machine.service.spec.request.image == "one"


def test_a_rollback_never_rolls_back() -> None:
    rules = UpdateConfig(failure_action="rollback")
    machine = Machine(_wanted(), {"two": BAD})
    machine.run()
    machine.want(_wanted("two", update=rules, rollback=rules))
    machine.fates["one"] = BAD
    machine.service = machine.service._replace(previous_spec=_wanted("one", rollback=rules))
    machine.run(until_seconds=60)
    assert machine.service.status is not None
    assert machine.service.status.state == "rollback_paused"
    assert machine.service.status.message.startswith("rollback paused due to failure or early termination of task t")


def test_without_a_previous_spec_it_pauses_and_says_so() -> None:
    machine = Machine(_wanted(), {"two": BAD})
    machine.run()
    machine.want(_wanted("two", update=UpdateConfig(failure_action="rollback")))
    machine.service = machine.service._replace(previous_spec=None)
    machine.run(until_seconds=60)
    assert machine.service.status is not None
    assert machine.service.status.state == "paused"
    assert machine.service.status.message.endswith("no previous spec is available")


def test_failures_may_be_passed_over() -> None:
    machine = Machine(_wanted(), {"two": BAD})
    machine.run()
    machine.want(_wanted("two", update=UpdateConfig(failure_action="continue"), restart=RestartRule("none")))
    machine.run()
    assert machine.update_state == "completed"
    assert machine.running() == []
    assert {task.state for task in machine.tasks.values() if task.image == "two"} == {"failed"}


@pytest.mark.parametrize(
    ("lives_seconds", "exit_code", "state"),
    [(4, 0, "paused"), (5, 1, "paused"), (6, 1, "completed")],
)  # fmt: skip
def test_an_end_soon_after_the_start_is_a_failure_whatever_its_code(
    lives_seconds: int, exit_code: int, state: str
) -> None:
    machine = Machine(_wanted(replicas=1), {"two": Fate(lives_seconds * S, exit_code)})
    machine.run()
    machine.want(_wanted("two", 1))
    machine.run(until_seconds=30)
    assert machine.update_state == state


def test_a_missing_image_is_rejected_and_tried_again() -> None:
    machine = Machine(_wanted("nope", 1), {"nope": GONE})
    machine.run(until_seconds=13)
    over = [task for task in machine.tasks.values() if task.is_over]
    assert [(task.state, task.error) for task in over] == [("rejected", "No such image: nope")] * 4
    # each is made ready at once, and followed when its delay is over: no loop
    assert [task.created_ns // S for task in machine.tasks.values()] == [1, 1, 6, 11]


@pytest.mark.parametrize(
    ("condition", "exit_code", "ended"),
    [("any", 0, 4), ("any", 1, 4), ("on-failure", 0, 1), ("on-failure", 1, 4), ("none", 1, 1)],
)
def test_the_condition_decides_what_is_followed(condition: str, exit_code: int, ended: int) -> None:
    rule = RestartRule(condition, delay_ns=2 * S, max_attempts=3)
    machine = Machine(_wanted(replicas=1, restart=rule), {"one": Fate(S, exit_code)})
    machine.run()
    states = [task.state for task in machine.tasks.values()]
    assert states == ["failed" if exit_code else "complete"] * ended
    assert {task.desired for task in machine.tasks.values()} == {"shutdown"}
    assert machine.decision is not None
    assert machine.decision.is_settled
    starts = [task.running_ns for task in machine.tasks.values()]
    assert [later - earlier for earlier, later in pairwise(starts)] == [3 * S] * (ended - 1)


def test_a_window_counts_what_is_in_it() -> None:
    fate = {"one": Fate(4 * S, 1)}
    # each takes five seconds: in a window of six there is never more than one restart
    rule = RestartRule("any", delay_ns=S, max_attempts=2, window_ns=6 * S)
    machine = Machine(_wanted(replicas=1, restart=rule), fate)
    machine.run(until_seconds=100)
    assert max(task.restart_count for task in machine.tasks.values()) >= 19
    short = Machine(_wanted(replicas=1, restart=rule._replace(window_ns=20 * S)), fate)
    short.run(until_seconds=100)
    assert [task.state for task in short.tasks.values()] == ["failed"] * 3


def test_another_version_counts_anew() -> None:
    rule = RestartRule("any", delay_ns=S, max_attempts=2)
    machine = Machine(_wanted(replicas=1, restart=rule), {"one": BAD, "two": BAD})
    machine.run()
    assert len(machine.tasks) == 3
    machine.want(_wanted("two", 1, restart=rule))
    machine.run()
    assert [task.image for task in machine.tasks.values()].count("two") == 3


def test_five_of_a_slot_are_kept() -> None:
    machine = Machine(_wanted(replicas=1, restart=RestartRule(delay_ns=S)), {"one": BAD})
    machine.run(until_seconds=60)
    # one more may just have been made, and another is going
    assert len([task for task in machine.tasks.values() if task.desired != "remove"]) == 5
    assert len(machine.containers) <= 6


def test_scaling_counts_no_restart_and_an_update_cancels_another() -> None:
    machine = Machine(_wanted(replicas=4))
    machine.run()
    machine.want(_wanted("two", 4, update=UpdateConfig(delay_ns=50 * S)))
    machine.run(until_seconds=60)
    assert sorted(machine.images().values()) == ["one", "one", "two", "two"]
    machine.want(_wanted("three", 4))
    machine.run()
    assert machine.update_state == "completed"
    assert set(machine.images().values()) == {"three"}


def test_a_container_that_is_taken_away_is_a_failed_task() -> None:
    machine = Machine(_wanted(replicas=1))
    machine.run()
    del machine.containers["t1"]
    machine.run()
    assert machine.tasks["t1"].state == "failed"
    assert machine.tasks["t1"].error == "No such container: t1"
    assert machine.images() == {1: "one"}


def test_a_job_runs_so_many_at_once_until_so_many_have_completed() -> None:
    most = [0]
    mode = ServiceMode("replicated-job", 5, 2)
    machine = Machine(spec_named(image="one", mode=mode), {"one": Fate(3 * S, 0), "two": Fate(S, 1)})
    machine.watch = lambda: most.append(sum(task.state == "running" for task in machine.tasks.values()))
    machine.run()
    assert max(most) == 2
    assert [task.state for task in machine.tasks.values()] == ["complete"] * 5
    assert machine.decision is not None
    assert machine.decision.is_settled
    # another version runs anew, what fails is tried as the rule says, and what had completed is history
    machine.want(spec_named(image="two", mode=mode, restart=RestartRule("on-failure", S, 1)))
    machine.run()
    found = sorted((task.image, task.state) for task in machine.tasks.values())
    assert found == [("one", "complete")] * 5 + [("two", "failed")] * 10
    # so does the same again
    machine.want(spec_named(image="one", mode=mode))
    machine.run()
    machine.want(spec_named(image="one", mode=mode._replace(replicas=3)))
    machine.run()
    assert [task.state for task in machine.tasks.values() if task.image == "one"] == ["complete"] * (5 + 5 + 3)


def test_a_global_service_has_one_task_and_the_node_in_its_name() -> None:
    machine = Machine(spec_named(image="one", mode=ServiceMode("global", 7)))
    machine.run()
    (task,) = machine.running()
    assert task_name("web", task, "node5") == "web.node5.t1"
    assert task_name("web", task) == "web.1.t1"


def test_a_held_service_is_made_ready_and_waits() -> None:
    machine = Machine(_wanted(replicas=2))
    machine.is_held = True
    machine.run()
    assert [task.state for task in machine.tasks.values()] == ["ready", "ready"]
    machine.is_held = False
    machine.run()
    assert list(machine.images()) == [1, 2]


def test_removal_comes_first() -> None:
    machine = Machine(_wanted())
    machine.run()
    machine.want(_wanted("two"))
    machine.run(stop=lambda: machine.update_state == "updating")
    machine.service = machine.service._replace(removing=True)
    machine.run()
    assert machine.tasks == {}
    assert machine.containers == {}
    assert machine.decision is not None
    assert machine.decision.is_over


@st.composite
def _specs(draw: st.DrawFn, image: str) -> ServiceSpec:
    rules = UpdateConfig(
        parallelism=draw(st.integers(0, 3)),
        delay_ns=draw(st.sampled_from([0, S, 7 * S])),
        failure_action=draw(st.sampled_from(["pause", "continue", "rollback"])),
        monitor_ns=draw(st.sampled_from([0, 2 * S, 5 * S])),
        max_failure_ratio=draw(st.sampled_from([0.0, 0.3, 1.0])),
        order=draw(st.sampled_from(["stop-first", "start-first"])),
    )
    return _wanted(image, draw(st.integers(0, 4)), update=rules, rollback=rules, restart=RestartRule(delay_ns=S))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_runs_that_are_cut_anywhere_end_with_one_task_in_each_slot(data: st.DataObject) -> None:
    machine = Machine(data.draw(_specs("one")))
    wanted = [data.draw(_specs(image)) for image in data.draw(st.lists(st.sampled_from("abc"), max_size=3))]
    failing = data.draw(st.sets(st.sampled_from("abc"), max_size=2))
    machine.fates = dict.fromkeys(failing, BAD)
    for _ in range(data.draw(st.integers(0, 80))):
        what = data.draw(st.sampled_from(["decide", "decide", "act", "act", "killed", "time", "want"]))
        if what == "decide":
            machine.let_end()
            machine.decide()
        elif what == "time":
            machine.now_ns += data.draw(st.integers(0, 3 * S))
        elif what == "want" and wanted:
            machine.want(wanted.pop())
        elif machine.to_do():
            machine.act(data.draw(st.sampled_from(machine.to_do())), is_written=what != "killed")
    # from now on everything lives, and nobody kills
    machine.fates.clear()
    machine.run(10_000)
    replicas = machine.service.spec.mode.replicas
    assert list(machine.images()) == list(range(1, replicas + 1))
    assert machine.decision is not None
    assert machine.decision.is_settled
    assert sum(each.status == "running" for each in machine.containers.values()) == replicas
    assert set(machine.containers) <= set(machine.tasks)
    if not machine.service.status or not machine.service.status.is_paused:
        assert set(machine.images().values()) <= {machine.service.spec.request.image}
