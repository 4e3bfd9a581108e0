"""The steps of a plan, done: as many at once as their order allows, each by a worker.

This process holds no database open while a worker forks, and forks nothing itself. A step that fails lets no other one
begin; those that are on come to their end, so that nothing is left half made.
"""

from __future__ import annotations

from functools import partial

import trio

from sandbox.compose.hook_output import call_with_outputs, with_outputs, writers_of
from sandbox.compose.progress import Progress
from sandbox.compose.step_requests import STEP_WORDS, subject_of, work_of
from sandbox.compose.waiting import changes, wait_until_met
from sandbox.errors import ConflictError, NotFoundError, SandboxError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from sandbox.compose.hook_output import HookTell
    from sandbox.compose.progress import Tell
    from sandbox.compose.step_requests import Work
    from sandbox.compose.steps import Step
    from sandbox.compose.waiting import Changes
    from sandbox.warm.trio_workers import TrioWorkers
    from sandbox.warm.values import Descriptor

#: so many operations are on at once where nobody says otherwise: each is a process, and some are two
MOST_AT_ONCE = 16


class Runner:
    """Carries out steps by `workers`, at most `parallel` at once where it is above 0, and tells of it. `told_hooks`
    gets what hooks write.
    """

    def __init__(
        self, workers: TrioWorkers, work: Work, tell: Tell, parallel: int = 0, told_hooks: HookTell | None = None
    ) -> None:
        self._workers = workers
        self._work = work
        self._tell = tell
        self._told_hooks = told_hooks
        self._limiter = trio.CapacityLimiter(parallel if parallel > 0 else MOST_AT_ONCE)

    async def run(self, steps: Sequence[Step]) -> None:
        """Do all of `steps`. Raises the first SandboxError; what did not need that step may be done by then."""
        if any(step.kind == "wait" for step in steps):
            async with changes(self._work.context.paths) as told:
                failure = await _Round(self, told).run(steps)
        else:
            failure = await _Round(self, None).run(steps)
        # not in there, where it would become one of a group
        if failure is not None:
            raise failure

    async def do(self, step: Step, told: Changes | None) -> None:
        """Do one step. Raises SandboxError."""
        if step.kind == "wait":
            assert told is not None
            await self._wait(step, told)
            return
        subject = subject_of(step)
        begins, ends = STEP_WORDS[step.kind]
        async with self._limiter:
            self._tell(Progress(subject, begins))
            try:
                result = await self._call(step, self._teller(subject))
            except SandboxError as error:
                if not self._may_pass(step, error):
                    self._tell(Progress(subject, "Error", "error"))
                    raise
                return
        # what comes back of an image is what went with it
        for warning in warnings_of(result) if step.kind != "remove_image" else ():
            self._tell(Progress(subject, warning, "warning"))
        self._tell(Progress(subject, ends, "done"))

    async def _call(self, step: Step, teller: Callable[[str], Awaitable[None]]) -> object:
        request = work_of(self._work, step)
        tell, project = self._told_hooks, self._work.project
        writers = writers_of(request, step, project.name) if tell is not None and project is not None else ()
        if tell is None or not writers:
            return await self._workers.call(request, teller)

        async def call(outputs: Sequence[Descriptor]) -> object:
            return await self._workers.call(with_outputs(request, outputs), teller)

        return await call_with_outputs(call, [partial(tell, writer) for writer in writers])

    def _teller(self, subject: str) -> Callable[[str], Awaitable[None]]:
        async def tell(word: str) -> None:
            self._tell(Progress(subject, word))
            if word == "Stopped":
                self._tell(Progress(subject, "Removing"))

        return tell

    def _may_pass(self, step: Step, error: SandboxError) -> bool:
        """What is taken down stays where others use it, and may be gone already."""
        if not step.kind.startswith("remove_") or not step.flag:
            return False
        if isinstance(error, ConflictError):
            self._tell(Progress(subject_of(step), "Resource is still in use", "warning"))
        elif isinstance(error, NotFoundError):
            self._tell(Progress(subject_of(step), "Removed", "done"))
        else:
            return False
        return True

    async def _wait(self, step: Step, told: Changes) -> None:
        subjects = [f"Container {name}" for name in step.containers]
        for subject in subjects:
            self._tell(Progress(subject, "Waiting"))
        try:
            word = await wait_until_met(self._work.context, step, told)
        except SandboxError as error:
            for subject in subjects:
                self._tell(Progress(subject, "Skipped" if step.flag else "Error", "warning" if step.flag else "error"))
            if not step.flag:
                raise
            self._tell(
                Progress("", f'optional dependency "{step.service}" failed to start: {error.message}', "warning")
            )
            return
        for subject in subjects:
            self._tell(Progress(subject, word, "done"))


def warnings_of(result: object) -> tuple[str, ...]:
    """What an operation had to say beside its result."""
    if isinstance(result, tuple):
        *_, last = result if result else ((),)
        texts = last if isinstance(last, tuple) else result
        return tuple(text for text in texts if isinstance(text, str))
    return ()


class _Round:
    """One run of steps: who waits for whom, and what failed first."""

    def __init__(self, runner: Runner, told: Changes | None) -> None:
        self._runner = runner
        self._told = told
        self._done: dict[str, trio.Event] = {}
        self._failure: SandboxError | None = None
        #: of those who wait for others, or for a container
        self._scopes: set[trio.CancelScope] = set()

    async def run(self, steps: Sequence[Step]) -> SandboxError | None:
        self._done = {step.key: trio.Event() for step in steps}
        async with trio.open_nursery() as nursery:
            for step in steps:
                nursery.start_soon(self._do, step)
        return self._failure

    async def _do(self, step: Step) -> None:
        with trio.CancelScope() as scope:
            self._scopes.add(scope)
            for key in step.needs:
                if key in self._done:
                    await self._done[key].wait()
            if step.kind != "wait":
                self._scopes.discard(scope)
            try:
                await self._runner.do(step, self._told)
            except SandboxError as error:
                self._failure = self._failure or error
                for other in self._scopes:
                    other.cancel()
                return
            self._done[step.key].set()
        self._scopes.discard(scope)
