"""`compose logs`."""

from __future__ import annotations

from sandbox.cli.command import Command
from sandbox.cli.compose_call import project_if_any, wants_colour
from sandbox.cli.flags import option
from sandbox.compose.chosen import Choice, chosen, the_one
from sandbox.compose.log_lines import LineWriter, Prefixes
from sandbox.compose.names import ONE_OFF, PROJECT, SERVICE, short_name
from sandbox.compose.observe import observe
from sandbox.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox.cli.command import Invocation
    from sandbox.compose.observe import Observed
    from sandbox.container.model.record import Container
    from sandbox.container.view.log_entries import LogEntry
    from sandbox.events import Happened
    from sandbox.stack.project import Project


def logs(invocation: Invocation) -> int:
    """Print the logs of the project's containers, each line behind its container's name."""
    from sandbox.container.following import LogSink, Newcomers, follow_logs, read_logs
    from sandbox.container.view.log_selection import read_selection

    if invocation.number("index") and len(invocation.arguments) != 1:
        raise UsageError("--index requires one service to be selected")
    selection = read_selection(
        invocation.text("since") or "", invocation.text("until") or "", invocation.text("tail") or "all"
    )
    project, name = project_if_any(invocation, invocation.arguments)
    services = _services(project, invocation.arguments)
    context = invocation.context.for_operations()
    observed = observe(context, name)
    containers = _with_logs(invocation, _containers(invocation, observed, services))
    shown = ShownLogs(invocation, name, [each.name for each in containers])
    if not invocation.flag("follow"):
        for container, entry in read_logs(context, containers, selection):
            shown.entry(container, entry)
        shown.flush()
        return 0

    def takes(happened: Happened) -> bool:
        attributes = happened.event.attributes
        return (
            attributes.get(PROJECT) == name
            and attributes.get(ONE_OFF) != "True"
            and (not services or attributes.get(SERVICE, "") in services)
            and not invocation.number("index")
        )

    newcomers = Newcomers(observed.last_event, takes)
    follow_logs(context, containers, selection, newcomers, LogSink(shown.entry, shown.ended), shown.descriptor)
    shown.flush()
    return 0


def _services(project: Project | None, named: tuple[str, ...]) -> tuple[str, ...]:
    """Those that are named; else those of the file whose output is wanted."""
    if named or project is None:
        return named
    return tuple(name for name, service in project.services if service.attach is not False)


def _containers(invocation: Invocation, observed: Observed, services: tuple[str, ...]) -> list[Container]:
    index = invocation.number("index") or 0
    if index:
        wanted = the_one(observed, services[0], index, all=True)
        return [each.container for each in observed.containers if each.id == wanted]
    return [each.container for each in chosen(observed, Choice(services, all=True))]


def _with_logs(invocation: Invocation, containers: list[Container]) -> list[Container]:
    """Those that keep a log; of the others it is said that they do not."""
    for each in containers:
        if each.config.log.driver == "none":
            invocation.context.note(
                f'WARNING: Can\'t retrieve logs for "{each.name}": configured logging driver does not support reading'
            )
    return [each for each in containers if each.config.log.driver != "none"]


class ShownLogs:
    """Writes entries to standard output, lines whole and behind their prefixes."""

    def __init__(self, invocation: Invocation, project: str, names: Iterable[str], *, separates: bool = False) -> None:
        """`names` are those of containers that are known from the start. What a container writes to its standard error
        goes to ours where it `separates` them.
        """
        self._context = invocation.context
        self._project = project
        self._timestamps = invocation.flag("timestamps")
        colour = wants_colour(invocation) and not invocation.flag("no-color")
        self._prefixes = Prefixes(
            (short_name(project, name) for name in names), colour=colour, shown=not invocation.flag("no-log-prefix")
        )
        self._separates = separates
        self._writers: dict[tuple[str, str], LineWriter] = {}
        self._context.stdout.flush()
        try:
            self.descriptor = self._context.stdout.fileno()
        except OSError:
            self.descriptor = -1

    def entry(self, container: Container, entry: LogEntry) -> None:
        """Take the next piece of what a container writes."""
        name = short_name(self._project, container.name)
        stream = entry.stream if self._separates else "stdout"
        writer = self._writers.get((container.id, stream))
        if writer is None:
            write = self._write_error if stream == "stderr" else self._write
            writer = self._writers[container.id, stream] = LineWriter(write, lambda: self._prefixes.of(name))
        if self._timestamps and writer.is_at_start:
            writer.feed(f"{entry.time} ".encode())
        writer.feed(entry.text.encode(errors="surrogateescape"))

    def hook(self, writer: str, data: bytes) -> None:
        """Take the next piece of what a hook writes; `writer` stands before its lines."""
        line_writer = self._writers.get((writer, "hook"))
        if line_writer is None:
            line_writer = LineWriter(self._write, lambda: self._prefixes.of(writer))
            self._writers[writer, "hook"] = line_writer
        line_writer.feed(data)

    def ended(self, container: Container, exit_code: int) -> None:
        """Say that the container has ended."""
        for stream in ("stdout", "stderr"):
            writer = self._writers.pop((container.id, stream), None)
            if writer is not None:
                writer.flush()
        name = short_name(self._project, container.name)
        self._write(self._prefixes.coloured(name, f"{name} exited with code {exit_code}").encode() + b"\n")

    def flush(self) -> None:
        """Write lines that were not ended."""
        for writer in self._writers.values():
            writer.flush()

    def _write_error(self, line: bytes) -> None:
        self._context.stderr.write(line.decode(errors="backslashreplace"))
        self._context.stderr.flush()

    def _write(self, line: bytes) -> None:
        if self.descriptor < 0:
            self._context.stdout.write(line.decode(errors="backslashreplace"))
            return
        from sandbox.container.session.attach import write_all

        write_all(self.descriptor, line)


COMMANDS: tuple[Command, ...] = (
    Command(
        "compose logs",
        "View output from containers",
        "[OPTIONS] [SERVICE...]",
        (
            option("-f --follow", "flag", "Follow log output"),
            option("--index", "number", "index of the container if service has multiple replicas", "int", 0),
            option("--no-color", "flag", "Produce monochrome output"),
            option("--no-log-prefix", "flag", "Don't print prefix in logs"),
            option("--since", "text", "Show logs since timestamp (2013-01-02T13:23:37Z) or relative (42m)", "string"),
            option("-n --tail", "text", "Number of lines to show from the end of the logs for each container",
                   "string", "all"),
            option("-t --timestamps", "flag", "Show timestamps"),
            option("--until", "text", "Show logs before a timestamp or relative (42m for 42 minutes)", "string"),
        ),
        logs,
        examples=("sandbox compose logs -f --tail 20", "sandbox compose logs --no-log-prefix --since 10m web"),
        further=("-f follows containers that come later too, and ends when none of them runs any more",),
    ),
)  # fmt: skip
