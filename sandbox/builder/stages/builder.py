"""Carries out a plan: what earlier builds made is found by the calling process alone, the rest is made in a namespace.

First every stage goes as far as its steps are cached, in this process and without any namespace: a build of which
nothing changed ends there. Where something must be made, a coordinator is forked (`stage_workers`), and each stage goes
on where it stopped.
"""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING, NoReturn

from sandbox.builder.joined_network import joined_network
from sandbox.builder.progress.progress import OpenSteps, decode_event
from sandbox.builder.request import BuildResult
from sandbox.builder.sources.digest_memory import Memories
from sandbox.builder.stages.stage_builder import StageBuilder, find_tree
from sandbox.builder.stages.stage_messages import Lines, decode_failure, decode_stage, encode_failure
from sandbox.builder.stages.stage_workers import Coordinator
from sandbox.builder.step_layers import NotCachedError, StoredSteps
from sandbox.builder.steps.steps import Steps
from sandbox.errors import SandboxError
from sandbox.runtime.user_namespace import (
    enter_user_namespace,
    join_user_namespace_of,
    make_peers,
    map_or_let_join,
    say_joined,
)

if TYPE_CHECKING:
    from sandbox.builder.request import BuildPlan, JoinedNetwork
    from sandbox.builder.stage_state import StageState
    from sandbox.dockerfile.parser import Node
    from sandbox.paths import Paths
    from sandbox.runtime.user_namespace import PeerPair


def build(paths: Paths, plan: BuildPlan) -> BuildResult:
    """The image's parts. Raises DockerfileError with the place, SandboxError; then nothing half-made is left."""
    memories = Memories(paths)
    done, builders = _look_up(paths, plan, memories)
    memories.save()
    if plan.target not in done:
        with joined_network(paths, plan) as joined:
            done = _make(paths, plan._replace(joined=joined), memories, (done, builders))
    others = [_finish(plan, state) for number, state in done.items() if number != plan.target]
    return _finish(plan, done[plan.target])._replace(others=others)


def _finish(plan: BuildPlan, state: StageState) -> BuildResult:
    document = state.image.finished([layer.diff_id for layer in state.layers], plan.labels)
    return BuildResult(
        document,
        [layer.descriptor for layer in state.layers],
        [layer.chain_id for layer in state.layers],
        state.records,
    )


def _look_up(
    paths: Paths, plan: BuildPlan, memories: Memories
) -> tuple[dict[int, StageState], dict[int, StageBuilder]]:
    """The stages of which everything is there, and the others as far as they are."""
    done: dict[int, StageState] = {}
    builders: dict[int, StageBuilder] = {}

    def find_stage(number: int) -> StageState:
        if number not in done:
            raise NotCachedError
        return done[number]

    stored = StoredSteps(paths)
    try:
        for number in plan.stages:
            builder = StageBuilder(plan, number)

            def trees(name: str, node: Node, number: int = number) -> StageState:
                return find_tree(plan, number, find_stage, name, node)

            try:
                steps = Steps(paths, plan, stored, trees, memories, fresh=plan.is_fresh(number))
                done[number] = builder.run(steps, find_stage, hold=True)
            except (NotCachedError, SandboxError, OSError):
                # also what fails: it may not where root of the namespace tries, and else fails there again
                builders[number] = builder
    finally:
        # no connection to the database may be open across a fork
        stored.close()
    return done, builders


def _make(
    paths: Paths, plan: BuildPlan, memories: Memories, looked_up: tuple[dict[int, StageState], dict[int, StageBuilder]]
) -> dict[int, StageState]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    peers = make_peers()
    pid = os.fork()
    if pid == 0:
        ours.close()
        _coordinate(peers, theirs, Coordinator(paths, plan, memories, *looked_up), plan.joined)
    theirs.close()
    steps = OpenSteps()
    with ours:
        try:
            map_or_let_join(peers, pid)
            for message in Lines(ours):
                if "event" in message:
                    event = decode_event(message["event"])
                    steps.take(event)
                    plan.events(event)
                elif "stages" in message:
                    found = message["stages"].items()
                    return {int(number): decode_stage(stage, plan.globals) for number, stage in found}
                else:
                    raise decode_failure(message["error"])
            raise SandboxError("the process that coordinates the build died", mend="try again")
        except KeyboardInterrupt:
            for event in steps.cancelled():
                plan.events(event)
            raise
        finally:
            ours.shutdown(socket.SHUT_RDWR)
            _wait_undisturbed(pid)


def _wait_undisturbed(pid: int) -> None:
    """Wait for the coordinator to have cleaned up; a second ctrl-C does not keep it from that."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        os.waitpid(pid, 0)
    finally:
        signal.signal(signal.SIGINT, before)


def _coordinate(
    peers: PeerPair, end: socket.socket, coordinator: Coordinator, joined: JoinedNetwork | None
) -> NoReturn:
    """In the forked child."""
    try:
        try:
            if joined is None or joined.is_host:
                enter_user_namespace(peers)
            else:
                # only from below the same one can the other's network be entered
                say_joined(peers)
                join_user_namespace_of(joined.pid)
            coordinator.run(end)
        except Exception as error:  # noqa: BLE001  # a process boundary: every failure is told to the command
            Lines(end).send({"error": encode_failure(error)})
    finally:
        os._exit(0)
