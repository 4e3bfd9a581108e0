"""`port`: where a container's ports are published; and published ports added and removed.

    port CONTAINER [PRIVATE_PORT[/PROTO]]            Docker's
    port add|rm CONTAINER PORT [PORT...]             ours: three arguments at least, where Docker's has two at most

So a container that is called "add" or "rm" is shown its ports as any other.
"""

from __future__ import annotations

from net.errors import NetError
from net.port_texts import join_address, split_protocol
from sandbox.cli.command import Command
from sandbox.container import changing, operations
from sandbox.errors import SandboxError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox.cli.command import Invocation
    from sandbox.values import PublishedPort

_CHANGES = ("add", "rm")


def port(invocation: Invocation) -> int:
    """Print where the container's ports are published; or change what is."""
    verb, *rest = invocation.arguments
    if len(rest) >= 2 and verb in _CHANGES:
        return _change(invocation, verb, rest[0], rest[1:])
    if len(rest) >= 2:
        raise UsageError('"sandbox port" requires at most 2 arguments.', mend="sandbox port add CONTAINER 8080:80")
    return _show(invocation, verb, rest)


def _change(invocation: Invocation, verb: str, word: str, texts: list[str]) -> int:
    context = invocation.context.for_operations()
    if verb == "add":
        from sandbox.cli.container_options.reading import form_as_mend
        from sandbox.grammar.ports import parse_ports

        with form_as_mend("publish"):
            ports = parse_ports(texts)
        _print(invocation, changing.add_ports(context, word, ports))
    else:
        _print(invocation, changing.remove_ports(context, word, _read_removed(texts)))
    return 0


def _read_removed(texts: Iterable[str]) -> tuple[PublishedPort, ...]:
    """As of `add`; or a port of the container alone, which stands for all that lead to it. Raises UsageError."""
    from net.ports import parse_published
    from sandbox.values import PublishedPort

    try:
        return tuple(PublishedPort(*mapping) for text in texts for mapping in parse_published(text))
    except NetError as error:
        raise UsageError(
            error.message, cause=error.cause, mend=error.mend or "sandbox port rm web 8080:80, or 80/tcp"
        ) from error


def _print(invocation: Invocation, ports: Iterable[PublishedPort]) -> None:
    for entry in ports:
        # of a container that does not run the host's may be any free one
        number = f"{entry.host_port or ''}" + (f"-{entry.host_port_end}" if entry.host_port_end else "")
        place = join_address(entry.host_ip or "0.0.0.0", number)
        invocation.context.print(f"{entry.container_port}/{entry.protocol} -> {place}")


def _show(invocation: Invocation, word: str, rest: list[str]) -> int:
    from net.ports import parse_port_number

    published = list(operations.look_up(invocation.context.for_operations(), word).state.published_ports)
    # Docker: by numbers as numbers, and an IPv6 address stands in a bracket
    published.sort(
        key=lambda entry: (entry.container_port, entry.protocol, ":" in entry.host_ip, entry.host_ip, entry.host_port)
    )
    if not rest:
        _print(invocation, published)
        return 0
    number_text, protocol = split_protocol(rest[0])
    try:
        number = parse_port_number(number_text)
    except NetError as error:
        raise UsageError(
            f"invalid port {rest[0]!r}: {error.message}",
            mend=f"sandbox port {word} 80/tcp; without a port it lists all",
        ) from error
    found = [entry for entry in published if (entry.container_port, entry.protocol) == (number, protocol)]
    if not found:
        raise SandboxError(f"No public port '{rest[0]}' published for {word}", mend=f"sandbox port {word}")
    for entry in found:
        invocation.context.print(join_address(entry.host_ip or "0.0.0.0", str(entry.host_port)))
    return 0


COMMANDS: tuple[Command, ...] = (
    Command(
        "container port",
        "List port mappings or a specific mapping for the container, or add and remove some",
        "CONTAINER [PRIVATE_PORT[/PROTO]] | add CONTAINER PORT [PORT...] | rm CONTAINER PORT [PORT...]",
        (),
        port,
        least=1,
        examples=(
            "sandbox port web",
            "sandbox port web 80/tcp",
            "sandbox port add web 8080:80 127.0.0.1:5353:53/udp",
            "sandbox port rm web 8080:80",
            "sandbox port rm web 80/tcp",
        ),
        further=(
            "add and rm are of this program alone. They work while the container runs, and what they change is kept:",
            "a container that does not run has it from its next start on. PORT is what -p of run takes; to rm it may",
            "be a port of the container alone, which stands for all that lead to it.",
        ),
    ),
)
