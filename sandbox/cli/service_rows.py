"""`service ls`, `stack services`, `stack ls`: services and stacks as rows of texts."""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple
from sandbox.stack.measures import natural_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sandbox.cli.command import Context
    from sandbox.cli.output.table import Row
    from sandbox.service.looking import ServiceCount
    from sandbox.service.spec import ServicePort

HEADERS = {
    "ID": "ID", "Name": "NAME", "Mode": "MODE", "Replicas": "REPLICAS", "Image": "IMAGE", "Ports": "PORTS",
}  # fmt: skip
RAW = "id: {{.ID}}\nname: {{.Name}}\nmode: {{.Mode}}\nreplicas: {{.Replicas}}\nimage: {{.Image}}\nports: {{.Ports}}\n"


def print_services(context: Context, counts: Iterable[ServiceCount], format_text: str | None, *, quiet: bool) -> None:
    """Print the table of services, or what `--format` asks for; with `quiet` their ids."""
    from sandbox.cli.output.listings import print_listing

    rows = [service_row(each) for each in sorted(counts, key=lambda each: natural_key(each.service.name))]
    if quiet and format_text in (None, "", "table", "raw"):
        for row in rows:
            context.print(f"{'id: ' if format_text == 'raw' else ''}{row['ID']}")
        return
    print_listing(context, HEADERS, tuple(HEADERS), rows, format_text, raw=RAW)


def service_row(count: ServiceCount) -> Row:
    """Every field that a template of `service ls --format` may use."""
    service = count.service
    return {
        "ID": service.id[:12],
        "Name": service.name,
        "Mode": service.spec.mode.kind.replace("-", " "),
        "Replicas": _replicas(count),
        "Image": shown_image(service.spec.request.image),
        "Ports": ports_text(count.ports),
    }


def _replicas(count: ServiceCount) -> str:
    mode, running = count.service.spec.mode, f"{count.running}/{count.desired}"
    if not mode.is_job:
        return running
    total = count.desired + count.completed if mode.is_global else mode.replicas
    return f"{running} ({count.completed}/{total} completed)"


def shown_image(image: str) -> str:
    """An image as listings show it: as people write it, and without a digest where it has a tag."""
    from sandbox.errors import ImageError
    from sandbox.image.references import parse_reference

    try:
        reference = parse_reference(image)
    except ImageError:
        return image
    return reference._replace(digest="").familiar if reference.tag else image


class _Range(NamedTuple):
    """Ports that follow each other, on both sides or on the outer one."""

    first: ServicePort
    last: ServicePort

    def takes(self, port: ServicePort) -> bool:
        """Whether it goes on with this one. What is a range on both sides does not go back inside."""
        last = self.last
        steps = port.published - last.published, port.target - last.target
        is_range = last.target != self.first.target
        return port.protocol == last.protocol and max(steps) <= 1 and not (is_range and steps[1] <= 0)

    def __str__(self) -> str:
        first, last = self.first, self.last
        outer, inner = _span(first.published, last.published), _span(first.target, last.target)
        return f"*:{outer}->{inner}/{first.protocol}"


def _span(first: int, last: int) -> str:
    return f"{first}-{last}" if last > first else str(first)


def ports_text(ports: Sequence[ServicePort]) -> str:
    """Docker's PORTS of a service: what one listener has for all replicas, those that follow each other together."""
    return ", ".join(map(str, _ranges(ports)))


def _ranges(ports: Sequence[ServicePort]) -> Iterator[_Range]:
    present: _Range | None = None
    shown = (port for port in ports if port.mode == "ingress")
    for port in sorted(shown, key=lambda port: (port.protocol, port.published, port.target)):
        if present is not None and present.takes(port):
            present = present._replace(last=port)
            continue
        if present is not None:
            yield present
        present = _Range(port, port)
    if present is not None:
        yield present
