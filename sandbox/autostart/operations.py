"""Starting containers at boot, for whoever asks: enabled, disabled, looked at, done."""

from __future__ import annotations

from contextlib import suppress

from sandbox.autostart import crontab, unit
from sandbox.autostart.bringing_back import comes_back, in_order
from sandbox.autostart.launch import launch_of
from sandbox.autostart.manager import tell_manager
from sandbox.errors import HostError, SandboxError, UsageError
from sandbox.home import find_home
from sandbox.named_tuple import NamedTuple
from sandbox.paths import find_data_root
from sandbox.reconciler_calls import ensure_due
from sandbox.runtime.systemd_scopes import is_booted, lingers
from sandbox.state import open_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.container.model.record import Container
    from sandbox.operation_context import OperationContext

METHODS = ("systemd", "cron")
_LOG = "autostart.log"


class Autostart(NamedTuple):
    """How things stand. `method` is "systemd" or "cron", "" where it is not enabled; `place` the unit's file, or "the
    crontab".
    """

    method: str = ""
    place: str = ""
    #: what is there is what `enable` would write now: the same command, the same places
    is_current: bool = True
    #: the user's manager starts at boot, and not at the first log-in
    lingers: bool = False
    #: of cron: whether its daemon runs now
    has_daemon: bool = True

    @property
    def works_at_boot(self) -> bool:
        return self.has_daemon if self.method == "cron" else self.method == "systemd" and self.lingers


class BroughtBack(NamedTuple):
    """One container that was to be started; `error` where it could not be."""

    name: str
    error: SandboxError | None = None


def status(context: OperationContext, command: tuple[str, ...] = ()) -> Autostart:
    """What is enabled; without `command` it is not asked whether that is current. Raises HostError."""
    launch = launch_of(command, context.env)
    home = find_home(context.env)
    found = unit.read_unit(home) if home else None
    if found is not None:
        current = not command or found == unit.unit_text(launch)
        return Autostart("systemd", unit.unit_path(home), current, lingers())
    program = crontab.find_crontab(context.env)
    entry = crontab.block_entry(crontab.read_crontab(program)) if program is not None else None
    if entry is not None:
        current = not command or entry == crontab.entry_text(launch, _log_path(context))
        return Autostart("cron", "the crontab", current, has_daemon=crontab.is_daemon_there())
    return Autostart()


def enable(context: OperationContext, command: tuple[str, ...], method: str = "") -> Autostart:
    """Have the machine start containers at boot, by `command`; by systemd where it is there, else by cron.

    Raises UsageError for a method that there is not, HostError where this machine has none.
    """
    if method not in ("", *METHODS):
        raise UsageError(f"no such method: {method}", mend=f"one of: {', '.join(METHODS)}")
    launch = launch_of(command, context.env)
    if (method or ("systemd" if is_booted() else "cron")) == "systemd":
        text = unit.unit_text(launch)
        disable(context)
        unit.write_unit(_home(context), text)
        tell_manager(context.env, "daemon-reload")
        return status(context, command)
    program = crontab.find_crontab(context.env)
    if program is None:
        raise crontab.no_cron_error()
    entry = crontab.entry_text(launch, _log_path(context))
    before = crontab.read_crontab(program)
    crontab.write_crontab(program, crontab.with_block(before, entry))
    if unit.remove_unit(_home(context)):
        tell_manager(context.env, "daemon-reload")
    return status(context, command)


def disable(context: OperationContext) -> tuple[str, ...]:
    """Take away what `enable` has written, in whichever way; where it was. Raises HostError."""
    removed = []
    if unit.remove_unit(_home(context)):
        removed.append(unit.unit_path(_home(context)))
        tell_manager(context.env, "daemon-reload")
    program = crontab.find_crontab(context.env)
    before = crontab.read_crontab(program) if program is not None else ""
    after = crontab.without_block(before)
    if program is not None and after != before:
        crontab.write_crontab(program, after)
        removed.append("the crontab")
    return tuple(removed)


def place_for_store(context: OperationContext) -> str:
    """Where it is written that containers of this data root start at boot; "" where it is nowhere, or another's are
    started.
    """
    home = find_home(context.env)
    text = unit.read_unit(home) if home else None
    if text is not None:
        place, variables = unit.unit_path(home), unit.unit_variables(text)
    else:
        program, entry = crontab.find_crontab(context.env), None
        # who may not use cron has no entry that it would run
        with suppress(HostError):
            entry = crontab.block_entry(crontab.read_crontab(program)) if program is not None else None
        if entry is None:
            return ""
        place, variables = "the crontab", crontab.entry_variables(entry)
    return place if find_data_root(variables, home) == context.paths.data_root else ""


def candidates(context: OperationContext) -> list[Container]:
    """The containers that a reboot would end, and a start at boot bring back, whether they run or not."""
    from sandbox.container.operations import ListRequest, list_containers

    containers = list_containers(context, ListRequest(all=True))
    return in_order([container for container in containers if comes_back(container)])


def run(context: OperationContext) -> Iterator[BroughtBack]:
    """Start what is to come back and does not run, one after the other; one that fails keeps back no other."""
    from sandbox.container.model.claims import ACTIVE
    from sandbox.container.operations import start

    for container in candidates(context):
        if container.state.status in ACTIVE:
            continue
        try:
            start(context, container.id)
        except SandboxError as error:
            yield BroughtBack(container.name, error)
        else:
            yield BroughtBack(container.name)
    with open_state(context.paths, durable=False) as connection:
        # containers of services are not started again: others take their place
        ensure_due(connection, context.paths, context.env)


def _home(context: OperationContext) -> str:
    home = find_home(context.env)
    if not home:
        raise HostError("there is no home directory to keep the unit in", mend="export HOME=DIRECTORY")
    return home


def _log_path(context: OperationContext) -> str:
    return f"{context.paths.data_root}/{_LOG}"
