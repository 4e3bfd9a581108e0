"""`update`: limits and restart policy of containers that are there."""

from __future__ import annotations

from sandbox.cli.command import Command, each
from sandbox.cli.container_options.reading import (
    flag_given,
    in_words_of_options,
    number_given,
    parse_one,
    refuse_unsupported,
    text_given,
)
from sandbox.cli.container_options.table import CREATE_OPTIONS
from sandbox.cli.flags import option
from sandbox.container import changing
from sandbox.container.request.request import ContainerRequest
from sandbox.errors import SandboxError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from sandbox.cli.command import Invocation

    _T = TypeVar("_T")

#: as `run` has them
_SHARED = frozenset({
    "best-effort", "blkio-weight", "cpu-period", "cpu-quota", "cpu-rt-period", "cpu-rt-runtime", "cpu-shares", "cpus",
    "cpuset-cpus", "cpuset-mems", "kernel-memory", "memory", "memory-reservation", "memory-swap", "pids-limit",
})  # fmt: skip


def update(invocation: Invocation) -> int:
    """Change each container, and print its name."""
    refuse_unsupported(invocation)
    wanted = _read(invocation)
    context = invocation.context.for_operations()

    def update_one(word: str) -> str:
        try:
            with in_words_of_options():
                notes = changing.update(context, word, wanted)
        except UsageError as error:
            # Docker's engine says this, of each container
            raise SandboxError(error.message, cause=error.cause, mend=error.mend) from error
        for note in notes:
            invocation.context.note(f"WARNING: {note}")
        return word

    return each(invocation, update_one)


def _read(invocation: Invocation) -> ContainerRequest:
    from sandbox.grammar import sizes
    from sandbox.grammar.limits import parse_cpuset
    from sandbox.grammar.restart import parse_restart

    return ContainerRequest(
        memory_bytes=parse_one(invocation, "memory", sizes.parse_size),
        memory_swap_bytes=parse_one(invocation, "memory-swap", sizes.parse_size_or_unlimited),
        memory_reservation_bytes=parse_one(invocation, "memory-reservation", sizes.parse_size),
        nano_cpus=parse_one(invocation, "cpus", sizes.parse_cpus),
        cpu_period_us=number_given(invocation, "cpu-period"),
        cpu_quota_us=number_given(invocation, "cpu-quota"),
        cpu_shares=number_given(invocation, "cpu-shares"),
        cpuset_cpus=parse_one(invocation, "cpuset-cpus", parse_cpuset)
        if text_given(invocation, "cpuset-cpus")
        else None,
        pids_limit=number_given(invocation, "pids-limit"),
        best_effort=flag_given(invocation, "best-effort"),
        restart=_unless_empty(invocation, "restart", parse_restart),
    )


def _unless_empty(invocation: Invocation, key: str, parse: Callable[[str], _T]) -> _T | None:
    """An empty text asks for nothing, as in Docker."""
    return parse_one(invocation, key, parse) if text_given(invocation, key) else None


COMMANDS: tuple[Command, ...] = (
    Command(
        "container update",
        "Update configuration of one or more containers",
        "[OPTIONS] CONTAINER [CONTAINER...]",
        tuple(
            sorted(
                (
                    *(shared for shared in CREATE_OPTIONS if shared.key in _SHARED),
                    option("--restart", "text", "Restart policy to apply when a container exits", "string"),
                ),
                key=lambda one: one.key,
            )
        ),
        update,
        least=1,
        examples=(
            "sandbox update --memory 1g --memory-swap 2g db",
            "sandbox update --restart unless-stopped web db",
        ),
    ),
)
