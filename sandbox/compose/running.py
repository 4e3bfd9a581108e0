"""A project brought up, taken down, stopped, started: looked at, planned, and done.

Whoever makes or removes what a project is made of has its lock meanwhile. It is let go before anything is started: what
is waited for then may take as long as it likes, and `down` must not wait for it.
"""

from __future__ import annotations

from sandbox.compose.interrupts import run_interruptible
from sandbox.compose.observe import observe
from sandbox.compose.progress import Progress
from sandbox.compose.step_requests import Work, container_request
from sandbox.named_tuple import NamedTuple
from sandbox.project_locks import ProjectLock, noted_workers
from sandbox.stack.canonical import image_of
from sandbox.stack.consistency import require_own_names
from sandbox.stack.container_checks import check_request
from sandbox.stack.fixed_addresses import require_fixed_addresses
from sandbox.stack.request_grants import require_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from sandbox.compose.observe import Observed
    from sandbox.compose.progress import Tell
    from sandbox.compose.steps import DownOptions, Plan, UpOptions
    from sandbox.operation_context import OperationContext
    from sandbox.stack.project import Project

#: the module with the table of what workers do
_TABLE = "sandbox.compose.work"


def _says_no(_question: str) -> bool:
    return False


class Way(NamedTuple):
    """How a run is done, and who is told of it."""

    tell: Tell
    #: operations at once; 0 is our own limit
    parallel: int = 0
    #: nothing is done: the plan is what comes back
    is_dry: bool = False
    #: asked before data are lost
    ask: Callable[[str], bool] = _says_no


class Made(NamedTuple):
    """What was to be done for a project, and what its requests are made of."""

    plan: Plan
    work: Work

    def names_of(self, services: Collection[str]) -> tuple[str, ...]:
        """The names of the containers of these services that run, or are to be started."""
        started = [step.name for step in self.plan.starts if step.kind == "start" and step.service in services]
        running = [name for service, name in self.plan.running if service in services]
        return tuple(sorted({*started, *running}))


def bring_up(context: OperationContext, project: Project, options: UpOptions, way: Way, *, starts: bool = True) -> Made:
    """Make what the project is to have, and with `starts` start its containers; what was to be done for that.

    Its images are here. Raises SandboxError; what is done by then stays, and the next run goes on from there.
    """
    context = _plain(context)
    require_own_names(project)
    require_fixed_addresses(project)
    require_files(project)
    with ProjectLock(context.paths, project.name) as lock:
        observed, plan = planned_up(context, project, options, way)
        _tell_plan(plan, way)
        names = {each.name for each in observed.containers} | {step.name for step in plan.makes}
        work = Work(context, project, observed.images, frozenset(names), options.renews_volumes)
        # what cannot be asked for at all is said before anything is made
        for step in plan.makes:
            if step.kind in ("create", "recreate"):
                check_request(project, step.service, container_request(work, step))
        if not way.is_dry:
            _carry_out(project.name, work, plan if starts else plan._replace(starts=()), way, lock)
    return Made(plan, work)


def planned_up(context: OperationContext, project: Project, options: UpOptions, way: Way) -> tuple[Observed, Plan]:
    """What there is of the project, and the plan that brings it up; who is asked about volumes has answered. Raises
    SandboxError.
    """
    from sandbox.compose.plan import plan_up

    names = [image_of(project, name, service) for name, service in project.services]
    observed = observe(context, project.name, names)
    plan = plan_up(project, observed, options)
    renewed = tuple(
        name
        for name in plan.diverged_volumes
        if way.ask(
            f'Volume "{name}" exists but doesn\'t match configuration in compose file. Recreate (data will be lost)?'
        )
    )
    if renewed:
        plan = plan_up(project, observed, options._replace(volumes_to_renew=renewed))
    return observed, plan


def take_down(context: OperationContext, name: str, project: Project | None, options: DownOptions, way: Way) -> Plan:
    """Stop and remove what there is of the project, by its file or, without one, by labels; what was to be done.

    Raises SandboxError; what is done by then stays, and the next run goes on from there.
    """
    from sandbox.compose.plan_down import image_names, plan_down

    context = _plain(context)
    with ProjectLock(context.paths, name) as lock:
        observed = observe(context, name)
        images = image_names(project, observed, options.images)
        if images:
            observed = observe(context, name, images)
        plan = plan_down(project, observed, options)
        _tell_plan(plan, way)
        if not way.is_dry:
            _carry_out(name, Work(context, project), plan, way, lock)
    return plan


def carry_out(
    context: OperationContext, name: str, decide: Callable[[Observed], Plan], way: Way, project: Project | None = None
) -> Plan:
    """Do with the project `name` what `decide` makes of what there is of it; what that was. Hooks are those of the
    `project`, where there is a file. Raises SandboxError.
    """
    context = _plain(context)
    with ProjectLock(context.paths, name) as lock:
        plan = decide(observe(context, name))
        _tell_plan(plan, way)
        if not way.is_dry:
            _carry_out(name, Work(context, project), plan, way, lock)
    return plan


def _tell_plan(plan: Plan, way: Way) -> None:
    for note in plan.notes:
        way.tell(Progress("", note, "warning"))
    for subject, word in plan.standing:
        way.tell(Progress(subject, word, "done"))


def _carry_out(name: str, work: Work, plan: Plan, way: Way, lock: ProjectLock) -> None:
    if plan.is_empty:
        return
    # the workers: only where there is something to do
    from sandbox.compose.execute import Runner
    from sandbox.warm.trio_workers import open_workers

    async def run() -> None:
        async with open_workers(_TABLE) as workers:
            workers.start()
            with noted_workers(work.context.paths, name, workers.pid):
                runner = Runner(workers, work, way.tell, way.parallel)
                await runner.run(plan.makes)
                lock.release()
                await runner.run(plan.starts)

    run_interruptible(run)


def _plain(context: OperationContext) -> OperationContext:
    """The context as a worker can be sent it: progress of transfers is none of ours."""
    from sandbox.operation_context import OperationContext

    return OperationContext(context.paths, dict(context.env))
