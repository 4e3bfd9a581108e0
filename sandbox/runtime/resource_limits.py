"""The limits that setrlimit(2) keeps: those that are set, and those that are within a user's reach."""

from __future__ import annotations

import resource

from sandbox.errors import StartError
from sandbox.runtime.spec import RESOURCE_NAMES, ResourceLimit


def set_limits(limits: tuple[ResourceLimit, ...]) -> None:
    """setrlimit(2) for each of `limits`. Raises StartError where the caller's own hard limit is lower."""
    for number, soft, hard in limits:
        try:
            resource.setrlimit(number, (soft, hard))
        except (OSError, ValueError) as error:
            name, allowed = RESOURCE_NAMES[number], resource.getrlimit(number)[1]
            raise StartError(
                f"cannot set the limit {name} to {_limit_text(soft)}:{_limit_text(hard)}",
                cause=f"this user's hard limit of {name} is {_limit_text(allowed)}, and raising it takes privileges",
                mend=f"--ulimit {name}={allowed}   (or: --best-effort)",
            ) from error


def within_reach(limit: ResourceLimit, allowed: int) -> ResourceLimit:
    """The limit, or as much of it as a hard limit of `allowed` lets through."""

    def least(asked: int) -> int:
        if allowed == resource.RLIM_INFINITY:
            return asked
        return allowed if asked == resource.RLIM_INFINITY else min(asked, allowed)

    return limit._replace(soft=least(limit.soft), hard=least(limit.hard))


def lowered(limit: ResourceLimit) -> ResourceLimit:
    """The limit, or as much of it as the caller's own hard limit lets through."""
    return within_reach(limit, resource.getrlimit(limit.resource)[1])


def lowered_note(limit: ResourceLimit) -> str:
    """What is to be told of a limit that is out of reach; "" of any other."""
    had = lowered(limit)
    if had == limit:
        return ""
    name = RESOURCE_NAMES[limit.resource]
    return f"the limit {name} is {_limit_text(had.hard)}, not {_limit_text(limit.hard)}: raising it takes privileges"


def _limit_text(value: int) -> str:
    return "unlimited" if value == resource.RLIM_INFINITY else str(value)
